"""Reads a delivered CSV file as lines. One line is one row: a stray quote can never swallow the rows after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, NamedTuple

MAX_LINE = 1 << 20  # bytes
_CELL = re.compile(r'(?:"[^"\r\n]*+(?:""[^"\r\n]*+)*+"|[^",]*+)(?=,|$)')
_QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')
_COMMA, _QUOTE, _LF, _CR = b',"\n\r'


class EndlessLine(Exception):
    """A line is longer than ``MAX_LINE``.

    Attributes:
        line: its number.
    """

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class Misquoted(NamedTuple):
    """A cell with misplaced quotes.

    Attributes:
        cell: its number in the row, from 0.
        value: the cell, quotes included.
        expected: what should be there.
    """

    cell: int
    value: str
    expected: str


def whole_lines(file: IO[bytes], size: int, line: int = 1) -> Iterator[tuple[int, bytes]]:
    """Yield a file, from its current position to its end, in blocks of whole lines, each with its first line's number.

    Args:
        file: the file, opened in binary mode.
        size: bytes to read at a time.
        line: number of the line at the current position.

    Raises:
        EndlessLine: if a line is longer than ``MAX_LINE``.
    """
    begun = b""
    while block := file.read(size):
        lines, feed, begun = (begun + block).rpartition(b"\n")
        if feed:
            yield line, lines + feed
            line += lines.count(b"\n") + 1
        if len(begun) > MAX_LINE:
            raise EndlessLine(line)
    if begun:
        yield line, begun


def has_misquoted(lines: bytes) -> bool:
    """Return, quickly, whether any line has a cell that ``find_misquoted`` would find.

    Quotes alternate between opening and closing (a doubled quote closes and opens again). An opening quote must begin
    a cell, a closing one must end it, and no line may end in between.
    """
    if b'"' not in lines:
        return False
    import numpy as np

    text = np.frombuffer(b"\n" + lines + b"\n", np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    opening, closing = quotes[::2], quotes[1::2]
    if len(opening) != len(closing):
        return True
    before, after = text[opening - 1], text[closing + 1]
    breaks = np.flatnonzero((text == _LF) | (text == _CR))
    return not (
        ((before == _COMMA) | (before == _LF) | (before == _QUOTE)).all()
        and ((after == _COMMA) | (after == _LF) | (after == _CR) | (after == _QUOTE)).all()
        and (np.searchsorted(quotes, breaks) % 2 == 0).all()
    )


def find_misquoted(line: str) -> Misquoted | None:
    """Return the first cell with misplaced quotes in a line, given without its end; None if there is none."""
    number, begin = 0, 0
    while cell := _CELL.match(line, begin):
        if cell.end() == len(line):
            return None
        number, begin = number + 1, cell.end() + 1
    quoted = _QUOTED.match(line, begin)
    if line.startswith('"', begin) and not quoted:
        return Misquoted(number, line[begin:], "a closing quote on the same line (a cell cannot have a line break)")
    end = quoted.end() if quoted else begin
    value = line[begin:end] + line[end:].partition(",")[0]
    if "\r" in value:
        return Misquoted(number, value, "no line break in a cell")
    return Misquoted(number, value, "quotes around the whole cell, and doubled quotes inside it")
