"""What `make ui` starts, running for a module of tests, and hands to work with it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import embedded
from generate_deliveries import generate
from ports import free_port
from support.database import Database
from support.environment import WORK
from support.paths import ROOT

DAG = "/api/v2/dags/streamflow_monthly_ingest"
PATIENCE = 600  # seconds for a month; alone on two cores it takes 30


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
        self.password = password  # admin's
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
        """Trigger a run as the UI's button does, for a day (UTC) or an instant; return its id."""
        date = f"{logical_date}T00:00:00Z" if logical_date and len(logical_date) == 10 else logical_date
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

    def log(self, run: str, task: str) -> list[dict[str, Any]]:
        """The log of a task's first try, as the UI shows it."""
        return self.get(f"{DAG}/dagRuns/{run}/taskInstances/{task}/logs/1", full_content=True)["content"]

    def asset_events(self) -> int:
        """How many events the assets have."""
        return self.get("/api/v2/assets/events")["total_entries"]

    def looks(self, run: str) -> int:
        """How often a run's sensor has found its month incomplete."""
        return sum("Still waiting for" in line["event"] for line in self.log(run, "wait_for_month"))

    def reason(self, run: str, task: str) -> str:
        """The last lines of a failed task's log, as the UI shows them; the task was not tried again."""
        found = self.task(run, task)
        assert (found["state"], found["try_number"]) == ("failed", 1)
        log = self.log(run, task)
        assert not [line for line in log if "error_detail" in line], "a refusal has no stack"
        *said, ended = [line["event"] for line in log if line.get("level") == "error"]
        assert ended == "Task exited"
        return "\n".join(said)

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


@contextmanager
def running(server, schema: str, migrated: str, folder: Path, months: int, **environment: Any) -> Iterator[Airflow]:
    """Run what `make ui` starts, with home, databases, deliveries and a port of its own.

    Args:
        server: the tests' PostgreSQL.
        schema: the template of the data's database.
        migrated: the template of Airflow's metadata.
        folder: an empty folder for everything; its name is part of the databases' names.
        months: how many month folders to deliver.
        environment: what to set besides.
    """
    generate(folder / "deliveries", users=50, months=months, seed=3, turnover=0.1)
    port = free_port()
    database = Database(embedded.uri(server, f"streamflow_{folder.name}", template=schema, user="streamflow_ingest"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "PORT": port,
            "AIRFLOW_HOME": folder / "airflow",
            # not the session's metadata, where other tests leave runs for the same dates
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": embedded.uri(
                server, f"airflow_{folder.name}", "+psycopg2", template=migrated
            ),
            "AIRFLOW_CONN_STREAMFLOW_DB": database.uri,
            "AIRFLOW_CONN_STREAMFLOW_FS": json.dumps({"conn_type": "fs", "extra": {"path": f"{folder}/deliveries"}}),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": 2,  # the scheduler and the API server need the cores too
            "AIRFLOW__STREAMFLOW__WAIT_TIMEOUT": PATIENCE,
            **environment,
        }.items():
            patch.setenv(name, str(value))
        # with secrets that the services have to share
        (folder / "airflow").mkdir()
        written = (WORK / "airflow" / "airflow.cfg").read_text()
        (folder / "airflow" / "airflow.cfg").write_text(written.replace(f"{WORK}/airflow", f"{folder}/airflow"))
        # a folder of its own: logs and password in the checkout are the developer's
        command = [sys.executable, ROOT / "tools" / "ui.py", folder]
        services = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            said = ""
            while not said.startswith("http"):
                said = services.stdout.readline()
                assert said, "tools/ui.py ended: see its message above, and logs/ui-*.log in its folder"
            password = json.loads((folder / "ui-passwords.json").read_text())["admin"]
            yield Airflow(f"http://127.0.0.1:{port}", password, database, folder / "deliveries")
        finally:
            left = stop(services)
            database.close()
    assert not left, f"outlived tools/ui.py: {left}"
