"""The first line of a delivered CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from streamflow.compressed import MAGIC, SUFFIX
from streamflow.lines import find_misquoted
from streamflow.plain import show
from streamflow.refusal import RUN_AGAIN, Refusal
from streamflow.settings import shows_values

MAX_HEADER = 1 << 16  # bytes
BOM = b"\xef\xbb\xbf"
_MAX_COLUMNS = 1000
_MAX_NAME = 63  # bytes of a PostgreSQL identifier
_SYSTEM_COLUMNS = frozenset(("tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"))  # PostgreSQL's own in every table
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def as_written(name: str) -> str:
    """Return a column name in lower case and without surrounding white space, which people often get wrong."""
    return name.strip().lower()


def read_header(line: bytes, file: str, expected: Sequence[str]) -> list[str]:
    """Return the column names of a CSV file's first line.

    Args:
        line: the line, with or without a UTF-8 byte order mark.
        file: what to call the file in messages.
        expected: the columns that the table has.

    Raises:
        Refusal: if the line is gzip-compressed, not UTF-8, or longer than 64 KiB; if it has none of the expected
            columns, or one of them in another case or with white space around it; if a name is empty, repeated, longer
            than 63 bytes, a PostgreSQL system column, or not printable. A header is untrusted data, and only names that
            pass these checks are used as identifiers.
    """

    def refuse(wanted: str, found: str, to_do: str = "correct the header", place: str = "") -> Refusal:
        return Refusal(
            f"{file}, line 1{place}:",
            f"Expected {wanted}.",
            f"Found {found}.",
            "Nothing was loaded.",
            to_do=f"{to_do}, then {RUN_AGAIN}",
        )

    if line.startswith(MAGIC):
        to_do = "compress it once" if file.endswith(SUFFIX) else f"name it {Path(file).name}{SUFFIX}"
        raise refuse("text", "the beginning of a gzip-compressed file", to_do)
    if len(line) >= MAX_HEADER:
        raise refuse(f"a header of less than {MAX_HEADER} bytes", "a longer one")
    as_utf8 = "export the file as UTF-8"
    try:
        text = line.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        hint = " (UTF-16?)" if line[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise refuse("UTF-8 text", f"byte 0x{line[error.start]:02x}{hint}", as_utf8) from None
    if "\0" in text[:2]:
        raise refuse("UTF-8 text", "a NUL byte (UTF-16?)", as_utf8)
    # COPY would look for the closing quote in the rows
    if misquoted := find_misquoted(text.removesuffix("\n").removesuffix("\r")):
        place = f", column {misquoted.cell + 1}"
        raise refuse(misquoted.expected, show(misquoted.value) if shows_values() else "something else", place=place)
    try:
        names = next(csv.reader([text]), [])
    except csv.Error as error:
        raise refuse(
            "column names and a line feed",
            f"something else: {error}",
            "export the file as CSV with a line feed after each row",
        ) from None
    if not names:
        raise refuse("column names", "none")
    if len(names) > _MAX_COLUMNS:
        raise refuse(f"at most {_MAX_COLUMNS} columns", str(len(names)))
    if len(names) == 1 and (other := next((mark for mark in _DELIMITERS if mark in text), None)):
        raise refuse(
            "column names separated by commas",
            f"names separated by {_DELIMITERS[other]}",
            "export the file with commas",
        )
    if not {as_written(name) for name in names} & set(expected):
        found = f"none of them in {show(text.strip())}" if shows_values() else "none of them"
        raise refuse(f"column names ({', '.join(expected)})", found, "add the header as the first line")
    for position, name in enumerate(names, start=1):
        place = f", column {position}"
        if not name or not name.isprintable() or len(name.encode()) > _MAX_NAME:
            raise refuse(f"a printable name of 1 to {_MAX_NAME} bytes", show(name), place=place)
        if name in _SYSTEM_COLUMNS:
            raise refuse("a column of the delivery", f"{name!r}, a PostgreSQL system column", place=place)
        if name in names[: position - 1]:
            raise refuse("each column once", f"{name!r} twice", place=place)
        # the rule on column names ignores case, and an optional column would count as left out
        if name not in expected and as_written(name) in expected:
            raise refuse(repr(as_written(name)), repr(name), place=place)
    return names
