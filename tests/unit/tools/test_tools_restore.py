"""`make restore`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.archives import archive_and_drop, partitions
from support.builders import FEBRUARY, JANUARY
from support.paths import ROOT


def make(*args: str) -> subprocess.CompletedProcess:
    """Run what `make restore` runs."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "restore.py", *args], capture_output=True, text=True, check=False
    )


def test_it_says_what_it_has_brought_back(two_months, archive_folder):
    archive_and_drop(1)
    done = make(JANUARY)
    assert done.stdout == (
        "2024-01-31: 6 snapshots brought back from the archive; the ledger is unchanged.\n"
        "If keep_months is set, the next run of streamflow_archive drops the month again.\n"
    ), done.stderr
    assert partitions(two_months) == [JANUARY, FEBRUARY]


@pytest.mark.slow
def test_a_day_that_is_no_month_end_is_refused():
    done = make("2024-01-30")
    assert done.returncode == 1
    assert done.stderr.startswith("MONTH must be a month's last day.\n")
