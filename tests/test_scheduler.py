"""The DAG under a real scheduler, as people work with it: `make ui`'s services, the REST API (which is what the UI
calls) and `airflow backfill create`.

The tests share one running Airflow and go on from each other's state, in the order they are written in.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import embedded
from conftest import ROOT
from generate_deliveries import generate
from months import Database
from streamflow.tables import TABLES

DAG = "/api/v2/dags/streamflow_monthly_ingest"
FEBRUARY = "backfill__2024-03-01T00:00:00+00:00"  # a run is called after the day on which it is due
ONLY_FEBRUARY = ("--from-date", "2024-02-01", "--to-date", "2024-02-29")
MONTH_ENDS = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]
PATIENCE = 600  # seconds for a month; alone on two cores it takes 30
# tools/ui.py itself, but for its log and password files, which are the developer's
SERVICES = """
import sys
from pathlib import Path
tools, folder = map(Path, sys.argv[1:])
sys.path.insert(0, str(tools))
import ui
ui.LOGS = folder
ui.PASSWORDS = folder / "passwords.json"
sys.exit(ui.main())
"""
# the tasks are forked from the scheduler: great_expectations is imported once, not in each of some thirty validations,
# which would be most of the module's time. That they import it themselves is for test_end_to_end.py to see.
LOCAL_SETTINGS = 'import sys\nif "scheduler" in sys.argv:\n    import great_expectations\n'


def wait_until(is_so: Callable[[], Any], what: Callable[[], str]) -> Any:
    """Return what ``is_so`` returns as soon as that is true; fail, saying ``what`` is instead, after PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not (found := is_so()):
        assert time.monotonic() < deadline, what()
        time.sleep(1)
    return found


class Airflow:
    """The REST API and the command line; what the connections streamflow_db and streamflow_fs name."""

    def __init__(self, address: str, password: str, database: Database, deliveries: Path) -> None:
        self.database = database
        self.deliveries = deliveries
        self.client = httpx.Client(base_url=address, timeout=60)
        token = self.client.post("/auth/token", json={"username": "admin", "password": password})
        self.client.headers["Authorization"] = f"Bearer {token.raise_for_status().json()['access_token']}"

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, params=query).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        response = self.client.post(path, json=body)
        assert response.is_success, response.text
        return response.json()

    def runs(self) -> dict[str, str]:
        """State by run id, of every run that there is."""
        return {run["dag_run_id"]: run["state"] for run in self.get(f"{DAG}/dagRuns", limit=100)["dag_runs"]}

    def trigger(self, logical_date: str | None, path: str = DAG, **conf: Any) -> str:
        """Trigger a run as the UI's button does; return its id."""
        date = f"{logical_date}T00:00:00Z" if logical_date else None
        return self.post(f"{path}/dagRuns", logical_date=date, conf=conf)["dag_run_id"]

    def tasks(self, run: str, path: str = DAG) -> dict[str, str | None]:
        found = self.get(f"{path}/dagRuns/{run}/taskInstances", limit=100)["task_instances"]
        return {one["task_id"]: one["state"] for one in found}

    def end_of(self, run: str, path: str = DAG) -> str:
        """Wait for the end of a run; return its state."""

        def ended() -> str | None:
            state = self.get(f"{path}/dagRuns/{run}")["state"]
            return state if state in ("success", "failed") else None

        state = wait_until(ended, lambda: f"{run} does not end: {self.tasks(run, path)}")
        print(run, state, self.tasks(run, path))  # pytest shows it if the test fails
        return state

    def task(self, run: str, task: str) -> dict[str, Any]:
        return self.get(f"{DAG}/dagRuns/{run}/taskInstances/{task}")

    def reason(self, run: str, task: str) -> str:
        """The message that the log of a failed task ends with, as the UI shows it; the task was not tried again."""
        found = self.task(run, task)
        assert (found["state"], found["try_number"]) == ("failed", 1)
        log = self.get(f"{DAG}/dagRuns/{run}/taskInstances/{task}/logs/1", full_content=True)["content"]
        last = [line for line in log if not line["event"].startswith("::")][-1]  # groups that the UI folds
        return last["error_detail"][0]["exc_value"]

    def backfill(self, *arguments: str) -> dict[str, str]:
        """Run `airflow backfill create`, when the one before is over, and wait for its runs; return all ``runs``."""

        def active() -> list:
            found = self.get("/api/v2/backfills", dag_id="streamflow_monthly_ingest")["backfills"]
            return [one for one in found if not one["completed_at"]]

        # Airflow allows one at a time, and looks every 30 s whether it is over
        wait_until(lambda: not active(), lambda: f"still active: {active()}")
        command = ["airflow", "backfill", "create", "--dag-id", "streamflow_monthly_ingest", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        for run, state in self.runs().items():
            if state not in ("success", "failed"):
                self.end_of(run)
        return self.runs()


def stop(services: subprocess.Popen) -> list[psutil.Process]:
    """Stop tools/ui.py with a SIGTERM; kill and return what outlives it."""
    started = psutil.Process(services.pid).children(recursive=True)
    services.terminate()
    try:
        services.wait(90)
    except subprocess.TimeoutExpired:
        services.kill()
    _, left = psutil.wait_procs(started, timeout=5)
    left = [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    for process in left:
        process.kill()
    return left


@pytest.fixture(scope="module")
def airflow(server, schema, tmp_path_factory) -> Iterator[Airflow]:
    """What `make ui` starts, with home, databases, deliveries and a port of its own."""
    folder = tmp_path_factory.mktemp("scheduler")
    generate(folder / "deliveries", users=50, months=len(MONTH_ENDS), seed=3, turnover=0.1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    database = Database(embedded.uri(server, "streamflow_scheduler", template=schema, user="streamflow_ingest"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "PORT": port,
            "AIRFLOW_HOME": folder / "airflow",
            # not the session's metadata, where other tests leave runs for the same dates
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": embedded.uri(server, "airflow_scheduler", "+psycopg2"),
            "AIRFLOW_CONN_STREAMFLOW_DB": database.uri,
            "AIRFLOW_CONN_STREAMFLOW_FS": json.dumps({"conn_type": "fs", "extra": {"path": f"{folder}/deliveries"}}),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": 2,  # the scheduler and the API server need the cores too
            "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": True,  # so that the triggerer has something to do
            "AIRFLOW__STREAMFLOW__WAIT_TIMEOUT": PATIENCE,
        }.items():
            patch.setenv(name, str(value))
        (folder / "airflow" / "config").mkdir(parents=True)
        (folder / "airflow" / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
        # it also writes airflow.cfg, with secrets that the services have to share
        subprocess.run(["airflow", "db", "migrate"], check=True, capture_output=True)
        command = [sys.executable, "-c", SERVICES, ROOT / "tools", folder]
        services = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            said = ""
            while not said.startswith("http"):
                said = services.stdout.readline()
                assert said, "tools/ui.py ended: see its message above, and ui-*.log in its folder"
            password = json.loads((folder / "passwords.json").read_text())["admin"]
            yield Airflow(f"http://127.0.0.1:{port}", password, database, folder / "deliveries")
        finally:
            left = stop(services)
            database.close()
    assert not left, f"outlived tools/ui.py: {left}"


@pytest.fixture
def in_order(server, schema, airflow) -> Callable[[int, int], dict[str, list[tuple]]]:
    """What the database has to hold after the months FIRST to LAST: the same files, loaded in order by SQL alone."""

    def contents(first: int, last: int) -> dict[str, list[tuple]]:
        oracle = Database(
            embedded.uri(server, f"streamflow_in_order_{first}_{last}", template=schema, user="streamflow_ingest")
        )
        for number in range(first, last + 1):
            folder = airflow.deliveries / f"month_{number:03d}"
            files = {name: (folder / table.file_name).read_bytes() for name, table in TABLES.items()}
            oracle.load_month(MONTH_ENDS[number], files)
        held = oracle.contents()
        oracle.close()
        return held

    return contents


def test_unpausing_starts_no_run(airflow):
    dag = airflow.get(DAG)
    assert not dag["is_paused"]  # tools/ui.py has done that
    assert dt.datetime.fromisoformat(dag["next_dagrun_run_after"]) > dt.datetime.now(dt.UTC)
    time.sleep(5)  # some turns of the scheduler
    assert airflow.runs() == {}


def test_backfill_loads_its_months_only_in_whatever_order(airflow, in_order):
    # March's snapshot changes if it is sealed before February, from which it carries rows forward
    runs = airflow.backfill(
        *("--from-date", "2024-02-01", "--to-date", "2024-03-31"),
        *("--run-backwards", "--dag-run-conf", '{"restate": true}'),
    )
    assert runs == {FEBRUARY: "success", "backfill__2024-04-01T00:00:00+00:00": "success"}
    assert airflow.database.contents() == in_order(1, 2)


def test_late_month_by_its_logical_date(airflow, in_order):
    assert airflow.end_of(airflow.trigger("2024-01-31", restate=True)) == "success"
    assert airflow.database.contents() == in_order(0, 2)


def assert_backfill_creates_no_run(airflow, behavior):
    before = airflow.runs()
    assert airflow.backfill(*ONLY_FEBRUARY, "--reprocess-behavior", behavior) == before
    assert airflow.task(FEBRUARY, "snapshot")["try_number"] == 1


def test_backfill_leaves_existing_runs(airflow):
    assert_backfill_creates_no_run(airflow, "none")


def test_run_for_no_month_is_refused_and_says_why(airflow):
    before = airflow.database.contents(ledger=True)
    within_a_month, no_month = airflow.trigger(None, as_of="2024-02-15"), airflow.trigger(None)
    assert airflow.end_of(within_a_month) == airflow.end_of(no_month) == "failed"
    assert airflow.reason(within_a_month, "check_month") == (
        "as_of must be a month's last day; found 2024-02-15, which is within a month. "
        "Set the run's param as_of to 2024-02-29 for that month."
    )
    assert airflow.reason(no_month, "check_month").startswith("this run has no data interval, so it names no month.")
    assert airflow.database.contents(ledger=True) == before


def test_backfill_leaves_succeeded_runs(airflow):
    assert_backfill_creates_no_run(airflow, "failed")


def test_broken_delivery_fails_readably_and_clearing_its_tasks_completes_the_month(airflow, in_order):
    before = airflow.database.contents(ledger=True)
    labels = airflow.deliveries / "month_003" / "labels.csv"
    good = labels.rename(labels.with_suffix(".good"))
    run = airflow.trigger("2024-04-30")
    wait_until(lambda: airflow.tasks(run)["wait_for_month"] == "deferred", lambda: f"{airflow.tasks(run)}")
    lines = good.read_text().splitlines(keepends=True)
    broken = labels.with_suffix(".broken")
    broken.write_text("".join([*lines, lines[-1]]))
    broken.rename(labels)  # at once: the tests' settle time is 0
    assert airflow.end_of(run) == "failed"
    states = airflow.tasks(run)
    assert [task for task, state in states.items() if state == "failed"] == ["labels.validate"]
    assert states["gate"] == states["upsert.users"] == states["snapshot"] == "upstream_failed"
    reason = airflow.reason(run, "labels.validate")
    assert reason.startswith("labels of 2024-04-30: 1 of ")
    assert "column user_id: expect_column_values_to_be_unique(): 2 of 51 rows, for example 'SF-" in reason
    assert reason.endswith("Correct labels.csv and clear this table's tasks from stage on.")
    assert airflow.database.contents(ledger=True) == before
    shutil.copy(good, labels)
    chosen = {"dag_run_id": run, "task_ids": ["labels.stage"], "include_downstream": True}
    cleared = airflow.post(f"{DAG}/clearTaskInstances", **chosen, only_failed=False, dry_run=False)
    assert {one["task_id"] for one in cleared["task_instances"]} == {
        *("labels.stage", "labels.load", "labels.validate", "gate", "snapshot", "drop_staging"),
        *(f"upsert.{table}" for table in TABLES),
    }
    assert airflow.end_of(run) == "success"
    assert airflow.task(run, "users.validate")["try_number"] == 1
    assert airflow.database.contents() == in_order(0, 3)


def test_backfill_of_completed_runs_again_and_changes_nothing(airflow):
    before, runs = airflow.database.contents(ledger=True), airflow.runs()
    assert airflow.backfill(*ONLY_FEBRUARY, "--reprocess-behavior", "completed") == runs
    assert airflow.task(FEBRUARY, "snapshot")["try_number"] == 2
    assert airflow.database.contents(ledger=True) == before


def test_everything_is_as_it_was_sealed(airflow):
    path = "/api/v2/dags/streamflow_verify"
    airflow.client.patch(path, json={"is_paused": False}).raise_for_status()
    run = airflow.trigger(None, path)
    assert airflow.end_of(run, path) == "success"
    runs = airflow.runs()
    assert sorted(runs.values()) == ["failed"] * 2 + ["success"] * 4
    assert not [run for run in runs if run.startswith("scheduled")]
