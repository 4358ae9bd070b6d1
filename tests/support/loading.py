"""One file into its staging table, by the load's own operator."""

from __future__ import annotations

import pytest

from streamflow.load import LoadCsvOperator
from streamflow.refusal import TaskRefused
from streamflow.tables import TABLES
from support.database import render

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
USERS = ["user_id", *TABLES["users"].columns]


def operator(table: str) -> LoadCsvOperator:
    return LoadCsvOperator(
        task_id="load",
        table=TABLES[table],
        as_of=JANUARY,
        folder="month_000",
        record_sql=render("parts/record_file.sql", JANUARY, TABLES[table]),
        conn_id="streamflow_db",
        fs_conn_id="streamflow_fs",
    )


def staged(database, table: str, columns: str = "*") -> list[tuple]:
    return database.query(f"select {columns} from staging.{table}_20240131 order by 1")


def types(database, table: str) -> dict[str, str]:
    """The staging table's columns and their types."""
    return dict(
        database.query(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            f"staging.{table}_20240131",
        )
    )


def refused_load(load, content: bytes, table: str = "labels") -> str:
    with pytest.raises(TaskRefused) as refused:
        load(table, content, ending=".csv.gz")
    return str(refused.value)


def nothing_is_loaded(database, table: str = "labels") -> bool:
    return staged(database, table) == [] and database.query("select from staging.files") == []
