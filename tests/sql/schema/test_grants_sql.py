"""What each role may do, and what not: the DAG's user loads months and cannot harm what is sealed, the reader reads."""

from __future__ import annotations

import psycopg
import pytest

import embedded
import install_schema
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, delivery
from support.database import Database
from support.sealing import as_admin, assert_is_denied, seal_january, tables_of

LIVE = list(TABLES)
SNAPSHOTS = [table.snapshots for table in TABLES.values()]
VIEWS = ["deliveries", "current_deliveries", "sealed_months"]
ARCHIVE = ["archives", "current_archives", "archived_snapshots"]
LOGS = ["validations", "questions"]
FUNCTIONS = [
    *(f"{table}_as_of('2024-02-15')" for table in TABLES),
    "user_history('ann')",
    "training_set('2024-01-31', 0)",
    "training_set_counts('2024-01-31', 0)",
]


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


def test_what_is_archived_may_be_read_and_not_written(sealed, reader):
    for relation in ARCHIVE:
        assert reader.query(f"select count(*) from {relation}") == [(0,)]
    for statement in ("delete from archives", "insert into archives (as_of) values ('2024-01-31')"):
        assert_is_denied(sealed, statement)


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


@pytest.mark.parametrize("relation", LOGS)
def test_the_reader_reads_the_logs(reader, relation):
    assert reader.query(f"select * from {relation}") == []


@pytest.mark.parametrize(
    "statement",
    [
        *(
            statement.format(table)
            for table in (*LIVE, *SNAPSHOTS, *LOGS, "deliveries")
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
        # what was logged, and when
        *(
            statement.format(log)
            for log in LOGS
            for statement in ("update {} set run_id = 'mine'", "delete from {}", "truncate {}")
        ),
        "insert into questions (asked_at) values ('2024-01-01')",
        "update deliveries set approved_by = 'ben'",
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
        "select staging.add_revision('2024-01-31', 'labels', (2, 2, 0, 0, 1, true), 'run', false, '{}', '{}')",
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
        "drop function staging.count_labels(regclass, date, date, text[], text)",
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
