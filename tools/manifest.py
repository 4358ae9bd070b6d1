"""Write a delivery's manifest: which files it has, with sizes and sha256; `make manifest FOLDER=folder`.

FOLDER is a month folder, or its URL. Whoever delivers runs it last: then the month does not wait for files to settle.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import errors_told
from streamflow.manifest import NAME, Entry, text_of
from streamflow.refusal import Refusal, count


@errors_told
def main(args: list[str]) -> int:
    """Write the manifest into a month folder; return the exit code."""
    if len(args) != 1 or not args[0]:
        print("usage: make manifest FOLDER=month folder or its URL", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the manifest is replaced only when the new one is complete
    from streamflow.places import place_of, without_credentials
    from streamflow.storage_errors import storage_errors

    with contextlib.redirect_stdout(sys.stderr):  # the stores' hooks log what they do
        files = entries(args[0])
        place = place_of(args[0]) / NAME
        with storage_errors(place):
            write(place, text_of(files))
    print(f"{without_credentials(str(place))}: {count(len(files), 'file')}.")
    return 0


def entries(folder: str) -> dict[str, Entry]:
    """Return what the manifest of a month folder says.

    Raises:
        Refusal: if a table has no file, or several. A table that began later may have none.
    """
    from streamflow.delivery import delivery_at
    from streamflow.tables import TABLES

    delivery = delivery_at(folder)
    files = {}
    for table in TABLES.values():
        names = delivery.names(table.file_name, None)
        if len(names) != 1 and (names or not table.since):
            raise Refusal(
                f"{folder}:",
                f"Expected one file of the table {table.name}.",
                f"Found {' and '.join(names) or 'none'}.",
                to_do="deliver all files, each in one form, then write the manifest",
            )
        for name in names:
            with delivery.open(name) as file:
                files[name] = Entry(file.bytes, hashlib.file_digest(file.content, "sha256").hexdigest())
                file.refuse_change()
    return files


def write(place: Any, text: str) -> None:
    """Write a manifest whole or not at all; a bucket does so by itself."""
    if not isinstance(place, Path):
        place.write_text(text)
        return
    unfinished = place.with_name(f"{NAME}.unfinished")
    with unfinished.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(place)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
