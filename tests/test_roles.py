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
from streamflow.refusal import TaskRefused
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
        "select staging.create_partition('labels_snapshots', '2024-02-29')",
        "select staging.attach_partition('labels_snapshots', '2024-02-29')",
        "begin; lock table staging.publish_lock in exclusive mode",
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
        "create or replace function staging.require(condition boolean, message text) returns void language sql as ''",
        "alter function staging.create_partition(text, date) security invoker",
        "alter function staging.seal_month(date, text, boolean) set search_path = public",
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
        "select staging.mirror_header({}, 'labels_20240131', '{{user_id}}', '{{}}')",
        "select staging.mirror_header('labels', {}, '{{user_id}}', '{{}}')",
        "select staging.read_dates({}, 'labels_20240131')",
        "select staging.read_dates('labels', {})",
        "select staging.analyze_staged('labels', {})",
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
        "",
        'x"; drop table labels; --',
    ],
)
def test_the_owners_functions_take_only_staged_tables_of_the_six(sealed, statement, name):
    before, tables = sealed.contents(ledger=True), tables_of(sealed)
    with pytest.raises(psycopg.errors.RaiseException, match=r"is no (staged )?table of"):
        sealed.query(statement.format("%s::text"), name)
    assert sealed.contents(ledger=True) == before
    assert tables_of(sealed) == tables


def test_what_is_on_record_as_staged_drops_nothing_else(sealed):
    before, tables = sealed.contents(ledger=True), tables_of(sealed)
    record = "insert into staging.files values ('2024-01-31', '{}', 'f', 1, 's', '{{}}', 1)"
    for name in ("files", "runs", "publish_lock", "labels_snapshots", 'x"; drop table labels; --'):
        with pytest.raises(psycopg.errors.RaiseException, match="is no table of a delivery"):
            sealed.run(
                "insert into staging.runs values ('2024-01-31', 'mine') on conflict do nothing;"
                f"{record.format(name)}; select staging.release('2024-01-31', 'mine')"
            )
    assert sealed.contents(ledger=True) == before
    assert tables_of(sealed) == tables


PLANTED = """
    create temporary table pg_partitioned_table as select 'labels'::regclass::oid as partrelid;
    create function pg_temp.format(text, text) returns text language sql as $q$ select 'labels' $q$;
    create function pg_temp.hashtextextended(text, bigint) returns bigint language sql as 'select 1';
    create temporary table deliveries (as_of date);
    create temporary table files (like staging.files);
    set search_path = pg_temp, public
"""


def test_the_owners_functions_are_not_misled_by_the_callers_own_objects(january):
    """Names in the functions that act as the owner mean what they mean to the owner."""
    january.run(PLANTED)
    january.load_month(FEBRUARY, delivery("ann", "cid"))
    january.close()
    assert january.query("select count(*) from public.labels_snapshots") == [(2 + 3,)]
    assert january.verify() == []


@pytest.mark.parametrize("name", ["month_plan", "users_replay", "labels_content", "labels_touched", "stale_live"])
@pytest.mark.parametrize("kind", ["table", "view"])
def test_what_the_caller_plants_is_not_sealed(january, name, kind):
    before = january.contents(ledger=True)
    february = january.steps(FEBRUARY, delivery("ann", "cid"))
    while next(february) != "upsert labels":
        pass
    january.run(f"create temporary {kind} {name} as select 1 as one")
    with pytest.raises(psycopg.errors.DuplicateTable):
        next(february)
    january.close()
    after = january.contents(ledger=True)
    assert {one: after[one] for one in after if one not in TABLES} == {
        one: before[one] for one in before if one not in TABLES
    }


def test_a_forged_record_of_staging_does_not_seal(january):
    """What is on record as staged is not enough: the staged tables themselves are the owner's to make."""
    before = january.contents(ledger=True)
    for table in TABLES:
        january.run(
            "insert into staging.files (as_of, table_name, file_name, file_bytes, file_sha256, not_delivered, "
            f"delivered, is_validated) values ('{FEBRUARY}', '{table}', 'f', 1, 's', '{{}}', 0, true)"
        )
    january.run(f"insert into staging.runs values ('{FEBRUARY}', 'forger')")
    with pytest.raises(psycopg.errors.RaiseException, match="only 0 of 6 tables of 2024-02-29 are staged"):
        january.run(f"select staging.seal_month('{FEBRUARY}', 'forger', true)")
    assert january.contents(ledger=True) == before


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
    assert why.startswith("streamflow_ingest may not change it (")
    assert to_do.startswith("What to do: install it as its owner (make schema; see README, Deployment)")
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


def test_installing_drops_what_the_pipelines_user_made_while_it_might(january):
    january.run_as_admin(
        "grant create on schema staging to streamflow_ingest; comment on schema staging is 'of an earlier version'"
    )
    january.run(
        "create function staging.evil() returns boolean language sql as 'select true'; "
        "create view staging.labels_20240229 as select 'zoe' as user_id, staging.evil() as churn_label; "
        "create table staging.users_20240229 (like public.users)"
    )
    before = january.contents(ledger=True)
    install_schema.install(as_admin(january.uri))
    assert january.contents(ledger=True) == before
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
    assert january.query(owners) == [("postgres", 1), ("streamflow_owner", 6 + 6 + 6 + 1)]
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
