"""Reads the files of ``include/tables/``, and reports a mistake: where, what was expected, and what was found."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streamflow.refusal import Refusal


class TablesError(Refusal):
    """A mistake in a file of ``include/tables/``."""


def read_text(path: Path, expected: str) -> str:
    """Return a file's text.

    Raises:
        TablesError: if it does not exist, or is not UTF-8; ``expected`` says what it should hold.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise TablesError(f"{path}:", f"Expected {expected}.", "Found no file.") from None
    except UnicodeDecodeError as error:
        found = f"Found byte 0x{error.object[error.start]:02x}."
        raise TablesError(f"{path}:", "Expected UTF-8 text.", found) from None


def read_json(path: Path, expected: str) -> Any:
    """Return what a JSON file holds.

    Raises:
        TablesError: if it does not exist, is not JSON (with line and column), or has a repeated key.
    """
    try:
        return json.loads(read_text(path, expected), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise TablesError(f"{path}, line {error.lineno}, column {error.colno}:", f"{error.msg}.") from None
    except _Twice as error:
        raise TablesError(f"{path}:", f"the key {error} appears twice.") from None


class _Twice(Exception):
    """A repeated key of an object."""


def repeated(names: Sequence[str]) -> str | None:
    """Return the first of some names that appears twice."""
    return next((name for name in names if names.count(name) > 1), None)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if key := repeated([key for key, _ in pairs]):
        raise _Twice(key)
    return dict(pairs)


def in_words(path: Path, said: Any, invalid: ValidationError) -> TablesError:
    """Return what pydantic has found in a file as one error."""
    return TablesError(*(line for error in invalid.errors() for line in _in_words(path, said, error)))


def _in_words(path: Path, said: Any, error: Any) -> list[str]:
    place, inner = [], said
    for key in error["loc"]:
        if key == "[key]":  # the key itself is wrong, and has been named
            continue
        if isinstance(inner, list | tuple):
            inner = inner[key]
        else:
            inner = inner.get(key) if isinstance(inner, dict) else None
        place.append(_item(key, inner) if isinstance(key, int) else key)
    expected = re.sub("^Value error, ", "", error["msg"])
    found = [] if error["type"] in ("missing", "value_error") else [f"Found {error['input']!r}."]
    return [f"{path}{', ' if place else ''}{' '.join(place)}:", f"{expected}.", *found]


def _item(index: int, item: Any) -> str:
    """Return how a reader finds an item of a list: a column by its name, a rule by its number and type."""
    if isinstance(item, dict) and "name" in item:
        return str(item["name"])
    return numbered(index + 1, item.get("type") if isinstance(item, dict) else None)


def numbered(number: int, kind: Any) -> str:
    """Return how a reader finds a rule: ``3 (expect_column_mean_to_be_between)``."""
    return f"{number} ({kind})" if kind else str(number)
