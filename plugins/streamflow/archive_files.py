"""The archive's files: one Parquet file per table, month, and revision, with a manifest, and how its rows come back.

A folder counts once it has its manifest, which is written last. The name begins with an underscore, so that Spark and
others that read Hive's layout of partitions take only the data.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

from streamflow import settings
from streamflow.manifest import NAME as MANIFEST
from streamflow.parquet import read_parquet
from streamflow.places import place_of
from streamflow.refusal import Refusal, count
from streamflow.storage_errors import storage_errors
from streamflow.tables import EXACT, TABLES, Table
from streamflow.templating import render

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    Place = Path | ObjectStoragePath

FILE = "part-0.parquet"
_BLOCK = 8 << 20  # bytes per read

# What copies rows out of the database, or back, does not run beside an erasure, which must see all copies. Training
# sets are built beside each other.
LOCK = "select pg_advisory_lock(hashtext('streamflow archive'))"
LOCK_SHARED = "select pg_advisory_lock_shared(hashtext('streamflow archive'))"
# all that a value's text could depend on
SESSION = """
set local client_encoding = 'UTF8';
set local datestyle = 'ISO';
set local work_mem = '128MB'
"""


def base_of(conn_id: str) -> str:
    """Return the address of the archive of a connection's database."""
    return f"{settings.archive()}/{settings.database_folder(conn_id)}"


def file_of(base: str, table: str, as_of: str, revision: int) -> str:
    """Return the address of a revision's file: below ``base``, the folders are partitions as Hive names them."""
    return f"{base}/{TABLES[table].snapshots}/as_of={as_of}/revision={revision}/{FILE}"


def types_of(table: Table, names: Sequence[str]) -> dict[str, str]:
    """Return the columns of a file in order, with their types in PostgreSQL.

    ``as_of`` and ``revision`` are not among them, because the folders' names have them. A number is there twice: as a
    double, and as PostgreSQL's text of it.

    Args:
        table: the table.
        names: the columns that the ledger's checksum covers.

    Raises:
        Refusal: if the table does not have one of them any more.
    """
    known = {"user_id": "text", **{column.name: column.type for column in table.fields}}
    if gone := [name for name in names if name not in known]:
        raise Refusal(f"{table.name} does not have the {count(len(gone), 'column')} {', '.join(gone)} any more.")
    types = {}
    for name in names:
        types[name] = known[name]
        if name in table.numbers:
            types[name + EXACT] = "text"
    return types | {"source_as_of": "date", "event_timestamp": "timestamptz"}


def rows_sql(path: str, table: Table, as_of: str, names: Sequence[str]) -> str:
    """Return the COPY of a file of ``include/sql/parts/``, for a month and the columns that the checksum covers."""
    return render(path, params={"as_of": as_of}, task=SimpleNamespace(table=table), names=names)


@contextmanager
def new_file(place: Place) -> Iterator[IO[bytes]]:
    """Open a file to write; it is there, whole and durable, when the block ends without an error."""
    if not isinstance(place, Path):
        # if the rows end in an error, nothing is sent to the store
        with tempfile.TemporaryFile() as rows:
            yield rows
            rows.seek(0)
            with storage_errors(place), place.open("wb") as file:
                shutil.copyfileobj(rows, file, _BLOCK)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".{uuid.uuid4().hex}.unfinished")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(place)
        _sync_folders(place.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync_folders(folder: Path) -> None:
    """Make the names of a file and of its folders durable: the rows may be dropped from the database afterwards."""
    for one in (folder, *folder.parents[:4]):
        descriptor = os.open(one, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_file(place: Place) -> Any:
    """Open a file for reading; of a store, in blocks that are smaller than its package's own."""
    return place.open("rb") if isinstance(place, Path) else place.open("rb", block_size=_BLOCK)


def digest(place: Place) -> tuple[int, str]:
    """Return the size and the SHA-256 of a file, which is read as a stream."""
    found, size = hashlib.sha256(), 0
    with storage_errors(place), open_file(place) as file:
        while block := file.read(_BLOCK):
            found.update(block)
            size += len(block)
    return size, found.hexdigest()


def size_of(place: Place) -> int | None:
    """Return the size of a file in bytes; None if there is none."""
    with storage_errors(place):
        return place.stat().st_size if place.exists() else None


def read_manifest(file: Place) -> dict[str, Any] | None:
    """Return the manifest beside a file; None if there is none, or if it cannot be read."""
    place = file.parent / MANIFEST
    with storage_errors(place):
        if not place.exists():
            return None
        with place.open("rb") as manifest:
            content = manifest.read()
    try:
        return dict(json.loads(content))
    except (ValueError, TypeError, RecursionError):
        return None


def write_manifest(place: Place, content: dict[str, Any]) -> None:
    """Write the manifest beside a file."""
    with new_file(place.parent / MANIFEST) as manifest:
        manifest.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def fault_of(address: str, file_bytes: int, file_sha256: str | None) -> str:
    """Return what is wrong with an archived file and its manifest, in a few words; empty if nothing is.

    Args:
        address: the file.
        file_bytes: its size.
        file_sha256: its hash; None compares only the size.
    """
    place = place_of(address)
    size = size_of(place)
    if size is None:
        return "no file"
    if size != file_bytes:
        return f"{size:,} bytes"
    if read_manifest(place) is None:
        return f"no {MANIFEST} beside it"
    if file_sha256 is not None and (sha256 := digest(place)[1]) != file_sha256:
        return f"SHA-256 {sha256}"
    return ""


def damage_of(row: dict[str, Any], *facts: str, to_do: str) -> Refusal | None:
    """Return what is wrong with an archived file; None if nothing is.

    Args:
        row: a row of ``archived_files.sql``.
        facts: what follows from it.
        to_do: what to do about it.
    """
    fault = fault_of(row["place"], row["file_bytes"], row["file_sha256"])
    if not fault:
        return None
    return Refusal(
        f"{row['place']}:",
        f"Expected {count(row['file_bytes'], 'byte')}, SHA-256 {row['file_sha256']}.",
        f"Found {fault}.",
        *facts,
        to_do=to_do,
    )


def rows_of(cursor: Any) -> list[dict[str, Any]]:
    """Return the rows that a cursor has found, as column name to value."""
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def read_back(cursor: Any, row: dict[str, Any], address: str, to_attach: bool = False) -> None:
    """Read an archived file into a table of the database, in the cursor's transaction.

    Args:
        cursor: psycopg's.
        row: ``as_of``, ``table_name``, and ``columns``: those that the ledger's checksum covers.
        address: the file.
        to_attach: whether the table is to become a snapshot again.

    Raises:
        Refusal: if the file does not have the columns, or is not Parquet.
    """
    import pyarrow as pa

    table = TABLES[row["table_name"]]
    columns = [*row["columns"], "source_as_of"]
    cursor.execute("select staging.create_read_back(%s, %s, %s)", (row["as_of"], table.name, to_attach))
    place = place_of(address)
    try:
        with (
            storage_errors(place),
            open_file(place) as file,
            cursor.copy(rows_sql("parts/read_back.sql", table, row["as_of"], row["columns"])) as copy,
        ):
            for rows in read_parquet(file, [name + EXACT if name in table.numbers else name for name in columns]):
                copy.write(rows)
    except (pa.ArrowInvalid, KeyError) as error:
        raise Refusal(
            f"{address}: expected a Parquet file with the columns {', '.join(columns)}.", f"Found: {error}."
        ) from None


def record(cursor: Any, row: dict[str, Any], address: str, file_bytes: int, file_sha256: str, run_id: str) -> None:
    """Compare what was read back with the ledger, and record it, in the cursor's transaction.

    Args:
        cursor: psycopg's.
        row: ``as_of``, ``table_name``, and ``revision``.
        address: the file.
        file_bytes: its size.
        file_sha256: its hash.
        run_id: the run.

    Raises:
        psycopg.errors.RaiseException: if it is not what the ledger says.
    """
    cursor.execute(
        "select staging.record_archive(%s, %s, %s, %s, %s, %s, %s)",
        (row["as_of"], row["table_name"], row["revision"], address, file_bytes, file_sha256, run_id),
    )
