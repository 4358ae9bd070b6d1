"""A delivery in a folder of this machine."""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamflow.delivery import Delivery, Look
from streamflow.refusal import RUN_AGAIN, NotYet, Refusal

DELIVER = f"deliver the file itself, then {RUN_AGAIN}"
_FOLDER = os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)


class LocalDelivery(Delivery):
    """A month folder below the deliveries' folder.

    Args:
        path: the month folder. The folder above it is the deliveries' folder.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._folder = Path(path)

    def exists(self, name: str) -> bool:
        """Return whether there is anything under a name, also a link that leads nowhere."""
        return os.path.lexists(self._folder / name)

    def look(self, name: str) -> Look:
        """Look at a file, by the clock of this machine."""
        found = (self._folder / name).stat()
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "is not a file")
        return Look(found.st_size, time.time() - found.st_mtime, (found.st_ino, found.st_size, found.st_mtime_ns))

    @contextmanager
    def open(self, name: str) -> Iterator[_LocalFile]:
        """Open a file for reading."""
        with open_delivered(self._folder.parent, self._folder / name) as file:
            yield _LocalFile(self._folder / name, file)


class _LocalFile:
    """An open file of a month folder."""

    def __init__(self, path: Path, content: io.BufferedReader) -> None:
        self.content = content
        self._path = path
        self._before = os.fstat(content.fileno())
        self.bytes = self._before.st_size

    def refuse_change(self) -> None:
        """Raise ``NotYet`` if it was written to or replaced since it was opened."""
        name = f"{self._path.parent.name}/{self._path.name}"
        before, after, now = self._before, os.fstat(self.content.fileno()), self._path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise NotYet(
                f"{name} was written to while it was read.",
                f"It had {before.st_size} bytes before, and {after.st_size} after.",
            )
        if (before.st_dev, before.st_ino) != (now.st_dev, now.st_ino):
            raise NotYet(f"{name} was replaced by another file while it was read.")


def open_delivered(root: Path, path: Path) -> io.BufferedReader:
    """Open a delivered file for reading: a regular file below the deliveries' folder.

    It may be reached by links that stay below that folder. Links are resolved once. After that no link is followed, so
    that a link created in the meantime cannot make this open another file.
    """
    home, real = Path(os.path.realpath(root, strict=True)), Path(os.path.realpath(path, strict=True))
    if not real.is_relative_to(home):
        raise Refusal(
            f"{path} is not in the deliveries' folder.",
            f"Expected a file below {home}",
            f"Found a link to {real}",
            "Nothing was read.",
            to_do=DELIVER,
        )
    *folders, last = real.relative_to(home).parts or (".",)
    place = os.open(home, _FOLDER)
    try:
        for folder in folders:
            outer, place = place, os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=place)
            os.close(outer)
        # O_NONBLOCK: if it is a pipe, do not wait for a writer
        opened = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NotYet(f"{path} was replaced by a link while it was opened.") from None
        raise
    finally:
        os.close(place)
    file = os.fdopen(opened, "rb") if stat.S_ISREG(mode := os.fstat(opened).st_mode) else None
    if file is None:
        os.close(opened)
        raise Refusal(
            f"{path} is not a file.",
            f"Found {'a folder' if stat.S_ISDIR(mode) else 'something else'}.",
            to_do=DELIVER,
        )
    return file
