"""The tasks of the DAG streamflow_erase: who is asked about what, and that nothing else is erased."""

from __future__ import annotations

import datetime as dt
from copy import copy
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import TaskAwaitingInput

from streamflow import erase_steps
from streamflow.refusal import TaskRefused
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, delivery
from support.erasing import found_anywhere, use

USER = "ann-smith"


class Erasing:
    """A run of the DAG, and who answers."""

    def __init__(self, database, **params: Any) -> None:
        self.database = database
        self.params = {"user_ids": [USER], "reason": "request 17"} | params
        self.xcoms: dict[str, Any] = {}
        self.events: list[str] = []
        self.starter = "ann"

    def task(self, task_id: str) -> tuple[Any, dict[str, Any]]:
        task = copy(DagBag().dags["streamflow_erase"].get_task(task_id))
        events = SimpleNamespace(add_partitions=self.events.extend)
        context = {
            "params": self.params,
            "run_id": "manual__erase",
            "dag_run": SimpleNamespace(triggering_user_name=self.starter),
            "task": task,
            "ti": SimpleNamespace(xcom_pull=self.xcoms.get, id="0"),
            "task_instance": SimpleNamespace(id="0"),
            "outlet_events": {erase_steps.SEALED_MONTH: events},
        }
        task.render_template_fields(context)
        return task, context

    def execute(self, task_id: str) -> Any:
        task, context = self.task(task_id)
        self.xcoms[task_id] = task.execute(context)
        return self.xcoms[task_id]

    def answer(self, option: str = "Approve", by: str = "ben") -> Any:
        task, context = self.task("approve")
        event = {
            "chosen_options": [option],
            "params_input": {},
            "responded_at": dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
            "responded_by_user": {"id": "2", "name": by},
            "timedout": False,
        }
        self.xcoms["approve"] = task.execute_complete(context, event=event)
        return self.xcoms["approve"]


@pytest.fixture
def run(database, deliveries, monkeypatch) -> Erasing:
    """An erasure of ann from January and February."""
    use(database, monkeypatch)
    database.load_month(JANUARY, delivery(USER, "bob-smith"))
    database.load_month(FEBRUARY, delivery(USER))
    monkeypatch.setattr("streamflow.erase_steps.delete_xcoms", lambda validations: None)
    return Erasing(database)


def test_what_was_approved_is_erased_and_no_log_or_xcom_names_anyone(run, monkeypatch, caplog, capfd):
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **said: asked.append(said)
    )
    assert run.execute("plan")["rows"] == dict.fromkeys((JANUARY, FEBRUARY), dict.fromkeys(TABLES, 1))
    with pytest.raises(TaskAwaitingInput):
        run.execute("approve")
    assert "1 user: 12 rows in 2 sealed months would be erased." in asked[0]["body"]
    assert "Reason: request 17" in asked[0]["body"]
    run.answer()
    assert run.execute("erase")["rows"] == {JANUARY: 6, FEBRUARY: 6}
    assert run.events == [JANUARY, FEBRUARY]
    assert found_anywhere(run.database, [USER]) == []
    assert run.database.query(
        "select distinct run_id, approved_by, approval_reason from deliveries where kind = 'erasure'"
    ) == [("manual__erase", "ben", "request 17")]
    assert USER not in f"{run.xcoms} {asked} {caplog.text} {''.join(capfd.readouterr())}"


def test_another_list_than_the_one_that_was_approved_is_not_erased(run):
    run.execute("plan")
    run.answer()
    run.params["user_ids"] = [USER, "bob-smith"]
    with pytest.raises(TaskRefused, match="has changed since the plan was approved"):
        run.execute("erase")
    assert run.database.query("select from erasures") == []


def test_a_rejection_and_ones_own_approval_erase_no_one(run, monkeypatch):
    run.execute("plan")
    with pytest.raises(TaskRefused, match="Rejected by ben"):
        run.answer("Reject")
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__FOUR_EYES", "true")
    with pytest.raises(TaskRefused, match="ann has started the run, so someone else"):
        run.answer(by="ann")
    assert run.answer(by="ben")["by"] == "ben"


def test_where_no_one_can_be_asked_no_one_is_erased(run):
    run.starter = "dag_test"
    run.execute("plan")
    with pytest.raises(TaskRefused, match="no one can be asked here"):
        run.execute("approve")


@pytest.mark.parametrize("params", [{"reason": " "}, {"reason": None}, {"user_ids": ""}, {"user_ids": None}])
def test_users_and_a_reason_are_needed(run, params):
    run.params |= params
    with pytest.raises(TaskRefused):
        run.execute("plan")
