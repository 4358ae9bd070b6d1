"""`make training-set`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pyarrow import parquet

from support.builders import JANUARY
from support.paths import ROOT


def make(*args: str) -> subprocess.CompletedProcess:
    """Run what `make training-set` runs."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "training_set.py", *args], capture_output=True, text=True, check=False
    )


def test_it_says_what_the_set_holds(labelled, tmp_path):
    done = make(JANUARY, "1", str(tmp_path / "january.parquet"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2] == "Recorded as revision 1."
    assert parquet.read_table(tmp_path / "january.parquet").num_rows == 2


def test_a_month_that_is_not_sealed_is_named(labelled, tmp_path):
    done = make(JANUARY, "2", str(tmp_path / "january.parquet"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("not sealed: labels of 2024-03-31.\n")
    assert "What to do: run the missing month first" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_day_that_is_no_month_end_is_refused(tmp_path):
    done = make("2024-01-30", "1", str(tmp_path / "january.parquet"))
    assert done.returncode == 1
    assert done.stderr.startswith("AS_OF must be a month's last day.\n")
    assert "What to do: run it with AS_OF 2024-01-31 for that month" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("horizon", ["-1", "1.5", "121", "99999999999"])
def test_a_horizon_that_is_not_possible_is_refused(tmp_path, horizon):
    done = make(JANUARY, horizon, str(tmp_path / "january.parquet"))
    assert done.returncode == 2
    assert done.stderr.startswith("usage: make training-set AS_OF=2024-01-31")
    assert "[HORIZON=months, 0 to 120; default 1]" in done.stderr


@pytest.mark.parametrize("out", [".", "/"])
def test_a_folder_is_no_file(labelled, out):
    done = make(JANUARY, "1", out)
    assert done.returncode == 1
    assert done.stderr.startswith("Expected a file, found the folder")
