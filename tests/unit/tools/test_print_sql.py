"""`make sql`: what it prints is what runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from streamflow.tables import TABLES
from support.database import render
from support.paths import ROOT

pytestmark = pytest.mark.slow

MONTH = "2024-01-31"


def print_sql(*args: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "print_sql.py", *args],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_sql_prints_what_runs():
    done = print_sql("snapshot", "labels", MONTH, "")
    assert done.stdout == render("tasks/snapshot.sql", MONTH, TABLES["labels"], run_id="manual__by_make_sql") + "\n"


def test_make_sql_calls_the_folder_as_the_setting_says():
    done = print_sql("prepare", "", MONTH, "", AIRFLOW__STREAMFLOW__MONTH_FOLDER="month={month}")
    assert f"'month={MONTH[:7]}');" in done.stdout
    done = print_sql("prepare", "", MONTH, "", AIRFLOW__STREAMFLOW__MONTH_FOLDER="{day}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "month_folder (AIRFLOW__STREAMFLOW__MONTH_FOLDER)" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("", "", "", ""), "usage: make sql TASK=snapshot TABLE=users MONTH=2024-01-31"),
        (("snapshot", "", MONTH, ""), "snapshot, upsert need a TABLE"),
        (("snapshot", "devices", MONTH, ""), "TABLE is one of users, "),
        (("gate", "", "2024-01-30", ""), "as_of must be a month's last day."),
    ],
)
def test_make_sql_says_what_is_wrong(args, said):
    done = print_sql(*args)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
