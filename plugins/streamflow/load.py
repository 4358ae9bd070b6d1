"""Loads a delivered file into its staging table, with exactly the values in the file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, Any, NamedTuple

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.standard.hooks.filesystem import FSHook
from airflow.sdk import BaseOperator

from streamflow import settings
from streamflow.bad_cells import BadCell, find_bad_cells, write_bad_cells
from streamflow.cells import has_odd
from streamflow.compressed import check_whole_first
from streamflow.delivery import DeliveredFile, Delivery, delivery_at
from streamflow.erased import leave_out
from streamflow.forms import as_csv
from streamflow.header import MAX_HEADER, read_header
from streamflow.lines import MAX_LINE, EndlessLine, has_misquoted, whole_lines
from streamflow.local import DELIVER
from streamflow.manifest import NAME as MANIFEST
from streamflow.manifest import BadManifest, Entry
from streamflow.places import below, without_credentials
from streamflow.plain import printable
from streamflow.refusal import RUN_AGAIN, Refusal, count, ends_task
from streamflow.tables import Table

_BLOCK = 1 << 16  # bytes per read: small enough that the server is still busy while the next block is checked
_LISTED = 20  # bad cells listed in the message; the report has all of them
_END_MARK = re.compile(rb"^\\\.\r?$", re.MULTILINE)
_NOT_LOADED = "Nothing was loaded."
_CORRECT = f"correct the file, then {RUN_AGAIN}"


class LoadCsvOperator(BaseOperator):
    """Load one file of a delivery with COPY, after giving its staging table the columns that the header names.

    Known columns get live's types, and unknown ones are text. Missing columns stay missing (optional ones are NULL), so
    that validation sees what was delivered. Everything happens in one transaction. The file is only read.

    Args:
        table: the table.
        as_of: the month (templated).
        folder: the month folder, below the path or URL of ``fs_conn_id`` (templated).
        record_sql: statement that records the file in ``staging.files`` (templated).
        conn_id: connection of the database.
        fs_conn_id: connection whose path holds the month folders.

    Returns (XCom):
        ``file``, ``rows`` of the file, ``suppressed`` rows of erased users, ``bytes``, ``sha256``, ``not_delivered``
        and ``unknown`` columns.

    Raises:
        TaskRefused: if the file is missing, exists in two forms, is not the one that the manifest names, or is not a
            file of this table; if the store does not let us read it; if users are erased and the key is missing, or
            erased users must not be delivered. Not retried.
        TaskNotYet: if the file changed while it was read, or the store cannot be reached; retried.
    """

    template_fields: Sequence[str] = ("as_of", "folder", "record_sql")
    template_fields_renderers = {"record_sql": "sql"}
    template_ext: Sequence[str] = (".sql",)

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

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Read the header, shape the table, copy the rows, record the file."""
        folder = below(FSHook(self.fs_conn_id).get_path(), self.folder)
        path = f"{without_credentials(folder)}/{self.table.file_name}"
        settings.remove_reports(self.conn_id, self.as_of, self.table.name)
        delivery = delivery_at(folder)
        try:
            listed = delivery.manifest()
            file_name = self._file_name(delivery, listed)
            path = f"{without_credentials(folder)}/{file_name}"
            with delivery.open(file_name) as file:
                return self._load(file, f"{self.folder}/{file_name}", listed[file_name] if listed else None)
        except BadManifest as bad:
            raise Refusal(
                f"{self.folder}/{MANIFEST} {bad}.",
                "Nothing was read.",
                to_do=f"write it again (make manifest), or remove it, then {RUN_AGAIN}",
            ) from None
        except OSError as error:
            if error.filename is None or Path(error.filename).is_relative_to(settings.reports_folder()):
                raise  # the disk or the network is at fault, not the delivery: retried
            raise Refusal(f"{path} cannot be read:", f"{error.strerror}.", to_do=DELIVER) from None

    def _file_name(self, delivery: Delivery, listed: dict[str, Entry] | None) -> str:
        """Return the name under which the table's file was delivered."""
        names = delivery.names(self.table.file_name, listed)
        if len(names) > 1:
            raise Refusal(
                f"{self.folder}: {' and '.join(names)} both exist.",
                "Expected only one of them.",
                "Nothing was read.",
                to_do=f"remove the wrong one, then {RUN_AGAIN}",
            )
        if listed is not None and not names:
            raise Refusal(
                f"{self.folder}/{MANIFEST}:",
                f"Expected {self.table.file_name}, or another form of it.",
                f"Found {', '.join(map(printable, listed))}.",
                "Nothing was read.",
                to_do=f"deliver the file and write the manifest again (make manifest), then {RUN_AGAIN}",
            )
        return names[0] if names else self.table.file_name

    def _load(self, file: DeliveredFile, name: str, said: Entry | None) -> dict[str, Any]:
        import psycopg
        from psycopg import sql

        if file.bytes > settings.max_file_bytes():
            raise Refusal(
                f"{name} is too large.",
                f"Expected at most {settings.max_file_bytes()} bytes (AIRFLOW__STREAMFLOW__MAX_FILE_BYTES).",
                f"Found {file.bytes} bytes.",
                "Nothing was read.",
                to_do=f"deliver the right file, or raise the limit, then {RUN_AGAIN}",
            )
        digest = hashlib.sha256()
        content = as_csv(file.content, name, digest)
        with check_whole_first(content):
            first_line = content.readline(MAX_HEADER)
            header = read_header(first_line, name, ("user_id", *self.table.columns))
        not_delivered = [column for column in self.table.optional if column not in header]
        staged = self.table.staged(self.as_of)
        table = sql.Identifier("staging", staged)
        copy = sql.SQL("copy {} ({}) from stdin (format csv, header true, encoding 'UTF8')").format(
            table, sql.SQL(", ").join(map(sql.Identifier, header))
        )
        report = settings.report_path(self.conn_id, self.as_of, f"{self.table.name}.bad_cells.csv")
        connection: Any = PostgresHook(self.conn_id).get_conn()  # psycopg's; the hook promises less
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(
                "select staging.shape_staging_table(%s, %s, %s, %s)",
                (self.as_of, self.table.name, header, list(self.table.optional)),
            )
            kinds = self._kinds(cursor)
            try:
                with check_whole_first(content), cursor.copy(copy) as stream:
                    for block in _blocks(first_line, content, name, [kinds.get(column, "text") for column in header]):
                        if content is file.content:
                            digest.update(block)
                        stream.write(block)
                rows = cursor.rowcount
                cursor.execute("select staging.cast_dates(%s, %s)", (self.as_of, self.table.name))
            except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded, _NotCells) as error:
                connection.rollback()
                file.refuse_change()  # what is wrong may be a mixture of two files
                raise self._explain(error, content, name, header, kinds, cursor, report) from None
            file.refuse_change()
            if said is not None:
                _refuse_another(name, Entry(file.bytes, digest.hexdigest()), said)
            cursor.execute(
                self.record_sql,
                {
                    "file_name": name,
                    "file_bytes": file.bytes,
                    "file_sha256": digest.hexdigest(),
                    "not_delivered": not_delivered,
                    "delivered": rows,
                },
            )
            suppressed = leave_out(cursor, self.as_of, self.table, name)
            cursor.execute("select staging.analyze_staged(%s, %s)", (self.as_of, self.table.name))
            connection.commit()
        self.log.info("%s: %d rows, %d bytes into staging.%s.", name, rows, file.bytes, staged)
        if suppressed:
            self.log.warning("%s: %s of erased users left out.", name, count(suppressed, "row"))
        return {
            "file": name,
            "rows": rows,
            "suppressed": suppressed,
            "bytes": file.bytes,
            "sha256": digest.hexdigest(),
            "not_delivered": not_delivered,
            "unknown": [column for column in header if column not in ("user_id", *self.table.columns)],
        }

    def _explain(
        self,
        error: Exception,
        file: IO[bytes],
        name: str,
        header: list[str],
        kinds: dict[str, str],
        cursor: Any,
        report: Path,
    ) -> Refusal:
        """Turn the error that stopped COPY into a refusal: file, places, reasons, and what to do."""
        import psycopg

        if isinstance(error, psycopg.errors.CharacterNotInRepertoire | psycopg.errors.UntranslatableCharacter):
            _, _, found = (error.diag.message_primary or "").rpartition(": ")
            return Refusal(
                f"{name}, line {_Place.of(error).line}:",
                "Expected UTF-8 text.",
                f"Found {'a NUL byte' if found == '0x00' else found}.",
                _NOT_LOADED,
                to_do=f"export the file as UTF-8, then {RUN_AGAIN}",
            )
        shows = settings.shows_values()
        bad_cells = find_bad_cells(file, header, {one: kinds[one] for one in header if one in kinds}, _teller(cursor))
        count, first = write_bad_cells(bad_cells, report, _LISTED, shows)
        if not count:  # only COPY finds this error
            count, first = write_bad_cells([_Place.of(error).as_bad_cell(error)], report, _LISTED, shows)
        return Refusal(
            f"{name}: {count} invalid {'cells or rows' if count > 1 else 'cell or row'}.",
            *(f"  - {bad_cell.describe(shows)}" for bad_cell in first),
            *([f"  … and {count - len(first)} more."] if count > len(first) else []),
            "All of them are listed in",
            f"  {report}",
            _NOT_LOADED,
            to_do=_CORRECT,
        )

    def _kinds(self, cursor: Any) -> dict[str, str]:
        """Return the PostgreSQL type of each live column that is not text."""
        return dict(
            cursor.execute(
                "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
                "where attrelid = %s::regclass and attnum > 0 and not attisdropped and atttypid <> 'text'::regtype",
                (f"public.{self.table.name}",),
            ).fetchall()
        )


def _teller(cursor: Any) -> Callable[[str, list[str]], set[str]]:
    """Return a function that finds the values that PostgreSQL rejects for a type."""
    cursor.execute("set local datestyle = 'ISO'")  # like staging.cast_dates

    def invalid(kind: str, values: list[str]) -> set[str]:
        cursor.execute(
            "select value from unnest(%(values)s::text[]) as value where case "
            "when not pg_input_is_valid(value, %(kind)s) then true "
            "when %(kind)s = 'date' then not staging.is_date(value) end",
            {"values": values, "kind": kind},
        )
        return {value for (value,) in cursor.fetchall()}

    return invalid


class _NotCells(Exception):
    """A line has a cell that must not reach COPY, because COPY would not read what is written there."""


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

    def as_bad_cell(self, error: Any) -> BadCell:
        """Return COPY's error, without the values that it may quote after a colon."""
        reason = error.diag.message_primary.partition(":")[0]
        if not self.column:
            # COPY writes many rows at once, but its line number is that of the last row it has read
            found = f"a value that PostgreSQL rejects ({reason}), here or in an earlier line"
            return BadCell(self.line, "", found, "a row of the table")
        return BadCell(self.line, self.column, self.value or "", f"a value that the column accepts ({reason})")


def _refuse_another(name: str, found: Entry, said: Entry) -> None:
    """Refuse a file that is not the one that the manifest names."""
    if found != said:
        raise Refusal(
            f"{name} is not the file that {MANIFEST} names.",
            f"Expected {said.bytes} bytes, sha256 {said.sha256}.",
            f"Found {found.bytes} bytes, sha256 {found.sha256}.",
            _NOT_LOADED,
            to_do=f"deliver the file again, or write the manifest again (make manifest), then {RUN_AGAIN}",
        )


def _blocks(first_line: bytes, file: IO[bytes], name: str, kinds: Sequence[str]) -> Iterator[bytes]:
    """Yield the file in blocks of whole lines. COPY reads each line as one row, with the values that are written there.

    Raises:
        Refusal: if a line is too long, or old servers would read it as the end of the data.
        _NotCells: if quotes are misplaced, or only PostgreSQL accepts the spelling of a cell.
    """
    yield first_line
    try:
        for line, lines in whole_lines(file, _BLOCK, line=2):
            if b"\\" in lines and (found := _END_MARK.search(lines)):
                line += lines.count(b"\n", 0, found.start())
                raise Refusal(
                    f"{name}, line {line}:",
                    "Expected a row.",
                    "Found \\. alone. PostgreSQL before 18 stops reading there and drops the rest of the file.",
                    _NOT_LOADED,
                    to_do=_CORRECT,
                )
            if has_misquoted(lines) or has_odd(lines, kinds):
                raise _NotCells
            yield lines
    except EndlessLine as endless:
        raise Refusal(
            f"{name}, line {endless.line}:",
            f"Expected a row of at most {MAX_LINE} bytes.",
            "Found a longer one.",
            _NOT_LOADED,
            to_do=_CORRECT,
        ) from None
