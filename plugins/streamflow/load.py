"""A delivered CSV file, into its staging table, exactly as the file says it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, NamedTuple

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.standard.hooks.filesystem import FSHook

from streamflow import settings
from streamflow.faults import Fault, find_faults, write_faults
from streamflow.header import MAX_HEADER, read_header
from streamflow.months import Month
from streamflow.tables import Table

_BLOCK = 1 << 17  # bytes a read: little enough that the server has work left while the next are hashed
_MAX_LINE = 1 << 20  # bytes
_LISTED = 20  # faults that the message lists; all of them are in the report
_END_MARK = re.compile(rb"^\\\.\r?$", re.MULTILINE)
_NOT_LOADED = "Nothing was loaded. Correct the file and clear this task."


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
        root = Path(FSHook(self.fs_conn_id).get_path())
        path = root / self.folder / self.table.file_name
        try:
            with _open(root, path) as file:
                return self._load(file, path)
        except OSError as error:
            if error.filename and Path(error.filename).is_relative_to(settings.reports_folder()):
                raise  # not the delivery's fault
            raise AirflowFailException(
                f"{path} cannot be read: {error.strerror}. Deliver the file and clear this task."
            ) from None

    def _load(self, file: IO[bytes], path: Path) -> dict[str, Any]:
        import psycopg
        from psycopg import sql

        name = f"{self.folder}/{self.table.file_name}"
        before = os.fstat(file.fileno())
        if before.st_size > settings.max_file_bytes():
            raise AirflowFailException(
                f"{name}: expected at most {settings.max_file_bytes()} bytes (AIRFLOW__STREAMFLOW__MAX_FILE_BYTES), "
                f"found {before.st_size}. Nothing was read. Deliver the right file, or raise the limit, and clear "
                "this task."
            )
        first_line = file.readline(MAX_HEADER)
        header = read_header(first_line, name, ("user_id", *self.table.columns))
        not_delivered = [column for column in self.table.optional if column not in header]
        staged = f"{self.table.name}_{Month.parse(self.as_of).suffix}"
        table = sql.Identifier("staging", staged)
        copy = sql.SQL("copy {} ({}) from stdin (format csv, header true, encoding 'UTF8')").format(
            table, sql.SQL(", ").join(map(sql.Identifier, header))
        )
        digest = hashlib.sha256()
        report = settings.report_path(self.as_of, f"{self.table.name}.bad_cells.csv")
        with closing(PostgresHook(self.conn_id).get_conn()) as connection, connection.cursor() as cursor:
            cursor.execute(
                "select staging.mirror_header(%s, %s, %s, %s)",
                (self.table.name, staged, header, list(self.table.optional)),
            )
            try:
                with cursor.copy(copy) as stream:
                    for block in _blocks(first_line, file, name):
                        digest.update(block)
                        stream.write(block)
                rows = cursor.rowcount
                cursor.execute("select staging.read_dates(%s, %s)", (self.table.name, staged))
            except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
                connection.rollback()
                raise AirflowFailException(self._explain(error, file, header, cursor, report)) from None
            _refuse_change(path, file, before, name)
            cursor.execute(
                self.record_sql,
                {
                    "file_name": name,
                    "file_bytes": before.st_size,
                    "file_sha256": digest.hexdigest(),
                    "not_delivered": not_delivered,
                    "delivered": rows,
                },
            )
            # a sample of 3,000 rows tells as much of keys, sizes and order as the default's 30,000
            cursor.execute("set local default_statistics_target = 10")
            cursor.execute(sql.SQL("analyze {}").format(table))
            connection.commit()
        report.unlink(missing_ok=True)  # what an earlier try has found
        self.log.info("%s: %d rows, %d bytes into staging.%s.", name, rows, before.st_size, staged)
        return {
            "file": name,
            "rows": rows,
            "bytes": before.st_size,
            "sha256": digest.hexdigest(),
            "not_delivered": not_delivered,
            "unknown": [column for column in header if column not in ("user_id", *self.table.columns)],
        }

    def _explain(self, error: Any, file: IO[bytes], header: list[str], cursor: Any, report: Path) -> str:
        """Turn COPY's refusal into file, place, reason and what to do."""
        import psycopg

        name = f"{self.folder}/{self.table.file_name}"
        place = _Place.of(error)
        if isinstance(error, psycopg.errors.ProgramLimitExceeded) or "unterminated" in error.diag.message_primary:
            return (
                f"{name}, line {_last_quote(file)}: expected a closing quote, found none up to the end of the file. "
                f"{_NOT_LOADED}"
            )
        if isinstance(error, psycopg.errors.CharacterNotInRepertoire | psycopg.errors.UntranslatableCharacter):
            _, _, found = error.diag.message_primary.rpartition(": ")
            return (
                f"{name}, line {place.line}: expected UTF-8 text, found {'a NUL byte' if found == '0x00' else found}. "
                "Nothing was loaded. Export the file as UTF-8 and clear this task."
            )
        shows = settings.shows_values()
        count, first = write_faults(find_faults(file, header, *self._types(cursor, header)), report, _LISTED, shows)
        if not count:  # what only COPY finds
            count, first = write_faults([place.as_fault(error.diag.message_primary)], report, _LISTED, shows)
        lines = "".join(f"  - {fault.describe(shows)}\n" for fault in first)
        return (
            f"{name}: {count} {'cells or rows are' if count > 1 else 'cell or row is'} not what the table needs.\n"
            f"{lines}{f'The first {len(first)}; all' if count > len(first) else 'All'} of them: {report}\n{_NOT_LOADED}"
        )

    def _types(self, cursor: Any, header: list[str]) -> tuple[dict[str, str], Callable[[str, list[str]], set[str]]]:
        """Return the types of the columns that are not text, and who tells which values are not of a type."""
        kinds = cursor.execute(
            "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
            (f"public.{self.table.name}",),
        ).fetchall()
        cursor.execute("set local datestyle = 'ISO'")  # as staging.read_dates has it

        def invalid(kind: str, values: list[str]) -> set[str]:
            cursor.execute(
                "select value from unnest(%(values)s::text[]) as value where case "
                "when not pg_input_is_valid(value, %(kind)s) then true "
                "when %(kind)s = 'date' then value::date::text <> value end",
                {"values": values, "kind": kind},
            )
            return {value for (value,) in cursor.fetchall()}

        return {column: kind for column, kind in kinds if kind != "text" and column in header}, invalid


class _Place(NamedTuple):
    """Where COPY stopped: 'COPY users_20240131, line 5, column signup_date: "2024-02-30"'."""

    line: int
    column: str
    value: str | None

    @classmethod
    def of(cls, error: Any) -> _Place:
        context = error.diag.context or ""
        found = re.match(r'COPY \S+, line (\d+)(?:, column (\S+): "(.*)")?', context, re.DOTALL)
        return cls(int(found[1]), found[2] or "", found[3]) if found else cls(0, "", None)

    def as_fault(self, reason: str) -> Fault:
        if not self.column:
            return Fault(self.line, "", reason, "a row of the table")
        return Fault(self.line, self.column, self.value or "", f"what the column takes ({reason.partition(':')[0]})")


def _open(root: Path, path: Path) -> IO[bytes]:
    """Open a delivered file for reading: a plain file below the deliveries' folder, whatever links lead to it."""
    real, home = path.resolve(strict=True), root.resolve(strict=True)
    if not real.is_relative_to(home):
        raise AirflowFailException(
            f"{path}: expected a file below {home}, found a link to {real}. Nothing was read. Deliver the file itself "
            "and clear this task."
        )
    if not stat.S_ISREG(real.stat().st_mode):
        raise AirflowFailException(
            f"{path}: expected a file, found {'a folder' if real.is_dir() else 'something else'}. Deliver the file and "
            "clear this task."
        )
    return real.open("rb")


def _refuse_change(path: Path, file: IO[bytes], before: os.stat_result, name: str) -> None:
    """Stop, to be tried again, if what was read is not what the name stands for now."""
    after, now = os.fstat(file.fileno()), path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise AirflowException(
            f"{name} was written to while it was read: {before.st_size} bytes before, {after.st_size} after."
        )
    if (before.st_dev, before.st_ino) != (now.st_dev, now.st_ino):
        raise AirflowException(f"{name} was replaced by another file while it was read.")


def _blocks(first_line: bytes, file: IO[bytes], name: str) -> Iterator[bytes]:
    """Yield the file in blocks; refuse endless lines, and one that old servers take for the end of the data."""
    yield first_line
    line, begun, length = 2, b"", 0  # the line that a block begins in, and what the block before has of it
    while block := file.read(_BLOCK):
        lines, feed, rest = (begun + block).rpartition(b"\n")
        if feed:
            _refuse_end_mark(lines, line, name)
            line += lines.count(b"\n") + 1
        length = len(rest) if feed else length + len(block)
        if length > _MAX_LINE:
            raise AirflowFailException(
                f"{name}, line {line}: expected a row of at most {_MAX_LINE} bytes, found a longer one. {_NOT_LOADED}"
            )
        # all that is asked of a line's beginning is whether it could be the mark: a long one need not be kept
        begun = rest if len(rest) <= 3 else b"...."
        yield block
    _refuse_end_mark(begun, line, name)


def _refuse_end_mark(lines: bytes, first: int, name: str) -> None:
    if found := _END_MARK.search(lines):
        line = first + lines.count(b"\n", 0, found.start())
        raise AirflowFailException(
            f"{name}, line {line}: expected a row, found \\. alone, at which PostgreSQL before 18 stops reading and "
            f"drops what follows. {_NOT_LOADED}"
        )


def _last_quote(file: IO[bytes]) -> int:
    """Return the line of the file's last quote: the one that was not closed, if the file ends within quotes."""
    file.seek(0)
    line, found = 1, 0
    while block := file.read(_BLOCK):
        if (place := block.rfind(b'"')) >= 0:
            found = line + block.count(b"\n", 0, place)
        line += block.count(b"\n")
    return found
