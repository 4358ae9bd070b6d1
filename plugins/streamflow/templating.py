"""How tasks find their SQL: files of ``include/sql/``, rendered for a month and, where it says so, a table."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from streamflow.months import Month
from streamflow.tables import TABLES, Table

AS_OF = "{{ params.as_of or data_interval_end | ds }}"
"""The month a run is for: its data interval's end, unless the param names another."""


SQL_FOLDER = Path(__file__).parents[2] / "include" / "sql"


def sha256(text: str) -> str:
    """Return the hex digest of ``text`` (filter ``| sha256``)."""
    return hashlib.sha256(text.encode()).hexdigest()


def literal(value: str) -> str:
    """Return ``value`` as a quoted SQL literal (filter ``| literal``), for values that are no identifiers."""
    from psycopg import sql

    return sql.Literal(str(value)).as_string()


def statement(path: str, table: Table | None = None) -> str:
    """Return the template of the SQL file ``path`` for the run's month and ``table``.

    The file sees ``month`` (:class:`Month`), ``restate`` (``true`` or ``false``), ``run`` (the run's id as an SQL
    literal), ``tables`` and ``table`` (:class:`Table`).
    """
    if table is None:
        choice = ""
    else:
        choice = f"{{%- set table = tables['{table.name}'] -%}}"
    return (
        "{%- set month = parse_month(params.as_of or data_interval_end | ds) -%}"
        "{%- set restate = 'true' if params.restate else 'false' -%}"
        "{%- set run = run_id | literal -%}"
        f"{choice}{{% include '{path}' %}}"
    )


MACROS: dict[str, Any] = {"tables": TABLES, "parse_month": Month.parse}
FILTERS: dict[str, Any] = {"literal": literal, "sha256": sha256}


def render(path: str) -> str:
    """Return a file of ``include/sql/`` that is for no month, rendered without Airflow."""
    import jinja2

    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(SQL_FOLDER))  # noqa: S701 (SQL, not HTML)
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
