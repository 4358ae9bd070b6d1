"""The cost of a long history: many small months, one after the other, as in `make run`."""

from __future__ import annotations

import sys
from typing import Any

from common import ROOT, Server, deliveries, measure
from package import NOT_OF_THE_DATABASE, Airflow, by_step

USERS = 20_000
FIRST_MONTH = "2021-01"  # a month in the future would be rejected
RUNS = "select run_id, logical_date from dag_run where dag_id = 'streamflow_monthly_ingest' order by logical_date;"


def run_history(server: Server, months: int) -> dict[str, Any]:
    """Run ``months`` months in one process and return the time of each step of each month."""
    folder = deliveries(USERS, months, FIRST_MONTH)[0].folder.parent
    database = "bench_history"
    server.create(database)
    airflow = Airflow(server, "history", database, folder)
    print(f"{months} months of {USERS:,} users; about 10 s each …", flush=True)
    observe = {
        "BENCH_SERVER": f"postgresql://postgres@/postgres?host={server.socket}",
        "BENCH_DATABASE": database,
        "AIRFLOW_VAR_STREAMFLOW_FIRST_MONTH": FIRST_MONTH,
    }
    took = measure("bench_history", sys.executable, ROOT / "tools" / "run_months.py", env=airflow.env | observe)
    noted = [one for one in airflow.noted() if one["what"] == "task"]
    active = [one["active"] for one in noted[1:]] + [server.active_seconds(database)]
    found = []
    for number, line in enumerate(server.sql(RUNS, airflow.metadata).splitlines(), start=1):
        run = line.partition("|")[0]
        spans = airflow.durations("streamflow_monthly_ingest", run)
        steps = by_step({task: until - since for task, (since, until) in spans.items()})
        at_server = by_step(
            {one["task"]: after - one["active"] for one, after in zip(noted, active, strict=True) if one["run"] == run}
        )
        found.append(
            {
                "month": number,
                "steps": steps,
                "server_steps": at_server,
                "database_seconds": sum(value for step, value in steps.items() if step not in NOT_OF_THE_DATABASE),
                "server_seconds": sum(at_server.values()),
                "peak_mb": max(one["peak_mb"] for one in noted if one["run"] == run),
            }
        )
    airflow.close()
    server.drop(database)
    return {"users": USERS, "seconds": took["seconds"], "months": found}
