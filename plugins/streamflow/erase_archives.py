"""Erased users in the archive: which files have rows of theirs, and what becomes of these files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from streamflow import settings
from streamflow.archive import archive_months
from streamflow.archive_files import FILE, MANIFEST, base_of, open_file
from streamflow.months import Month
from streamflow.places import place_of
from streamflow.refusal import Refusal, count
from streamflow.restore import restore_month
from streamflow.storage_errors import storage_errors
from streamflow.tables import TABLES
from streamflow.templating import render

_ROWS_AT_ONCE = 1 << 17
_NEWEST = "select as_of::text, table_name, revision from public.current_deliveries"
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
        users: those of the users that it has; empty if an older revision's file is gone or cannot be read.
    """

    as_of: str
    table: str
    revision: int
    place: str
    is_newest: bool
    is_only_archived: bool
    users: frozenset[str]


def files_with(conn_id: str, cursor: Any, users: Collection[str]) -> list[FileWithUsers]:
    """Return the archived files of all revisions that have rows of some users. Reads only the column user_id.

    Also files that an attempt has left without a record, if a later revision has come meanwhile. An older revision's
    file that cannot be read counts as one that has them.

    Args:
        conn_id: connection of the database.
        cursor: psycopg's; its transaction is ended, because this may take long.
        users: their ids.

    Raises:
        Refusal: if the only copy of a snapshot is missing or cannot be read.
    """
    recorded = cursor.execute(render("parts/files_to_search.sql")).fetchall()
    newest = {(as_of, table): revision for as_of, table, revision in cursor.execute(_NEWEST).fetchall()}
    cursor.connection.commit()
    found = []
    for as_of, table, revision, place, is_newest, is_only_archived in [
        *recorded,
        *_unrecorded(base_of(conn_id), {row[3] for row in recorded}, newest),
    ]:
        theirs = _users_in(place, users)
        if theirs is None and is_only_archived:
            raise Refusal(
                f"{place}:",
                "Expected the archived file that has the only copy of a snapshot.",
                "Found no file, or one that cannot be read.",
                to_do="bring it back from a backup of the archive (make verify), then start the erasure again",
            )
        if theirs or (theirs is None and not is_newest):
            found.append(
                FileWithUsers(as_of, table, revision, place, is_newest, is_only_archived, theirs or frozenset())
            )
    return found


def _unrecorded(base: str, recorded: set[str], newest: dict[tuple[str, str], int]) -> Iterator[tuple]:
    """Yield the files of older revisions that are not recorded, as ``files_to_search.sql`` has the others."""
    tables = {table.snapshots: table.name for table in TABLES.values()}
    with storage_errors(base):
        places = sorted(str(one) for one in place_of(base).glob(f"*/as_of=*/revision=*/{FILE}"))
    for place in places:
        snapshots, month, revision, _ = place.split("/")[-4:]
        table, as_of, number = tables.get(snapshots), month.partition("=")[2], revision.partition("=")[2]
        address = f"{base}/{snapshots}/{month}/{revision}/{FILE}"
        if table and number.isdecimal() and address not in recorded and int(number) < newest.get((as_of, table), 0):
            yield as_of, table, int(number), address, False, False


def _users_in(address: str, users: Collection[str]) -> frozenset[str] | None:
    """Return which of some users a Parquet file has; None if there is no such file, or it cannot be read."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    wanted = pa.array(sorted(users), pa.string())
    found: set[str] = set()
    place = place_of(address)
    with storage_errors(place):
        if not place.exists():
            return None
        try:
            with open_file(place) as file:
                for batch in parquet.ParquetFile(file).iter_batches(_ROWS_AT_ONCE, columns=["user_id"]):
                    ids = batch.column(0)
                    found.update(ids.filter(compute.is_in(ids, wanted)).to_pylist())
        except (pa.ArrowException, IndexError):  # damaged, or another file
            return None
    return frozenset(found)


def bring_back(conn_id: str, months: Iterable[str]) -> None:
    """Restore months that are only in the archive, so that they are erased as all others.

    The caller holds the archive's lock, and has no transaction open.
    """
    for as_of in sorted({*months}):
        restore_month(conn_id, Month.parse(as_of))


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
    for folder in (settings.training_sets_folder() / settings.database_folder(conn_id), place_of(base_of(conn_id))):
        if isinstance(folder, Path):  # what was being written when a run was killed: none runs now
            for unfinished in folder.rglob(".*.unfinished"):
                unfinished.unlink(missing_ok=True)
    files = files_with(conn_id, cursor, users)
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
