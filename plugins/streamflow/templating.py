"""The tasks' SQL: files of ``include/sql/``, rendered by Airflow, or without Airflow by :func:`render`."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from streamflow import __version__
from streamflow.features import FEATURES, LABEL
from streamflow.months import MAX_HORIZON
from streamflow.refusal import RUN_AGAIN, Refusal
from streamflow.tables import ROOT, TABLES, Table, tables_of

AS_OF = "{{ params.as_of or data_interval_end | ds }}"
"""The month that a run is for: the end of its data interval, unless the param names another."""

SQL_FOLDER = Path(__file__).resolve().parents[2] / "include" / "sql"


def version_of(code: str) -> str:
    """Return the hex digest of SQL without its comments (filter ``| version_of``)."""
    bare = re.sub(r"('(?:[^']|'')*')|--[^\n]*", lambda token: token[1] or "", code)
    lines = (line.rstrip() for line in bare.splitlines())
    return hashlib.sha256("\n".join(line for line in lines if line).encode()).hexdigest()


def literal(value: str) -> str:
    """Return ``value`` as a quoted SQL literal (filter ``| literal``), for values that are not identifiers."""
    from psycopg import sql

    return sql.Literal(str(value)).as_string()


def parameter(name: str) -> str:
    """Return psycopg's placeholder of a statement's parameter (filter ``| parameter``); linters get a literal."""
    return f"%({name})s"


def migrations() -> list[str]:
    """Return the names of the files of ``include/sql/migrations/``, without ``.sql``, in order.

    Raises:
        Refusal: if they are not numbered 001, 002, … without a gap.
    """
    names = sorted(path.stem for path in (SQL_FOLDER / "migrations").glob("*.sql"))
    for number, name in enumerate(names, start=1):
        if not re.fullmatch(rf"{number:03d}_[a-z0-9_]+", name):
            raise Refusal(
                f"{SQL_FOLDER / 'migrations' / name}.sql:",
                f"Expected a name that begins with {number:03d}_, then lowercase letters, digits, and underscores.",
                f"Found {name}.",
                to_do="number the migrations 001, 002, … in the order in which they apply",
            )
    return names


MACROS: dict[str, Any] = {
    "tables": TABLES,
    "tables_of": tables_of,
    "root": ROOT,
    "features": FEATURES,
    "label": LABEL,
    "max_horizon": MAX_HORIZON,
    "training_comment": "StreamFlow: labels with a date",  # tells our schema from another of its name
    "run_again": RUN_AGAIN,
    "package_version": __version__,
}
FILTERS: dict[str, Any] = {"literal": literal, "parameter": parameter, "version_of": version_of}


@cache
def _templates() -> Any:
    """Return the environment of the templates, strict like Airflow's."""
    import jinja2

    templates = jinja2.Environment(  # noqa: S701 (SQL, not HTML)
        loader=jinja2.FileSystemLoader(SQL_FOLDER), undefined=jinja2.StrictUndefined
    )
    templates.globals |= MACROS | {"migrations": migrations()}
    templates.filters |= FILTERS | {"ds": str}
    return templates


def render(path: str, **context: Any) -> str:
    """Return a file of ``include/sql/``, rendered without Airflow, with the values in ``context``."""
    return _templates().get_template(path).render(**context)


def render_task(
    path: str,
    as_of: str,
    table: Table | None = None,
    *,
    run_id: str,
    restate: bool = False,
    folder: str = "",
    gate: dict[str, Any] | None = None,
) -> str:
    """Return the SQL that a task of the month runs, as Airflow renders it.

    Args:
        path: the task's file, below ``include/sql/``.
        as_of: the month, ``YYYY-MM-DD``.
        table: the table, if the file is for one.
        run_id: the run.
        restate: the run's param.
        folder: the month's folder, which ``check_month`` returns.
        gate: what ``gate`` returns.
    """
    xcoms = {"check_month": {"as_of": as_of, "folder": folder}, "gate": gate or {"warnings": [], "builds": None}}
    return render(
        path,
        params={"as_of": as_of, "restate": restate},
        task=SimpleNamespace(table=table),
        run_id=run_id,
        ti=SimpleNamespace(xcom_pull=xcoms.get),
    )


def last_row(cursor: Any) -> dict[str, Any] | None:
    """Return the row that a file's last statement selects, as a readable XCom (SQL handler).

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
