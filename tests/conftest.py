"""A real PostgreSQL for every test, an Airflow home of their own, and the month's SQL step by step."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
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
    "AIRFLOW__STREAMFLOW__DATA_DOCS": str(WORK / "data_docs"),
    "GX_ANALYTICS_ENABLED": "false",
}
if "TABLES_OF_TEST" in os.environ:  # test_tables_of_your_own.py
    os.environ["AIRFLOW__STREAMFLOW__TABLES_FOLDER"] = os.environ["TABLES_OF_TEST"]

import hypothesis  # noqa: E402
import psycopg  # noqa: E402
import pytest  # noqa: E402

import embedded  # noqa: E402
import install_schema  # noqa: E402
from months import Database  # noqa: E402

hypothesis.settings.register_profile("untimed", deadline=None)  # the machine is shared: how long it takes says nothing
hypothesis.settings.load_profile("untimed")

REAL_DELIVERIES = ROOT.parent / "shared" / "data" / "streamflow"


@pytest.fixture(scope="session")
def server():
    """The tests' own server; what it holds need not outlive a crash of the machine."""
    server = embedded.start(WORK / "postgres", fsync="off", synchronous_commit="off", full_page_writes="off")
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def schema(server) -> str:
    """Name of a template database that has the roles and the schema."""
    install_schema.install(embedded.uri(server, "streamflow_template"))
    return "streamflow_template"


@pytest.fixture
def database(server, schema, monkeypatch):
    """A fresh database with the schema, which AIRFLOW_CONN_STREAMFLOW_DB names, as streamflow_ingest; see
    ``months.Database``.
    """
    uri = embedded.uri(server, "streamflow_test", template=schema, user="streamflow_ingest")
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", uri)
    database = Database(uri)
    yield database
    database.close()
    with psycopg.connect(embedded.uri(server, "postgres"), autocommit=True) as admin:
        admin.execute("drop database streamflow_test with (force)")


@pytest.fixture
def deliveries(tmp_path, monkeypatch) -> Path:
    """An empty folder for month folders, which AIRFLOW_CONN_STREAMFLOW_FS names."""
    folder = tmp_path / "deliveries"
    folder.mkdir()
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_FS", f'{{"conn_type": "fs", "extra": {{"path": "{folder}"}}}}')
    return folder


@pytest.fixture(scope="session")
def metadata(server):
    """Airflow's metadata in a database of the tests' server."""
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = embedded.uri(server, "airflow", "+psycopg2")
    import subprocess

    subprocess.run(["airflow", "db", "migrate"], check=True, capture_output=True)
