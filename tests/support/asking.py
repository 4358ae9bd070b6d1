"""The gate where a person can be asked, and who answers."""

from __future__ import annotations

import datetime as dt
from copy import copy
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput

from streamflow.templating import render_task
from support.builders import JANUARY
from support.database import Database
from support.run import dag, templates

ANN, BEN = {"id": "1", "name": "ann"}, {"id": "2", "name": "ben"}


class Gate:
    """The gate of a run under a scheduler, and who answers its questions.

    Attributes:
        as_of: the month; January, unless a test says another.
        restate: the run's param.
        starter: who has triggered the run.
        asked: what was put to *Required Actions*.
    """

    def __init__(self, database: Database, monkeypatch: Any) -> None:
        self.database = database
        self.as_of = JANUARY
        self.restate = False
        self.starter: str | None = "ann"
        self.asked: list[dict[str, Any]] = []
        monkeypatch.setattr(
            "airflow.sdk.execution_time.hitl.upsert_hitl_detail", lambda **said: self.asked.append(said)
        )

    def task(self, task_id: str = "gate", passed: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return a task and its context, rendered as a worker does it; ``passed`` is what the gate has returned."""
        task = copy(dag().get_task(task_id))
        context = {
            "params": {"as_of": self.as_of, "restate": self.restate},
            "run_id": self.database.run_id,
            "dag_run": SimpleNamespace(triggering_user_name=self.starter),
            "task": task,
            "ti": SimpleNamespace(xcom_pull={"gate": passed}.get, id="0"),
        }
        task.render_template_fields(context, templates())
        return task, context

    def execute(self) -> dict[str, Any]:
        """Run the task."""
        task, context = self.task()
        return task.execute(context)

    def asks(self) -> TaskAwaitingInput:
        """Run the task, which has to ask; return how it waits."""
        with pytest.raises(TaskAwaitingInput) as waits:
            self.execute()
        return waits.value

    def resume(self, waits: TaskAwaitingInput, event: dict[str, Any]) -> dict[str, Any]:
        """Go on as Airflow does."""
        task, context = self.task()
        return getattr(task, waits.method_name)(context, event=event, **waits.kwargs)

    def answer(self, waits: TaskAwaitingInput, option: str, why: str | None = "", by: Any = BEN) -> dict[str, Any]:
        """Go on with a person's answer."""
        event = {
            "chosen_options": [option],
            "params_input": {"why": why},
            "responded_at": dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
            "responded_by_user": by,
            "timedout": False,
        }
        return self.resume(waits, event)

    def is_asked_again(self, waits: TaskAwaitingInput, by: Any = BEN) -> TaskAwaitingInput:
        """Approve, and be asked again; return how the task waits then."""
        with pytest.raises(TaskAwaitingInput) as again:
            self.answer(waits, "Approve", by=by)
        assert len(self.asked) == 2
        return again.value

    def seal(self, passed: dict[str, Any]) -> dict[str, Any]:
        """Publish what the gate has passed."""
        sql = render_task("tasks/seal.sql", self.as_of, run_id=self.database.run_id, restate=self.restate, gate=passed)
        return self.database.run(sql)
