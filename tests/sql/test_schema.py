"""What the schema does with a database whose tables are not those of include/tables, and with migrations."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import install_schema
from streamflow import __version__
from streamflow.templating import migrations
from support.database import Database
from support.paths import ROOT

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
DELIVERY = {
    "users": b"user_id,signup_date,user_gender,user_is_senior,has_family,has_dependents\nann,2023-05-01,Female,f,f,t\n",
    "subscriptions": b"user_id,months_active,plan_stream_tv,plan_stream_movies,contract_type,paperless_billing,"
    b"monthly_fee,total_paid,net_service\nann,8,t,f,One year,t,79.90,639.2,DSL\n",
    "usage_agg_30d": b"user_id,watch_hours_30d,avg_session_mins_7d,unique_devices_30d,skips_7d,rebuffer_events_7d\n"
    b"ann,1,2,3,4,5\n",
    "payments_agg_90d": b"user_id,failed_payments_90d\nann,0\n",
    "support_agg_90d": b"user_id,support_tickets_90d,ticket_avg_resolution_hrs_90d\nann,0,\n",
    "labels": b"user_id,churn_label\nann,f\n",
}


LABELS_REFER_TO = "alter table labels drop constraint labels_user_id_fkey, add foreign key (user_id) references"


@pytest.fixture
def sealed(database) -> Database:
    """A database with a sealed January."""
    database.load_month(JANUARY, DELIVERY)
    return database


def install(database: Database) -> None:
    """Install the schema as if it had changed."""
    database.close()
    database.run_as_admin("comment on schema staging is 'another version'")
    install_schema.install(database.admin_uri)


def everything(database: Database) -> list:
    """Tables, columns and the migrations on record."""
    return database.query_as_admin(
        "select attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod) from pg_attribute "
        "inner join pg_class on pg_class.oid = attrelid where relnamespace = 'public'::regnamespace order by 1, 2"
    ) + database.query_as_admin("select number, name from schema_migrations order by 1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            "alter table users rename column user_gender to gender",
            [
                "users.gender is in the database, not in table.yaml (removed, or renamed?)",
                "users.user_gender is not in the database: a new column must be optional",
            ],
        ),
        (
            "alter table labels add churn_reason text; alter table labels_snapshots add churn_reason text",
            [
                "labels.churn_reason is in the database, not in table.yaml",
                "labels_snapshots.churn_reason is in the database, not in table.yaml",
            ],
        ),
        ("alter table labels_snapshots add column churn_reason text", ["labels_snapshots.churn_reason is in"]),
        (
            "alter table payments_agg_90d alter column failed_payments_90d type numeric",
            ["payments_agg_90d.failed_payments_90d is numeric in the database, not integer"],
        ),
        (
            "alter table subscriptions drop add_on_security; alter table subscriptions add add_on_security boolean",
            ["subscriptions.add_on_security is column 13 in the database, 10 in table.yaml: new columns go last"],
        ),
        (
            "update deliveries set not_delivered = '{churn_label, churn_reason}' where table_name = 'labels'",
            [
                "labels.churn_label is not an optional column, but files of sealed months left it out",
                "labels.churn_reason is not an optional column",
            ],
        ),
        (
            "alter table users add foreign key (user_id) references labels",
            ["users.refers_to is none, but labels in the database"],
        ),
        (
            "alter table labels drop constraint labels_user_id_fkey",
            ["labels.refers_to is users, but none in the database"],
        ),
        (
            "update deliveries set table_name = 'surveys' where table_name = 'labels'",
            ["surveys has sealed months from 2024-01-31 on, but no folder"],
        ),
        (
            "drop function labels_as_of; alter table labels_snapshots rename to churn_snapshots",
            ["labels.snapshots is labels_snapshots, but the sealed months are not there"],
        ),
        (
            f"{LABELS_REFER_TO} subscriptions",
            ["labels.refers_to is users, but subscriptions in the database"],
        ),
    ],
)
def test_tables_that_are_others_than_their_folders_say_are_refused(sealed, change, says):
    sealed.run_as_admin(change)
    before = everything(sealed)
    with pytest.raises(psycopg.errors.RaiseException, match="are not those of include/tables") as refused:
        install(sealed)
    assert [word for word in says if word not in str(refused.value)] == []
    assert str(refused.value).count("\n  - ") == len(says), str(refused.value)
    assert "Nothing was written." in str(refused.value)
    assert f"include/sql/migrations/{len(migrations()) + 1:03d}_<what>.sql" in refused.value.diag.message_hint
    assert everything(sealed) == before


def test_an_optional_column_that_the_database_does_not_have_is_added_to_partitions_too(sealed):
    sealed.run_as_admin(
        "alter table subscriptions drop column add_on_support; drop function subscriptions_as_of; "
        "alter table subscriptions_profile_snapshots drop column add_on_support"
    )
    install(sealed)
    for relation in ("subscriptions", "subscriptions_profile_snapshots", "subscriptions_profile_snapshots_20240131"):
        assert sealed.query_as_admin(f"select add_on_support from {relation}") == [(None,)]


def test_the_migrations_of_a_new_database_are_on_record_and_were_not_needed(database):
    assert database.query_as_admin("select name from schema_migrations order by number") == [
        (name,) for name in migrations()
    ]


def test_a_database_that_a_later_version_has_changed_is_refused(sealed):
    later = len(migrations()) + 1
    sealed.run_as_admin(f"insert into schema_migrations values ({later}, '{later:03d}_of_tomorrow')")
    with pytest.raises(psycopg.errors.RaiseException, match="another version of the package has changed") as refused:
        install(sealed)
    assert f"does not know the migration {later:03d}_of_tomorrow" in str(refused.value)
    assert refused.value.diag.message_hint.startswith("deploy the version that has it")


@pytest.fixture
def checkout(tmp_path) -> Path:
    """What of the package a schema is installed from, to be changed."""
    for name in ("plugins", "tools", "include/sql", "include/tables"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def make_schema(checkout: Path, database: Database) -> subprocess.CompletedProcess:
    database.close()
    return subprocess.run(
        [sys.executable, checkout / "tools" / "install_schema.py", database.admin_uri], capture_output=True, text=True
    )


RENAMED = """-- Labels say what they are of.
alter table public.labels rename column churn_label to has_churned;
alter table public.labels_snapshots rename column churn_label to has_churned;

update public.deliveries set columns = array_replace(columns, 'churn_label', 'has_churned') where table_name = 'labels';
"""


def test_a_migration_is_applied_once_and_what_is_sealed_is_proven_after_it(sealed, checkout):
    table = checkout / "include" / "tables" / "labels"
    for path in (table / "table.yaml", table / "expectations.json"):
        path.write_text(path.read_text().replace("churn_label", "has_churned"))
    refused = make_schema(checkout, sealed)
    assert refused.returncode == 1
    assert "labels.churn_label is in the database, not in table.yaml (removed, or renamed?)" in refused.stderr
    number = len(migrations()) + 1
    migration = checkout / "include" / "sql" / "migrations" / f"{number:03d}_labels_say_what_they_are_of.sql"
    migration.write_text(RENAMED)
    for _ in range(2):  # the second time it is on record
        done = make_schema(checkout, sealed)
        assert done.returncode == 0, done.stderr
        sealed.run_as_admin("comment on schema staging is 'another version'")
    assert sealed.query_as_admin(f"select name from schema_migrations where number = {number}") == [(migration.stem,)]
    assert sealed.query_as_admin("select has_churned from labels_snapshots") == [(False,)]
    ((snapshots, found),) = sealed.query_as_admin(
        "select snapshot_checksum, (select sum(hashtextextended("
        "row(user_id, has_churned, as_of, source_as_of)::text, 0)) from labels_snapshots) "
        "from deliveries where table_name = 'labels'"
    )
    assert snapshots == found
    old = make_schema(ROOT, sealed)  # the version without the migration
    assert old.returncode == 1
    assert "another version of the package has changed" in old.stderr


def test_another_version_of_the_package_is_installed_and_the_ledger_names_it(sealed, checkout):
    """Its number alone makes it another schema, and what was sealed before keeps its own."""
    init = checkout / "plugins" / "streamflow" / "__init__.py"
    init.write_text(init.read_text().replace(__version__, "7.0.0"))
    before = sealed.contents(ledger=True)
    done = make_schema(checkout, sealed)
    assert done.returncode == 0, done.stderr
    assert sealed.contents(ledger=True) == before
    sealed.load_month(FEBRUARY, DELIVERY)
    assert sealed.verify() == []
    assert sealed.query("select distinct as_of::text, package_version from current_deliveries order by 1") == [
        (JANUARY, __version__),
        (FEBRUARY, "7.0.0"),
    ]


@pytest.mark.parametrize("name", ["008_too_far.sql", "005_again.sql", "006-hyphen.sql", "6_short.sql"])
def test_a_migration_that_is_misnumbered_is_told(sealed, checkout, name):
    (checkout / "include" / "sql" / "migrations" / name).write_text("select 1;")
    before = everything(sealed)
    refused = make_schema(checkout, sealed)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "Expected a name that begins with 00" in refused.stderr
    assert everything(sealed) == before


def test_a_migration_that_fails_leaves_everything_as_it_was(sealed, checkout):
    number = len(migrations()) + 1
    path = checkout / "include" / "sql" / "migrations" / f"{number:03d}_fails.sql"
    path.write_text("alter table public.labels add column why text;\nalter table public.nothing add column a text;\n")
    before = everything(sealed)
    refused = make_schema(checkout, sealed)
    assert refused.returncode == 1
    assert 'relation "public.nothing" does not exist' in refused.stderr
    assert everything(sealed) == before


def test_a_key_of_ones_own_on_another_column_is_nobodys_business(sealed):
    sealed.run_as_admin(
        "create table kinds (kind text primary key); insert into kinds values ('One year'); "
        "alter table subscriptions add foreign key (contract_type) references kinds"
    )
    install(sealed)


def test_a_table_more_in_the_sealed_month_does_not_stand_in_for_one_that_is_missing(database, checkout):
    """Six builds of other tables than the month's are not the month."""
    database.build_month(JANUARY, DELIVERY)
    database.run_as_admin("update staging.builds set table_name = 'devices' where table_name = 'labels'")
    with pytest.raises(psycopg.errors.RaiseException, match="only 5 of 7 tables of 2024-01-31 are staged"):
        database.seal(JANUARY)


def test_verify_before_the_schema_is_installed_says_so(sealed, checkout):
    with (checkout / "include" / "tables" / "labels" / "table.yaml").open("a") as file:
        file.write("  - name: why\n    type: text\n    optional: true\n    about: what the user said\n")
    sealed.close()
    done = subprocess.run(
        [sys.executable, checkout / "tools" / "verify.py"],
        env=os.environ | {"AIRFLOW_CONN_STREAMFLOW_DB": sealed.uri, "AIRFLOW__CORE__PLUGINS_FOLDER": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "does not have the schema that this version of the package needs" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_folder_is_told_without_a_traceback(sealed, checkout):
    (checkout / "include" / "tables" / "labels" / "table.yaml").write_text("about: nothing else\n")
    done = make_schema(checkout, sealed)
    assert done.returncode == 1
    assert "Field required." in done.stderr
    assert "Traceback" not in done.stderr
