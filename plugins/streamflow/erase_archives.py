"""Erased users in the archive: which files have rows of theirs, and what becomes of these files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from streamflow.archive import archive_months
from streamflow.archive_files import MANIFEST, open_file
from streamflow.months import Month
from streamflow.places import place_of
from streamflow.refusal import Refusal, count
from streamflow.restore import restore
from streamflow.storage_errors import storage_errors
from streamflow.templating import render

_ROWS_AT_ONCE = 1 << 17
_FORGET = "select staging.forget_archive(%s, %s, %s)"


class FileWithUsers(NamedTuple):
    """An archived file that has rows of some users.

    Attributes:
        as_of: the month.
        table: the table.
        revision: of the snapshot in the ledger.
        place: the file.
        is_newest: whether it is the newest revision in the ledger.
        is_only_archived: whether its snapshot is not in the database.
        users: those of the users that it has; empty if an older revision's file is already gone.
    """

    as_of: str
    table: str
    revision: int
    place: str
    is_newest: bool
    is_only_archived: bool
    users: frozenset[str]


def files_with(cursor: Any, users: Collection[str]) -> list[FileWithUsers]:
    """Return the archived files of all revisions that have rows of some users. Reads only the column user_id.

    Args:
        cursor: psycopg's.
        users: their ids.

    Raises:
        Refusal: if the only copy of a snapshot is missing or cannot be read.
    """
    found = []
    for as_of, table, revision, place, is_newest, is_only_archived in cursor.execute(
        render("parts/files_to_search.sql")
    ).fetchall():
        try:
            theirs = _users_in(place, users)
        except FileNotFoundError:
            if is_only_archived:
                raise Refusal(
                    f"{place}:",
                    "Expected the archived file that has the only copy of a snapshot.",
                    "Found no file.",
                    to_do="bring it back from a backup of the archive (make verify), then start the erasure again",
                ) from None
            if is_newest:  # the next archiving writes it again, without them
                continue
            theirs = frozenset()
        else:
            if not theirs:
                continue
        found.append(FileWithUsers(as_of, table, revision, place, is_newest, is_only_archived, theirs))
    return found


def _users_in(address: str, users: Collection[str]) -> frozenset[str]:
    """Return which of some users a Parquet file has."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    wanted = pa.array(sorted(users), pa.string())
    found: set[str] = set()
    place = place_of(address)
    with storage_errors(place):
        if not place.exists():
            raise FileNotFoundError(address)
        with open_file(place) as file:
            for batch in parquet.ParquetFile(file).iter_batches(_ROWS_AT_ONCE, columns=["user_id"]):
                ids = batch.column(0)
                found.update(ids.filter(compute.is_in(ids, wanted)).to_pylist())
    return frozenset(found)


def bring_back(conn_id: str, files: Collection[FileWithUsers]) -> list[str]:
    """Restore the months that are only in the archive and have the users, so that they are erased as all others.

    Returns:
        The months.
    """
    months = sorted({file.as_of for file in files if file.is_only_archived})
    for as_of in months:
        restore(conn_id, Month.parse(as_of))
    return months


def rewrite(conn_id: str, cursor: Any, users: Collection[str], run_id: str) -> list[str]:
    """Archive the erased months anew, and delete every archived file that has rows of the users.

    The caller holds the archive's lock, and commits.

    Args:
        conn_id: connection of the database.
        cursor: psycopg's.
        users: their ids.
        run_id: the run, for the record.

    Returns:
        What was done, in words.

    Raises:
        Refusal: if a file cannot be written, read back, or deleted; started again, the erasure goes on.
    """
    files = files_with(cursor, users)
    cursor.connection.commit()
    written = 0
    for as_of in sorted({file.as_of for file in files}):
        written += len(archive_months(conn_id, run_id, Month.parse(as_of)).archived)
    for file in files:
        _delete(file.place)
        cursor.execute(_FORGET, (file.as_of, file.table, file.revision))
        cursor.connection.commit()
    if not files:
        return []
    return [f"Archive: {count(written, 'file')} written without them, {count(len(files), 'file')} with them deleted."]


def _delete(address: str) -> None:
    """Delete a file and its manifest, the manifest first: without it, the file does not count."""
    place = place_of(address)
    for one in (place.parent / MANIFEST, place):
        with storage_errors(one):
            if one.exists():
                one.unlink()
    if isinstance(place, Path) and place.parent.is_dir() and not any(place.parent.iterdir()):
        place.parent.rmdir()
