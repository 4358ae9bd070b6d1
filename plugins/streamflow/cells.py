"""The accepted spellings of a cell. docs/file-format.md lists them; PostgreSQL accepts more.

PostgreSQL also reads ``0x1F`` and ``1_000`` (since version 16) and ``tru``. Such a cell is more likely damaged than
intended, and other programs read a different value from it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from streamflow.lines import MAX_LINE

_BOOLEANS = frozenset(("boolean",))
_INTEGERS = frozenset(("smallint", "integer", "bigint"))
_FRACTIONS = frozenset(("numeric", "real", "double precision"))
_SPACES = "[ \t\v\f]*"
_SPELLINGS = {
    kind: re.compile(f"{_SPACES}(?:{form}){_SPACES}", re.IGNORECASE)
    for kinds, form in (
        (_BOOLEANS, "true|t|false|f|yes|y|no|n|on|off|1|0"),
        (_INTEGERS, "[+-]?[0-9]+"),
        (_FRACTIONS, r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|[+-]?inf(?:inity)?"),
    )
    for kind in kinds
}
_LONGEST = 1000  # characters of such a cell
# Bytes that COPY may quote in an error. psycopg 3.3 does not read while it sends. If the server's message did not fit
# into the socket's buffer, client and server would wait for each other forever.
_QUOTABLE = 1 << 17
_EXPECTED = {
    "date": "a date (YYYY-MM-DD)",
    "boolean": "true or false",
    "integer": "a whole number of at most 2147483647",
    "numeric": "a number (1234.5)",
}
# Classes of bytes for the search in has_odd: what surrounds a value, the digits from 1 to 9, signs, and the letters of
# tr, tru, fa, fal, fals, ye, and of, and of 0x, 0o, and 0b. Any other byte is a class of its own.
_ALIKE = {",": '" \t\v\f\r\n', "1": "23456789", "+": "-", "x": "XoObB", "t": "TfFyY", "a": "ArRuUlLeE", "s": "S"}
_CLASSES = bytes.maketrans(
    "".join(_ALIKE.values()).encode(), "".join(one * len(others) for one, others in _ALIKE.items()).encode()
)
_REACH = 4  # bytes that a search examines after the first one
_ODD_LETTERS = [bytes((letter,)) for letter in b"_xXoObB"]


def base(kind: str) -> str:
    """Return a PostgreSQL type without its modifier: ``numeric`` for ``numeric(10,2)``."""
    return kind.partition("(")[0]


def expected(kind: str) -> str:
    """Return what a cell of a type should be, in words."""
    return _EXPECTED.get(base(kind), f"a value of type {kind}")


def is_odd(kind: str, value: str) -> bool:
    """Return whether a cell is not an accepted spelling of its type, even if PostgreSQL may read it."""
    spelling = _SPELLINGS.get(base(kind))
    return spelling is not None and (len(value) > _LONGEST or not spelling.fullmatch(value))


def has_odd(lines: bytes, kinds: Sequence[str]) -> bool:
    """Return whether a cell has a spelling that only PostgreSQL accepts. Cells that it rejects too are not looked for.

    It has two steps, because a million rows must not take seconds. First find the places where the bytes look like such
    a spelling, in any column. Then parse only the lines of those places.

    Args:
        lines: whole lines without misplaced quotes: one block, which is larger than usual only if a line is long.
        kinds: the type of each column.
    """
    csv.field_size_limit(2 * MAX_LINE)  # csv's default limit is smaller than the longest row
    if len(lines) > _QUOTABLE and any(_is_odd_row(line, kinds) for line in lines.splitlines()):
        return True
    bases = {base(kind) for kind in kinds}
    searches = []
    if bases & _BOOLEANS:
        searches.append(_booleans)
    if bases & (_INTEGERS | _FRACTIONS) and any(letter in lines for letter in _ODD_LETTERS):
        searches.append(_numbers)
    if not searches:
        return False
    import numpy as np

    lines = b"\n" + lines + b"\n" * _REACH
    classes = np.frombuffer(lines.translate(_CLASSES), np.uint8)
    size = len(classes) - _REACH

    @cache
    def of_class(one: str) -> Any:
        return classes == ord(one)

    def at(one: str, offset: int) -> Any:
        return of_class(one)[offset : size + offset]

    end = 0
    for place in sorted(place for search in searches for place in np.flatnonzero(search(at)).tolist()):
        if place >= end:
            begin, end = lines.rfind(b"\n", 0, place + 1) + 1, lines.find(b"\n", place + 1)
            if _is_odd_row(lines[begin:end], kinds):
                return True
    return False


def _is_odd_row(line: bytes, kinds: Sequence[str]) -> bool:
    cells = next(csv.reader([line.decode(errors="replace")]), [])
    return any(value and is_odd(kind, value) for kind, value in zip(kinds, cells, strict=False))


def _booleans(at: Callable[[str, int], Any]) -> Any:
    """Mark where bytes look like the end of tr, tru, fa, fal, fals, ye, or of."""
    long = at("a", 2) & (at(",", 3) | at("s", 3) & at(",", 4))
    return at("t", 0) & at("a", 1) & (at(",", 2) | long) | at("x", 0) & at("t", 1) & at(",", 2)


def _numbers(at: Callable[[str, int], Any]) -> Any:
    """Mark where bytes look like the beginning of 0x1F, 0o17, or 0b1, or like the middle of 1_000."""
    grouped = (at("0", 0) | at("1", 0)) & at("_", 1) & (at("0", 2) | at("1", 2))
    return (at(",", 0) | at("+", 0)) & at("0", 1) & at("x", 2) | grouped
