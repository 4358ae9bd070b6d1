"""The month's own SQL, step by step, without Airflow around it."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import psycopg
from psycopg import sql

from streamflow.erased import leave_out
from streamflow.months import Month
from streamflow.tables import TABLES, Table, tables_of
from streamflow.templating import last_row, render_task
from streamflow.templating import render as render_once

RUN_ID = "manual__it's a test"


def render(
    path: str,
    as_of: str,
    table: Table | None = None,
    restate: bool = False,
    run_id: str = RUN_ID,
    first_month: str = "2023-01",
) -> str:
    """Return a file of ``include/sql/`` as Airflow would send it."""
    folder = Month.parse(as_of).folder(first_month)
    return _render(path, as_of, _Same(table), run_id, restate, folder, _Same(*TABLES.values()))


class _Same:
    """Tables as a key: equal if they are the same objects."""

    def __init__(self, *tables: Table | None) -> None:
        self.tables = tables

    def __eq__(self, other: object) -> bool:
        return [*map(id, self.tables)] == [*map(id, other.tables)]

    def __hash__(self) -> int:
        return hash((*map(id, self.tables),))


@lru_cache(4096)
def _render(path: str, as_of: str, table: _Same, run_id: str, restate: bool, folder: str, tables: _Same) -> str:
    """A file as it is rendered for these TABLES, once."""
    return render_task(path, as_of, table.tables[0], run_id=run_id, restate=restate, folder=folder)


@cache
def verify_sql() -> str:
    """``verify.sql``, which is for no month."""
    return render_once("tasks/verify.sql")


def as_csv(rows: list[dict[str, Any]], columns: list[str]) -> bytes:
    """Return rows as the bytes of a CSV file: None is empty, every other value is quoted."""

    def cell(value: Any) -> str:
        return "" if value is None else '"' + str(value).replace('"', '""') + '"'

    lines = [",".join(columns), *(",".join(cell(row.get(column)) for column in columns) for row in rows)]
    return "".join(f"{line}\n" for line in lines).encode()


class Database:
    """One database, and the steps of a month on it.

    Args:
        uri: its connection URI.
        run_id: the run that the steps are of.
        first_month: the month of ``month_000``.
    """

    def __init__(self, uri: str, run_id: str = RUN_ID, first_month: str = "2023-01") -> None:
        self.uri = uri
        self.run_id = run_id
        self.first_month = first_month
        self._connection: psycopg.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Cursor]:
        """A transaction on a connection that is kept."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.uri, autocommit=True)
        with self._connection.transaction(), self._connection.cursor() as cursor:
            yield cursor

    def another(self) -> Database:
        """The same database for somebody else, on a connection of its own."""
        return Database(self.uri, run_id="somebody else")

    def close(self) -> None:
        """Close the connection; the next step opens another."""
        if self._connection is not None:
            self._connection.close()

    def run(self, text: str) -> dict[str, Any] | None:
        """Execute statements in a transaction; return what the last one selects, as the operators do."""
        with self.transaction() as cursor:
            return last_row(cursor.execute(text))

    @property
    def admin_uri(self) -> str:
        """The same database for its administrator, who may do what the pipeline's own user may not."""
        return self.uri.replace("streamflow_ingest@", "postgres@")

    def run_as_admin(self, text: str) -> None:
        """Execute statements as the administrator."""
        with psycopg.connect(self.admin_uri) as connection:
            connection.execute(text)

    def query_as_admin(self, text: str, *parameters: Any) -> list[tuple]:
        """Return the rows of a query of the administrator's."""
        with psycopg.connect(self.admin_uri) as connection:
            return connection.execute(text, parameters or None).fetchall()

    def query(self, text: str, *parameters: Any) -> list[tuple]:
        """Return the rows of a query."""
        with self.transaction() as cursor:
            return cursor.execute(text, parameters or None).fetchall()

    def step(self, path: str, as_of: str, table: str | None = None, restate: bool = False) -> dict[str, Any] | None:
        """Run a file of ``include/sql/`` for a month."""
        if path == "tasks/seal.sql":
            return self.seal(as_of, restate)
        return self.run(render(path, as_of, TABLES.get(table), restate, self.run_id, self.first_month))

    def stage(self, as_of: str, table: str, content: bytes, is_validated: bool = True) -> None:
        """Stage a file's content as the load does, and mark it as validated."""
        shape = TABLES[table]
        self.step("tasks/stage.sql", as_of, table)
        header = next(csv.reader([content.split(b"\n", 1)[0].decode()]))
        with self.transaction() as cursor:
            cursor.execute(
                "select staging.shape_staging_table(%s, %s, %s, %s)", (as_of, table, header, list(shape.optional))
            )
            copy = sql.SQL("copy {} ({}) from stdin (format csv, header)").format(
                sql.Identifier("staging", shape.staged(as_of)), sql.SQL(", ").join(map(sql.Identifier, header))
            )
            with cursor.copy(copy) as stream:
                stream.write(content)
            delivered = cursor.rowcount
            cursor.execute("select staging.cast_dates(%s, %s)", (as_of, table))
            cursor.execute(
                render("parts/record_file.sql", as_of, shape, run_id=self.run_id),
                {
                    "file_name": f"{table}.csv",
                    "file_bytes": len(content),
                    "file_sha256": hashlib.sha256(content).hexdigest(),
                    "not_delivered": [column for column in shape.optional if column not in header],
                    "delivered": delivered,
                },
            )
            leave_out(cursor, as_of, shape, f"{table}.csv")
        if is_validated:
            self.mark_validated(as_of, table, content)

    def mark_validated(self, as_of: str, table: str, content: bytes, asks: tuple[str, ...] = ()) -> None:
        """Let a staged file through, as a passed validation does; ``asks`` are rules that a person decides about."""
        with self.transaction() as cursor:
            cursor.execute(
                render("parts/mark_validated.sql", as_of, TABLES[table], run_id=self.run_id),
                {"file_sha256": hashlib.sha256(content).hexdigest(), "warnings": [], "asks": [*asks], "profile": "{}"},
            )

    def stage_month(self, as_of: str, delivery: dict[str, bytes]) -> None:
        """Stage all files of a delivery."""
        self.step("tasks/prepare.sql", as_of)
        for table in tables_of(as_of):
            self.stage(as_of, table, delivery[table])

    def build(self, as_of: str, table: str, restate: bool = False) -> dict[str, Any]:
        """Build the snapshot of one table."""
        return self.step("tasks/snapshot.sql", as_of, table, restate)

    def build_month(self, as_of: str, delivery: dict[str, bytes], restate: bool = False) -> None:
        """Stage and build all tables of a delivery."""
        self.stage_month(as_of, delivery)
        for table in tables_of(as_of):
            self.build(as_of, table, restate)

    def gate(self, as_of: str, restate: bool = False) -> dict[str, Any]:
        """Return what the gate finds."""
        return self.step("tasks/gate.sql", as_of, restate=restate)

    def seal(self, as_of: str, restate: bool = False, gate: dict[str, Any] | None = None) -> dict[str, Any]:
        """Publish the builds: those that the gate says it has passed, or those that there are."""
        if gate is None:
            (builds,) = self.query("select staging.builds_of(%s)", as_of)[0]
            gate = {"warnings": [], "builds": builds}
        return self.run(render_task("tasks/seal.sql", as_of, run_id=self.run_id, restate=restate, gate=gate))

    def upsert(self, as_of: str, table: str) -> dict[str, Any]:
        """Bring one live table to the newest sealed snapshot."""
        return self.step("tasks/upsert.sql", as_of, table)

    def steps(self, as_of: str, delivery: dict[str, bytes], restate: bool = False) -> Iterator[str]:
        """Run a whole month, gate included, and yield the name of each step when it is done.

        Raises:
            Refused: if the gate does not open.
        """
        self.step("tasks/prepare.sql", as_of)
        yield "prepare"
        for table in tables_of(as_of):
            self.stage(as_of, table, delivery[table])
            yield f"stage {table}"
            self.build(as_of, table, restate)
            yield f"snapshot {table}"
        found = self.gate(as_of, restate)
        if found["orphans"] or (found["sealed_changes"] and not restate):
            raise Refused(found)
        yield "gate"
        self.seal(as_of, restate)
        yield "seal"
        for table in TABLES:
            self.upsert(as_of, table)
            yield f"upsert {table}"
        self.step("tasks/drop_staging.sql", as_of)
        yield "drop_staging"

    def load_month(self, as_of: str, delivery: dict[str, bytes], restate: bool = False) -> None:
        """Run all steps of a month."""
        for _ in self.steps(as_of, delivery, restate):
            pass

    def rows(self, relation: str) -> list[tuple]:
        """Return a relation's rows as text, sorted: equal lists are equal bytes."""
        return sorted(self.query(f"select {relation}::text from {relation}"))

    def verify(self) -> list[tuple]:
        """Return the differences that ``verify.sql`` finds."""
        with self.transaction() as cursor:
            cursor.execute(verify_sql())
            while cursor.nextset():
                pass
            return cursor.fetchall()

    def contents(self, ledger: bool = False) -> dict[str, list[tuple]]:
        """Return everything that the contract speaks of: live, snapshots and, if asked for, the ledger.

        ``public.validations`` is not part of it: that log gets a row for a refused file too (test_validations.py).
        """
        relations = [table.name for table in TABLES.values()] + [table.snapshots for table in TABLES.values()]
        return {name: self.rows(name) for name in relations + (["deliveries"] if ledger else [])}


class Refused(Exception):
    """The gate did not open."""
