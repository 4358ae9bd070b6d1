"""A forged restatement: a list of changes that is not all of them, and nothing else, is not applied."""

from __future__ import annotations

import psycopg
import pytest

import embedded
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database, render
from support.sealing import ANN, BOB, CID, begin, finish, insert, seal_january, while_it_waits

BUILD = "labels_20240229_build"


# forging the list of changes in sealed months

JANUARY_ANN, JANUARY_BOB, FEBRUARY_BOB, MARCH_BOB = (
    f"('{user}', false, '{as_of}', '2024-01-31', 'changed')"
    for user, as_of in (("ann", JANUARY), ("bob", JANUARY), ("bob", FEBRUARY), ("bob", MARCH))
)
FEBRUARY_ANN = f"('ann', false, '{FEBRUARY}', '{FEBRUARY}', 'changed')"
CHANGES = (JANUARY_ANN, JANUARY_BOB, FEBRUARY_BOB, MARCH_BOB)


RESTATEMENT = delivery("ann", "bob", churn_label="False")


def seal_three_months(database: Database) -> Database:
    seal_january(database)
    for month in (FEBRUARY, MARCH):
        database.load_month(month, delivery("ann", "cid"))
    database.build_month(JANUARY, RESTATEMENT, restate=True)
    return database


@pytest.fixture(scope="module")
def three_months(server, schema):
    """A database in which three months are sealed and January is about to be restated; no test seals that."""
    database = Database(embedded.uri(server, "streamflow_three_months", template=schema, user="streamflow_ingest"))
    yield seal_three_months(database)
    database.close()
    embedded.sql(server, "drop database streamflow_three_months with (force);")


def begin_restatement(database: Database) -> Database:
    """Build January's new labels, and leave the list of changes empty."""
    begin(database, JANUARY, restate=True)
    insert(database, "labels_20240131_build", *(row.replace(", 'changed'", "") for row in CHANGES[:2]))
    return database


@pytest.fixture
def restated(three_months):
    return begin_restatement(three_months)


@pytest.mark.parametrize("what", ["null", "'new'", "''"])
def test_a_change_is_of_a_known_kind(restated, what):
    with pytest.raises((psycopg.errors.NotNullViolation, psycopg.errors.CheckViolation)):
        insert(restated, "labels_20240131_changes", f"('zoe', false, '{MARCH}', '{MARCH}', {what})")


def test_no_column_that_a_file_left_out_is_null(january):
    january.stage_month(FEBRUARY, delivery("ann"))
    with pytest.raises(psycopg.errors.CheckViolation):
        january.run("update staging.files set not_delivered = '{NULL}' where table_name = 'subscriptions'")


def test_a_forged_file_name_does_not_stop_the_months_to_come(january):
    january.stage_month(FEBRUARY, delivery("ann"))
    january.run("update staging.files set file_name = 'month_99999999999/x.csv'")
    for table in TABLES:
        january.build(FEBRUARY, table)
    january.seal(FEBRUARY)
    january.load_month(MARCH, delivery("ann"))


def test_a_list_of_all_changes_is_applied(database):
    """What the tests below leave out, add or change makes them fail, and nothing else does."""
    begin_restatement(seal_three_months(database))
    insert(database, "labels_20240131_changes", *CHANGES)
    finish(database, JANUARY)
    database.seal(JANUARY, restate=True)
    revised = "select as_of::text from deliveries where table_name = 'labels' and revision = 2 order by 1"
    assert database.query(revised) == [(JANUARY,), (FEBRUARY,), (MARCH,)]


@pytest.mark.parametrize(
    "rows",
    [
        # something is left out
        (),
        CHANGES[1:],
        CHANGES[:3],
        CHANGES[:2],
        (JANUARY_ANN, JANUARY_BOB, MARCH_BOB),
        # something is not what it should be
        (*CHANGES[:3], MARCH_BOB.replace("false", "null")),
        (*CHANGES[:3], MARCH_BOB.replace("false", "true")),
        (*CHANGES[:3], MARCH_BOB.replace("changed", "removed")),
        (*CHANGES[:3], MARCH_BOB.replace(f"'{JANUARY}'", f"'{FEBRUARY}'")),
        (*CHANGES[:3], MARCH_BOB.replace(f"'{JANUARY}'", f"'{MARCH}'")),
        (JANUARY_ANN.replace("false", "null"), *CHANGES[1:]),
        # what another month has delivered
        (*CHANGES, FEBRUARY_ANN),
        (*CHANGES, FEBRUARY_ANN.replace("changed", "removed")),
        (*CHANGES, FEBRUARY_ANN.replace("changed", "added")),
        (*CHANGES, FEBRUARY_ANN.replace(f"{FEBRUARY}', 'c", f"{JANUARY}', 'c")),
        (*CHANGES, FEBRUARY_ANN.replace("ann", "zoe")),
        (*CHANGES, FEBRUARY_ANN.replace("ann", "zoe"), FEBRUARY_ANN.replace("ann", "zoe").replace(FEBRUARY, MARCH, 1)),
        (*CHANGES, FEBRUARY_ANN.replace(FEBRUARY, MARCH)),
        # no change at all, which would be another revision
        (*CHANGES, FEBRUARY_ANN.replace("false", "true")),
        (*CHANGES, FEBRUARY_ANN.replace("ann", "zoe").replace("changed", "removed")),
        # months that are not sealed
        (*CHANGES, MARCH_BOB.replace(f"'{MARCH}'", "'2024-04-30'")),
    ],
)
def test_a_list_of_changes_that_is_not_all_and_nothing_else_is_not_applied(restated, rows):
    before = restated.contents(ledger=True)
    insert(restated, "labels_20240131_changes", *rows)
    finish(restated, JANUARY)
    with pytest.raises(
        psycopg.Error, match=r"does not follow from the months before it|are not changes that it can make|no partition"
    ):
        restated.seal(JANUARY, restate=True)
    assert restated.contents(ledger=True) == before


def test_a_list_of_changes_has_a_row_once(restated):
    insert(restated, "labels_20240131_changes", *CHANGES, MARCH_BOB.replace("false", "true"))
    with pytest.raises(psycopg.errors.UniqueViolation):
        finish(restated, JANUARY)


def test_what_is_sealed_does_not_change_without_restate(restated):
    before = restated.contents(ledger=True)
    insert(restated, "labels_20240131_changes", *CHANGES)
    finish(restated, JANUARY)
    with pytest.raises(psycopg.errors.RaiseException, match="sealed snapshots would change"):
        restated.seal(JANUARY)
    assert restated.contents(ledger=True) == before


@pytest.mark.parametrize("row", ["('zoe', true, '{0}', '{0}', 'added')", "('bob', false, '{0}', '{0}', 'changed')"])
def test_a_restatement_does_not_change_an_earlier_month(january, row):
    january.load_month(FEBRUARY, delivery("ann", "cid"))
    before = january.contents(ledger=True)
    january.build_month(FEBRUARY, delivery("ann", "cid"), restate=True)
    begin(january, FEBRUARY, restate=True)
    insert(january, BUILD, ANN, BOB, CID)
    insert(january, "labels_20240229_changes", row.format(JANUARY))
    finish(january, FEBRUARY)
    with pytest.raises(psycopg.errors.RaiseException, match="are not changes that it can make"):
        january.seal(FEBRUARY, restate=True)
    assert january.contents(ledger=True) == before


def test_a_late_month_does_not_hide_what_it_changes_later(january):
    january.load_month(MARCH, delivery("ann", "cid"))
    before = january.contents(ledger=True)
    january.build_month(FEBRUARY, delivery("bob"))
    begin(january, FEBRUARY)
    insert(january, BUILD, ANN.replace(f"'{FEBRUARY}')", f"'{JANUARY}')"), BOB.replace(JANUARY, FEBRUARY))
    finish(january, FEBRUARY)
    with pytest.raises(psycopg.errors.RaiseException, match=r"does not follow from the months before it"):
        january.seal(FEBRUARY, restate=True)
    assert january.contents(ledger=True) == before


@pytest.mark.parametrize("forged", ["", "monthly_fee", "months_active", "net_service", "add_on_security"])
def test_of_what_a_later_month_has_delivered_only_what_its_file_leaves_out_changes(january, forged):
    """January has add_on_backup now, and February left it out: that is ann's one change in February."""
    january.load_month(FEBRUARY, delivery("ann", without=("add_on_backup",), add_on_security="True"))
    before = january.contents(ledger=True)
    january.build_month(JANUARY, delivery("ann", "bob", without=(), add_on_backup="True"), restate=True)
    if forged:
        text = render("tasks/snapshot.sql", JANUARY, TABLES["subscriptions"], restate=True)
        columns = ", ".join(
            f"nullif({name}, {name}) as {name}" if name == forged else name
            for name in ("user_id", *TABLES["subscriptions"].columns)
        )
        delivered = "delivered as (select {} from sealed where"
        assert text.count(delivered.format("*")) == 1
        january.run(text.replace(delivered.format("*"), delivered.format(columns)))
        with pytest.raises(psycopg.errors.RaiseException, match="are not changes that it can make"):
            january.seal(JANUARY, restate=True)
        assert january.contents(ledger=True) == before
    else:
        january.seal(JANUARY, restate=True)
        assert january.query(
            "select user_id, add_on_security, add_on_backup from subscriptions_profile_snapshots "
            "where as_of = %s order by 1",
            FEBRUARY,
        ) == [("ann", True, True), ("bob", None, True)]


def test_what_was_sealed_meanwhile_is_seen_at_any_isolation_level(january):
    """A restatement of January that does not know of March is not sealed by a transaction that began before March."""
    january.load_month(FEBRUARY, delivery("ann", "cid"))
    other = january.another()
    other.build_month(JANUARY, delivery("ann", "bob", churn_label="False"), restate=True)
    with psycopg.connect(january.uri) as old, pytest.raises(psycopg.Error):  # noqa: PT012
        old.execute("set transaction isolation level repeatable read")
        old.execute("select 1")
        january.load_month(MARCH, delivery("ann", "cid"))
        before = january.contents(ledger=True)
        old.execute("select staging.seal_month(%s, %s, true, '{}')", (JANUARY, other.run_id))
        old.commit()
    other.close()
    assert january.contents(ledger=True) == before


@pytest.mark.parametrize(
    "step",
    [
        "select staging.create_staging_table('{0}', 'users', '{1}')",
        (
            "select staging.create_build('{0}', 'users', '{1}', true); "
            "insert into staging.users_20240229_build (user_id, as_of, source_as_of) values ('zoe', '{0}', '{0}')"
        ),
        "select staging.drop_month('{0}', '{1}')",
        "update staging.files set file_sha256 = 'another', not_delivered = '{{add_on_support}}'",
    ],
)
def test_nothing_that_is_staged_or_built_is_exchanged_while_the_month_is_sealed(january, step):
    """seal_month has begun to publish and has users still to do; then it waits, here for the administrator."""
    january.run_id = "mine"
    january.build_month(FEBRUARY, delivery("ann", "cid"))
    other = january.another()
    with psycopg.connect(january.admin_uri) as holder:
        holder.execute("lock table public.users_snapshots in share mode")

        def exchange() -> None:
            try:
                other.run("set lock_timeout = '1s'")
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    other.run(step.format(FEBRUARY, "mine"))
            finally:
                holder.commit()

        assert while_it_waits(january, lambda: january.seal(FEBRUARY), exchange) is None
    other.close()
    assert january.query("select count(*) from deliveries where as_of = %s", FEBRUARY) == [(6,)]
    for table in TABLES:
        january.upsert(FEBRUARY, table)
    assert january.verify() == []


def test_a_forged_restatement_leaves_its_revision_and_verifies(january):
    """Whoever loads deliveries can load false ones; that shows in the ledger, where nothing is ever taken back."""
    january.load_month(JANUARY, delivery("ann", "zoe"), restate=True)
    assert january.query("select count(*), max(revision) from deliveries where table_name = 'users'") == [(2, 2)]
    assert january.verify() == []
