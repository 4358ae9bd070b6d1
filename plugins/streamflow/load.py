"""A delivered CSV file, into its staging table, exactly as the file says it."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.standard.hooks.filesystem import FSHook

from streamflow.months import Month
from streamflow.tables import Table

_BLOCK = 1 << 20  # bytes a read; the whole of the operator's memory
_MAX_HEADER = 1 << 16  # bytes
_MAX_COLUMNS = 1000
_MAX_NAME = 63  # bytes of a PostgreSQL identifier
_SYSTEM_COLUMNS = frozenset(("tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"))  # PostgreSQL's own in every table
_BOM = b"\xef\xbb\xbf"
_END_MARK = re.compile(rb"^\\\.\r?$", re.MULTILINE)


def read_header(line: bytes, file: str) -> list[str]:
    """Return the column names of a CSV file's first line.

    Args:
        line: the line, with or without a UTF-8 byte order mark.
        file: what to call the file in messages.

    Raises:
        AirflowFailException: if the line is no UTF-8 or longer than 64 KiB, or a name is empty, given twice, longer
            than 63 bytes, one of PostgreSQL's own or not plain printable text: a header is data, and only such
            names are let near an identifier.
    """
    if len(line) >= _MAX_HEADER:
        raise AirflowFailException(
            f"{file}, line 1: expected column names in less than {_MAX_HEADER} bytes, found more. Correct the header."
        )
    try:
        text = line.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise AirflowFailException(
            f"{file}, line 1: expected UTF-8 text, found byte 0x{line[error.start]:02x}. Export the file as UTF-8."
        ) from None
    try:
        names = next(csv.reader([text]), [])
    except csv.Error as error:
        raise AirflowFailException(
            f"{file}, line 1: expected column names and a line feed, found another file: {error}. "
            "Export the file as CSV with a line feed after each row."
        ) from None
    if not names:
        raise AirflowFailException(f"{file}, line 1: expected column names, found none. Correct the header.")
    if len(names) > _MAX_COLUMNS:
        raise AirflowFailException(
            f"{file}, line 1: expected at most {_MAX_COLUMNS} columns, found {len(names)}. Correct the header."
        )
    for position, name in enumerate(names, start=1):
        if not name or not name.isprintable() or len(name.encode()) > _MAX_NAME:
            raise AirflowFailException(
                f"{file}, line 1, column {position}: expected a printable name of 1 to {_MAX_NAME} bytes, "
                f"found {name[:80]!r}. Correct the header."
            )
        if name in _SYSTEM_COLUMNS:
            raise AirflowFailException(
                f"{file}, line 1, column {position}: expected a column of the delivery, found {name!r}, which is "
                "PostgreSQL's own. Correct the header."
            )
        if name in names[: position - 1]:
            raise AirflowFailException(
                f"{file}, line 1, column {position}: expected each column once, found {name!r} again. "
                "Correct the header."
            )
    return names


class LoadCsvOperator(BaseOperator):
    """Load one file of a delivery with COPY, after giving its staging table the columns that the header names.

    Known columns have live's types, unknown ones are text, missing ones are absent (optional ones NULL), so that
    the validation after it speaks of the delivery. Everything happens in one transaction; the file is only read.

    Args:
        table: which of the six tables.
        as_of: the month (templated).
        folder: the month folder, below the path of ``fs_conn_id`` (templated).
        record_sql: statement that puts the file on record in ``staging.files`` (templated).
        conn_id: connection of the database.
        fs_conn_id: connection whose path holds the month folders.

    Returns (XCom):
        ``file``, ``rows``, ``bytes``, ``sha256``, ``not_delivered`` and ``unknown`` columns.

    Raises:
        AirflowFailException: if the file is missing or is no CSV of this table; not retried.
        AirflowException: if the file changed while it was read; retried.
    """

    template_fields: Sequence[str] = ("as_of", "folder", "record_sql")
    template_fields_renderers = {"record_sql": "sql"}
    template_ext: Sequence[str] = (".sql",)
    ui_color = "#dfeee3"

    def __init__(
        self,
        *,
        table: Table,
        as_of: str,
        folder: str,
        record_sql: str,
        conn_id: str,
        fs_conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.as_of = as_of
        self.folder = folder
        self.record_sql = record_sql
        self.conn_id = conn_id
        self.fs_conn_id = fs_conn_id

    def execute(self, context: Any) -> dict[str, Any]:
        """Read the header, shape the table, copy the rows, record the file."""
        path = Path(FSHook(self.fs_conn_id).get_path()) / self.folder / self.table.file_name
        try:
            with path.open("rb") as file:
                return self._load(file, f"{self.folder}/{self.table.file_name}")
        except OSError as error:
            raise AirflowFailException(
                f"{path} cannot be read: {error.strerror}. Deliver the file and clear this task."
            ) from None

    def _load(self, file: IO[bytes], name: str) -> dict[str, Any]:
        import psycopg
        from psycopg import sql

        before = os.fstat(file.fileno())
        first_line = file.readline(_MAX_HEADER)
        header = read_header(first_line, name)
        not_delivered = [column for column in self.table.optional if column not in header]
        staged = f"{self.table.name}_{Month.parse(self.as_of).suffix}"
        table = sql.Identifier("staging", staged)
        copy = sql.SQL("copy {} ({}) from stdin (format csv, header true, encoding 'UTF8')").format(
            table, sql.SQL(", ").join(map(sql.Identifier, header))
        )
        digest = hashlib.sha256()
        with closing(PostgresHook(self.conn_id).get_conn()) as connection, connection.cursor() as cursor:
            cursor.execute(
                "select staging.mirror_header(%s, %s, %s, %s)",
                (self.table.name, staged, header, list(self.table.optional)),
            )
            # a date is year, month, day; other orders are refused rather than guessed
            cursor.execute("set local datestyle = 'ISO, YMD'")
            try:
                with cursor.copy(copy) as stream:
                    for block in _blocks(first_line, file, name):
                        digest.update(block)
                        stream.write(block)
            except psycopg.DataError as error:
                raise AirflowFailException(self._explain(error, name)) from None
            rows = cursor.rowcount
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise AirflowException(
                    f"{name} was written to while it was read: {before.st_size} bytes before, {after.st_size} after."
                )
            cursor.execute(
                self.record_sql,
                {
                    "file_name": name,
                    "file_bytes": after.st_size,
                    "file_sha256": digest.hexdigest(),
                    "not_delivered": not_delivered,
                    "delivered": rows,
                },
            )
            cursor.execute(sql.SQL("analyze {}").format(table))
            connection.commit()
        self.log.info("%s: %d rows, %d bytes into staging.%s.", name, rows, after.st_size, staged)
        return {
            "file": name,
            "rows": rows,
            "bytes": after.st_size,
            "sha256": digest.hexdigest(),
            "not_delivered": not_delivered,
            "unknown": [column for column in header if column not in ("user_id", *self.table.columns)],
        }

    def _explain(self, error: Any, name: str) -> str:
        """Turn COPY's refusal into file, place, reason and what to do."""
        # 'COPY users_20240131, line 5, column signup_date: "2024-02-30"'
        _, _, place = (error.diag.context or "").split("\n")[0].partition(", ")
        return (
            f"{name}, {place}: {error.diag.message_primary}. Nothing was loaded. Correct the file and clear this task."
        )


def _blocks(first_line: bytes, file: IO[bytes], name: str) -> Iterator[bytes]:
    """Yield the file in blocks, and refuse a line that servers before PostgreSQL 18 take for the end of the data."""
    yield first_line
    line, begun = 2, b""  # the number of the line that a block begins in, and what the block before has of it
    while block := file.read(_BLOCK):
        lines, feed, rest = (begun + block).rpartition(b"\n")
        if feed:
            _refuse_end_mark(lines, line, name)
            line += lines.count(b"\n") + 1
        # all that is asked of a line's beginning is whether it could be the mark: a long one need not be kept
        begun = rest if len(rest) <= 3 else b"...."
        yield block
    _refuse_end_mark(begun, line, name)


def _refuse_end_mark(lines: bytes, first: int, name: str) -> None:
    if found := _END_MARK.search(lines):
        line = first + lines.count(b"\n", 0, found.start())
        raise AirflowFailException(
            f"{name}, line {line}: expected a row, found \\. alone, at which PostgreSQL before 18 stops reading and "
            "drops what follows. Nothing was loaded. Correct the file and clear this task."
        )
