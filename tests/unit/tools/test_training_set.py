"""`make training-set`."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from pyarrow import parquet

from support.builders import JANUARY
from support.paths import ROOT
from support.services import wait_until

TOOL = ROOT / "tools" / "training_set.py"


def make(*args: str) -> subprocess.CompletedProcess:
    """Run what `make training-set` runs."""
    return subprocess.run([sys.executable, TOOL, *args], capture_output=True, text=True, check=False)


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
    assert f"Expected a file, found the folder {Path(out).resolve()}." in " ".join(done.stderr.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_whoever_interrupts_it_finds_no_file_that_is_half_written(labelled, tmp_path, number):
    def waits() -> bool:
        return labelled.query_as_admin("select from pg_locks where not granted") != []

    with psycopg.connect(labelled.admin_uri) as other:
        other.execute("lock table training_sets in share mode")  # so that it is not recorded, and stays unfinished
        process = subprocess.Popen(
            [sys.executable, TOOL, JANUARY, "1", tmp_path / "january.parquet"], stderr=subprocess.PIPE, text=True
        )
        wait_until(waits, lambda: f"{process.poll()}")
        (unfinished,) = tmp_path.iterdir()
        assert unfinished.suffix == ".unfinished"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert list(tmp_path.iterdir()) == []
