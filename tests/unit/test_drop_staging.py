"""The asset sealed_month: one partition per month that was sealed or changed, none for a run that changed nothing."""

from __future__ import annotations

from copy import copy
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

from streamflow.seal import SEALED_MONTH
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database
from support.run import dag, templates


def keys(database: Database, month: str, seal: dict | None = None) -> list[str] | None:
    """Run the DAG's last task on a month that is sealed; return its partition keys, or None if it gives up its outlet.

    Args:
        database: the database.
        month: the month.
        seal: what the task ``seal`` has returned, if it is known.
    """
    task = copy(dag().get_task("drop_staging"))
    xcoms = {f"upsert.{table}": database.upsert(month, table) for table in TABLES} | {"seal": seal}

    def pull(task_ids: str | list[str]) -> dict | list | None:
        return xcoms.get(task_ids) if isinstance(task_ids, str) else [xcoms.get(one) for one in task_ids]

    context = {
        "params": {"as_of": month, "restate": False},
        "run_id": database.run_id,
        "task": task,
        "ti": SimpleNamespace(xcom_pull=pull),
        "outlet_events": OutletEventAccessors(),
    }
    task.render_template_fields(context, templates())
    task.execute(context)
    if task.outlets:
        assert task.outlets == [SEALED_MONTH]
        return sorted(context["outlet_events"][SEALED_MONTH].partition_keys)
    return None


def seal(database: Database, month: str, files: dict[str, bytes], restate: bool = False) -> None:
    """Run a month up to the task seal."""
    for step in database.steps(month, files, restate):
        if step == "seal":
            return


@pytest.fixture
def other(database):
    """The same database for another run."""
    other = database.another()
    yield other
    other.close()


def test_the_last_task_has_the_asset(database):
    assert [task.task_id for task in dag().tasks if SEALED_MONTH in task.outlets] == ["drop_staging"]
    assert dag().get_task("drop_staging").downstream_task_ids == set()


def test_a_month_that_was_sealed_has_an_event_and_one_that_was_not_changed_has_none(database):
    seal(database, JANUARY, delivery("ann"))
    assert keys(database, JANUARY) == [JANUARY]
    seal(database, JANUARY, delivery("ann"))
    assert keys(database, JANUARY) is None
    seal(database, JANUARY, delivery("ann"), restate=True)
    assert keys(database, JANUARY) is None


def test_months_that_a_late_or_restated_one_has_changed_have_events_too(database):
    seal(database, FEBRUARY, delivery("ann"))
    assert keys(database, FEBRUARY) == [FEBRUARY]
    seal(database, MARCH, delivery("ann"))
    assert keys(database, MARCH) == [MARCH]
    seal(database, JANUARY, delivery("ann", "bob"), restate=True)
    assert keys(database, JANUARY) == [JANUARY, FEBRUARY, MARCH]
    seal(database, FEBRUARY, delivery("ann", skips_7d=9), restate=True)
    assert keys(database, FEBRUARY) == [FEBRUARY]


def test_the_next_run_adds_the_event_of_one_that_was_killed(database, other):
    seal(database, JANUARY, delivery("ann"))
    seal(other, JANUARY, delivery("ann"))  # changes nothing
    assert keys(other, JANUARY) == [JANUARY]


def test_a_run_that_was_overtaken_adds_no_event(database, other):
    seal(database, JANUARY, delivery("ann"))
    seal(other, JANUARY, delivery("ann"))
    assert keys(database, JANUARY, {"revisions": [{"as_of": JANUARY}] * 6}) is None
    assert keys(other, JANUARY) == [JANUARY]


def test_two_runs_at_once_add_an_event_each(database, other):
    seal(database, JANUARY, delivery("ann"))
    seal(other, FEBRUARY, delivery("ann"))
    assert keys(database, JANUARY) == [JANUARY]
    assert keys(other, FEBRUARY) == [FEBRUARY]


def test_a_second_attempt_after_everything_was_dropped_adds_the_same_event(database):
    seal(database, JANUARY, delivery("ann"))
    assert keys(database, JANUARY) == [JANUARY]
    assert keys(database, JANUARY, {"revisions": [{"as_of": JANUARY}] * 6}) == [JANUARY]
