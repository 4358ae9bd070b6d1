"""A folder of tables that is not StreamFlow's: one table and one column more, as docs/tables.md adds them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streamflow.tables import TABLES_FOLDER
from support.paths import ROOT

AD_SUPPORTED = """  - name: ad_supported
    type: boolean
    optional: true
    since: 2024-04
    about: pays less and sees advertisements
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """The tables of include/tables, with another table, delivered since February, and another column."""
    tables = Path(shutil.copytree(TABLES_FOLDER, tmp_path / "tables"))
    shutil.copytree(ROOT / "tests" / "fixtures" / "devices", tables / "devices")
    with (tables / "subscriptions" / "table.yaml").open("a") as file:
        file.write(AD_SUPPORTED)
    return tables


def run_tests(folder: Path, *modules: str, **environment: str) -> None:
    """Run files of tests on a folder of tables."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:xdist",
            "-p",
            "no:cacheprovider",
            *(f"tests/{module}" for module in modules),
        ],
        cwd=ROOT,
        env=os.environ | {"TABLES_OF_TEST": str(folder)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_any_order(folder):
    sequences = int(os.environ.get("SEQUENCES", 60)) // 2  # the other half of the time is for StreamFlow's own tables
    run_tests(folder, "sql/test_any_order.py", SEQUENCES=str(sequences))


@pytest.mark.parametrize("modules", [["refused"], ["accepted", "changing", "bad_cells", "privacy"]], ids=" ".join)
def test_deliveries(folder, modules):
    run_tests(folder, *(f"deliveries/test_{name}.py" for name in modules))


def test_a_database_that_the_version_before_has_sealed_months_in(folder):
    yaml = folder / "devices" / "table.yaml"
    yaml.write_text(yaml.read_text().replace("since: 2024-02", "since: 2024-04"))
    run_tests(folder, "sql/seven_tables.py")
