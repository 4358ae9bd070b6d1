"""Installing roles and schema: on a new database, again, over an older version, and by whom."""

from __future__ import annotations

import subprocess
import sys

import pytest

import embedded
import install_schema
from support.builders import FEBRUARY, JANUARY, delivery
from support.database import Database
from support.paths import ROOT
from support.sealing import as_admin, assert_is_denied, run_of, tables_of

pytestmark = pytest.mark.slow


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
    drop function training_set, training_set_counts, training_label_month;
    drop view training_sets_status;
    drop table training_sets;
    drop schema training cascade;
    drop view sealed_months, current_deliveries;
    drop table schema_migrations;
    alter table deliveries
    drop column warnings, drop column profile, drop column columns, drop column checksum_version,
    drop column package_version, drop column approved_by, drop column approved_at, drop column approval_reason,
    drop column kind, drop column suppressed, drop column erased;
    drop table questions, erasures, erasure_months;
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
    ) == [("builds",), ("counts",), ("files",), ("later_month",), ("publish_lock",), ("runs",)]
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
    assert january.query(owners) == [("postgres", 1), ("streamflow_owner", 6 + 6 + 6 + 8)]
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
