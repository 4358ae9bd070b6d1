"""Two runs at the same time: one waits or is told off, and nothing is ever wrong."""

from __future__ import annotations

import random
import threading
import time

import psycopg
import pytest

from delivery import Refused as TaskFailed
from delivery import Run
from months import Database, Refused
from streamflow.refusal import TaskRefused
from test_month import FEBRUARY, JANUARY, MARCH, delivery

DELIVERIES = {
    JANUARY: delivery("ann", "bob", watch_hours_30d=1),
    FEBRUARY: delivery("bob", "cid", watch_hours_30d=2, without=(), add_on_backup="True"),
    MARCH: delivery("ann", "cid", watch_hours_30d=3),
}


def run_beside(database: Database, months: list[str], seed: int) -> list[tuple[str, Exception | None]]:
    """Run months side by side, each step after a short random pause; return how each ended."""
    ended = []

    def run(number: int, month: str) -> None:
        pauses = random.Random(f"{seed} {number}")
        own = Database(database.uri, run_id=f"run {number}")
        try:
            for _ in own.steps(month, DELIVERIES[month], restate=month != MARCH):
                time.sleep(pauses.random() * 0.05)
        except (Refused, psycopg.Error) as error:
            ended.append((month, error))
        else:
            ended.append((month, None))
        own.close()

    threads = [threading.Thread(target=run, args=one) for one in enumerate(months)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ended) == len(months), "a run hangs"
    return ended


@pytest.fixture(scope="module")
def in_order(server, schema):
    import embedded

    database = Database(embedded.uri(server, "streamflow_two", template=schema, user="streamflow_ingest"))
    held = {}
    for month, files in DELIVERIES.items():
        database.load_month(month, files)
        held[month] = database.contents()
    database.close()
    return held


@pytest.mark.parametrize("seed", range(6))
def test_the_same_month_twice(database, in_order, seed):
    ended = run_beside(database, [JANUARY, JANUARY], seed)
    errors = [error for _, error in ended if error]
    assert len(errors) < 2, errors
    for error in errors:
        assert "has taken over the month 2024-01-31" in str(error) or "any more: run the month again" in str(error)
    assert database.contents() == in_order[JANUARY]
    assert database.query("select count(*), max(revision) from deliveries") == [(6, 1)]
    assert database.query("select count(*) from staging.files") == [(0,)]


def wait_for_lock(database: Database) -> None:
    """Wait until somebody waits for a lock."""
    deadline = time.monotonic() + 30
    while not database.query("select from pg_locks where not granted"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("step", "table", "held"),
    [("snapshot.sql", None, "users_snapshots"), ("upsert.sql", "users", "staging.live_claims")],
)
def test_no_one_stages_the_month_again_under_a_step(database, in_order, step, table, held):
    """The step has looked at what is staged and not written it yet: another run has to wait."""
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    for done in database.steps(FEBRUARY, DELIVERIES[FEBRUARY]):
        if done == ("gate" if table else "upsert labels"):
            break
    intruder = Database(database.uri, run_id="intruder")
    ended = []

    def intrude() -> None:
        intruder.step("staging/claim_month.sql", FEBRUARY)
        intruder.step("staging/create_table.sql", FEBRUARY, table or "labels")
        ended.append("intruder")

    def go_on() -> None:
        own = Database(database.uri)
        own.step(step, FEBRUARY, table)
        own.close()
        ended.append("step")

    with psycopg.connect(database.admin_uri) as holder:
        holder.execute(f"lock table {held} in share row exclusive mode")  # the step gets as far as here
        first = threading.Thread(target=go_on)
        first.start()
        wait_for_lock(database)
        second = threading.Thread(target=intrude)
        second.start()
        second.join(0.5)
        assert ended == []
    first.join(30)
    second.join(30)
    assert ended == ["step", "intruder"]
    intruder.load_month(FEBRUARY, DELIVERIES[FEBRUARY])
    intruder.close()
    assert database.contents() == in_order[FEBRUARY]
    assert database.query(
        "select inserted, updated, unchanged from deliveries where table_name = 'users' and as_of = '2024-02-29'"
    ) == [(1, 0, 1)]


@pytest.mark.parametrize("seed", range(6))
def test_two_months(database, in_order, seed):
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    ended = run_beside(database, [FEBRUARY, MARCH], seed)
    for month, error in ended:
        assert error is None or "sealed snapshots would change" in str(error), (month, error)
    for month, error in ended:
        if error:
            database.load_month(month, DELIVERIES[month], restate=True)
    assert database.contents() == in_order[MARCH]


def test_a_restatement_after_the_gate_that_takes_a_rows_user_away(database):
    database.load_month(JANUARY, delivery("ann", "bob"))
    database.load_month(MARCH, delivery("ann", "bob"))
    february = delivery("ann", "bob") | {"users": delivery("ann")["users"]}
    late = database.steps(FEBRUARY, february)
    while next(late) != "gate":
        pass
    other = database.another()
    other.load_month(JANUARY, delivery("ann"), restate=True)
    other.close()
    before = database.contents(ledger=True)
    with pytest.raises(psycopg.errors.RaiseException, match="rows would refer to no user, as a month was restated"):
        list(late)
    assert database.contents(ledger=True) == before
    with pytest.raises(Refused, match="orphans"):
        database.load_month(FEBRUARY, february)


def test_a_restatement_between_gate_and_upsert_is_no_foreign_key_violation(database, tmp_path):
    """January loses a user, and February is sealed, after March has passed the gate with a row of that user."""
    database.load_month(JANUARY, delivery("ann", "bob"))
    march = delivery("ann", "bob") | {"users": delivery("ann")["users"]}
    late = database.steps(MARCH, march)
    while next(late) != "gate":
        pass
    other = database.another()
    other.load_month(JANUARY, delivery("ann"), restate=True)
    other.load_month(FEBRUARY, delivery("ann"))
    other.close()
    before = {name: rows for name, rows in database.contents(ledger=True).items() if name != "users"}
    run = Run(database, MARCH, tmp_path / "month_002")
    run.execute("upsert.users")
    with pytest.raises(TaskFailed, match="another run has sealed or restated a month since") as refused:
        run.execute("upsert.labels")
    assert isinstance(refused.value.error, TaskRefused)
    assert "bob" not in refused.value.message
    assert {name: rows for name, rows in database.contents(ledger=True).items() if name != "users"} == before
