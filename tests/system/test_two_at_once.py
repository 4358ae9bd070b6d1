"""Two runs at the same time: one waits, builds again or is told off, and nothing is ever wrong."""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack
from copy import copy
from types import SimpleNamespace
from unittest.mock import MagicMock

import psycopg
import pytest

import embedded
from streamflow.refusal import TaskNotYet, TaskRefused
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database, Refused, render
from support.run import dag, templates

DELIVERIES = {
    JANUARY: delivery("ann", "bob", watch_hours_30d=1),
    FEBRUARY: delivery("bob", "cid", watch_hours_30d=2, without=(), add_on_backup="True"),
    MARCH: delivery("ann", "cid", watch_hours_30d=3),
}
MOVED = "another run has sealed a month since the snapshots of {} were built"


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


def run_to(database: Database, month: str, last_step: str, restate: bool = False, files: dict | None = None):
    """Run a month as far as a step; return what goes on with it."""
    steps = database.steps(month, files or DELIVERIES[month], restate)
    while next(steps) != last_step:
        pass
    return steps


def run_task(
    task_id: str,
    database: Database,
    month: str,
    restate: bool = False,
    gate: dict | None = None,
    xcoms: dict | None = None,
) -> dict:
    """Run a task of the DAG that comes behind the gate, which has passed these builds or those that there are now;
    return its XCom. Or say what all tasks before it have returned.
    """
    task = copy(dag().get_task(task_id))
    builds = gate["builds"] if gate else database.query("select staging.builds_of(%s)", month)[0][0]
    known = xcoms or {"gate": {"as_of": month, "warnings": [], "builds": builds}}

    def pull(task_ids: str | list[str]) -> dict | list | None:
        return known.get(task_ids) if isinstance(task_ids, str) else [known.get(one) for one in task_ids]

    context = {
        "params": {"as_of": month, "restate": restate},
        "run_id": database.run_id,
        "dag_run": SimpleNamespace(triggering_user_name="dag_test"),  # no one can be asked
        "task": task,
        "ti": SimpleNamespace(xcom_pull=pull),
        "outlet_events": MagicMock(),
    }
    task.render_template_fields(context, templates())
    return task.execute(context)


@pytest.fixture
def other(database):
    """The same database for another run."""
    other = database.another()
    yield other
    other.close()


@pytest.fixture(scope="module")
def in_order(server, schema):
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
        assert "has taken over the month 2024-01-31" in str(error)
    assert database.contents() == in_order[JANUARY]
    assert database.query("select count(*), max(revision) from deliveries") == [(6, 1)]
    assert database.query("select count(*) from staging.files") == [(0,)]
    assert database.verify() == []


def wait_for_lock(database: Database) -> None:
    """Wait until somebody waits for a lock."""
    deadline = time.monotonic() + 30
    while not database.query("select from pg_locks where not granted"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("step", "after", "held", "ends"),
    [
        ("snapshot", "stage labels", "staging.builds", "has taken over the month 2024-02-29"),
        ("seal", "gate", "deliveries", ""),
    ],
)
def test_no_one_stages_the_month_again_under_a_step(database, in_order, step, after, held, ends):
    """The step has looked at what is staged and not written it yet: another run has to wait."""
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    run_to(database, FEBRUARY, after)
    intruder = Database(database.uri, run_id="intruder")
    ended = []

    def intrude() -> None:
        intruder.step("tasks/prepare.sql", FEBRUARY)
        intruder.step("tasks/stage.sql", FEBRUARY, "labels")
        ended.append("intruder")

    def go_on() -> None:
        own = Database(database.uri)
        try:
            own.step(f"tasks/{step}.sql", FEBRUARY, "labels")
        except psycopg.errors.RaiseException as error:
            ended.append(str(error))
        else:
            ended.append("")
        own.close()

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
    assert sorted(ended, key="intruder".__eq__)[1:] == ["intruder"]
    said = next(one for one in ended if one != "intruder")
    assert ends in said if ends else said == ""
    intruder.load_month(FEBRUARY, DELIVERIES[FEBRUARY])
    intruder.close()
    assert database.contents() == in_order[FEBRUARY]
    assert database.query(
        "select inserted, updated, unchanged from deliveries where table_name = 'users' and as_of = '2024-02-29'"
    ) == [(1, 0, 1)]


def test_a_build_that_is_tried_again_waits_for_the_first_try(database, in_order):
    """A task that Airflow takes for dead may go on in the database."""
    run_to(database, JANUARY, f"snapshot {list(TABLES)[-1]}")
    database.stage(JANUARY, "labels", DELIVERIES[JANUARY]["labels"])
    ended = []

    def try_again() -> None:
        own = Database(database.uri)
        own.build(JANUARY, "labels")
        own.close()
        ended.append("again")

    with psycopg.connect(database.uri) as first_try:
        first_try.execute(render("tasks/snapshot.sql", JANUARY, TABLES["labels"]))
        thread = threading.Thread(target=try_again)
        thread.start()
        wait_for_lock(database)
        thread.join(0.2)
        assert ended == []
    thread.join(30)
    assert ended == ["again"]
    assert database.gate(JANUARY)["orphans"] == []
    database.seal(JANUARY)
    for table in TABLES:
        database.upsert(JANUARY, table)
    assert database.contents() == in_order[JANUARY]


@pytest.mark.parametrize("seed", range(6))
def test_two_months(database, in_order, seed):
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    ended = run_beside(database, [FEBRUARY, MARCH], seed)
    for month, error in ended:
        # live can be behind for a moment, and a task is then tried again; what the harness does not
        is_early = isinstance(error, psycopg.errors.ForeignKeyViolation)
        assert error is None or is_early or MOVED.format(month) in str(error), (month, error)
    assert any(error is None for _, error in ended)
    for month, error in ended:
        if error:
            database.load_month(month, DELIVERIES[month], restate=True)
    assert database.contents() == in_order[MARCH]
    assert database.verify() == []


ORDERS = pytest.mark.parametrize(("first", "second"), [(FEBRUARY, MARCH), (MARCH, FEBRUARY)])


@ORDERS
@pytest.mark.parametrize("is_built_again", [True, False])
def test_builds_whose_base_has_moved_are_refused(database, other, in_order, first, second, is_built_again):
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    run_to(database, second, "gate", restate=True)
    other.load_month(first, DELIVERIES[first])
    before = database.contents(ledger=True)
    with pytest.raises(psycopg.errors.SerializationFailure, match=MOVED.format(second)) as refused:
        database.seal(second, restate=True)
    assert "run the month again (clear the whole run" in refused.value.diag.message_hint
    assert database.contents(ledger=True) == before
    if is_built_again:
        for table in TABLES:
            database.build(second, table, restate=True)
        assert database.gate(second, restate=True)["orphans"] == []
        database.seal(second, restate=True)
        for table in TABLES:
            database.upsert(second, table)
    else:
        database.load_month(second, DELIVERIES[second], restate=True)
    assert database.contents() == in_order[MARCH]
    assert database.verify() == []


@ORDERS
def test_the_task_builds_again_what_was_built_on_another_base(database, other, in_order, first, second):
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    run_to(database, second, "gate", restate=True)
    other.load_month(first, DELIVERIES[first])
    sealed = run_task("seal", database, second, restate=True)
    assert {(one["as_of"], one["revision"]) for one in sealed["revisions"]} == {(second, 1)} | (
        {(MARCH, 2)} if second == FEBRUARY else set()
    )
    for table in TABLES:
        database.upsert(second, table)
    assert database.contents() == in_order[MARCH]
    assert database.verify() == []


def test_the_task_audits_again_what_it_builds_again(database, other):
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    run_to(database, FEBRUARY, "gate")
    other.load_month(MARCH, DELIVERIES[MARCH])
    before = database.contents(ledger=True)
    with pytest.raises(TaskRefused, match="Sealed snapshots would change: 2024-02-29 is late") as refused:
        run_task("seal", database, FEBRUARY)
    assert "  - 2024-03-31 subscriptions: 2 rows changed" in str(refused.value)
    assert "What to do: if this is intended, run the month with the params as_of=2024-02-29 and" in str(refused.value)
    assert database.contents(ledger=True) == before


def test_the_task_gives_up_where_others_seal_again_and_again(database, other, monkeypatch):
    run_to(database, FEBRUARY, "gate")
    other.load_month(JANUARY, DELIVERIES[JANUARY])
    before = database.contents(ledger=True)
    monkeypatch.setattr("streamflow.seal.SealOperator._build_again", lambda self, context: None)
    with pytest.raises(TaskNotYet, match="Other runs sealed months 3 times"):
        run_task("seal", database, FEBRUARY)
    assert database.contents(ledger=True) == before


@pytest.mark.parametrize("restate", [False, True])
def test_the_task_says_the_same_again_if_its_answer_was_lost(database, in_order, restate):
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    run_to(database, FEBRUARY, "gate", restate)
    first = run_task("seal", database, FEBRUARY, restate)
    assert len(first["revisions"]) == first["ledger_rows_written"] == 6
    before = database.contents(ledger=True)
    again = run_task("seal", database, FEBRUARY, restate)
    assert again["revisions"] == first["revisions"]
    assert again["ledger_rows_written"] == 0
    assert database.contents(ledger=True) == before
    for table in TABLES:
        database.upsert(FEBRUARY, table)
    assert database.contents() == in_order[FEBRUARY]


def test_a_restatement_after_the_gate_that_takes_a_rows_user_away(database, other):
    database.load_month(JANUARY, delivery("ann", "bob"))
    database.load_month(MARCH, delivery("ann", "bob"))
    february = delivery("ann", "bob") | {"users": delivery("ann")["users"]}
    late = database.steps(FEBRUARY, february)
    while next(late) != "gate":
        pass
    other.load_month(JANUARY, delivery("ann"), restate=True)
    before = database.contents(ledger=True)
    with pytest.raises(psycopg.errors.SerializationFailure, match=MOVED.format(FEBRUARY)):
        list(late)
    assert database.contents(ledger=True) == before
    with pytest.raises(TaskRefused, match="Rows without a user:\n  - labels of 2024-02-29: 1 row, for example 'bob'"):
        run_task("seal", database, FEBRUARY)
    assert database.contents(ledger=True) == before
    with pytest.raises(Refused, match="orphans"):
        database.load_month(FEBRUARY, february)


def test_a_restatement_between_gate_and_seal_is_no_foreign_key_violation(database, other):
    """January loses a user, and February is sealed, after March has passed the gate with a row of that user."""
    database.load_month(JANUARY, delivery("ann", "bob"))
    march = delivery("ann", "bob") | {"users": delivery("ann")["users"]}
    late = database.steps(MARCH, march)
    while next(late) != "gate":
        pass
    other.load_month(JANUARY, delivery("ann"), restate=True)
    other.load_month(FEBRUARY, delivery("ann"))
    before = database.contents(ledger=True)
    with pytest.raises(TaskRefused, match="Rows without a user") as refused:
        run_task("seal", database, MARCH)
    assert "What to do: correct the files and run the month again" in str(refused.value)
    assert database.contents(ledger=True) == before


def test_a_row_whose_user_another_run_is_about_to_bring_is_no_foreign_key_violation(database, other):
    """March is sealed, with a new user, while February brings its tables to live."""
    database.load_month(JANUARY, delivery("ann", "bob"))
    run_to(database, FEBRUARY, "upsert users", files=delivery("ann", "bob", watch_hours_30d=2))
    march = run_to(other, MARCH, "seal", files=delivery("ann", "dot"))
    before = database.contents(ledger=True)
    with pytest.raises(TaskNotYet, match="Live does not have all users of the newest sealed snapshot yet") as refused:
        run_task("upsert.labels", database, FEBRUARY)
    assert "dot" not in str(refused.value)
    assert database.contents(ledger=True) == before
    assert next(march) == "upsert users"
    assert run_task("upsert.labels", database, FEBRUARY)["inserted"] == 1  # which is tried again
    list(march)
    assert database.verify() == []


@pytest.mark.parametrize(
    ("months", "month", "meanwhile"),
    [
        ((JANUARY,), FEBRUARY, MARCH),  # both new
        ((JANUARY, MARCH), FEBRUARY, JANUARY),  # one is late, and the other restated
        ((JANUARY, FEBRUARY, MARCH), FEBRUARY, JANUARY),  # both restated
    ],
)
def test_builds_hold_no_lock_that_a_reader_or_another_month_waits_for(database, months, month, meanwhile):
    for one in months:
        database.load_month(one, DELIVERIES[one])
    database.stage_month(month, DELIVERIES[month])
    impatient = Database(f"{database.uri}&options=-c%20lock_timeout%3D3s", run_id="another")
    with ExitStack() as builds:
        for table in TABLES.values():
            build = builds.enter_context(psycopg.connect(database.uri))
            build.execute(render("tasks/snapshot.sql", month, table, restate=True))
        locks = database.query(
            "select relation::regclass::text, mode from pg_locks inner join pg_class on relation = pg_class.oid "
            "where relnamespace = 'public'::regnamespace and pid <> pg_backend_pid()"
        )
        assert {table.snapshots for table in TABLES.values()} <= {relation for relation, _ in locks}
        assert {mode for _, mode in locks} == {"AccessShareLock"}
        impatient.load_month(meanwhile, delivery("ann", "dot", watch_hours_30d=9), restate=True)
        assert impatient.verify() == []
        assert ("dot",) in impatient.query("select user_id from users_as_of(%s)", meanwhile)
    impatient.close()
    with pytest.raises(psycopg.errors.SerializationFailure, match=MOVED.format(month)):
        database.seal(month, restate=True)
    database.load_month(month, DELIVERIES[month], restate=True)
    assert database.verify() == []


def test_a_month_that_is_sealed_under_a_build_is_no_alarm(database, other, in_order):
    """January is restated after February has read it, and before February is counted against it."""
    database.load_month(JANUARY, delivery("ann", watch_hours_30d=9))
    database.stage_month(FEBRUARY, DELIVERIES[FEBRUARY])
    for table in TABLES.values():
        build, finish = render("tasks/snapshot.sql", FEBRUARY, table).split("\nselect built,")
        with psycopg.connect(database.uri) as connection:
            connection.execute(build)
            if table.name == "usage_agg_30d":
                other.load_month(JANUARY, DELIVERIES[JANUARY], restate=True)
            connection.execute(f"select built,{finish}")
    assert database.gate(FEBRUARY)["orphans"] == []
    run_task("seal", database, FEBRUARY)
    for table in TABLES:
        database.upsert(FEBRUARY, table)
    assert database.contents() == in_order[FEBRUARY]


def test_builds_of_two_bases_are_not_audited_until_they_are_built_again(database, other):
    """The users were built before January was given bob, and the other tables after it."""
    database.load_month(JANUARY, delivery("ann"))
    database.stage_month(FEBRUARY, delivery("cid"))
    database.build(FEBRUARY, "users")
    other.load_month(JANUARY, delivery("ann", "bob"), restate=True)
    for table in [*TABLES][1:]:
        database.build(FEBRUARY, table)
    found = database.gate(FEBRUARY)
    assert (found["orphans"], found["sealed_changes"]) == ([], [])
    with pytest.raises(psycopg.errors.SerializationFailure, match=MOVED.format(FEBRUARY)):
        database.seal(FEBRUARY)
    run_task("seal", database, FEBRUARY)
    for table in TABLES:
        database.upsert(FEBRUARY, table)
    assert database.query("select user_id from labels order by 1") == [("ann",), ("bob",), ("cid",)]
    assert database.verify() == []


def test_what_was_built_again_after_the_gate_is_audited_again_before_it_is_sealed(database, in_order):
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    database.build_month(FEBRUARY, DELIVERIES[FEBRUARY])
    passed = database.gate(FEBRUARY)
    database.stage(FEBRUARY, "labels", delivery("nobody")["labels"])
    database.build(FEBRUARY, "labels")
    before = database.contents(ledger=True)
    with pytest.raises(psycopg.errors.SerializationFailure, match="were built again after they passed the gate"):
        database.seal(FEBRUARY, gate=passed | {"warnings": []})
    with pytest.raises(TaskRefused, match=r"Rows without a user:\n  - labels of 2024-02-29: 1 row.* 'nobody'"):
        run_task("seal", database, FEBRUARY, gate=passed)
    assert database.contents(ledger=True) == before
    database.stage(FEBRUARY, "labels", DELIVERIES[FEBRUARY]["labels"])
    database.build(FEBRUARY, "labels")
    assert run_task("seal", database, FEBRUARY, gate=passed)["ledger_rows_written"] == 6
    for table in TABLES:
        database.upsert(FEBRUARY, table)
    assert database.contents() == in_order[FEBRUARY]


def test_what_is_odd_about_builds_that_seal_makes_again_is_in_the_ledger(database, other):
    """February was built when nothing was sealed that its users could be compared with."""
    database.build_month(FEBRUARY, delivery("ann"))
    passed = database.gate(FEBRUARY)
    assert passed["users_before"] is None
    other.load_month(JANUARY, delivery("ann", "bob", "cid"))
    run_task("seal", database, FEBRUARY, gate=passed)
    ((warnings,),) = database.query(
        "select warnings from current_deliveries where as_of = %s and table_name = 'users'", FEBRUARY
    )
    assert [text.partition(" (")[0] for text in warnings] == [
        "2 of the 3 users delivered for 2024-01-31 are not in this delivery"
    ]


def test_seal_without_what_the_gate_has_said_audits_by_itself(database, in_order):
    """As when someone has marked the gate as a success."""
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    database.build_month(FEBRUARY, delivery("ann") | {"labels": delivery("nobody")["labels"]})
    with pytest.raises(TaskRefused, match="Rows without a user"):
        run_task("seal", database, FEBRUARY, xcoms={"gate": None})
    database.build_month(FEBRUARY, DELIVERIES[FEBRUARY])
    assert run_task("seal", database, FEBRUARY, xcoms={"gate": None})["ledger_rows_written"] == 6
    for table in TABLES:
        database.upsert(FEBRUARY, table)
    assert database.contents() == in_order[FEBRUARY]


@pytest.mark.parametrize("is_told", [True, False])
def test_a_run_does_not_end_with_live_of_two_months(database, other, is_told):
    """February is sealed between two of January's upserts, and its own run is killed then."""
    run_to(database, JANUARY, "seal")
    said = {"upsert.users": database.upsert(JANUARY, "users")}
    run_to(other, FEBRUARY, "seal", files=delivery("ann", "bob", user_gender="Female", churn_label="False"))
    said |= {f"upsert.{table}": database.upsert(JANUARY, table) for table in [*TABLES][1:]}
    assert database.verify() != []
    run_task("drop_staging", database, JANUARY, xcoms=said if is_told else {"upsert.users": None})
    assert database.query("select distinct user_gender from users") == [("Female",)]
    assert database.verify() == []


def test_a_reader_whose_plan_is_older_than_a_seal_sees_the_month_before_or_the_month(database, other):
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    database.build_month(FEBRUARY, DELIVERIES[FEBRUARY])
    database.run_as_admin(
        "create function public.slow() returns date language plpgsql stable as "
        "$$begin perform pg_sleep(1); return '2099-01-01'; end$$"
    )
    read = []

    def look() -> None:
        with psycopg.connect(database.admin_uri) as reader:
            for what in ("as_of from labels_as_of('2099-01-01')", "as_of from user_history('ann') where what = 'went'"):
                separator = "and" if "where" in what else "where"
                read.append(reader.execute(f"select {what} {separator} as_of < public.slow()").fetchall())

    reader = threading.Thread(target=look)
    reader.start()
    time.sleep(0.5)  # it plans, and then takes its time
    database.seal(FEBRUARY)
    reader.join()
    assert len(read[0]) in (2, 3)  # users of January, or of February


def test_verify_that_began_before_a_seal_does_not_see_it(database):
    """What is attached was committed long before: a transaction that is older than the seal could see it."""
    database.load_month(JANUARY, DELIVERIES[JANUARY])
    database.build_month(FEBRUARY, DELIVERIES[FEBRUARY])
    with psycopg.connect(database.uri, autocommit=True) as old, old.transaction():
        old.execute("set local transaction_isolation = 'repeatable read'")
        old.execute("select 1")
        database.seal(FEBRUARY)
        differences = old.execute(render("tasks/verify.sql", JANUARY))
        while differences.nextset():
            pass
        assert differences.fetchall() == []
        months, _, newest, rows, *_ = old.execute(render("parts/verified.sql", JANUARY)).fetchone()
        assert (months, newest, rows) == (1, JANUARY, 6 * 2)


@pytest.mark.parametrize("style", ["German", "SQL,DMY", "Postgres"])
def test_the_roles_own_way_to_write_dates_does_not_matter(database, other, in_order, monkeypatch, style):
    uri = f"{database.uri}&options=-c%20datestyle%3D{style}"
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", uri)
    german = Database(uri)
    german.load_month(JANUARY, DELIVERIES[JANUARY])
    german.load_month(MARCH, DELIVERIES[MARCH])
    german.build_month(FEBRUARY, DELIVERIES[FEBRUARY], restate=True)
    passed = run_task("gate", german, FEBRUARY, restate=True)
    assert (passed["as_of"], passed["previous"], passed["month"]) == (FEBRUARY, JANUARY, "late")
    other.load_month(MARCH, DELIVERIES[MARCH] | delivery("cid"), restate=True)
    other.load_month(MARCH, DELIVERIES[MARCH], restate=True)
    run_task("seal", german, FEBRUARY, restate=True, gate=passed)
    assert {german.upsert(FEBRUARY, table)["live_is"] for table in TABLES} == {MARCH}
    german.close()
    assert database.contents() == in_order[MARCH]
    assert database.verify() == []


def test_the_role_may_have_all_names_quoted(database, in_order):
    quoting = Database(f"{database.uri}&options=-c%20quote_all_identifiers%3Don")
    for month in (JANUARY, MARCH, FEBRUARY):
        quoting.load_month(month, DELIVERIES[month], restate=True)
    quoting.close()
    assert database.contents() == in_order[MARCH]
