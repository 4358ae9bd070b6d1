"""One month's delivery: the files of a month folder, wherever it lies. They are only ever read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple, Protocol

from streamflow.forms import names_of
from streamflow.manifest import MAX_BYTES, NAME, BadManifest, Entry, parse
from streamflow.places import below, is_url, place_of


class Look(NamedTuple):
    """What can be seen of a file without reading it.

    Attributes:
        bytes: its size.
        age: seconds since it was last written, by the clock of where it lies; negative if that is in the future.
        mark: something that changes when the file does.
    """

    bytes: int
    age: float
    mark: tuple


class DeliveredFile(Protocol):
    """A delivered file that is open.

    Attributes:
        content: its bytes, from the beginning; can be read again.
        bytes: its size.
    """

    content: BufferedReader
    bytes: int

    def refuse_change(self) -> None:
        """Raise ``NotYet`` if the file was written to or replaced since it was opened."""


class Delivery(ABC):
    """A month folder.

    Attributes:
        path: its path or URL, for messages.
    """

    path: str

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Return whether there is anything under a name."""

    @abstractmethod
    def look(self, name: str) -> Look:
        """Look at a file.

        Raises:
            FileNotFoundError: if there is none.
            OSError: if it cannot be looked at, or is not a file.
        """

    @abstractmethod
    def open(self, name: str) -> AbstractContextManager[DeliveredFile]:
        """Open a file for reading.

        Raises:
            FileNotFoundError: if there is none.
            OSError: if it cannot be opened.
            Refusal: if it is not a file of this folder.
        """

    def names(self, file_name: str, listed: dict[str, Entry] | None) -> list[str]:
        """Return the names under which a table's file was delivered: one, by mistake several, or none.

        Args:
            file_name: its name as CSV, ``users.csv``.
            listed: what the manifest lists, if there is one; other files do not count then.
        """
        forms = names_of(file_name)
        return [name for name in forms if (self.exists(name) if listed is None else name in listed)]

    def manifest(self) -> dict[str, Entry] | None:
        """Return the files that the manifest lists; None if there is no manifest.

        Raises:
            BadManifest: if it cannot be read.
        """
        if not self.exists(NAME):
            return None
        try:
            with self.open(NAME) as file:
                return parse(file.content.read(MAX_BYTES + 1))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadManifest(f"cannot be read ({error.strerror or error})") from None


@contextmanager
def open_below(root: str, name: str) -> Iterator[BufferedReader]:
    """Open any file of the deliveries' folder, or bucket, for reading.

    Args:
        root: the path or URL of the connection ``streamflow_fs``.
        name: the file's path below it.

    Raises:
        FileNotFoundError: if there is none.
        OSError: if it cannot be opened.
        Refusal: if it is not a file below the folder, or the store refuses.
    """
    if is_url(root):
        folder, _, file_name = below(root, name).rpartition("/")
        with delivery_at(folder).open(file_name) as file:
            yield file.content
        return
    from streamflow.local import open_delivered

    home = Path(str(place_of(root)))
    with open_delivered(home, home / name) as opened:
        yield opened


def delivery_at(path: str) -> Delivery:
    """Return the delivery of a month folder.

    Args:
        path: the folder, below the path of the connection ``streamflow_fs``, or its URL.

    Raises:
        Refusal: if it is a URL of a store for which no packages are installed.
    """
    if is_url(path):
        from streamflow.bucket import BucketDelivery

        return BucketDelivery(path)
    from streamflow.local import LocalDelivery

    return LocalDelivery(str(place_of(path)))
