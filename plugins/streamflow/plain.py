"""Shows delivered values to people as harmless plain text."""

from __future__ import annotations

import re
from typing import Any

LONGEST = 80  # characters shown of a delivered value
# where a spreadsheet may see a formula: at the beginning, or after a character that some read as a separator
_FORMULA = re.compile("(?:^|[;,|]) *(?=[=+\\-@＝＋－＠﹢﹣﹦﹫\t\r\n])")


def show(value: Any) -> str:
    """Return any delivered value as one short piece of plain text.

    Control characters, line feeds, escape sequences, and direction marks are escaped as in Python. Values longer than
    ``LONGEST`` characters are cut.
    """
    if value is None:
        return "NULL"
    if isinstance(value, str):
        cut = value[:LONGEST]
        return repr(cut) + (f"... ({len(value)} characters)" if len(value) > LONGEST else "")
    if isinstance(value, list):
        more = ", ..." if len(value) > 10 else ""
        return f"[{', '.join(map(show, value[:10]))}{more}]"
    return printable(str(value))


def printable(text: str) -> str:
    """Return a text that may quote delivered values as one line of printable characters; a long one is cut."""
    cut = text[: 4 * LONGEST]
    safe = "".join(character if character.isprintable() else repr(character)[1:-1] for character in cut)
    return safe + ("..." if len(text) > len(cut) else "")


def as_cell(text: str) -> str:
    """Return a text as a CSV cell that is harmless in a terminal and in a spreadsheet."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
    harmless = _FORMULA.sub(r"\g<0>'", cut)
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in harmless
    )
