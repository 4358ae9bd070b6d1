"""The month's own SQL, step by step, without Airflow around it."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import psycopg
from psycopg import sql

from streamflow.months import Month
from streamflow.tables import TABLES, Table
from streamflow.templating import FILTERS, MACROS, SQL_FOLDER, last_row, statement
from streamflow.templating import render as render_once

ROOT = Path(__file__).resolve().parents[1]
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(SQL_FOLDER), autoescape=False, undefined=jinja2.StrictUndefined
)
_templates.globals |= MACROS
_templates.filters |= FILTERS | {"ds": str}  # Airflow's own filter, not used when the param names the month


_compile = cache(_templates.from_string)


RUN_ID = "manual__it's a test"


def render(path: str, as_of: str, table: Table | None = None, restate: bool = False, run_id: str = RUN_ID) -> str:
    """Return a file of ``include/sql/`` as Airflow would send it."""
    xcoms = {"check_month": {"as_of": as_of, "folder": Month.parse(as_of).folder("2023-01")}}
    return _compile(statement(path, table)).render(
        params={"as_of": as_of, "restate": restate}, run_id=run_id, ti=SimpleNamespace(xcom_pull=xcoms.get)
    )


@cache
def verify_sql() -> str:
    """``verify.sql``, which is for no month."""
    return render_once("verify.sql")


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
    """

    def __init__(self, uri: str, run_id: str = RUN_ID) -> None:
        self.uri = uri
        self.run_id = run_id
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
        return self.run(render(path, as_of, TABLES[table] if table else None, restate, self.run_id))

    def stage(self, as_of: str, table: str, content: bytes, is_validated: bool = True) -> None:
        """Stage a file's content as the load does, and mark it as validated."""
        shape = TABLES[table]
        self.step("staging/create_table.sql", as_of, table)
        header = next(csv.reader([content.split(b"\n", 1)[0].decode()]))
        staged = f"{table}_{Month.parse(as_of).suffix}"
        with self.transaction() as cursor:
            cursor.execute(
                "select staging.mirror_header(%s, %s, %s, %s)", (table, staged, header, list(shape.optional))
            )
            copy = sql.SQL("copy {} ({}) from stdin (format csv, header)").format(
                sql.Identifier("staging", staged), sql.SQL(", ").join(map(sql.Identifier, header))
            )
            with cursor.copy(copy) as stream:
                stream.write(content)
            delivered = cursor.rowcount
            cursor.execute("select staging.read_dates(%s, %s)", (table, staged))
            cursor.execute(
                render("staging/record_file.sql", as_of, shape, run_id=self.run_id),
                {
                    "file_name": f"{table}.csv",
                    "file_bytes": len(content),
                    "file_sha256": hashlib.sha256(content).hexdigest(),
                    "not_delivered": [column for column in shape.optional if column not in header],
                    "delivered": delivered,
                },
            )
        if is_validated:
            self.mark_validated(as_of, table, content)

    def mark_validated(self, as_of: str, table: str, content: bytes) -> None:
        """Let a staged file through, as a passed validation does."""
        with self.transaction() as cursor:
            cursor.execute(
                render("staging/mark_validated.sql", as_of, TABLES[table], run_id=self.run_id),
                {"file_sha256": hashlib.sha256(content).hexdigest(), "warnings": [], "profile": "{}"},
            )

    def stage_month(self, as_of: str, delivery: dict[str, bytes]) -> None:
        """Stage all six files of a delivery."""
        self.step("staging/claim_month.sql", as_of)
        for table in TABLES:
            self.stage(as_of, table, delivery[table])

    def gate(self, as_of: str, restate: bool = False) -> dict[str, Any]:
        """Return what the gate finds."""
        return self.step("gate.sql", as_of, restate=restate)

    def upsert(self, as_of: str, table: str) -> dict[str, Any]:
        """Upsert one table into live."""
        return self.step("upsert.sql", as_of, table)

    def steps(self, as_of: str, delivery: dict[str, bytes], restate: bool = False) -> Iterator[str]:
        """Run a whole month, gate included, and yield the name of each step when it is done.

        Raises:
            Refused: if the gate does not open.
        """
        self.step("staging/claim_month.sql", as_of)
        yield "prepare"
        for table in TABLES:
            self.stage(as_of, table, delivery[table])
            yield f"stage {table}"
        found = self.gate(as_of, restate)
        if found["orphans"] or (found["sealed_changes"] and not restate):
            raise Refused(found)
        yield "gate"
        for table in TABLES:
            self.upsert(as_of, table)
            yield f"upsert {table}"
        self.step("snapshot.sql", as_of, restate=restate)
        yield "snapshot"
        self.step("staging/drop_tables.sql", as_of)
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
        """Return everything that the contract speaks of: live, snapshots and, if asked for, the ledger."""
        relations = [table.name for table in TABLES.values()] + [table.snapshots for table in TABLES.values()]
        return {name: self.rows(name) for name in relations + (["deliveries"] if ledger else [])}


class Refused(Exception):
    """The gate did not open."""
