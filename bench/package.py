"""This package: the month's DAG under `airflow dags test`, and an empty DAG of the same shape for comparison."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from common import BENCH, ROOT, WORK, Delivery, Server, clean_environment, measure

NOT_OF_THE_DATABASE = ("validate", "check_month", "wait_for_month")
TASKS = """
select task_id, extract(epoch from start_date), extract(epoch from end_date)
from task_instance where run_id = '{run}' and dag_id = '{dag}' order by start_date;
"""


class Airflow:
    """An Airflow home for the bench: its own metadata database, a checkout's DAGs and plugins, and the listener."""

    def __init__(self, server: Server, name: str, data: str, deliveries: Path, checkout: Path = ROOT) -> None:
        self.server = server
        self.checkout = checkout
        self.name = name
        self.home = WORK / "airflow" / name
        shutil.rmtree(self.home, ignore_errors=True)
        plugins = self.home / "plugins"
        plugins.mkdir(parents=True)
        for path in (checkout / "plugins").iterdir():
            if path.name != "__pycache__":
                (plugins / path.name).symlink_to(path)
        (plugins / "bench_listener.py").symlink_to(BENCH / "listener.py")
        self.metadata = f"bench_airflow_{name}"
        self.tasks = self.home / "tasks.jsonl"
        folder = {"conn_type": "fs", "extra": {"path": str(deliveries)}}
        self.data = data
        self.env = clean_environment(
            AIRFLOW_HOME=self.home,
            AIRFLOW__CORE__DAGS_FOLDER=checkout / "dags",
            AIRFLOW__CORE__PLUGINS_FOLDER=plugins,
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__EXECUTOR="LocalExecutor",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=server.create(self.metadata, driver="+psycopg2"),
            AIRFLOW__STREAMFLOW__SETTLE_SECONDS="0",
            AIRFLOW__STREAMFLOW__POKE_INTERVAL="1",
            AIRFLOW__STREAMFLOW__WAIT_TIMEOUT="60",
            AIRFLOW__STREAMFLOW__RETRY_DELAY="1",
            AIRFLOW_CONN_STREAMFLOW_DB=f"postgresql://postgres@/{data}?host={server.socket}",
            AIRFLOW_CONN_STREAMFLOW_FS=json.dumps(folder),
            GX_ANALYTICS_ENABLED="false",
            BENCH_TASKS=self.tasks,
            BENCH_SHAPE=self.home / "shape.json",
        )
        measure(f"{self.metadata}-migrate", "airflow", "db", "migrate", env=self.env)

    def write_shape(self) -> int:
        """Write the shape of the month's DAG to a file for the empty DAG; return the number of tasks."""
        command = [sys.executable, BENCH / "shape.py", self.checkout / "dags"]
        env = {name: value for name, value in self.env.items() if name != "BENCH_TASKS"}
        done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
        shape = done.stdout.strip().splitlines()[-1]
        Path(self.env["BENCH_SHAPE"]).write_text(shape)
        return len(json.loads(shape))

    def dags_test(self, log: str, dag: str, date: str, **env: str) -> dict[str, Any]:
        """Run `airflow dags test` and return what it and its tasks took."""
        self.tasks.unlink(missing_ok=True)
        took = measure(log, "airflow", "dags", "test", dag, date, env=self.env | env)
        newest = f"select run_id from dag_run where dag_id = '{dag}' order by id desc limit 1;"
        tasks, noted = self.durations(dag, self.server.sql(newest, self.metadata).strip()), self.noted()
        # what Airflow imports once, when the first task is said to run already, is start-up
        started = next(one["at"] for one in noted if one["what"] == "start-up")
        first = next(iter(tasks))
        tasks[first] = (started, tasks[first][1])
        return took | {
            "tasks": tasks,
            "noted": noted,
            "startup_seconds": started - took["began"],
            "shutdown_seconds": took["began"] + took["seconds"] - max(until for _, until in tasks.values()),
        }

    def durations(self, dag: str, run: str) -> dict[str, tuple[float, float]]:
        """Return when a run's tasks started and ended, in order, from Airflow's metadata."""
        rows = self.server.sql(TASKS.format(run=run, dag=dag), self.metadata).splitlines()
        return {task: (float(start), float(end)) for task, start, end in (row.split("|") for row in rows)}

    def noted(self) -> list[dict[str, Any]]:
        """Return what the listener has written."""
        return [json.loads(line) for line in self.tasks.read_text().splitlines()]

    def close(self) -> None:
        """Drop the metadata."""
        self.server.drop(self.metadata)


def step_of(task: str) -> str:
    """Return a task's step. Each table is a group of steps, except that the upserts are one group."""
    group, _, name = task.rpartition(".")
    return "upsert" if group == "upsert" else name


def by_step(values: dict[str, float], add=sum) -> dict[str, float]:
    """Combine the figures of tasks into one figure per step, in the steps' order."""
    found = defaultdict(list)
    for task, value in values.items():
        found[step_of(task)].append(value)
    return {step: add(some) for step, some in found.items()}


def overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return for how many seconds two spans of time overlap."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


class Package:
    """The month's DAG on its own database."""

    name = "package"
    title = "this package, airflow dags test"

    def __init__(self, server: Server, users: int, deliveries: Path, checkout: Path = ROOT) -> None:
        self.server = server
        self.database = f"bench_{self.name}_{users}"
        server.create(self.database)
        self.airflow = Airflow(server, f"{self.name}_{users}", self.database, deliveries, checkout)
        self.airflow.write_shape()

    def month(self, delivery: Delivery, previous: Delivery | None) -> dict[str, Any]:
        """Run the month and break down its time."""
        log = f"{self.database}-{delivery.number}"
        active = self.server.active_seconds(self.database)
        observe = {"BENCH_SERVER": f"postgresql://postgres@/postgres?host={self.server.socket}"}
        took = self.airflow.dags_test(
            log, "streamflow_monthly_ingest", delivery.as_of, BENCH_DATABASE=self.database, **observe
        )
        end = self.server.active_seconds(self.database)
        spans, noted = took.pop("tasks"), took.pop("noted")
        seconds = {task: until - since for task, (since, until) in spans.items()}
        first, last = min(since for since, _ in spans.values()), max(until for _, until in spans.values())
        imports = [(one["at"], one["at"] + one["seconds"]) for one in noted if one["what"] == "import"]
        validations = [span for task, span in spans.items() if step_of(task) == "validate"]
        imported = sum(overlap(span, one) for span in validations for one in imports)
        tasks = [one for one in noted if one["what"] == "task"]
        began = [one["active"] for one in tasks] + [end]
        at_server = {one["task"]: after - before for one, (before, after) in zip(tasks, pairwise(began), strict=True)}
        steps = by_step(seconds)
        server_steps = by_step(at_server)
        return {
            "seconds": took["seconds"],
            "cpu_seconds": took["cpu_seconds"],
            "peak_mb": max(took["peak_mb"], *(one["peak_mb"] for one in noted if "peak_mb" in one)),
            "server_seconds": end - active,
            "steps": steps,
            "execute_steps": by_step({one["task"]: one["seconds"] for one in tasks}),
            "server_steps": server_steps,
            "peak_mb_steps": by_step({one["task"]: one["peak_mb"] for one in tasks}, max),
            "tasks": len(spans),
            "database_tasks": sum(step_of(task) not in NOT_OF_THE_DATABASE for task in spans),
            "database_seconds": sum(value for step, value in steps.items() if step not in NOT_OF_THE_DATABASE),
            "database_server_seconds": sum(
                value for step, value in server_steps.items() if step not in NOT_OF_THE_DATABASE
            ),
            "validate_seconds": steps["validate"],
            "gx_import_seconds": sum(until - since for since, until in imports),
            "validate_without_import_seconds": steps["validate"] - imported,
            "startup_seconds": took["startup_seconds"],
            "between_tasks_seconds": last - first - sum(seconds.values()),
            "shutdown_seconds": took["shutdown_seconds"],
        }

    def empty_month(self, delivery: Delivery) -> dict[str, Any]:
        """Run the empty DAG: Airflow's own time for the same number of tasks that do nothing."""
        took = self.airflow.dags_test(
            f"{self.database}-{delivery.number}-empty",
            "empty_month",
            delivery.as_of,
            AIRFLOW__CORE__DAGS_FOLDER=str(BENCH / "dags"),
        )
        spans = took["tasks"].values()
        first, last = min(since for since, _ in spans), max(until for _, until in spans)
        return {
            "seconds": took["seconds"],
            "cpu_seconds": took["cpu_seconds"],
            "peak_mb": max(took["peak_mb"], *(one["peak_mb"] for one in took["noted"] if "peak_mb" in one)),
            "tasks": len(spans),
            "seconds_in_a_task": median(until - since for since, until in spans),
            "seconds_a_task": (last - first) / len(spans),
            "startup_seconds": took["startup_seconds"],
            "shutdown_seconds": took["shutdown_seconds"],
        }

    def import_seconds(self) -> float:
        """Return the seconds that importing Great Expectations takes in a fresh process."""
        return measure("import-gx", sys.executable, "-c", "import great_expectations", env=self.airflow.env)["seconds"]

    def close(self) -> None:
        """Drop what is no longer measured."""
        self.airflow.close()


class Beside(Package):
    """The package of another checkout, such as the code before a change."""

    name = "beside"
    title = "the package of BESIDE, airflow dags test"
