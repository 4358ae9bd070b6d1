"""Naming pattern of month folders, such as ``month_{number}``. Does not import Airflow, so that any tool can use it."""

from __future__ import annotations

import re

DEFAULT = "month_{number}"
EXPECTED = (
    "a name that contains either {number} or {month}, once, and no other braces, no slash, no leading dot, and no "
    "control characters; with {number}, no other group of three or more digits, and no digit next to it"
)
_PLACEHOLDERS = {
    "{number}": r"(?P<number>[0-9]{3}|[1-9][0-9]{3,})",
    "{month}": r"(?P<month>(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2]))",
}
_EXAMPLES = {"{number}": ("000", "001"), "{month}": ("2024-01", "2024-02")}


def is_pattern(text: str) -> bool:
    """Return whether a text is a valid pattern (see ``EXPECTED``).

    The rule about digits is for ``staging.claim_month``, which does not know the pattern: it takes a folder's only
    group of three or more digits as its number.
    """
    bare = text.replace("{number}", "").replace("{month}", "")
    return (
        sum(map(text.count, _PLACEHOLDERS)) == 1
        and not set("{}/") & set(bare)
        and not text.startswith(".")
        and text.isprintable()
        and ("{number}" not in text or re.findall("[0-9]{3,}", text.replace("{number}", "000")) == ["000"])
    )


def as_regex(pattern: str) -> str:
    """Return a regular expression that matches the names, with a group ``number`` or ``month``."""
    before, placeholder, after = _parts(pattern)
    return re.escape(before) + _PLACEHOLDERS[placeholder] + re.escape(after)


def examples(pattern: str) -> str:
    """Return the first names, for messages: ``month_000, month_001, …``."""
    before, placeholder, after = _parts(pattern)
    return ", ".join([*(before + one + after for one in _EXAMPLES[placeholder]), "…"])


def _parts(pattern: str) -> tuple[str, str, str]:
    """Return what is before the placeholder, the placeholder, and what is after it."""
    return pattern.partition(next(one for one in _PLACEHOLDERS if one in pattern))
