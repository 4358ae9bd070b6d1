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
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, delivery
from support.database import Database
from support.environment import WORK
from support.paths import ROOT

FIRST = delivery("ann", "bob", "cid", watch_hours_30d=1)
SECOND = delivery("bob", "dot", watch_hours_30d=2, churn_label="False")
SPOILED = delivery("ann", "zoe", "bob", watch_hours_30d=9)
STEPS = [
    "prepare",
    *(f"{step} {table}" for table in TABLES for step in ("stage", "snapshot")),
    "gate",
    "seal",
    *(f"upsert {table}" for table in TABLES),
    "drop_staging",
]


@pytest.fixture(scope="module")
def fragile(schema):
    """A server that is killed again and again: it writes all that a durable one writes. That the disk has it is for the
    machine to keep, which goes on.
    """
    server = embedded.start(WORK / "fragile", fsync="off")
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
    """What the database holds after January, after February, and after January was restated; with nothing killed."""
    database = Database(embedded.uri(fragile, "streamflow_in_order", template=schema, user="streamflow_ingest"))
    held = {}
    for name, month, files, restate in (
        ("january", JANUARY, FIRST, False),
        ("february", FEBRUARY, SECOND, False),
        ("restated", JANUARY, SPOILED, True),
    ):
        database.load_month(month, files, restate)
        held[name] = database.contents()
    database.close()
    return held


def snapshots(held: dict[str, list[tuple]]) -> dict[str, list[tuple]]:
    """Return what the snapshots are in ``held``."""
    return {table.snapshots: held[table.snapshots] for table in TABLES.values()}


def assert_live_is_behind(held: dict, before: dict, after: dict) -> None:
    """Each live table is as it was or as it will be, and at least one is as it was."""
    assert all(held[table] in (before[table], after[table]) for table in TABLES)
    assert any(held[table] == before[table] for table in TABLES)


def crash(server) -> None:
    """Power off: no checkpoint, no farewell to the clients."""
    embedded.pg_ctl(server, "restart", "-m", "immediate")


@pytest.mark.parametrize("last_step", STEPS)
def test_the_server_dies_between_two_steps(fragile, january, in_order, last_step):
    for step in january.steps(FEBRUARY, SECOND):
        if step == last_step:
            break
    crash(fragile)
    january.close()
    held = january.contents()
    if STEPS.index(last_step) < STEPS.index("seal"):
        assert held == in_order["january"]
        # what was staged is gone with the server: nothing may go on as if it were there
        for step in ("snapshot", "gate", "seal"):
            with pytest.raises(psycopg.errors.RaiseException, match="nothing is staged for 2024-02-29 any more"):
                january.step(f"tasks/{step}.sql", FEBRUARY, "users")
        assert january.contents() == in_order["january"]
    else:
        assert snapshots(held) == snapshots(in_order["february"])
        if STEPS.index(last_step) < STEPS.index(f"upsert {[*TABLES][-1]}"):
            assert_live_is_behind(held, in_order["january"], in_order["february"])
    january.load_month(FEBRUARY, SECOND)
    assert january.contents() == in_order["february"]
    assert january.verify() == []


def terminate_backend(server, pid: int) -> None:
    embedded.sql(server, f"select pg_terminate_backend({pid});")


def kill_backend(server, pid: int) -> None:
    with closing(psycopg.connect(embedded.uri(server, "postgres"), autocommit=True)) as witness:
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):  # the server notices, and ends all others too
            witness.execute("select pg_sleep(60)")


def power_off(server, pid: int) -> None:
    crash(server)


def kill_inside(server, database: Database, steps, inside: str, blocked_at: str, kill) -> dict[str, list[tuple]]:
    """Kill the step ``inside`` where a lock stops it; return what a reader saw meanwhile."""
    for step in steps:
        if STEPS.index(step) + 1 == STEPS.index(inside):
            break
    with closing(psycopg.connect(database.admin_uri)) as blocker:  # it may die with the server
        blocker.execute(blocked_at)
        failure = []

        def go_on() -> None:
            try:
                next(steps)
            except psycopg.Error as error:
                failure.append(error)

        thread = threading.Thread(target=go_on)
        thread.start()
        pid = wait_for_blocked(server)
        with closing(database.another()) as reader:
            seen = reader.contents()
        kill(server, pid)
        thread.join(30)
        assert failure, "the step went on"
    database.close()
    wait_until_up(database)
    return seen


KILLS = pytest.mark.parametrize("kill", [terminate_backend, kill_backend, power_off])


@KILLS
@pytest.mark.parametrize(
    ("inside", "blocked_at"),
    [
        # its tables are made, and nothing is in them
        ("snapshot usage_agg_30d", "lock table staging.usage_agg_30d_20240229 in access exclusive mode"),
        ("seal", "lock table staging.publish_lock in exclusive mode"),  # has done nothing
        ("seal", "lock table public.deliveries in share mode"),  # has attached a partition, not written its ledger
        # has attached five partitions, and written their ledger
        ("seal", "lock table public.usage_agg_30d_snapshots in share update exclusive mode"),
    ],
)
def test_killed_in_the_middle_of_a_step_before_the_month_is_sealed(
    fragile, january, in_order, inside, blocked_at, kill
):
    steps = january.steps(FEBRUARY, SECOND)
    seen = kill_inside(fragile, january, steps, inside, blocked_at, kill)
    assert seen == in_order["january"]  # what a reader saw meanwhile
    assert january.contents() == in_order["january"]
    assert january.verify() == []
    if kill is terminate_backend:  # what is staged and built is still there: trying the step again is enough
        task, *table = inside.split()
        january.step(f"tasks/{task}.sql", FEBRUARY, *table)
        assert snapshots(january.contents()) == snapshots(in_order["february" if task == "seal" else "january"])
    january.load_month(FEBRUARY, SECOND)
    assert january.contents() == in_order["february"]
    assert january.verify() == []


@KILLS
@pytest.mark.parametrize(
    ("inside", "blocked_at", "again"),
    [
        ("upsert users", "lock table public.users in share mode", FEBRUARY),  # has done nothing
        # has written its rows; the next run is for a month that has nothing new
        ("upsert subscriptions", "lock table public.users in exclusive mode", JANUARY),
        ("drop_staging", "lock table staging.files in share mode", FEBRUARY),
    ],
)
def test_killed_in_the_middle_of_a_step_after_the_month_is_sealed(
    fragile, january, in_order, inside, blocked_at, again, kill
):
    steps = january.steps(FEBRUARY, SECOND)
    seen = kill_inside(fragile, january, steps, inside, blocked_at, kill)
    held = january.contents()
    assert seen == held
    assert snapshots(held) == snapshots(in_order["february"])
    if inside == "drop_staging":
        assert held == in_order["february"]
    else:
        assert_live_is_behind(held, in_order["january"], in_order["february"])
    january.load_month(again, {FEBRUARY: SECOND, JANUARY: FIRST}[again])
    assert january.contents() == in_order["february"]
    assert january.verify() == []


@KILLS
@pytest.mark.parametrize(
    ("inside", "blocked_at"),
    [
        ("seal", "lock table public.deliveries in share mode"),  # has changed snapshots of one table
        # has changed snapshots of five tables, and written their ledger
        ("seal", "lock table public.usage_agg_30d_snapshots in share mode"),
        # has deleted users, and their rows in one table
        ("upsert users", "lock table public.usage_agg_30d in share mode"),
    ],
)
def test_killed_in_the_middle_of_a_restatement(fragile, january, in_order, inside, blocked_at, kill):
    january.load_month(FEBRUARY, SECOND)
    steps = january.steps(JANUARY, SPOILED, restate=True)
    seen = kill_inside(fragile, january, steps, inside, blocked_at, kill)
    held = january.contents()
    assert seen == held
    expected = in_order["february" if inside == "seal" else "restated"]
    assert snapshots(held) == snapshots(expected)
    assert {table: held[table] for table in TABLES} == {table: in_order["february"][table] for table in TABLES}
    january.load_month(JANUARY, SPOILED, restate=True)
    assert january.contents() == in_order["restated"]
    assert january.verify() == []


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
    raise AssertionError("no one waits")


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


@pytest.mark.parametrize("last_step", ["gate", "seal", "upsert usage_agg_30d"])
def test_january_that_died_does_not_poison_february(fragile, schema, in_order, last_step):
    database = Database(embedded.uri(fragile, "streamflow_crash", template=schema, user="streamflow_ingest"))
    for step in database.steps(JANUARY, SPOILED):
        if step == last_step:
            break
    assert database.query("select count(*) from users") == [(3 if last_step == "upsert usage_agg_30d" else 0,)]
    database.load_month(FEBRUARY, SECOND)
    carried = [] if last_step == "gate" else [("ann", 9), ("zoe", 9)]  # once it is sealed, it is a month as any other
    users = sorted([("bob", 2), ("dot", 2), *carried])
    assert database.query("select user_id from users order by 1") == [(user,) for user, _ in users]
    assert database.query("select user_id, watch_hours_30d from usage_agg_30d order by 1") == users
    assert database.verify() == []
    database.load_month(JANUARY, FIRST, restate=True)
    assert database.contents() == in_order["february"]
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
    assert not any(database.contents(ledger=True).values())
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout[-3000:]
    assert database.query("select count(*), min(revision), max(revision) from deliveries") == [(6, 1, 1)]
    assert database.query("select count(*) from labels_snapshots") == [(1000,)]
    assert database.verify() == []
