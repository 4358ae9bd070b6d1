"""The month under a real scheduler and LocalExecutor, against a DAG of the same shape whose tasks are `select 1`.

Other contenders take turns with it, month by month, while the scheduler is down.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import BENCH, ROOT, WORK, Failed, Server, deliveries
from package import Airflow, by_step

from ports import free_port

MONTHS, MONTHS_OF_MANY, MANY = 4, 2, 100_000  # fewer months if there are many users
PATIENCE = 600  # seconds for a run


@contextmanager
def services(airflow: Airflow) -> Iterator[None]:
    """Run the services of `make ui` on localhost, with logs and password in the bench's folder."""
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": name, "classpath": local, "kwargs": {"path": str(path)}}
        for name, path in (("dags-folder", airflow.checkout / "dags"), ("bench", BENCH / "dags"))
    ]
    airflow.env |= {
        "PORT": str(free_port()),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
    }
    with (WORK / "logs" / "scheduler.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, airflow.checkout / "tools" / "ui.py", airflow.home],
            env=airflow.env,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_for(server: Server, database: str, query: str, what: str) -> str:
    """Return the result of a metadata query as soon as it returns a row.

    Raises:
        Failed: if it has returned no row for ten minutes.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := server.sql(query, database).strip():
            return found
        time.sleep(1)
    raise Failed(f"{what}: nothing after {PATIENCE} s; see {WORK / 'logs' / 'scheduler.log'}")


def trigger(airflow: Airflow, dag: str, conf: dict[str, str], what: str) -> dict[str, Any]:
    """Trigger a run, wait for its end, and return what it took, from its start to its end in Airflow's metadata."""
    run = f"bench__{what.replace(' ', '_')}"
    airflow.tasks.unlink(missing_ok=True)
    command = ["airflow", "dags", "trigger", dag, "--run-id", run, "--conf", json.dumps(conf)]
    subprocess.run(command, env=airflow.env, check=True, capture_output=True)
    ended = wait_for(
        airflow.server,
        airflow.metadata,
        "select state, extract(epoch from end_date - start_date) from dag_run "
        f"where dag_id = '{dag}' and run_id = '{run}' and state in ('success', 'failed');",
        f"{dag} {run}",
    )
    state, seconds = ended.split("|")
    if state != "success":
        raise Failed(f"{dag} {run} {state}: see {airflow.home / 'logs'}")
    spans = airflow.durations(dag, run)
    tasks = {task: until - since for task, (since, until) in spans.items()}
    noted = [one for one in airflow.noted() if one["what"] == "task"]
    steps = by_step(tasks)
    took = {
        "dag": dag,
        "what": what,
        "seconds": float(seconds),
        "in_tasks": sum(tasks.values()),
        "tasks": len(tasks),
        "steps": steps,
        "peak_mb": max(one["peak_mb"] for one in noted),
        "peak_mb_steps": by_step({one["task"]: one["peak_mb"] for one in noted}, max),
    }
    print(f"{dag:<26} {what:<8} {took['seconds']:6.1f} s", flush=True)
    return took


def run_scheduler(
    server: Server, users: int, number: int, others: dict[str, Any], checkout: Path = ROOT
) -> dict[str, Any]:
    """Run some months and the empty DAG in turns, each after an empty warm-up run, then the month of the others.

    Args:
        server: the bench's PostgreSQL.
        users: how many a month has.
        number: of months; 0 for 4, or 2 if there are many users.
        others: contenders by name; each has a database of its own.
        checkout: whose package it is.
    """
    months = deliveries(users, number or (MONTHS if users < MANY else MONTHS_OF_MANY))
    database = "bench_scheduler"
    server.create(database)
    airflow = Airflow(server, "scheduler", database, months[0].folder.parent, checkout)
    airflow.write_shape()
    runs = []
    for delivery in months:
        what = f"month {delivery.number + 1}"
        with services(airflow):
            known = "select dag_id from dag where dag_id = 'empty_month' and exists ({});".format(
                "select from dag where dag_id = 'streamflow_monthly_ingest' and not is_paused"
            )
            wait_for(server, airflow.metadata, known, "the services")
            command = ["airflow", "dags", "unpause", "empty_month", "--yes"]
            subprocess.run(command, env=airflow.env, check=True, capture_output=True)
            runs.append(trigger(airflow, "empty_month", {}, f"warm-up {delivery.number + 1}"))
            runs.append(trigger(airflow, "empty_month", {}, what))
            runs.append(trigger(airflow, "streamflow_monthly_ingest", {"as_of": delivery.as_of}, what))
        server.a_month_passes(database)
        previous = months[delivery.number - 1] if delivery.number else None
        for name, other in others.items():
            took = other.month(delivery, previous)
            runs.append({"dag": name, "what": what, "seconds": took["seconds"], "peak_mb": took["peak_mb"]})
            print(f"{name:<26} {what:<8} {took['seconds']:6.1f} s", flush=True)
            server.a_month_passes(other.database)
    airflow.close()
    server.drop(database)
    return {"users": users, "checkout": str(checkout), "runs": runs}
