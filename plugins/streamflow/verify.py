"""Compares snapshots with the ledger, live with the newest snapshot, and the archive with its record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseOperator

from streamflow.archive_files import fault_of
from streamflow.refusal import RUN_AGAIN, NotYet, Refusal, count, ends_task
from streamflow.settings import sample
from streamflow.tables import TABLES


class Difference(NamedTuple):
    """A difference from what was sealed.

    Attributes:
        relation: the table.
        as_of: the month.
        expected: what the ledger says or, for live, the newest snapshot.
        found: what the table holds.
        users: some of the users whose rows differ, if they are known.
        under_way: for live, the month whose run sealed the newest snapshot and has not ended: it still runs, or failed.
    """

    relation: str
    as_of: str
    expected: str
    found: str
    users: list[str]
    under_way: str | None

    @property
    def is_live(self) -> bool:
        """Whether it is in live, which each run makes equal to the newest snapshot."""
        return self.relation in TABLES

    @property
    def facts(self) -> list[str]:
        """Where it is, what was expected, and what was found, one line each."""
        where = f"{self.relation} of {self.as_of}" if self.as_of else f"{self.relation}, while no month is sealed"
        found = self.found + sample(self.users)
        why = [f"    the run of {self.under_way} sealed it and has not ended yet"] if self.under_way else []
        return [where, f"    expected {self.expected}", f"    found {found}", *why]


class Verified(NamedTuple):
    """What was compared and matches what was sealed.

    Attributes:
        months: sealed months; 0 if there was nothing to compare.
        snapshots: snapshots of single tables and months.
        newest: the month that live was compared with.
        snapshot_rows: rows of all snapshots.
        live_rows: rows of all live tables.
        database: the database's name.
        archived: archived files whose snapshots are in the database: they are there, and have their sizes.
        only_archived: archived files whose snapshots are nowhere else: they have their hashes.
    """

    months: int
    snapshots: int
    newest: str | None
    snapshot_rows: int
    live_rows: int
    database: str
    archived: int = 0
    only_archived: int = 0

    def __str__(self) -> str:
        if not self.months:
            return f"No month is sealed in the database {self.database}: there is nothing to compare."
        said = (
            f"OK: {count(self.months, 'month')}, {count(self.snapshots, 'snapshot')} match the ledger; "
            f"live matches {self.newest}.\n"
            f"Rows compared: {self.snapshot_rows:,} in snapshots, {self.live_rows:,} in live."
        )
        if self.archived or self.only_archived:
            said += (
                f"\nArchive: {count(self.only_archived, 'snapshot')} that are only there, compared by SHA-256; "
                f"{self.archived:,} that are also in the database, by size."
            )
        return said


def verify(conn_id: str, sql: str, verified_sql: str, archived_sql: str) -> Verified:
    """Compare, and return what was compared.

    Args:
        conn_id: connection of the database.
        sql: ``verify.sql``, rendered.
        verified_sql: ``verified.sql``, rendered.
        archived_sql: ``archived_files.sql``, rendered.

    Raises:
        Refusal: naming every difference; or if the database does not have this version's schema.
        NotYet: if all of them are in live tables, and the run that brings those to the newest snapshot has not ended.
    """
    import psycopg

    connection: Any = PostgresHook(conn_id).get_conn()  # psycopg's; the hook promises less
    with closing(connection), connection.cursor() as cursor:
        exists, database = cursor.execute(
            "select to_regclass('public.deliveries') is not null, current_database()::text"
        ).fetchone()
        if not exists:  # before the first run
            return Verified(0, 0, None, 0, 0, database)
        connection.rollback()  # the file sets the isolation level of its transaction
        try:
            cursor.execute(sql)
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction):
            raise Refusal(
                f"The database {database} does not have the schema that this version of the package needs.",
                "Nothing was compared.",
                to_do="run a month, which installs it or says why it cannot. If the pipeline does not own the "
                "database, its owner installs it: make schema",
            ) from None
        while cursor.nextset():
            pass
        differences = [Difference(*row) for row in cursor.fetchall()]
        verified = Verified(*cursor.execute(verified_sql).fetchone())
        files = cursor.execute(archived_sql, {"month": None}).fetchall()
    faults, archived = _compare_archive(files)
    verified = verified._replace(archived=archived, only_archived=len(files) - archived)
    facts = [fact for difference in differences for fact in difference.facts]
    if faults:
        raise Refusal(
            f"{count(len(differences) + len(faults) // 3, 'difference')} from what was sealed or archived:",
            *facts,
            *faults,
            to_do="make archive writes the files again whose snapshots are in the database. Bring back the others from "
            "a backup of the archive. For other differences: make verify, once the archive is complete",
        )
    if not differences:
        return verified
    if all(difference.under_way for difference in differences):
        raise NotYet(
            "Live is behind the newest snapshot:",
            *facts,
            to_do=f"wait until the run of {differences[0].under_way} has ended: it brings live to the newest snapshot. "
            f"If it has failed, {RUN_AGAIN}.",
        )
    said = f"{count(len(differences), 'difference')} from what was sealed:"
    if all(difference.is_live for difference in differences):
        raise Refusal(
            said,
            *facts,
            "Something other than this pipeline wrote to live, or the server crashed before a run ended.",
            to_do=f"{RUN_AGAIN}: each run of any month brings live to the newest snapshot.",
        )
    raise Refusal(
        said,
        *facts,
        "Something other than this pipeline wrote to these tables"
        + (", or a migration has dropped columns." if any("are gone" in one.found for one in differences) else "."),
        to_do="run the months that differ again with restate=true, oldest first: "
        "this builds their snapshots and live again from their files",
    )


def _compare_archive(files: list[tuple[Any, ...]]) -> tuple[list[str], int]:
    """Compare archived files with their record.

    Args:
        files: the rows of ``archived_files.sql``.

    Returns:
        Three facts per file that differs, and the number of files whose snapshots are also in the database: of these,
        only the size is compared.
    """
    faults = []
    for as_of, table, revision, place, file_bytes, sha256, _, is_in_database in files:
        if fault := fault_of(place, file_bytes, None if is_in_database else sha256):
            only = "" if is_in_database else ", which is only there"
            faults += [
                f"the archive of {table} of {as_of}, revision {revision}{only}: {place}",
                f"    expected {file_bytes:,} bytes, SHA-256 {sha256}",
                f"    found {fault}",
            ]
    return faults, sum(row[-1] for row in files)


class VerifyOperator(BaseOperator):
    """Recompute counts and checksums of every snapshot, compare live with the newest one, check the archive; read-only.

    Before the first month there is nothing to compare. It says so and succeeds, because its DAG is not paused at first.

    Args:
        sql: ``verify.sql`` (templated).
        verified_sql: ``verified.sql`` (templated).
        archived_sql: ``archived_files.sql`` (templated).
        conn_id: connection of the database.

    Raises:
        TaskRefused: naming every difference.
        TaskNotYet: if a run that is under way explains all of them.
    """

    template_fields: Sequence[str] = ("sql", "verified_sql", "archived_sql")
    template_fields_renderers = {"sql": "sql", "verified_sql": "sql", "archived_sql": "sql"}
    template_ext: Sequence[str] = (".sql",)

    def __init__(self, *, sql: str, verified_sql: str, archived_sql: str, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.verified_sql = verified_sql
        self.archived_sql = archived_sql
        self.conn_id = conn_id

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Compare, and name the differences; the XCom is what was compared."""
        verified = verify(self.conn_id, self.sql, self.verified_sql, self.archived_sql)
        for line in str(verified).splitlines():
            self.log.info("%s", line)
        return verified._asdict()
