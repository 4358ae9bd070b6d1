"""How tasks find their SQL: files of ``include/sql/``, rendered for a month and, where it says so, a table."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from streamflow.months import Month
from streamflow.refusal import RUN_AGAIN
from streamflow.tables import TABLES, Table

AS_OF = "{{ params.as_of or data_interval_end | ds }}"
"""The month a run is for: its data interval's end, unless the param names another."""


SQL_FOLDER = Path(__file__).parents[2] / "include" / "sql"


def version_of(code: str) -> str:
    """Return the hex digest of SQL without its comments (filter ``| version_of``)."""
    bare = re.sub(r"('(?:[^']|'')*')|--[^\n]*", lambda token: token[1] or "", code)
    lines = (line.rstrip() for line in bare.splitlines())
    return hashlib.sha256("\n".join(line for line in lines if line).encode()).hexdigest()


def literal(value: str) -> str:
    """Return ``value`` as a quoted SQL literal (filter ``| literal``), for values that are no identifiers."""
    from psycopg import sql

    return sql.Literal(str(value)).as_string()


def statement(path: str, table: Table | None = None) -> str:
    """Return the template of the SQL file ``path`` for the run's month and ``table``.

    The file sees ``month`` (:class:`Month`), ``restate`` (``true`` or ``false``), ``run`` and ``folder`` (the run's id
    and the month's folder, as SQL literals), ``tables`` and ``table`` (:class:`Table`).
    """
    if table is None:
        choice = ""
    else:
        choice = f"{{%- set table = tables['{table.name}'] -%}}"
    return (
        "{%- set month = parse_month(params.as_of or data_interval_end | ds) -%}"
        "{%- set restate = 'true' if params.restate else 'false' -%}"
        "{%- set run = run_id | literal -%}"
        "{%- set folder = ti.xcom_pull('check_month')['folder'] | literal -%}"
        f"{choice}{{% include '{path}' %}}"
    )


MACROS: dict[str, Any] = {"tables": TABLES, "parse_month": Month.parse, "run_again": RUN_AGAIN}
FILTERS: dict[str, Any] = {"literal": literal, "version_of": version_of}


def render(path: str) -> str:
    """Return a file of ``include/sql/`` that is for no month, rendered without Airflow."""
    import jinja2

    # strict, as Airflow is
    templates = jinja2.Environment(  # noqa: S701 (SQL, not HTML)
        loader=jinja2.FileSystemLoader(SQL_FOLDER), undefined=jinja2.StrictUndefined
    )
    templates.globals |= MACROS
    templates.filters |= FILTERS
    return templates.get_template(path).render()


def last_row(cursor: Any) -> dict[str, Any] | None:
    """Return the row that a file's last statement selects, as an XCom that can be read (SQL handler).

    Args:
        cursor: a psycopg cursor that has executed one or more statements.

    Returns:
        The row as column name to value, or None if the last statement returns no row.
    """
    while cursor.nextset():
        pass
    if cursor.description is None or (row := cursor.fetchone()) is None:
        return None
    return {column.name: value for column, value in zip(cursor.description, row, strict=True)}
