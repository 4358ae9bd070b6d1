"""Finds everything that is wrong in a rejected CSV file: all bad cells and rows, not only the first."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from streamflow.cells import expected, is_odd
from streamflow.lines import MAX_LINE, EndlessLine, find_misquoted, has_misquoted, whole_lines
from streamflow.plain import as_cell, show

_SIZE = 1 << 18  # bytes that are checked together; bounds the memory, whatever the rows are like
_QUOTED = re.compile(r'(?<![^,])"(?:[^"]|"")*"')
_NOTHING = "\ufdd0"  # stands for "", which csv does not distinguish from an empty cell; not a character of any text


class BadCell(NamedTuple):
    """A bad cell or row.

    Attributes:
        line: its line number, counted as in an editor.
        column: its column; empty if the whole row is bad.
        value: the cell's value, or what is wrong with the row.
        expected: what should be there.
    """

    line: int
    column: str
    value: str
    expected: str

    def describe(self, shows_values: bool) -> str:
        """Return it as one line of plain text, with the cell's value only if it may be shown."""
        if not self.column:
            return f"line {self.line}: expected {self.expected}, found {self.value}"
        found = f", found {show(self.value)}" if shows_values else ""
        return f"line {self.line}, column {self.column}: expected {self.expected}{found}"


def find_bad_cells(
    file: IO[bytes], header: Sequence[str], types: dict[str, str], invalid: Callable[[str, list[str]], set[str]]
) -> Iterator[BadCell]:
    """Yield every row with too few or too many cells, and every cell that is misquoted or not of its type, in order.

    Args:
        file: the file, opened in binary mode; read from its beginning to its end.
        header: the names of its columns.
        types: PostgreSQL types of the columns that are not text.
        invalid: returns which of some distinct values are not of a type: ``invalid("date", ["31/01/2024"])``.
    """
    csv.field_size_limit(2 * MAX_LINE)  # csv's default limit is smaller than the longest row
    file.seek(0)
    end = "\r\n" if file.readline().endswith(b"\r\n") else "\n"
    try:
        for first, lines in whole_lines(file, _SIZE, line=2):
            yield from _find_in(first, lines, end, header, types, invalid)
    except EndlessLine as endless:
        what = "a longer one; the rest of the file was not checked"
        yield BadCell(endless.line, "", what, f"a row of at most {MAX_LINE} bytes")


def _find_in(
    first: int,
    lines: bytes,
    end: str,
    header: Sequence[str],
    types: dict[str, str],
    invalid: Callable[[str, list[str]], set[str]],
) -> list[BadCell]:
    """Return the bad cells and rows of some lines; ``first`` is the number of the first line."""
    may_be_misquoted = has_misquoted(lines)
    bad_cells, rows = [], []
    if not lines.endswith(b"\n"):  # the file's last line
        lines += end.encode()
    # a file that is not UTF-8 is rejected before this
    for number, line in enumerate(lines.decode(errors="replace").removesuffix("\n").split("\n"), start=first):
        text = line.removesuffix(end[:-1])
        misquoted = find_misquoted(text.removesuffix("\r")) if may_be_misquoted else None
        if misquoted:
            column = header[misquoted.cell] if misquoted.cell < len(header) else str(misquoted.cell + 1)
            bad_cells.append(BadCell(number, column, misquoted.value, misquoted.expected))
        elif "\r" in text or (text == line and end == "\r\n"):
            bad_cells.append(BadCell(number, "", *_describe_end(end)))
        else:
            cells = _cells(text)
            if len(cells) == len(header):
                rows.append((number, cells))
            else:
                what = str(len(cells)) if cells else "an empty line"
                bad_cells.append(BadCell(number, "", what, f"{len(header)} cells"))
    for place, column in enumerate(header):
        if column in types:
            kind = types[column]
            values = {cells[place] for _, cells in rows} - {""}
            bad = {value for value in values if is_odd(kind, value)}
            bad |= invalid(kind, list(values - bad))
            for number, cells in rows if bad else ():
                if cells[place] in bad:
                    bad_cells.append(BadCell(number, column, cells[place].replace(_NOTHING, ""), expected(kind)))
    return sorted(bad_cells, key=lambda bad_cell: bad_cell.line)


def _cells(line: str) -> list[str]:
    """Return the cells of a line. A cell that is just a pair of quotes, which is not NULL, becomes ``_NOTHING``."""
    if '""' in line:
        line = _QUOTED.sub(lambda cell: _NOTHING if cell[0] == '""' else cell[0], line)
    return next(csv.reader([line]), [])


def _describe_end(end: str) -> tuple[str, str]:
    """Return what is wrong with a row that does not end like the header, and what it should be."""
    if end == "\n":
        return "a carriage return", "a row that ends in LF alone, as the header does"
    return "LF alone, or a carriage return within it", "a row that ends in CR LF, as the header does"


def find_lines(file: IO[bytes], users: Collection[str | None]) -> dict[str | None, list[int]]:
    """Return the line numbers of some users' rows, counted as in an editor.

    Args:
        file: a file that was loaded, opened in binary mode; read from its beginning to its end.
        users: their ids; None for rows without one.
    """
    file.seek(0)
    key = _cells(file.readline().decode("utf-8-sig")).index("user_id")
    wanted = {"" if user is None else user or _NOTHING: user for user in users}  # as _cells returns them
    found: dict[str | None, list[int]] = {user: [] for user in users}
    for number, line in enumerate(file, start=2):
        cells = _cells(line.decode().rstrip("\r\n"))
        if len(cells) > key and cells[key] in wanted:
            found[wanted[cells[key]]].append(number)
    return found


def write_bad_cells(
    bad_cells: Iterable[BadCell], path: Path, first: int, shows_values: bool
) -> tuple[int, list[BadCell]]:
    """Write all bad cells to a CSV file, and create its folder if needed.

    Args:
        bad_cells: the bad cells and rows.
        path: the file.
        first: how many of them to return.
        shows_values: whether the file may contain delivered values.

    Returns:
        How many bad cells there are, and the first of them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count, shown = 0, []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(BadCell._fields)
        for count, bad_cell in enumerate(bad_cells, start=1):
            if count <= first:
                shown.append(bad_cell)
            value = bad_cell.value if shows_values or not bad_cell.column else ""
            writer.writerow([bad_cell.line, as_cell(bad_cell.column), as_cell(value), bad_cell.expected])
    return count, shown
