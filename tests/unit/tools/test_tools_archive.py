"""`make archive`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.archives import partitions
from support.builders import FEBRUARY, JANUARY, MARCH
from support.paths import ROOT


def make(*args: str) -> subprocess.CompletedProcess:
    """Run what `make archive` runs."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "archive.py", *args], capture_output=True, text=True, check=False
    )


def test_it_says_what_it_has_archived_and_dropped(three_months, archive_folder, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__KEEP_MONTHS", "2")
    done = make("")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines[:3]] == [JANUARY, FEBRUARY, MARCH]
    assert lines[3:] == ["2024-01-31: only in the archive now. The database keeps the newest 2 months (keep_months)."]
    assert partitions(three_months) == [FEBRUARY, MARCH]


def test_a_month_that_is_not_sealed_is_named(two_months, archive_folder):
    done = make(MARCH)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("2024-03-31 is not sealed.\n")


@pytest.mark.slow
def test_a_setting_that_is_no_number_of_months_is_refused(monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__KEEP_MONTHS", "-1")
    done = make()
    assert (done.returncode, done.stdout) == (1, "")
    assert "Expected 1 or more, or 0 to keep all months in the database.\nFound -1." in done.stderr


@pytest.mark.slow
def test_a_day_that_is_no_month_end_is_refused():
    done = make("2024-01-30")
    assert done.returncode == 1
    assert done.stderr.startswith("MONTH must be a month's last day.\n")
