"""The DAG under a real scheduler, as people work with it: `make ui`'s services, the REST API (which is what the UI
calls) and `airflow backfill create`.

The tests share one running Airflow and go on from each other's state, in the order they are written in.
"""

from __future__ import annotations

import datetime as dt
import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

import embedded
from streamflow.refusal import RUN_AGAIN
from streamflow.tables import TABLES
from support.database import Database
from support.receivers import Webhook
from support.services import DAG, Airflow, running, wait_until

FEBRUARY = "backfill__2024-02-29T00:00:00+00:00"
ONLY_FEBRUARY = ("--from-date", "2024-02-01", "--to-date", "2024-02-29")
MONTH_ENDS = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]
numbers = itertools.count()  # of databases to compare with
SEAL_WITHIN = 20  # seconds until a month is late; one that loads may be, and is then told as late too


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    with Webhook() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def airflow(server, schema, migrated, webhook, tmp_path_factory) -> Iterator[Airflow]:
    alerts = f'{{"conn_type": "http", "host": "{webhook.url}"}}'
    environment = {
        "AIRFLOW_CONN_STREAMFLOW_ALERTS": alerts,
        "AIRFLOW__STREAMFLOW__SEAL_WITHIN_DAYS": SEAL_WITHIN / (24 * 3600),
    }
    folder = tmp_path_factory.mktemp("scheduler")
    with running(server, schema, migrated, folder, len(MONTH_ENDS), **environment) as airflow:
        yield airflow


def alert(webhook: Webhook, subject: str, run: str) -> str:
    """Wait for the alert about a run; return it."""

    def found() -> list[str]:
        return [text for text in webhook.texts if text.startswith(f"{subject}\n") and f"Run: {run}" in text]

    (text,) = wait_until(found, lambda: f"only: {webhook.texts}")
    return text


@pytest.fixture
def in_order(server, schema, airflow) -> Callable[[int, int], dict[str, list[tuple]]]:
    """What the database has to hold after the months FIRST to LAST: the same files, loaded in order by SQL alone."""

    def contents(first: int, last: int) -> dict[str, list[tuple]]:
        oracle = Database(
            embedded.uri(server, f"streamflow_in_order_{next(numbers)}", template=schema, user="streamflow_ingest")
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
    assert runs == {FEBRUARY: "success", "backfill__2024-03-31T00:00:00+00:00": "success"}
    assert airflow.database.contents() == in_order(1, 2)


def test_late_month_by_its_logical_date(airflow, in_order):
    run = airflow.trigger("2024-01-31", restate=True)
    assert run.startswith("manual__2024-01-31__20")
    assert airflow.end_of(run) == "success"
    assert airflow.database.contents() == in_order(0, 2)


def assert_backfill_creates_no_run(airflow, behavior):
    before = airflow.runs()
    assert airflow.backfill(*ONLY_FEBRUARY, "--reprocess-behavior", behavior) == before
    assert airflow.task(FEBRUARY, "seal")["try_number"] == 1


def test_backfill_leaves_existing_runs(airflow):
    assert_backfill_creates_no_run(airflow, "none")


def test_run_for_no_month_is_refused_and_says_why(airflow, webhook):
    before = airflow.database.contents(ledger=True)
    within_a_month, no_month = airflow.trigger(None, as_of="2024-02-15"), airflow.trigger(None)
    two_months = airflow.trigger("2024-02-28T22:00:00Z")  # what the UI makes of 29 February in Athens
    assert not two_months.startswith(("manual__2024-01", "manual__2024-02"))
    assert airflow.end_of(within_a_month) == airflow.end_of(no_month) == airflow.end_of(two_months) == "failed"
    assert airflow.reason(within_a_month, "check_month") == (
        "as_of must be a month's last day.\n"
        "Found: 2024-02-15, which is not the last day of its month.\n"
        "What to do: trigger a run with the param as_of 2024-02-29 for that month"
    )
    assert airflow.reason(no_month, "check_month").startswith("This run has no data interval, so it names no month.")
    assert airflow.reason(two_months, "check_month") == (
        "This run's logical date is 2024-02-28 22:00 UTC, which is a different day in different time zones.\n"
        "It means 2024-01-31 in one time zone and 2024-02-29 in another.\n"
        "What to do: trigger a run with the param as_of, 2024-01-31 or 2024-02-29"
    )
    for run in (within_a_month, no_month, two_months):
        alert(webhook, "streamflow_monthly_ingest failed for no month: task check_month", run)
    assert airflow.database.contents(ledger=True) == before


def test_backfill_leaves_succeeded_runs(airflow):
    assert_backfill_creates_no_run(airflow, "failed")


def test_broken_delivery_fails_readably_and_clearing_its_tasks_completes_the_month(airflow, webhook, in_order):
    before = airflow.database.contents(ledger=True)
    labels = airflow.deliveries / "month_003" / "labels.csv"
    good = labels.rename(labels.with_suffix(".good"))
    run = airflow.trigger("2024-04-30")
    wait_until(lambda: airflow.tasks(run)["wait_for_month"] == "deferred", lambda: f"{airflow.tasks(run)}")
    late = alert(webhook, "streamflow_monthly_ingest is late: 2024-04-30 is not sealed", run)
    assert ", and is running\n" in late
    january = airflow.deliveries / "month_000" / "payments_agg_90d.csv"
    header, first, *others = january.read_text().splitlines(keepends=True)
    january.write_text("".join([header, first.partition(",")[0] + ",97\n", *others]))
    # a month that is waited for holds up no correction of another
    assert airflow.end_of(airflow.trigger(None, as_of="2024-01-31", restate=True)) == "success"
    assert airflow.database.contents() == in_order(0, 2)
    before = airflow.database.contents(ledger=True)
    wait_until(lambda: airflow.looks(run) >= 4, lambda: f"{airflow.log(run, 'wait_for_month')}")
    assert airflow.tasks(run)["wait_for_month"] == "deferred"
    lines = good.read_text().splitlines(keepends=True)
    broken = labels.with_suffix(".broken")
    broken.write_text("".join([*lines, lines[-1]]))
    broken.rename(labels)  # at once: the tests' settle time is 0
    assert airflow.end_of(run) == "failed"
    states = airflow.tasks(run)
    assert [task for task, state in states.items() if state == "failed"] == ["labels.validate"]
    assert states["gate"] == states["seal"] == states["upsert.users"] == "upstream_failed"
    reason = airflow.reason(run, "labels.validate")
    assert reason.startswith("labels of 2024-04-30: 1 of ")
    rule = "expect_column_proportion_of_unique_values_to_be_between"
    assert f"column user_id: values must be unique ({rule}): 2 of 51 rows" in " ".join(reason.split())
    assert " ".join(reason.split()).endswith(f"What to do: correct labels.csv, then {RUN_AGAIN}")
    failed = alert(webhook, "streamflow_monthly_ingest failed for 2024-04-30: task labels.validate", run)
    assert f"/runs/{quote(run)}/tasks/labels.validate?try_number=1\n" in failed
    assert "SF-" not in failed  # no delivered value
    assert airflow.database.contents(ledger=True) == before
    shutil.copy(good, labels)
    chosen = {"dag_run_id": run, "task_ids": ["labels.stage"], "include_downstream": True}
    cleared = airflow.post(f"{DAG}/clearTaskInstances", **chosen, only_failed=False, dry_run=False)
    assert {one["task_id"] for one in cleared["task_instances"]} == {
        *("labels.stage", "labels.load", "labels.validate", "labels.snapshot", "gate", "seal", "drop_staging"),
        *(f"upsert.{table}" for table in TABLES),
    }
    assert airflow.end_of(run) == "success"
    assert airflow.task(run, "users.validate")["try_number"] == 1
    assert airflow.database.contents() == in_order(0, 3)


def test_backfill_of_completed_runs_again_and_changes_nothing(airflow):
    before, runs, events = airflow.database.contents(ledger=True), airflow.runs(), airflow.asset_events()
    assert events > 0
    assert airflow.backfill(*ONLY_FEBRUARY, "--reprocess-behavior", "completed") == runs
    assert airflow.task(FEBRUARY, "seal")["try_number"] == 2
    assert airflow.database.contents(ledger=True) == before
    assert airflow.asset_events() == events  # consumers are not woken for nothing


def test_everything_is_as_it_was_sealed(airflow):
    path = "/api/v2/dags/streamflow_verify"
    assert not airflow.get(path)["is_paused"]
    run = airflow.trigger(None, path)
    assert airflow.end_of(run, path) == "success"
    runs = airflow.runs()
    assert sorted(runs.values()) == ["failed"] * 3 + ["success"] * 5
    assert not [run for run in runs if run.startswith("scheduled")]


def test_nothing_is_told_twice_and_the_deadline_makes_no_new_version_of_the_dag(airflow, webhook):
    assert len(webhook.texts) == len(set(webhook.texts))
    assert airflow.get(f"{DAG}/dagVersions")["total_entries"] == 1
