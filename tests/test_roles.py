"""What each role may do, and what not: the DAG's user loads months and cannot harm what is sealed, the reader reads."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

import embedded
import install_schema
from conftest import ROOT
from delivery import Refused, Run
from months import Database
from streamflow.tables import TABLES
from test_month import FEBRUARY, JANUARY, delivery

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
        "select staging.create_partition('labels_snapshots', '2024-02-29')",
        "select staging.release('2024-01-31', 'run')",
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
        # the ledger
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
        "create or replace function staging.require(condition boolean, message text) returns void language sql as ''",
        "alter function staging.create_partition(text, date) security invoker",
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


@pytest.mark.parametrize("function", ["create_partition", "attach_partition"])
@pytest.mark.parametrize(
    "name",
    [
        "labels",
        "deliveries",
        "current_deliveries",
        "labels_snapshots_20240131",
        "nothing",
        'x"; drop table labels; --',
        "",
    ],
)
def test_partitions_are_those_of_the_six_tables(sealed, function, name):
    """The two functions act as the owner: they take no other table."""
    before, tables = sealed.contents(ledger=True), tables_of(sealed)
    with pytest.raises((psycopg.errors.RaiseException, psycopg.errors.UndefinedTable)):
        sealed.query(f"select staging.{function}(%s, %s::date)", name, FEBRUARY)
    assert sealed.contents(ledger=True) == before
    assert tables_of(sealed) == tables


def tables_of(database) -> list[tuple]:
    return database.query(
        "select oid::regclass::text, relowner::regrole::text, relacl::text from pg_class "
        "where relnamespace = 'public'::regnamespace order by 1"
    )


def test_a_sealed_partition_is_neither_made_nor_attached_again(sealed):
    before, tables = sealed.contents(ledger=True), tables_of(sealed)
    for function in ("create_partition", "attach_partition"):
        sealed.query(f"select staging.{function}('labels_snapshots', %s::date)", JANUARY)
    assert sealed.contents(ledger=True) == before
    assert tables_of(sealed) == tables


@pytest.mark.parametrize("function", ["lift_keys", "set_keys"])
@pytest.mark.parametrize(
    "name",
    ["users", "deliveries", "labels_snapshots", "labels_snapshots_20240131", "nothing", 'x"; drop table labels; --'],
)
def test_keys_are_those_of_the_live_tables_that_refer_to_users(sealed, function, name):
    before, keys = sealed.contents(ledger=True), keys_of(sealed)
    with pytest.raises(psycopg.errors.RaiseException, match="is no live table that refers to users"):
        sealed.query(f"select staging.{function}(%s)", name)
    assert sealed.contents(ledger=True) == before
    assert keys_of(sealed) == keys


def test_a_live_table_with_rows_keeps_its_keys(sealed):
    keys = keys_of(sealed)
    for name in TABLES:
        if name != "users":
            for function in ("lift_keys", "set_keys"):
                sealed.query(f"select staging.{function}(%s)", name)
            assert keys_of(sealed) == keys


def keys_of(database) -> list[tuple]:
    return database.query(
        "select conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) from pg_constraint order by 1, 2"
    )


def test_a_functions_owner_is_not_misled_by_the_callers_own_tables(january):
    """Names in the functions that act as the owner mean what they mean to the owner."""
    january.run(
        "create temporary table pg_partitioned_table as select 'labels'::regclass::oid as partrelid; "
        "create function pg_temp.format(text, text) returns text language sql as 'select ''labels'''; "
        "set search_path = pg_temp, public"
    )
    with pytest.raises(psycopg.errors.RaiseException, match="labels is no table of snapshots"):
        january.run("select staging.create_partition('labels', '2024-02-29')")


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
    assert isinstance(refused.value.error, psycopg.errors.InsufficientPrivilege)  # which is not tried again
    assert refused.value.message.splitlines()[0].startswith(
        "the database streamflow_test has not the schema that this version of the package needs, and "
        "streamflow_ingest may not change it ("
    )
    assert "Install it as its owner: make schema (README, Deployment)" in refused.value.message
    assert january.contents(ledger=True) == before


# tools/install_schema.py


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
    alter table deliveries drop column warnings, drop column profile;
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
    assert january.query(owners) == [("postgres", 1), ("streamflow_owner", 6 + 6 + 6 + 1)]
    assert_is_denied(january, "drop table labels_snapshots_20240131")
    run_of(january, tmp_path).execute("prepare")
    january.load_month(JANUARY, delivery("ann", "bob"))
    assert january.contents() == before
    january.load_month(FEBRUARY, delivery("ann", "cid"))
