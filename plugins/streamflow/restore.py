"""Brings a sealed month back from the archive into the database."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook

from streamflow.archive import assert_sealed
from streamflow.archive_files import LOCK, SESSION, damage_of, read_back, rows_of
from streamflow.months import Month
from streamflow.refusal import NotYet
from streamflow.templating import render


def restore(conn_id: str, month: Month) -> list[str]:
    """Read a month's newest archived revisions, and attach them as its snapshots, in one transaction.

    The ledger stays as it is. If the month is in the database, nothing is done.

    Args:
        conn_id: connection of the database.
        month: the month.

    Returns:
        The tables that were brought back.

    Raises:
        Refusal: if the month is not sealed, or an archived file is missing or damaged.
        NotYet: if another run keeps sealing.
        psycopg.errors.RaiseException: if the rows are not what the ledger says.
    """
    connection: Any = PostgresHook(conn_id).get_conn()  # psycopg's; the hook promises less
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(LOCK)
        connection.commit()
        return restore_month(conn_id, month)


def restore_month(conn_id: str, month: Month) -> list[str]:
    """Do what :func:`restore` does, for a caller that holds the archive's lock."""
    import psycopg

    connection: Any = PostgresHook(conn_id).get_conn()
    with closing(connection), connection.cursor() as cursor:
        assert_sealed(cursor, month)
        connection.rollback()
        cursor.execute(f"set local transaction_isolation = 'read committed'; {SESSION}")
        cursor.execute(render("parts/archived_files.sql"), {"month": month.as_of})
        gone = [row for row in rows_of(cursor) if not row["is_in_database"]]
        for row in gone:
            if damage := damage_of(
                row,
                "Nothing was restored.",
                to_do=f"put the file back from a backup, then make restore MONTH={month}",
            ):
                raise damage
            read_back(cursor, row, row["place"], to_attach=True)
        if gone:
            try:
                cursor.execute("select staging.restore_month(%s)", [month.as_of])
            except psycopg.errors.LockNotAvailable:
                raise NotYet(
                    "Another run seals a month, or the schema is being changed.",
                    to_do=f"try again: make restore MONTH={month}",
                ) from None
        connection.commit()
    return [row["table_name"] for row in gone]
