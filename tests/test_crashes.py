"""Killed anywhere: what was sealed stays, readers see whole snapshots, and running the month again completes it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import closing

import psycopg
import pytest

import embedded
import install_schema
from conftest import ROOT, WORK
from months import Database
from streamflow.tables import TABLES
from test_month import FEBRUARY, JANUARY, delivery

FIRST = delivery("ann", "bob", "cid", watch_hours_30d=1)
SECOND = delivery("bob", "dot", watch_hours_30d=2, churn_label="False")
STEPS = [
    "prepare",
    *(f"stage {table}" for table in TABLES),
    "gate",
    *(f"upsert {table}" for table in TABLES),
    "snapshot",
    "drop_staging",
]


@pytest.fixture(scope="module")
def fragile(schema):
    """A server that is killed again and again: a durable one, unlike that of the other tests."""
    server = embedded.start(WORK / "fragile")
    install_schema.install(embedded.uri(server, schema))
    yield server
    server.cleanup()


@pytest.fixture
def january(fragile, schema):
    """A database in which January is sealed."""
    database = Database(embedded.uri(fragile, "streamflow_crash", template=schema, user="streamflow_ingest"))
    database.load_month(JANUARY, FIRST)
    yield database
    database.close()
    embedded.sql(fragile, "drop database streamflow_crash with (force);")


@pytest.fixture(scope="module")
def in_order(fragile, schema):
    """What the database holds after January and February, with nothing killed."""
    database = Database(embedded.uri(fragile, "streamflow_in_order", template=schema, user="streamflow_ingest"))
    database.load_month(JANUARY, FIRST)
    database.load_month(FEBRUARY, SECOND)
    held = database.contents()
    database.close()
    return held


def snapshots(database: Database) -> dict[str, list[tuple]]:
    return {table.snapshots: database.rows(table.snapshots) for table in TABLES.values()}


def crash(server) -> None:
    """Power off: no checkpoint, no farewell to the clients."""
    embedded.pg_ctl(server, "restart", "-m", "immediate")


@pytest.mark.parametrize("last_step", STEPS)
def test_the_server_dies_between_two_steps(fragile, january, in_order, last_step):
    before = snapshots(january)
    for step in january.steps(FEBRUARY, SECOND):
        if step == last_step:
            break
    crash(fragile)
    january.close()
    if last_step not in ("snapshot", "drop_staging"):
        assert snapshots(january) == before
        if last_step != "prepare":
            # what was staged is gone with the server: nothing may go on as if it were there
            with pytest.raises(psycopg.errors.RaiseException, match="nothing is staged for 2024-02-29 any more"):
                january.step("snapshot.sql", FEBRUARY)
    january.load_month(FEBRUARY, SECOND)
    assert january.contents() == in_order


def terminate_backend(server, pid: int) -> None:
    embedded.sql(server, f"select pg_terminate_backend({pid});")


def kill_backend(server, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def power_off(server, pid: int) -> None:
    crash(server)


@pytest.mark.parametrize("kill", [terminate_backend, kill_backend, power_off])
@pytest.mark.parametrize(
    ("inside", "blocked_at"),
    [
        ("upsert subscriptions", "lock table public.subscriptions in share mode"),  # has its claim, not its rows
        ("snapshot", "lock table public.deliveries in share mode"),  # has written all six partitions
    ],
)
def test_killed_in_the_middle_of_a_step(fragile, january, in_order, inside, blocked_at, kill):
    before = snapshots(january)
    steps = january.steps(FEBRUARY, SECOND)
    for step in steps:
        if STEPS.index(step) + 1 == STEPS.index(inside):
            break
    with closing(psycopg.connect(january.admin_uri)) as blocker:  # it may die with the server
        blocker.execute(blocked_at)
        failure = []

        def go_on() -> None:
            try:
                next(steps)
            except psycopg.Error as error:
                failure.append(error)

        thread = threading.Thread(target=go_on)
        thread.start()
        pid = wait_for_blocked(fragile)
        assert snapshots(january.another()) == before  # what a reader sees meanwhile
        kill(fragile, pid)
        thread.join(30)
        assert failure, "the step went on"
    january.close()
    wait_until_up(january)
    assert snapshots(january) == before
    january.load_month(FEBRUARY, SECOND)
    assert january.contents() == in_order


def wait_for_blocked(server) -> int:
    """Return the process of the backend that waits for a lock."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = embedded.sql(
            server,
            "select pid from pg_stat_activity where datname = 'streamflow_crash' and wait_event_type = 'Lock' "
            "and wait_event = 'relation';",
        )
        if found.strip():
            return int(found)
        time.sleep(0.05)
    raise AssertionError("nobody waits")


def wait_until_up(database: Database) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            database.query("select 1")
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not come back")


def test_january_that_died_in_its_upserts_does_not_poison_february(fragile, schema, in_order):
    database = Database(embedded.uri(fragile, "streamflow_crash", template=schema, user="streamflow_ingest"))
    for step in database.steps(JANUARY, delivery("ann", "zoe", "bob", watch_hours_30d=9)):
        if step == "upsert usage_agg_30d":
            break
    assert database.query("select count(*) from users") == [(3,)]
    database.load_month(FEBRUARY, SECOND)
    assert database.query("select user_id from users order by 1") == [("bob",), ("dot",)]
    assert database.query("select user_id, watch_hours_30d from usage_agg_30d order by 1") == [("bob", 2), ("dot", 2)]
    database.load_month(JANUARY, FIRST, restate=True)
    assert database.contents() == in_order
    database.close()
    embedded.sql(fragile, "drop database streamflow_crash with (force);")


@pytest.mark.usefixtures("metadata")
def test_the_task_is_killed_and_the_month_run_again(database, deliveries):
    for month in ("month_000", "month_001"):
        shutil.copytree(ROOT / "include" / "data" / month, deliveries / month)
    command = ["timeout", "-k", "5", "200", "airflow", "dags", "test", "streamflow_monthly_ingest", "2024-01-31"]
    with psycopg.connect(database.admin_uri) as blocker:
        blocker.execute("lock table public.deliveries in share mode")
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 150
        while not database.query(
            "select from pg_stat_activity where datname = current_database() and wait_event = 'relation'"
        ):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert not any(rows for name, rows in database.contents(ledger=True).items() if "snapshots" in name)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout[-3000:]
    assert database.query("select count(*), min(revision), max(revision) from deliveries") == [(6, 1, 1)]
    assert database.query("select count(*) from labels_snapshots") == [(1000,)]
