"""`make run`, `verify`, `psql` and `ui` as they are typed in a checkout, what goes wrong included."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import embedded
from generate_deliveries import generate
from support.environment import WORK
from support.paths import ROOT

WRONG_DATABASE = "postgresql://nobody@127.0.0.1:1/nothing"


class Checkout:
    """A checkout of its own, with an embedded PostgreSQL of its own; the environment is the developer's.

    Args:
        folder: where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns(".git", ".venv", ".local", "bench", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, folder, ignore=ignored)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        (folder / ".local").mkdir()
        (folder / ".local" / "uv").symlink_to(ROOT / ".local" / "uv")
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DELIVERIES", "MAKE"))
        }

    def start(self, *command: str, **environment: str) -> subprocess.Popen:
        """Start a command there."""
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """Run a command there; return its exit code and what it has printed, make's own last words left out."""
        process = self.start(*command, **environment)
        try:
            said, _ = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does; all that it started ends with it
            said, _ = process.communicate(timeout=60)
            pytest.fail(f"did not end: {said}")
        assert "Traceback" not in said, said
        return process.returncode, re.sub(r"^make: \*\*\*.*\n", "", said, flags=re.MULTILINE)

    def make(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run make there."""
        return self.run("make", "-s", *arguments, **environment)

    def sql(self, text: str, database: str = "postgres") -> str:
        """Run statements on its server."""
        server = embedded.start(self.folder / ".local" / "postgres")
        try:
            return embedded.sql(server, text, database)
        finally:
            server.cleanup()

    def databases(self) -> list[str]:
        """The databases that there are."""
        return self.sql("select datname from pg_database order by 1").split()


@pytest.fixture(scope="module")
def checkout() -> Checkout:
    """One that is set up, and in which nothing was run."""
    checkout = Checkout(WORK / "checkout")  # pytest keeps folders of its own from PostgreSQL's user
    code, said = checkout.make("setup")
    assert code == 0, said
    return checkout


@pytest.fixture
def unchanged(checkout) -> Iterator[None]:
    """Fails a test that leaves a database behind."""
    before = checkout.databases()
    yield
    assert checkout.databases() == before


@pytest.fixture
def month(tmp_path) -> Path:
    """A folder with one small month, settled long ago."""
    folder = tmp_path / "deliveries"
    generate(folder, users=30, months=1, seed=4, first="2023-01")  # users of any first month in here
    for path in folder.glob("*/*"):
        os.utime(path, (1, 1))
    return folder


def fs(folder: Path) -> str:
    return json.dumps({"conn_type": "fs", "extra": {"path": str(folder)}})


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("target", ["run", "verify", "psql", "ui"])
def test_a_folder_that_is_not_there_is_named(checkout, tmp_path, target):
    code, said = checkout.make(target, f"DELIVERIES={tmp_path}/typo")
    assert (code, said) == (2, f"DELIVERIES: there is no folder {tmp_path}/typo.\n")


@pytest.mark.usefixtures("unchanged")
def test_a_folder_without_months_is_named(checkout, tmp_path):
    code, said = checkout.make("run", f"DELIVERIES={tmp_path}")
    assert (code, said) == (2, f"There are no month folders (month_000, month_001, …) in {tmp_path}.\n")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("target", ["verify", "psql"])
def test_a_folder_that_was_never_run_has_no_data(checkout, month, target):
    code, said = checkout.make(target, f"DELIVERIES={month}")
    assert (code, said) == (2, f"Nothing was loaded from {month} yet. Run: make run DELIVERIES={month}\n")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("target", ["run", "verify", "psql"])
def test_two_folders_are_one_too_many(checkout, month, tmp_path, target):
    code, said = checkout.make(target, f"DELIVERIES={tmp_path}", AIRFLOW_CONN_STREAMFLOW_FS=fs(month))
    assert code == 2
    assert said == (
        f"DELIVERIES is {tmp_path}, but the connection AIRFLOW_CONN_STREAMFLOW_FS names {month}: unset one of them.\n"
    )


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("connection", ["fs://", "{", '{"conn_type": "fs"}'])
def test_a_connection_that_names_no_folder_is_refused(checkout, connection):
    code, said = checkout.make("run", AIRFLOW_CONN_STREAMFLOW_FS=connection)
    assert (code, said) == (2, "AIRFLOW_CONN_STREAMFLOW_FS names no folder: its extra must have a path.\n")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("target", ["run", "verify"])
def test_a_database_that_is_not_there_is_named(checkout, target):
    code, said = checkout.make(target, AIRFLOW_CONN_STREAMFLOW_DB=WRONG_DATABASE)
    assert code == 2
    assert "The connection streamflow_db cannot be used" in said
    assert "port 1" in said
    assert "What to do: " in said
    assert max(map(len, said.splitlines())) <= 100


def test_the_database_follows_the_folder_that_is_used_and_verify_says_what_it_compared(checkout, month):
    before = checkout.databases()
    for number, connection in enumerate((fs(month), f"fs://?path={month}")):
        code, said = checkout.make("run", AIRFLOW_CONN_STREAMFLOW_FS=connection)
        assert code == 0, said
        assert f"1 month from {month}" in said
        assert ("Nothing changed" in said) == bool(number)
    (made,) = set(checkout.databases()) - {*before, "airflow_run"}
    assert made == embedded.database_name(month)
    assert checkout.make("verify", f"DELIVERIES={month}") == (
        0,
        (
            "OK: 1 month, 6 snapshots match the ledger; live matches 2024-01-31.\n"
            "Rows compared: 180 in snapshots, 180 in live.\n"
        ),
    )
    checkout.sql("delete from labels where user_id = 'SF-00000007'", made)
    code, said = checkout.make("verify", f"DELIVERIES={month}")
    assert code == 2
    assert said.startswith("1 difference from what was sealed:\nlabels of 2024-01-31\n    expected live")
    checkout.sql("drop schema public cascade; create schema public", made)
    code, said = checkout.make("verify", f"DELIVERIES={month}")
    assert (code, said) == (2, f"No month is sealed in the database {made}: there is nothing to compare.\n")


def test_the_first_month_is_airflows_variable(checkout, month, tmp_path):
    for number, first in enumerate(("2023-06", "2023-07")):  # the second: make run has a database of Airflow's by then
        folder = tmp_path / str(number)
        shutil.copytree(month, folder)
        code, said = checkout.run("bash", "-c", f". ./env.sh; airflow variables set streamflow_first_month {first}")
        assert code == 0, said
        code, said = checkout.make("run", f"DELIVERIES={folder}")
        assert code == 0, said
        sealed = checkout.sql("select as_of from sealed_months", embedded.database_name(folder)).split()
        assert [day[:7] for day in sealed] == [first]
    code, said = checkout.make("run", f"DELIVERIES={month}", AIRFLOW_VAR_STREAMFLOW_FIRST_MONTH="June")
    assert code == 2
    assert "streamflow_first_month must be a month" in said
    checkout.run("bash", "-c", ". ./env.sh; airflow variables delete streamflow_first_month")


def test_a_missing_file_is_named_at_once_and_ctrl_c_ends_the_waiting(checkout, month):
    (month / "month_000" / "labels.csv").unlink()
    process = checkout.start("make", "-s", "run", f"DELIVERIES={month}")
    said = ""
    while "wait_for_month" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
        if "labels.csv" in line:
            break
    assert "labels.csv is missing" in said
    assert "30 s" in said
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    rest, _ = process.communicate(timeout=60)
    assert process.returncode
    assert "Interrupted." in rest
    assert "Traceback" not in said + rest


def test_a_month_that_fails_says_why_in_lines(checkout, month):
    labels = month / "month_000" / "labels.csv"
    good = labels.read_text()
    labels.write_text(good.replace("True", "perhaps", 1))
    code, said = checkout.make("run", f"DELIVERIES={month}", AIRFLOW__STREAMFLOW__SETTLE_SECONDS="0")
    assert code == 2
    reason = said.partition("\n2024-01-31 (month_000) failed at labels.load:\n")[2].splitlines()
    assert "labels.csv" in reason[0]
    assert any("column churn_label: expected true or false, found 'perhaps'" in line for line in reason)
    assert all(len(line) <= 100 or "/" in line for line in reason)
    labels.unlink()
    settings = {"AIRFLOW__STREAMFLOW__SETTLE_SECONDS": "0", "AIRFLOW__STREAMFLOW__WAIT_TIMEOUT": "1"}
    code, said = checkout.make("run", f"DELIVERIES={month}", **settings)
    assert code == 2
    reason = said.partition("failed at wait_for_month:\n")[2]
    assert "labels.csv is missing" in " ".join(reason.split())
    labels.write_text(good)
    code, said = checkout.make("run", f"DELIVERIES={month}", AIRFLOW__STREAMFLOW__SETTLE_SECONDS="0")
    assert code == 0, said


@pytest.mark.usefixtures("unchanged")
def test_a_port_that_is_taken_is_named_at_once(checkout):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = checkout.make("ui", PORT=str(port))
    assert (code, said) == (2, f"Port {port} is taken. Choose another: PORT={port + 1} make ui\n")
    code, said = checkout.make("ui", PORT="http")
    assert (code, said) == (2, "PORT must be a number from 1 to 65535; found 'http'.\n")
