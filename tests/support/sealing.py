"""A database with a sealed January, and what its roles try on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import install_schema
from support.builders import FEBRUARY, JANUARY, delivery
from support.database import Database


def seal_january(database: Database) -> Database:
    install_schema.install(as_admin(database.uri))  # what roles may do in a database is not copied from its template
    database.load_month(JANUARY, delivery("ann", "bob"))
    return database


def assert_is_denied(database, statement: str) -> None:
    with (
        psycopg.connect(database.uri, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def as_admin(uri: str) -> str:
    return uri.replace("streamflow_ingest@", "postgres@")


def tables_of(database) -> list[tuple]:
    return database.query(
        "select oid::regclass::text, relowner::regrole::text, relacl::text from pg_class "
        "where relnamespace in ('public'::regnamespace, 'staging'::regnamespace) order by 1"
    )


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


ANN, BOB, CID = (
    f"('{user}', true, '2024-02-29', '{source}')"
    for user, source in (("ann", FEBRUARY), ("bob", JANUARY), ("cid", FEBRUARY))
)


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


def run_of(database, tmp_path):
    """A run for February."""
    from support.run import Run  # and with it Airflow, which most of what is here does not need

    return Run(database, FEBRUARY, tmp_path / "month_001")
