"""A forged build: one whose rows are not those of the file and of the month before is not finished, and not sealed."""

from __future__ import annotations

import psycopg
import pytest

import embedded
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, delivery
from support.database import Database, render
from support.sealing import (
    ANN,
    BOB,
    CID,
    assert_is_denied,
    begin,
    finish,
    insert,
    seal_january,
    tables_of,
    while_it_waits,
)


@pytest.fixture(scope="module")
def built(server, schema):
    """A database in which January is sealed and February built, for all tests that seal nothing in it."""
    database = Database(embedded.uri(server, "streamflow_built", template=schema, user="streamflow_ingest"))
    seal_january(database).build_month(FEBRUARY, delivery("ann", "cid"))
    yield database
    database.close()
    embedded.sql(server, "drop database streamflow_built with (force);")


@pytest.fixture
def february(built):
    """The same database, in which the build of labels is empty."""
    return begin(built, FEBRUARY)


@pytest.fixture
def finished(built):
    """The same database, in which the build of labels is as it should be."""
    built.build(FEBRUARY, "labels")
    return built


BUILD = "labels_20240229_build"


def test_a_build_that_is_filled_as_it_should_be_is_sealed(january):
    """What the tests below leave out, add or change makes them fail, and nothing else does."""
    january.build_month(FEBRUARY, delivery("ann", "cid"))
    begin(january, FEBRUARY)
    insert(january, BUILD, ANN, BOB, CID)
    finish(january, FEBRUARY)
    january.seal(FEBRUARY)
    rows = "select snapshot_rows from deliveries where as_of = %s and table_name = 'labels'"
    assert january.query(rows, FEBRUARY) == [(3,)]


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (ANN, CID),
        (ANN, CID, BOB.replace("true", "false")),
        (ANN, CID, BOB.replace("true", "null")),
        (ANN, CID, BOB.replace(JANUARY, FEBRUARY)),
        (ANN, CID, BOB.replace(JANUARY, "2023-12-31")),
        (ANN, CID, BOB, BOB.replace("bob", "zoe")),
        (ANN, CID, BOB.replace("bob", "zoe")),
        (ANN, CID, BOB, CID.replace("cid", "zoe")),
        (ANN.replace(FEBRUARY + "')", JANUARY + "')"), CID, BOB),
        (ANN, CID, BOB, BOB),
        (ANN, CID, BOB, BOB.replace("true", "false")),
        (ANN, CID, BOB, "('ann', true, '2024-01-31', '2024-01-31')"),
        (ANN, CID, BOB, "('dot', true, '2024-01-31', '2024-01-31')"),
    ],
)
def test_a_build_with_forged_rows_is_not_finished(february, rows):
    before = february.contents(ledger=True)
    insert(february, BUILD, *rows)
    with pytest.raises(
        psycopg.Error, match=r"does not have the rows that|could not create unique index|violated by some"
    ):
        finish(february, FEBRUARY)
    with pytest.raises(
        psycopg.errors.RaiseException, match="only 5 of 6 tables of 2024-02-29 are staged, validated, and"
    ):
        february.seal(FEBRUARY)
    assert february.contents(ledger=True) == before


def test_a_column_that_the_file_leaves_out_is_not_forged(database):
    database.load_month(JANUARY, delivery("ann", without=(), add_on_backup="True"))
    before = database.contents(ledger=True)
    database.stage_month(FEBRUARY, delivery("ann"))
    text = render("tasks/snapshot.sql", FEBRUARY, TABLES["subscriptions"], run_id=database.run_id)
    assert "then kept.add_on_backup else" in text
    with pytest.raises(psycopg.errors.RaiseException, match=r"does not have the rows that"):
        database.run(text.replace("then kept.add_on_backup else", "then not kept.add_on_backup else"))
    assert database.contents(ledger=True) == before


@pytest.mark.parametrize("relation", [BUILD, "labels_20240229_changes", "users_20240229_build"])
@pytest.mark.parametrize(
    "statement",
    [
        "insert into staging.{} default values",
        "update staging.{} set user_id = 'zoe'",
        "delete from staging.{}",
        "truncate staging.{}",
        "copy staging.{} from stdin",
        "merge into staging.{} using labels on true when matched then delete",
        "drop table staging.{}",
        "alter table staging.{} drop column user_id",
        "alter table staging.{} owner to streamflow_ingest",
        "create trigger mine before insert on staging.{} execute function suppress_redundant_updates_trigger()",
        "alter table staging.{} set schema public",
        "begin; lock table staging.{} in row share mode",
    ],
)
def test_what_is_finished_is_out_of_its_makers_hands(finished, statement, relation):
    before = finished.query(f"select * from staging.{relation}")
    assert_is_denied(finished, statement.format(relation))
    assert finished.query(f"select * from staging.{relation}") == before


@pytest.mark.parametrize(
    "statement", ["update staging.{} set user_id = 'zoe'", "delete from staging.{}", "truncate staging.{}"]
)
def test_while_it_is_filled_rows_are_only_added(february, statement):
    insert(february, BUILD, ANN, BOB, CID)
    for relation in (BUILD, "labels_20240229_changes"):
        assert_is_denied(february, statement.format(relation))


def test_a_row_that_is_added_while_the_build_is_finished_is_counted(february):
    before = february.contents(ledger=True)
    insert(february, BUILD, ANN, BOB, CID)
    with psycopg.connect(february.uri) as other:
        other.execute(f"insert into staging.{BUILD} values {BOB.replace('bob', 'zoe')}")
        error = while_it_waits(february, lambda: finish(february, FEBRUARY), other.commit)
    assert "does not have the rows that" in str(error)
    assert february.contents(ledger=True) == before


def test_a_row_that_waits_for_the_build_to_be_finished_is_not_added(february):
    insert(february, BUILD, ANN, BOB, CID)
    other = february.another()
    with psycopg.connect(february.uri) as connection:
        connection.execute("select from staging.finish_build(%s, 'labels', %s)", (FEBRUARY, february.run_id))
        zoe = BOB.replace("bob", "zoe")
        error = while_it_waits(february, lambda: insert(other, BUILD, zoe), connection.commit)
    other.close()
    assert isinstance(error, psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_build_is_not_counted_as_it_was_before_the_last_rows_came(february, level):
    before = february.contents(ledger=True)
    insert(february, BUILD, ANN, BOB, CID)
    with psycopg.connect(february.uri) as old, pytest.raises(psycopg.Error):  # noqa: PT012
        old.execute(f"set transaction isolation level {level}")
        old.execute("select 1")
        insert(february, BUILD, BOB.replace("bob", "zoe"))
        old.execute("select from staging.finish_build(%s, 'labels', %s)", (FEBRUARY, february.run_id))
        old.commit()
        february.seal(FEBRUARY)
    assert february.contents(ledger=True) == before


@pytest.mark.parametrize("month", ["2024-01-31 BC", "infinity", "-infinity", "2024-02-28", "12024-02-29"])
def test_a_build_is_of_a_months_end(finished, month):
    """Tables of January 2024 BC would have the names of those of January 2024."""
    tables = tables_of(finished)
    finished.run(
        f"insert into staging.runs values ('{month}', 'mine');"
        f"insert into staging.files values ('{month}', 'labels', 'f', 0, 's', '{{}}', 0, true)"
    )
    with pytest.raises(psycopg.errors.RaiseException, match="is not the last day of a month"):
        finished.query(f"select staging.create_build('{month}', 'labels', 'mine', true)")
    finished.run_as_admin(
        "delete from staging.runs where run_id = 'mine'; delete from staging.files where file_bytes = 0"
    )
    assert tables_of(finished) == tables


@pytest.mark.parametrize(
    "change",
    [
        "not_delivered = '{add_on_support}'",
        "not_delivered = '{}'",
        "file_sha256 = 'another'",
        "is_validated = false",
        "table_name = 'another'",
        "as_of = '2024-03-31'",
    ],
)
def test_what_is_on_record_of_the_file_is_what_the_build_was_made_of(finished, change):
    before = finished.contents(ledger=True)
    with (  # noqa: PT012
        pytest.raises(
            psycopg.errors.RaiseException, match=r"are staged, validated, and built|is not what its snapshots"
        ),
        finished.transaction() as cursor,
    ):
        cursor.execute(f"update staging.files set {change} where table_name = 'subscriptions'")
        cursor.execute(f"select staging.seal_month('{FEBRUARY}', %s, true, '{{}}')", [finished.run_id])
    assert finished.contents(ledger=True) == before
