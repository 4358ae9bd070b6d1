"""Archives sealed snapshots: as Parquet files that are read back, and compared with the ledger, before they count."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any, NamedTuple

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import BaseOperator

from streamflow import __version__
from streamflow.archive_files import (
    FILE,
    LOCK,
    MANIFEST,
    SESSION,
    base_of,
    digest,
    fault_of,
    file_of,
    new_file,
    read_back,
    read_manifest,
    record,
    rows_of,
    rows_sql,
    size_of,
    types_of,
    write_manifest,
)
from streamflow.months import Month
from streamflow.parquet import CopiedRows, write_parquet
from streamflow.places import place_of
from streamflow.refusal import Refusal, count, ends_task
from streamflow.tables import TABLES
from streamflow.templating import render

log = logging.getLogger(__name__)


class Archived(NamedTuple):
    """A revision of a snapshot that was archived.

    Attributes:
        as_of: the month.
        table: the table.
        revision: of the snapshot in the ledger.
        rows: of the snapshot.
        place: the file.
        file_bytes: its size.
        file_sha256: its hash.
    """

    as_of: str
    table: str
    revision: int
    rows: int
    place: str
    file_bytes: int
    file_sha256: str


class Archive(NamedTuple):
    """What a run has archived.

    Attributes:
        archived: the snapshots, by month.
        warnings: what could not be archived any more, one sentence each.
    """

    archived: list[Archived]
    warnings: list[str]

    def __str__(self) -> str:
        months: dict[str, list[Archived]] = {}
        for one in self.archived:
            months.setdefault(one.as_of, []).append(one)
        lines = [
            f"{as_of}: {count(len(files), 'snapshot')} archived, {count(sum(one.rows for one in files), 'row')}, "
            f"{count(sum(one.file_bytes for one in files), 'byte')}"
            for as_of, files in months.items()
        ]
        return "\n".join([*self.warnings, *(lines or ["Nothing to archive: all snapshots in the database are."])])


def archive(conn_id: str, run_id: str, month: Month | None = None) -> Archive:
    """Archive the newest revision of each sealed snapshot in the database whose file is missing.

    One transaction per month reads what is archived, so a restatement at the same time is in it as a whole or not at
    all. A file of an earlier attempt is used if its manifest is complete.

    Args:
        conn_id: connection of the database.
        run_id: the run, for the record.
        month: only this one; by default all.

    Raises:
        Refusal: if the month is not sealed; if a file of another snapshot is in the way; if the store refuses.
        psycopg.errors.RaiseException: if what was read back is not what the ledger says.
    """
    connection: Any = PostgresHook(conn_id).get_conn()  # psycopg's; the hook promises less
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(LOCK)
        connection.commit()
        return archive_months(conn_id, run_id, month)


def archive_months(conn_id: str, run_id: str, month: Month | None = None) -> Archive:
    """Do what :func:`archive` does, for a caller that holds the archive's lock."""
    base = base_of(conn_id)
    found = Archive([], [])
    connection: Any = PostgresHook(conn_id).get_conn()
    with closing(connection), connection.cursor() as cursor:
        if month is not None:
            assert_sealed(cursor, month)
        parameters = {"month": month and month.as_of}
        months = cursor.execute(render("parts/archive_months.sql"), parameters).fetchall()
        connection.rollback()  # the isolation level is set for each transaction
        for (as_of,) in months:
            cursor.execute(f"set local transaction_isolation = 'repeatable read'; {SESSION}")
            for row in rows_of(cursor.execute(render("parts/archive_month.sql"), {"month": as_of})):
                _archive(cursor, row, base, run_id, found)
            connection.commit()
    return found


def assert_sealed(cursor: Any, month: Month) -> None:
    """Stop unless the month is sealed.

    Raises:
        Refusal: if it is not.
    """
    if not cursor.execute("select 1 from public.deliveries where as_of = %s limit 1", [month.as_of]).fetchone():
        raise Refusal(f"{month} is not sealed.", to_do="name a month of public.sealed_months")


def _archive(cursor: Any, row: dict[str, Any], base: str, run_id: str, found: Archive) -> None:
    """Archive one snapshot in the cursor's transaction, unless its file is there."""
    if row["place"] is not None and not fault_of(row["place"], row["file_bytes"], None):
        return
    what = f"{row['table_name']} of {row['as_of']}"
    found.warnings.extend(
        f"{what}: revision {missed} was restated before it was archived, and its rows are gone."
        for missed in row["missed"]
    )
    table = TABLES[row["table_name"]]
    try:
        types = types_of(table, row["columns"])
    except Refusal as gone:
        found.warnings.append(f"{what} cannot be archived. {gone.facts[0]}")
        return
    address = file_of(base, table.name, row["as_of"], row["revision"])
    manifest = _content(row, types)
    place = place_of(address)
    written = _written(address, manifest)
    if written is None:
        copied = rows_sql("parts/archived_rows.sql", table, row["as_of"], row["columns"])
        with new_file(place) as file, cursor.copy(copied) as copy:
            manifest["written_by"] = write_parquet(CopiedRows(copy), file, types)
    file_bytes, file_sha256 = written or digest(place)
    read_back(cursor, row, address)
    record(cursor, row, address, file_bytes, file_sha256, run_id)
    if written is None:
        write_manifest(place, manifest | {"file_bytes": file_bytes, "sha256": file_sha256})
    found.archived.append(
        Archived(row["as_of"], table.name, row["revision"], row["snapshot_rows"], address, file_bytes, file_sha256)
    )


def _content(row: dict[str, Any], types: dict[str, str]) -> dict[str, Any]:
    """Return what a manifest says of a snapshot; the file's size and hash are added when it is written."""
    return {
        "table": row["table_name"],
        "as_of": row["as_of"],
        "revision": row["revision"],
        "rows": row["snapshot_rows"],
        "checksum": row["snapshot_checksum"],
        "checksum_columns": row["columns"],
        "columns": types,
        "file": FILE,
        "package_version": __version__,
    }


def _written(address: str, expected: dict[str, Any]) -> tuple[int, str] | None:
    """Return the size and hash of the file that an earlier attempt has written; None if it must be written.

    Raises:
        Refusal: if the folder has another snapshot.
    """
    place = place_of(address)
    manifest = read_manifest(place)
    if manifest is None:
        return None
    differ = [name for name in ("rows", "checksum") if manifest.get(name) != expected[name]]
    if differ:
        raise Refusal(
            f"{address}: there is another snapshot in this folder.",
            *(f"Expected {name} {expected[name]}, as in the ledger; found {manifest.get(name)}." for name in differ),
            "It may be of a database that had the same name and address before. It was left as it is.",
            to_do="move its folder elsewhere, or set another archive (AIRFLOW__STREAMFLOW__ARCHIVE), then make archive",
        )
    said = (manifest.get("file_bytes"), manifest.get("sha256"))
    if size_of(place) is not None and digest(place) == said:
        return said
    (place.parent / MANIFEST).unlink()  # until the file is written again, the folder does not count
    return None


class ArchiveOperator(BaseOperator):
    """Archive the newest revision of each sealed snapshot whose file is missing.

    It does not depend on the month that has woken it, because a paused DAG misses events.

    Args:
        conn_id: connection of the database.

    Returns (XCom):
        A list of the attributes of each :class:`Archived`.

    Raises:
        TaskRefused: for the refusals of :func:`archive`.
    """

    def __init__(self, *, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id

    @ends_task
    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Archive, and log what was archived."""
        done = archive(self.conn_id, context["run_id"])
        for warning in done.warnings:
            self.log.warning("%s", warning)
        for line in str(done._replace(warnings=[])).splitlines():
            self.log.info("%s", line)
        return [one._asdict() for one in done.archived]
