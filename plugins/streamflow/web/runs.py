"""What the DAG's runs say of months: the newest run of each, and what it waits for or failed at."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from streamflow.alerts import run_month
from streamflow.months import MonthError
from streamflow.wait_for_month import MISSING

DAG_ID = "streamflow_monthly_ingest"
NEWEST = 500  # runs that are looked at
_DONE = ("success", "skipped", "removed")


@dataclass
class MonthRun:
    """The newest run of a month.

    Attributes:
        run_id: the run.
        state: its state.
        tasks: the state of each task that has one, except those that succeeded or were skipped.
        missing: what ``wait_for_month`` has found missing when it looked last.
    """

    run_id: str
    state: str
    tasks: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("queued", "running")

    @property
    def failed(self) -> list[str]:
        """The tasks that failed."""
        return sorted(task for task, state in self.tasks.items() if state == "failed")

    @property
    def asks(self) -> list[str]:
        """The tasks that wait for a person."""
        return sorted(task for task, state in self.tasks.items() if state == "awaiting_input")

    @property
    def kind(self) -> str:
        """``queued``, ``waiting``, ``asking``, ``running``, ``failed`` or ``done``."""
        if self.state == "failed":
            return "failed"
        if self.state == "queued":
            return "queued"
        if self.state != "running":
            return "done"
        if self.asks:
            return "asking"
        return "waiting" if "wait_for_month" in self.tasks else "running"

    @property
    def says(self) -> str:
        """The same in a sentence; empty if it is done."""
        match self.kind:
            case "failed":
                return f"failed at {', '.join(self.failed)}" if self.failed else "failed"
            case "queued":
                return "queued"
            case "asking":
                return "waiting for approval"
            case "waiting":
                return f"waiting: {'; '.join(self.missing)}" if self.missing else "waiting for files"
            case "running":
                at = sorted(task for task, state in self.tasks.items() if state != "upstream_failed")
                return f"running: {', '.join(at)}" if at else "running"
        return ""


def newest_runs(session: Session) -> dict[str, MonthRun]:
    """Return the newest run of each month, by ``as_of``; runs that mean no month are left out."""
    runs: dict[str, MonthRun] = {}
    for run in session.scalars(select(DagRun).where(DagRun.dag_id == DAG_ID).order_by(DagRun.id.desc()).limit(NEWEST)):
        try:
            as_of = str(run_month(run))
        except MonthError:
            continue
        runs.setdefault(as_of, MonthRun(run.run_id, str(run.state)))
    unfinished = {run.run_id: run for run in runs.values() if run.state != "success"}
    tasks = select(TaskInstance.run_id, TaskInstance.task_id, TaskInstance.state).where(
        TaskInstance.dag_id == DAG_ID,
        TaskInstance.run_id.in_(unfinished),
        TaskInstance.state.is_not(None),
        TaskInstance.state.not_in(_DONE),
    )
    for run_id, task_id, state in session.execute(tasks):
        unfinished[run_id].tasks[task_id] = str(state)
    missing = select(XComModel.run_id, XComModel.value).where(
        XComModel.dag_id == DAG_ID, XComModel.run_id.in_(unfinished), XComModel.key == MISSING
    )
    for run_id, value in session.execute(missing):
        unfinished[run_id].missing = [str(one) for one in _as_list(value)]
    return runs


def existing_runs(session: Session, run_ids: Collection[str]) -> set[str]:
    """Return those of some run ids that this Airflow has a run of."""
    found = select(DagRun.run_id).where(DagRun.dag_id == DAG_ID, DagRun.run_id.in_(run_ids))
    return set(session.scalars(found))


def runs_of(session: Session, as_of: str) -> list[dict[str, Any]]:
    """Return the runs of a month among the newest ones, the newest first: id, state, note, and when they began."""
    found = []
    for run in session.scalars(select(DagRun).where(DagRun.dag_id == DAG_ID).order_by(DagRun.id.desc()).limit(NEWEST)):
        try:
            if str(run_month(run)) != as_of:
                continue
        except MonthError:
            continue
        restate = bool((run.conf or {}).get("restate"))
        found.append({"run_id": run.run_id, "state": str(run.state), "began": run.start_date, "restate": restate})
    return found


def _as_list(value: Any) -> list[Any]:
    """Return a list from an XCom as the database has it."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    return value if isinstance(value, list) else []


def tasks_by_table(run: MonthRun) -> dict[str, dict[str, str]]:
    """Return a run's unfinished or failed tasks by table: ``{"labels": {"validate": "failed"}}``."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for task, state in run.tasks.items():
        group, dot, step = task.partition(".")
        if dot and group != "upsert":
            found[group][step] = state
    return found
