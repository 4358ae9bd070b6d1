"""What was delivered, shown to people: as plain text, in which nothing can act as anything else."""

from __future__ import annotations

import re
from typing import Any

LONGEST = 80  # characters of a delivered value that are shown
# where a spreadsheet would see a formula begin: at the beginning, or after what some take for a cell's end
_FORMULA = re.compile("(?:^|[;,|]) *(?=[=+\\-@＝＋－＠﹢﹣﹦﹫\t\r\n])")


def show(value: Any) -> str:
    """Return a delivered value as one short piece of plain text, whatever is in it.

    Control characters, line feeds, escape sequences and marks of direction are written as Python writes them, and
    what is longer than ``LONGEST`` characters is cut.
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
    """Return a text that may quote delivered values as one line without characters that do something; cut."""
    cut = text[: 4 * LONGEST]
    safe = "".join(character if character.isprintable() else repr(character)[1:-1] for character in cut)
    return safe + ("..." if len(text) > len(cut) else "")


def as_cell(text: str) -> str:
    """Return a text as a cell that is only text wherever the file is opened: in a terminal or in a spreadsheet."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
    harmless = _FORMULA.sub(r"\g<0>'", cut)
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in harmless
    )
