"""What each role may do, and what not: the DAG's user loads months and cannot harm what is sealed, the reader reads."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import embedded
import install_schema
from conftest import ROOT
from delivery import Refused, Run
from months import Database, render
from streamflow.refusal import TaskRefused
from streamflow.tables import TABLES
from test_month import FEBRUARY, JANUARY, MARCH, delivery

LIVE = list(TABLES)
SNAPSHOTS = [table.snapshots for table in TABLES.values()]
VIEWS = ["deliveries", "current_deliveries", "sealed_months"]
FUNCTIONS = [*(f"{table}_as_of('2024-02-15')" for table in TABLES), "user_history('ann')"]


def seal_january(database: Database) -> Database:
    install_schema.install(as_admin(database.uri))  # what roles may do in a database is not copied from its template
    database.load_month(JANUARY, delivery("ann", "bob"))
    return database


@pytest.fixture
def january(database):
    """A database in which January is sealed."""
    return seal_january(database)


@pytest.fixture(scope="module")
def sealed(server, schema):
    """Such a database for all tests that show that they change nothing in it."""
    database = Database(embedded.uri(server, "streamflow_roles", template=schema, user="streamflow_ingest"))
    yield seal_january(database)
    database.close()
    embedded.sql(server, "drop database streamflow_roles with (force);")


@pytest.fixture(scope="module")
def reader(sealed):
    """The same database as its reader sees it."""
    reader = Database(sealed.uri.replace("streamflow_ingest@", "streamflow_reader@"))
    yield reader
    reader.close()


def assert_is_denied(database, statement: str) -> None:
    with (
        psycopg.connect(database.uri, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def as_admin(uri: str) -> str:
    return uri.replace("streamflow_ingest@", "postgres@")


def test_everything_belongs_to_the_owner_who_cannot_log_in(sealed):
    owners = sealed.query(
        "select distinct pg_get_userbyid(relowner)::text from pg_class "
        "where relnamespace in ('public'::regnamespace, 'staging'::regnamespace) "
        "union select pg_get_userbyid(proowner)::text from pg_proc "
        "where pronamespace in ('public'::regnamespace, 'staging'::regnamespace) "
        "union select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = 'staging'"
    )
    assert owners == [("streamflow_owner",)]
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(sealed.uri.replace("streamflow_ingest@", "streamflow_owner@"))


def test_nobody_else_connects(server, sealed):
    embedded.sql(server, "create role stranger login;")
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(sealed.uri.replace("streamflow_ingest@", "stranger@"))
    finally:
        embedded.sql(server, "drop role stranger;")


@pytest.mark.parametrize("relation", [*LIVE, *SNAPSHOTS, *VIEWS, *FUNCTIONS])
def test_the_reader_reads(reader, relation):
    ((count,),) = reader.query(f"select count(*) from {relation}")
    assert count > 0


@pytest.mark.parametrize(
    "statement",
    [
        *(
            statement.format(table)
            for table in (*LIVE, *SNAPSHOTS, "deliveries")
            for statement in ("delete from {}", "truncate {} cascade", "insert into {} default values")
        ),
        "update labels set churn_label = false",
        "update labels_snapshots set churn_label = false",
        "update deliveries set revision = 2",
        "delete from labels_snapshots_20240131",
        "select from labels_snapshots_20240131",
        "drop table labels",
        "create table mine (a int)",
        "create temporary table mine (a int)",
        "create schema mine",
        "create function mine() returns int language sql as 'select 1'",
        "select from staging.files",
        "select from staging.runs",
        "select from staging.builds",
        "select staging.create_build('2024-02-29', 'labels', 'run', true)",
        "select staging.seal_month('2024-01-31', 'run', true, '{}')",
        "select staging.drop_month('2024-01-31', 'run')",
        "create table staging.mine (a int)",
        "set role streamflow_ingest",
        "set role streamflow_owner",
    ],
)
def test_the_reader_writes_nothing_and_does_not_see_staging(sealed, reader, statement):
    before = sealed.contents(ledger=True)
    assert_is_denied(reader, statement)
    assert sealed.contents(ledger=True) == before


@pytest.mark.parametrize(
    "statement",
    [
        # what is sealed, and what is live
        "drop table labels_snapshots_20240131",
        "drop table labels_snapshots",
        "drop table labels",
        "drop table users cascade",
        "truncate labels_snapshots_20240131",
        "truncate labels_snapshots",
        "truncate labels",
        "alter table labels_snapshots detach partition labels_snapshots_20240131",
        "alter table labels_snapshots_20240131 add column mine int",
        "alter table labels_snapshots_20240131 drop column churn_label",
        "alter table labels add column mine int",
        "alter table labels drop constraint labels_user_id_fkey",
        "alter table labels disable trigger all",
        "alter table labels owner to streamflow_ingest",
        "alter table labels rename to mine",
        "create index on labels (churn_label)",
        "create trigger mine before insert on labels execute function suppress_redundant_updates_trigger()",
        "create rule mine as on insert to labels do instead nothing",
        "create table staging.mine (user_id text references public.users)",
        "drop view sealed_months",
        "drop function users_as_of(date)",
        "update labels_snapshots set churn_label = false",
        "update labels_snapshots_20240131 set churn_label = false",
        "delete from labels_snapshots",
        "delete from labels_snapshots_20240131",
        "insert into labels_snapshots values ('zoe', true, '2024-01-31', '2024-01-31')",
        "insert into labels_snapshots_20240131 values ('zoe', true, '2024-01-31', '2024-01-31')",
        "merge into labels_snapshots as s using labels as l on s.user_id = l.user_id when matched then delete",
        "copy labels_snapshots from stdin",
        "create table public.labels_snapshots_20240229 (like labels_snapshots)",
        "create table staging.labels_snapshots_20240229 (like labels_snapshots)",
        "create table staging.labels_20240229 (user_id text, churn_label boolean)",
        "create view staging.labels_20240229 as select 'zoe' as user_id, true as churn_label",
        "create function staging.evil() returns int language sql as 'select 1'",
        "create table staging.labels_20240229_build (like labels_snapshots)",
        "create table staging.labels_20240229_changes (like labels_snapshots)",
        "create type staging.mine as (a int)",
        "begin; lock table staging.publish_lock in exclusive mode",
        "select from staging.publish_lock",
        # what is known of files and builds
        "delete from staging.runs",
        "delete from staging.files",
        "insert into staging.builds select * from staging.builds",
        "update staging.builds set base = 6",
        "delete from staging.builds",
        "truncate staging.builds",
        "merge into staging.builds using staging.files on true when matched then delete",
        "copy staging.builds from stdin",
        "select from staging.builds for update",
        "drop table staging.builds",
        "create trigger mine before insert on staging.builds execute function suppress_redundant_updates_trigger()",
        # functions that only the owner's functions call
        "select staging.relation_name('labels', '2024-01-31')",
        "select staging.count_labels('labels_snapshots_20240131', '2024-01-31', null, '{}')",
        "select staging.apply_changes_labels('2024-01-31', true)",
        "select staging.attach_build('2024-02-29', 'labels')",
        "select staging.add_revision('2024-01-31', 'labels', (2, 2, 0, 0, 1, true), 'run', false, '{}')",
        # the ledger
        "insert into deliveries select * from deliveries",
        "update deliveries set file_sha256 = 'another'",
        "delete from deliveries",
        "truncate deliveries",
        "drop table deliveries cascade",
        # other places
        "create table public.mine (a int)",
        "create view public.mine as select 1",
        "create function public.mine() returns int language sql as 'select 1'",
        "create or replace function public.users_as_of(day date) returns setof users_snapshots language sql as ''",
        "create schema mine",
        "create database mine",
        "create role mine",
        # the workshop's own
        "drop schema staging cascade",
        "drop table staging.files",
        "alter table staging.runs add column mine int",
        "create or replace function staging.assert_true(boolean, text, text) returns void language sql as ''",
        "alter function staging.create_build(date, text, text, boolean) security invoker",
        "alter function staging.seal_month(date, text, boolean, jsonb) set search_path = public",
        "drop function staging.count_labels(regclass, date, date, text[])",
        "comment on schema staging is 'another version'",
        # the machine
        "copy labels to program 'id'",
        "copy labels from program 'id'",
        "copy labels to '/tmp/streamflow-labels'",
        "copy labels from '/etc/passwd'",
        "select pg_read_file('/etc/passwd')",
        "select lo_import('/etc/passwd')",
        "alter system set log_statement = 'all'",
        # other roles
        "set role streamflow_owner",
        "set role postgres",
        "set session authorization streamflow_owner",
        "grant streamflow_owner to streamflow_ingest",
        "alter role streamflow_ingest superuser",
        "alter default privileges for role streamflow_owner grant all on tables to streamflow_ingest",
    ],
)
def test_ingest_cannot_harm_what_is_sealed_nor_escape(sealed, statement):
    before = sealed.contents(ledger=True)
    assert_is_denied(sealed, statement)
    assert sealed.contents(ledger=True) == before


def tables_of(database) -> list[tuple]:
    return database.query(
        "select oid::regclass::text, relowner::regrole::text, relacl::text from pg_class "
        "where relnamespace in ('public'::regnamespace, 'staging'::regnamespace) order by 1"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "select staging.create_staging_table('2024-02-29', {}, 'run')",
        "select staging.shape_staging_table('2024-01-31', {}, '{{user_id}}', '{{}}')",
        "select staging.cast_dates('2024-01-31', {})",
        "select staging.analyze_staged('2024-01-31', {})",
        "select staging.create_build('2024-01-31', {}, 'run', true)",
        "select staging.finish_build('2024-01-31', {}, 'run')",
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        "deliveries",
        "files",
        "labels_snapshots",
        "labels_snapshots_20240131",
        "users_20240131",
        "labels_20240131_build",
        "",
        'x"; drop table labels; --',
    ],
)
def test_the_owners_functions_take_only_staged_tables_of_the_six(sealed, statement, name):
    before, tables = sealed.contents(ledger=True), tables_of(sealed)
    with pytest.raises(psycopg.errors.RaiseException, match="is not a table of a delivery"):
        sealed.query(statement.format("%s::text"), name)
    assert sealed.contents(ledger=True) == before
    assert tables_of(sealed) == tables


def test_what_is_on_record_as_staged_drops_nothing_else(sealed):
    before, tables = sealed.contents(ledger=True), tables_of(sealed)
    for name in ("files", "runs", "builds", "publish_lock", "labels_snapshots", 'x"; drop table labels; --'):
        sealed.run(
            "insert into staging.runs values ('2024-01-31', 'mine');"
            f"insert into staging.files values ('2024-01-31', '{name}', 'f', 1, 's', '{{}}', 1);"
            "select staging.drop_month('2024-01-31', 'mine')"
        )
        assert tables_of(sealed) == tables
    assert sealed.contents(ledger=True) == before
    assert sealed.query("select from staging.files union all select from staging.runs") == []


PLANTED = """
    create temporary table pg_partitioned_table as select 'labels'::regclass::oid as partrelid;
    create function pg_temp.format(text, text) returns text language sql as $q$ select 'labels' $q$;
    create function pg_temp.hashtextextended(text, bigint) returns bigint language sql as 'select 1';
    create function pg_temp.count(text) returns bigint language sql as 'select 1';
    create function pg_temp.assert_true(boolean, text, text) returns void language sql as '';
    create function pg_temp.relation_name(text, date, text) returns text language sql as $q$ select 'labels' $q$;
    create function pg_temp.snapshots_of(text) returns text language sql as $q$ select 'labels' $q$;
    create type pg_temp.counts as (delivered bigint, is_state boolean);
    create temporary table publish_lock ();
    create temporary table deliveries (as_of date);
    create temporary table current_deliveries (as_of date);
    create temporary table files (like staging.files);
    create temporary table runs (like staging.runs);
    create temporary table builds (like staging.builds);
    create temporary table labels_snapshots (like public.labels_snapshots);
    create temporary table labels_20240229 as select 'zoe' as user_id, true as churn_label;
    create temporary table labels_20240229_build as select 'zoe' as user_id, true as churn_label;
    create temporary view labels_20240229_changes as select 'zoe' as user_id, true as churn_label;
    create temporary table plan as select 1 as one;
    create temporary table delivered as select 1 as one;
    create temporary table previous as select 1 as one;
    create temporary table state as select 1 as one;
    set search_path = pg_temp, public
"""


def test_the_owners_functions_are_not_misled_by_the_callers_own_objects(january):
    """Names in the functions that act as the owner mean what they mean to the owner."""
    january.run(PLANTED)
    january.load_month(FEBRUARY, delivery("ann", "cid"))
    january.load_month(JANUARY, delivery("ann", "bob", churn_label="False"), restate=True)
    january.close()
    assert january.query("select as_of::text, user_id, churn_label from public.labels_snapshots order by 1, 2") == [
        (JANUARY, "ann", False),
        (JANUARY, "bob", False),
        (FEBRUARY, "ann", True),
        (FEBRUARY, "bob", False),
        (FEBRUARY, "cid", True),
    ]
    assert january.verify() == []


@pytest.mark.parametrize("kind", ["table", "view"])
def test_what_the_caller_plants_does_not_reach_live(january, kind):
    february = january.steps(FEBRUARY, delivery("ann", "cid"))
    while next(february) != "upsert users":
        pass
    columns = "'zoe' as user_id, true as churn_label, 'inserted' as what, 1 as row_count, date '2024-01-31' as as_of"
    for name in ("changed", "newest", "ledger", "labels", "labels_snapshots", "deliveries"):
        january.run(f"create temporary {kind} {name} as select {columns}")
    assert january.upsert(FEBRUARY, "labels")["inserted"] == 1
    january.close()
    assert january.query("select user_id from labels order by 1") == [("ann",), ("bob",), ("cid",)]
    january.load_month(FEBRUARY, delivery("ann", "cid"))
    assert january.verify() == []


def test_a_forged_record_of_staging_does_not_seal(january):
    """What is on record as staged is not enough: the builds, and what is known of them, are the owner's to make."""
    before = january.contents(ledger=True)
    for table in TABLES:
        january.run(
            "insert into staging.files (as_of, table_name, file_name, file_bytes, file_sha256, not_delivered, "
            f"delivered, is_validated) values ('{FEBRUARY}', '{table}', 'f', 1, 's', '{{}}', 0, true)"
        )
    january.run(f"insert into staging.runs values ('{FEBRUARY}', 'forger')")
    with pytest.raises(psycopg.errors.RaiseException, match="only 0 of 6 tables of 2024-02-29 are staged"):
        january.run(f"select staging.seal_month('{FEBRUARY}', 'forger', true, '{{}}')")
    assert january.contents(ledger=True) == before


# forging a build, between create_build and finish_build and after it


def begin(database: Database, as_of: str, restate: bool = False) -> Database:
    """Begin the build of labels again: it is empty, and nothing is in the list of changes."""
    database.query("select staging.create_build(%s, 'labels', %s, %s)", as_of, database.run_id, restate)
    return database


def finish(database: Database, as_of: str) -> None:
    database.query("select from staging.finish_build(%s, 'labels', %s)", as_of, database.run_id)


def insert(database: Database, relation: str, *rows: str) -> None:
    if rows:
        database.run(f"insert into staging.{relation} values {', '.join(rows)}")


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
ANN, BOB, CID = (
    f"('{user}', true, '2024-02-29', '{source}')"
    for user, source in (("ann", FEBRUARY), ("bob", JANUARY), ("cid", FEBRUARY))
)


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


def while_it_waits(database: Database, call: Callable[[], object], meanwhile: Callable[[], object]) -> Exception | None:
    """Start ``call``, and when it waits for a lock do what lets it go on; return what it raised."""
    with ThreadPoolExecutor(1) as thread:
        called = thread.submit(call)
        try:
            deadline = time.monotonic() + 30
            while not database.query_as_admin("select from pg_locks where not granted"):
                assert not called.done(), called.exception() or "it does not wait"
                assert time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            meanwhile()
        return called.exception(30)


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


def test_the_reader_cannot_hold_up_a_month(january):
    reader = january.uri.replace("streamflow_ingest@", "streamflow_reader@")
    with psycopg.connect(reader) as idle:
        for key in ("hashtext('streamflow')", *(f"hashtext('staging.{table}_20240229')" for table in TABLES)):
            idle.execute(f"select pg_advisory_lock({key})")
        for relation in (*LIVE, *SNAPSHOTS, *VIEWS):
            idle.execute(f"select count(*) from {relation}")  # and its transaction stays open
        january.run("set lock_timeout = '2s'")
        january.load_month(FEBRUARY, delivery("ann", "cid"))
        january.load_month(JANUARY, delivery("ann"), restate=True)
        install_schema.install(as_admin(january.uri))
        for mode in ("access share", "row share", "exclusive"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(reader) as other:
                other.execute(f"lock table staging.publish_lock in {mode} mode")
    assert january.verify() == []


def test_a_first_month_does_not_wait_for_a_reader(server, schema, database):
    install_schema.install(as_admin(database.uri))
    with psycopg.connect(database.uri.replace("streamflow_ingest@", "streamflow_reader@")) as idle:
        for relation in (*LIVE, *SNAPSHOTS, *VIEWS):
            idle.execute(f"select count(*) from {relation}")
        database.run("set lock_timeout = '2s'")
        database.load_month(JANUARY, delivery("ann", "bob"))
    assert database.verify() == []


# the step prepare


def run_of(database, tmp_path) -> Run:
    return Run(database, FEBRUARY, tmp_path / "month_001")


def test_prepare_leaves_a_schema_of_this_version_alone(january, tmp_path):
    before = tables_of(january)
    run_of(january, tmp_path).execute("prepare")
    assert tables_of(january) == before
    assert january.query("select run_id from staging.runs where as_of = %s", FEBRUARY) == [(january.run_id,)]


def test_prepare_says_what_to_do_with_a_schema_of_another_version(january, tmp_path):
    january.run_as_admin("comment on schema staging is 'another version'")
    before = january.contents(ledger=True)
    with pytest.raises(Refused) as refused:
        run_of(january, tmp_path).execute("prepare")
    assert isinstance(refused.value.error, TaskRefused)  # which is not tried again
    what, why, to_do = refused.value.message.splitlines()
    assert what == "the database streamflow_test does not have the schema that this version of the package needs."
    assert why.startswith("The user streamflow_ingest has no right to change it (")
    assert to_do.startswith("What to do: install it as its owner (make schema; see docs/deployment.md)")
    assert january.contents(ledger=True) == before


# tools/install_schema.py


def test_installing_makes_the_owner_of_nothing_that_is_not_the_packages(january):
    """A function that acts as its owner, and a table that refers to users, both somebody else's."""
    january.run_as_admin(
        "comment on schema staging is 'of an earlier version';"
        "create function public.evil_as_of() returns name security definer language sql as 'select current_user';"
        "create function public.users_as_of() returns name security definer language sql as 'select current_user';"
        "create table public.theirs (user_id text constraint theirs references public.users on delete set null)"
    )
    install_schema.install(as_admin(january.uri))
    owners = january.query(
        "select proname::text, proowner::regrole::text from pg_proc where pronargs = 0 and prosecdef and "
        "proname like '%as\\_of' order by 1"
    )
    assert owners == [("evil_as_of", "postgres"), ("users_as_of", "postgres")]
    assert january.query("select confdeltype::text from pg_constraint where conname = 'theirs'") == [("n",)]
    january.run_as_admin("drop function evil_as_of(), users_as_of(); drop table theirs")


def run_install(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "install_schema.py", *args], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("args", [(), ("streamflow",), ("postgresql://host/one", "postgresql://host/two"), ("--help",)])
def test_installing_without_a_database_prints_the_usage(args):
    done = run_install(*args)
    assert done.returncode == 2
    assert done.stderr == "usage: make schema DATABASE=postgresql://admin:password@host:5432/streamflow\n"
    assert done.stdout == ""


def test_installing_where_no_server_is_says_so(tmp_path):
    done = run_install(f"postgresql://postgres@/streamflow?host={tmp_path}")
    assert done.returncode == 1
    assert done.stderr.startswith("Nothing was installed: ")
    assert str(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_installing_as_somebody_who_may_not_changes_nothing(january):
    before = tables_of(january)
    done = run_install(january.uri)
    assert done.returncode == 1
    assert done.stderr.startswith("Nothing was installed: permission denied")
    assert tables_of(january) == before


def test_installing_again_changes_nothing(january):
    before, tables = january.contents(ledger=True), tables_of(january)
    for _ in range(2):
        done = run_install(as_admin(january.uri))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Installed. Give streamflow_ingest and streamflow_reader passwords")
    assert january.contents(ledger=True) == before
    assert tables_of(january) == tables


# what the version before roles and warnings did not have
MAKE_OLDER = """
    set role streamflow_owner;
    drop view sealed_months, current_deliveries;
    drop table schema_migrations;
    alter table deliveries
    drop column warnings, drop column profile, drop column columns, drop column checksum_version,
    drop column package_version;
    alter table staging.files drop column warnings, drop column profile;
    create view current_deliveries as
    select distinct on (as_of, table_name) * from deliveries order by as_of, table_name, revision desc;
    comment on schema staging is null;
    reset role;
"""


def test_installing_brings_an_older_schema_up_to_date(january):
    live_and_snapshots = january.contents()
    figures = "select as_of, table_name, revision, file_sha256, snapshot_checksum, run_id, sealed_at from deliveries"
    ledger = january.query(f"{figures} order by 1, 2")
    january.run_as_admin(MAKE_OLDER)
    install_schema.install(as_admin(january.uri))
    assert january.contents() == live_and_snapshots
    assert january.query(f"{figures} order by 1, 2") == ledger
    assert january.query("select distinct warnings, profile from current_deliveries") == [([], {})]
    assert january.query("select users from sealed_months") == [(2,)]
    january.load_month(FEBRUARY, delivery("ann", "cid"))
    assert january.query("select users from sealed_months order by as_of") == [(2,), (3,)]


def test_installing_drops_what_the_pipelines_user_made_while_it_might(january):
    january.run_as_admin(
        "grant create on schema staging to streamflow_ingest; comment on schema staging is 'of an earlier version'"
    )
    january.run(
        "create function staging.evil() returns boolean language sql as 'select true'; "
        "create view staging.labels_20240229 as select 'zoe' as user_id, staging.evil() as churn_label; "
        "create table staging.users_20240229 (like public.users);"
        # names that the owner's functions would use
        "create materialized view staging.labels_20240229_build as select staging.evil() as churn_label;"
        "create sequence staging.labels_20240229_changes;"
        "create table staging.users_20240229_build (a int generated always as identity) partition by list (a);"
        "create type staging.users_20240229_changes as enum ('a');"
        "create domain staging.payments_agg_90d_20240229 as int;"
        "create type staging.payments_agg_90d_20240229_build as (a int);"
        "create type staging.payments_agg_90d_20240229_changes as range (subtype = int);"
        # more than a cursor fetches at a time, each of which goes with the one before
        "create view staging.z0 as select staging.evil() as a;"
        + "".join(f"create view staging.z{i} as select * from staging.z{i - 1};" for i in range(1, 80))
    )
    january.run_as_admin("drop table staging.publish_lock")
    january.run("create table staging.publish_lock (); grant all on staging.publish_lock to streamflow_owner")
    before = january.contents(ledger=True)
    install_schema.install(as_admin(january.uri))
    assert january.contents(ledger=True) == before
    assert january.query(
        "select relname::text from pg_class where relnamespace = 'staging'::regnamespace and relkind <> 'i' "
        "union select typname::text from pg_type where typnamespace = 'staging'::regnamespace and typtype <> 'b' "
        "order by 1"
    ) == [("builds",), ("counts",), ("files",), ("publish_lock",), ("runs",)]
    assert (
        january.query(
            "select relname::text from pg_class where relnamespace = 'staging'::regnamespace "
            "and relowner <> 'streamflow_owner'::regrole union all select proname::text from pg_proc "
            "where pronamespace = 'staging'::regnamespace and proowner <> 'streamflow_owner'::regrole"
        )
        == []
    )
    assert_is_denied(january, "create table staging.mine (a int)")
    january.load_month(FEBRUARY, delivery("ann", "cid"))


def test_installing_takes_over_what_another_user_made(january, tmp_path):
    """Before there were roles, whoever ran the DAG owned everything, what a run that had failed left included."""
    for step in january.steps(FEBRUARY, delivery("ann", "cid")):
        if step == "stage labels":
            break
    before = january.contents()
    january.run_as_admin(
        f"{MAKE_OLDER} revoke all on all tables in schema public from streamflow_ingest; "
        "reassign owned by streamflow_owner to postgres; "
        "reassign owned by streamflow_ingest to postgres; create table public.somebody_elses (a int)"
    )
    done = run_install(as_admin(january.uri))
    assert done.returncode == 0, done.stderr
    assert january.contents() == before
    owners = "select tableowner::text, count(*)::int from pg_tables where schemaname = 'public' group by 1 order by 1"
    assert january.query(owners) == [("postgres", 1), ("streamflow_owner", 6 + 6 + 6 + 2)]
    assert_is_denied(january, "drop table labels_snapshots_20240131")
    run_of(january, tmp_path).execute("prepare")
    january.load_month(JANUARY, delivery("ann", "bob"))
    assert january.contents() == before
    january.load_month(FEBRUARY, delivery("ann", "cid"))


def test_an_administrator_who_is_no_superuser_can_install_over_an_unfinished_run(server, schema, tmp_path, monkeypatch):
    """As on a managed server: may create roles, owns the database, and has run the DAG before there were roles."""
    roles = ("streamflow_owner", "streamflow_ingest", "streamflow_reader")
    embedded.sql(server, "create role manager login createrole; create database streamflow_managed owner manager;")
    try:
        for role in roles:  # what PostgreSQL grants to the one who creates a role
            embedded.sql(server, f"grant {role} to manager with admin true, inherit false, set false;")
        manager = Database(embedded.uri(server, "streamflow_managed", user="manager"))
        manager.run(install_schema.render("schema.sql"))
        manager.load_month(JANUARY, delivery("ann", "bob"))
        for step in manager.steps(FEBRUARY, delivery("ann", "cid")):
            if step == "stage labels":
                break
        before = manager.contents()
        manager.run("comment on schema staging is 'before the roles'")
        manager.close()
        for _ in range(2):
            done = run_install(manager.uri)
            assert done.returncode == 0, done.stderr
        ingest = Database(embedded.uri(server, "streamflow_managed", user="streamflow_ingest"))
        assert ingest.contents() == before
        assert ingest.query(
            "select tableowner::text, count(*)::int from pg_tables where schemaname = 'staging' group by 1 order by 1"
        ) == [("streamflow_owner", 4)]  # what was staged is dropped: the month is run again
        # to load is the DAG's: the administrator is the owner, and no more
        for privilege in ("set", "usage"):
            assert ingest.query("select pg_has_role('manager', 'streamflow_ingest', %s)", privilege) == [(False,)]
        monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", ingest.uri)
        run_of(ingest, tmp_path).execute("prepare")
        ingest.load_month(FEBRUARY, delivery("ann", "cid"))
        ingest.close()
    finally:
        embedded.sql(server, "drop database if exists streamflow_managed with (force);")
        embedded.sql(server, f"revoke {', '.join(roles)} from manager cascade; drop role manager;")
