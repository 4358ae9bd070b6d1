"""A folder for what tests write, and the environment that Airflow sees; imported before anything of Airflow's."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from support.paths import ROOT

WORK = Path(tempfile.mkdtemp(prefix="streamflow-tests-"))
atexit.register(shutil.rmtree, WORK, ignore_errors=True)

# before anything imports Airflow: the tests never see the environment of `make run`
for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
os.environ |= {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "AIRFLOW_HOME": str(WORK / "airflow"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__STREAMFLOW__SETTLE_SECONDS": "0",
    "AIRFLOW__STREAMFLOW__POKE_INTERVAL": "1",
    "AIRFLOW__STREAMFLOW__WAIT_TIMEOUT": "2",
    "AIRFLOW__STREAMFLOW__RETRY_DELAY": "1",
    "AIRFLOW__STREAMFLOW__SHOW_VALUES": "true",
    "AIRFLOW__STREAMFLOW__DATA_DOCS": str(WORK / "data_docs"),
    "GX_ANALYTICS_ENABLED": "false",
}
if "TABLES_OF_TEST" in os.environ:  # test_tables_of_your_own.py
    os.environ["AIRFLOW__STREAMFLOW__TABLES_FOLDER"] = os.environ["TABLES_OF_TEST"]
