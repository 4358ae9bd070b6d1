"""Live's foreign keys are lifted while empty tables are filled, and are there again afterwards."""

from __future__ import annotations

import psycopg
import pytest

import install_schema
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, delivery
from support.database import Database

KEYS = (
    "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint "
    "where contype = 'f' and connamespace = 'public'::regnamespace order by 1"
)
REFERRING = [table.name for table in TABLES.values() if table.refers_to]


def keys(database: Database) -> list[tuple]:
    return database.query(KEYS)


def seal_the_first_month(database: Database) -> list[tuple]:
    """Seal January with ann, and return the keys that there were before."""
    before = keys(database)
    assert [relation for relation, *_ in before] == sorted(REFERRING)
    database.build_month(JANUARY, delivery("ann"))
    database.seal(JANUARY)
    return before


def test_filling_empty_tables_ends_with_the_keys_that_there_were(database):
    before = seal_the_first_month(database)
    database.upsert(JANUARY, "users")
    assert keys(database) == []
    database.upsert(JANUARY, "labels")
    assert [relation for relation, *_ in keys(database)] == ["labels"]
    database.load_month(JANUARY, delivery("ann"))
    assert keys(database) == before


def test_in_the_months_after_the_first_no_key_is_lifted(database):
    before = seal_the_first_month(database)
    database.load_month(JANUARY, delivery("ann"))
    database.build_month(FEBRUARY, delivery("ann", "bob"))
    database.seal(FEBRUARY)
    database.upsert(FEBRUARY, "users")
    assert keys(database) == before


def test_rows_without_a_user_are_refused_where_the_key_was_lifted_too(database):
    seal_the_first_month(database)
    database.upsert(JANUARY, "users")
    another = database.another()
    another.build_month(FEBRUARY, delivery("ann", "bob"))
    another.seal(FEBRUARY)  # and then it is killed: live does not have bob
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        database.upsert(JANUARY, "labels")
    assert database.rows("labels") == []
    database.upsert(JANUARY, "users")
    assert database.upsert(JANUARY, "labels")["inserted"] == 2


def test_a_table_that_someone_reads_keeps_its_key_and_no_one_waits(database):
    before = seal_the_first_month(database)
    with psycopg.connect(database.admin_uri) as reader:
        reader.execute("select from labels")
        database.run_as_admin(f"alter database {reader.info.dbname} set lock_timeout = '1s'")
        database.close()
        database.upsert(JANUARY, "users")
        assert [relation for relation, *_ in keys(database)] == ["labels"]
    database.load_month(JANUARY, delivery("ann"))
    assert keys(database) == before


def test_the_schema_is_installed_again_while_a_key_is_lifted(database):
    before = seal_the_first_month(database)
    database.upsert(JANUARY, "users")  # and then the run is killed
    database.run_as_admin("comment on schema staging is 'another version'")
    install_schema.install(database.admin_uri)
    database.load_month(JANUARY, delivery("ann"))
    assert keys(database) == before


def test_a_key_of_ones_own_stays(database):
    database.run_as_admin(
        "create table plans (name text primary key); "
        "alter table subscriptions add constraint mine foreign key (contract_type) references plans"
    )
    database.build_month(JANUARY, delivery("ann", contract_type=""))
    database.seal(JANUARY)
    database.upsert(JANUARY, "users")
    assert [name for _, name, _ in keys(database)] == ["mine"]
