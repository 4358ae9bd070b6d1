"""What is wrong in a CSV file that COPY has refused: every cell, not only the first."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

_ROWS = 20_000  # rows a block; the whole of the search's memory
_LONGEST = 1 << 20  # characters of a cell; csv's own limit is less than a row may have
_QUOTED = re.compile(r'(?<![^,])"(?:[^"]|"")*"?')  # a cell in quotes, or as much of it as the line has
_REST = re.compile(r'(?:[^"]|"")*"?')  # what a line has of a cell that began in a line before
_NOTHING = "\ufdd0"  # stands for "", which csv does not tell from an empty cell; no character of any text
_EXPECTED = {
    "date": "a date (YYYY-MM-DD)",
    "boolean": "true or false",
    "integer": "a whole number of at most 2147483647",
    "numeric": "a number (1234.5)",
}


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes:
        line: where it is, as an editor counts lines.
        column: its column; empty if it is the row that is wrong.
        value: the cell; of a row, what is wrong with it.
        expected: what should be there.
    """

    line: int
    column: str
    value: str
    expected: str

    def describe(self, shows_values: bool) -> str:
        """Say it in a line; a cell's value only if it may be shown."""
        if not self.column:
            return f"line {self.line}: expected {self.expected}, found {self.value}"
        found = f", found {self.value[:80]!r}" if shows_values else ""
        return f"line {self.line}, column {self.column}: expected {self.expected}{found}"


def find_faults(
    file: IO[bytes], header: Sequence[str], types: dict[str, str], invalid: Callable[[str, list[str]], set[str]]
) -> Iterator[Fault]:
    """Yield every row that has too few or too many cells and every cell that is not of its column's type, in order.

    Args:
        file: the file, opened in binary mode; read from its beginning to its end.
        header: the names of its columns.
        types: PostgreSQL's type of the columns that are not text.
        invalid: which of some distinct values are not of a type: ``invalid("date", ["31/01/2024"])``.
    """
    import pandas as pd

    file.seek(0)
    # a file that is no UTF-8 is refused for that before anybody looks for cells
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    csv.field_size_limit(_LONGEST)
    places = _with_lines(csv.reader(_with_nothings(text)))
    next(places, None)  # the header
    while block := list(itertools.islice(places, _ROWS)):
        faults = [
            Fault(line, "", _describe_row(cells), f"{len(header)} cells")
            for line, cells in block
            if len(cells) != len(header)
        ]
        whole = [(line, cells) for line, cells in block if len(cells) == len(header)]
        frame = pd.DataFrame([cells for _, cells in whole], columns=list(header), dtype=object)
        for place, column in enumerate(header):
            if column in types:
                bad = invalid(types[column], [value for value in frame[column].unique() if value])
                for row in frame.index[frame[column].isin(bad)]:
                    line, cells = whole[row]
                    line += sum(cell.count("\n") for cell in cells[:place])
                    expected = _EXPECTED.get(types[column], f"a value of type {types[column]}")
                    faults.append(Fault(line, column, cells[place].replace(_NOTHING, ""), expected))
        yield from sorted(faults, key=lambda fault: fault.line)
    text.detach()  # the file is its opener's to close


def write_faults(faults: Iterable[Fault], path: Path, first: int, shows_values: bool) -> tuple[int, list[Fault]]:
    """Write all faults to a CSV file, in a folder that is made if need be.

    Args:
        faults: what is wrong.
        path: the file.
        first: how many of them to return.
        shows_values: whether the delivered values may be in it.

    Returns:
        How many faults there are, and the first of them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count, shown = 0, []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Fault._fields)
        for count, fault in enumerate(faults, start=1):
            if count <= first:
                shown.append(fault)
            writer.writerow(fault if shows_values or not fault.column else fault._replace(value=""))
    return count, shown


def _with_nothings(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines with a mark for each cell that is nothing but a pair of quotes."""
    is_within = False  # a cell that began in a line before
    for line in lines:
        if '""' in line:
            begin = _REST.match(line).end() if is_within else 0
            line = line[:begin] + _QUOTED.sub(lambda cell: _NOTHING if cell[0] == '""' else cell[0], line[begin:])
        is_within ^= line.count('"') % 2 == 1
        yield line


def _with_lines(reader) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of the line that it begins in; of what cannot be read, no cells but the reason."""
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:  # a cell without end
        yield line, _Unreadable(error)


class _Unreadable(list):
    """A row that is none: nothing after it can be told apart."""

    def __init__(self, error: csv.Error) -> None:
        super().__init__()
        self.reason = error


def _describe_row(cells: list[str]) -> str:
    if isinstance(cells, _Unreadable):
        return f"what cannot be read ({cells.reason}); nothing after it was looked at"
    return f"{len(cells)}" if cells else "an empty line"
