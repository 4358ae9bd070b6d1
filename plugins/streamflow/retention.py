"""Drops older sealed months from the database, once they were read back from the archive in the same run."""

from __future__ import annotations

from contextlib import closing
from typing import Any, NamedTuple

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from streamflow import settings
from streamflow.archive_files import LOCK, SESSION, damage_of, read_back, record, rows_of
from streamflow.refusal import NotYet, count, ends_task
from streamflow.templating import render


class Retention(NamedTuple):
    """What a run has dropped from the database.

    Attributes:
        keep_months: how many of the newest months are kept.
        dropped: the months.
        warnings: the months that are kept although they are older, one sentence each.
    """

    keep_months: int
    dropped: list[str]
    warnings: list[str]

    def __str__(self) -> str:
        kept = f"the newest {count(self.keep_months, 'month')} (keep_months)"
        said = f"{', '.join(self.dropped)}: only in the archive now." if self.dropped else "No month was dropped."
        return "\n".join([*self.warnings, f"{said} The database keeps {kept}."])


def apply_retention(conn_id: str, run_id: str, keep_months: int) -> Retention:
    """Drop the months that are older than the newest ``keep_months`` ones, and archived.

    Each is read back again and dropped in one transaction.

    Args:
        conn_id: connection of the database.
        run_id: the run, for the record.
        keep_months: how many of the newest sealed months are kept, 1 or more.

    Raises:
        Refusal: if an archived file is missing or damaged. The month is kept.
        NotYet: if queries read the snapshots for longer than the database waits.
        psycopg.errors.RaiseException: if what was read back is not what the ledger says.
    """
    import psycopg

    done = Retention(keep_months, [], [])
    connection: Any = PostgresHook(conn_id).get_conn()  # psycopg's; the hook promises less
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(LOCK)
        months = cursor.execute(render("parts/months_to_drop.sql"), {"keep_months": keep_months}).fetchall()
        connection.rollback()
        for as_of, not_archived in months:
            if not_archived:
                done.warnings.append(f"{as_of} stays in the database: not archived are {', '.join(not_archived)}.")
                continue
            cursor.execute(f"set local transaction_isolation = 'read committed'; {SESSION}")
            _read_back(cursor, as_of, run_id)
            try:
                cursor.execute("select staging.drop_archived_month(%s, %s, %s)", (as_of, run_id, keep_months))
            except psycopg.errors.LockNotAvailable:
                raise NotYet(
                    f"{as_of} is still in the database, because others read its snapshots or seal a month.",
                    to_do="nothing: the next run of streamflow_archive, or make archive, tries again.",
                ) from None
            connection.commit()
            done.dropped.append(as_of)
    return done


def _read_back(cursor: Any, as_of: str, run_id: str) -> None:
    """Read a month's files back, and record it, in the cursor's transaction."""
    cursor.execute(render("parts/archived_files.sql"), {"month": as_of})
    for row in rows_of(cursor):
        if not row["is_in_database"]:
            continue
        if damage := damage_of(
            row,
            f"{as_of} stays in the database.",
            to_do="remove the file if it is damaged, then make archive: it is written again",
        ):
            raise damage
        read_back(cursor, row, row["place"])
        record(cursor, row, row["place"], row["file_bytes"], row["file_sha256"], run_id)


class RetentionOperator(BaseOperator):
    """Drop the months from the database that are older than the setting ``keep_months`` says. Skipped without it.

    Args:
        conn_id: connection of the database.

    Returns (XCom):
        The attributes of :class:`Retention`.

    Raises:
        TaskRefused: if an archived file is missing or damaged, or does not have the ledger's rows.
        TaskNotYet: if the snapshots are being read.
    """

    def __init__(self, *, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Drop, and log what was dropped."""
        keep = settings.keep_months()
        if keep is None:
            raise AirflowSkipException("The database keeps all months (AIRFLOW__STREAMFLOW__KEEP_MONTHS is not set).")
        done = apply_retention(self.conn_id, context["run_id"], keep)
        for warning in done.warnings:
            self.log.warning("%s", warning)
        self.log.info("%s", done._replace(warnings=[]))
        return done._asdict()
