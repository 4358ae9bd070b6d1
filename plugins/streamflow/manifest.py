"""A delivery's manifest, ``_MANIFEST.json``: exactly which files it has, with their sizes and sha256."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from streamflow.plain import show

NAME = "_MANIFEST.json"
MAX_BYTES = 1 << 20
_EXAMPLE = '{"files": {"users.csv": {"bytes": 1234, "sha256": "0123…"}}}'


class Entry(NamedTuple):
    """A file as the manifest has it.

    Attributes:
        bytes: its size.
        sha256: hash of its bytes, in hexadecimal digits.
    """

    bytes: int
    sha256: str


class BadManifest(ValueError):
    """It cannot be read; the message says what is wrong, after the manifest's name."""


def parse(content: bytes) -> dict[str, Entry]:
    """Return the files that a manifest names.

    Raises:
        BadManifest: if it is not a manifest. It may still be being written.
    """
    if len(content) > MAX_BYTES:
        raise BadManifest(f"has more than {MAX_BYTES} bytes")
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):  # not JSON, or not UTF-8
        raise BadManifest(f"is not JSON (expected {_EXAMPLE})") from None
    files = said.get("files") if isinstance(said, dict) else None
    if not isinstance(files, dict) or not files:
        raise BadManifest(f"has no files (expected {_EXAMPLE})")
    return {name: _entry(name, one) for name, one in files.items()}


def _entry(name: str, said: object) -> Entry:
    if isinstance(said, dict):
        size, sha256 = said.get("bytes"), said.get("sha256")
        is_hash = isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256)
        if isinstance(size, int) and not isinstance(size, bool) and size >= 0 and is_hash:
            return Entry(size, str(sha256))
    raise BadManifest(f"does not give {show(name)} its bytes and sha256 (expected {_EXAMPLE})")


def text_of(files: Mapping[str, Entry]) -> str:
    """Return a manifest that names these files."""
    return json.dumps({"files": {name: entry._asdict() for name, entry in sorted(files.items())}}, indent=2) + "\n"
