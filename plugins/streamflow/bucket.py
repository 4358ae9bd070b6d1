"""A delivery in a bucket of an object store."""

from __future__ import annotations

import datetime as dt
import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from streamflow.delivery import Delivery, Look
from streamflow.places import filesystem_of, place_of, without_credentials
from streamflow.refusal import NotYet
from streamflow.storage_errors import storage_errors

_BLOCK = 8 << 20  # bytes per request: what is in memory of a file, twice
_MARKS = ("ETag", "etag", "VersionId", "generation", "md5Hash", "LastModified", "last_modified")
_MODIFIED = ("LastModified", "last_modified", "updated", "mtime")


class NoSuchBucket(FileNotFoundError):
    """There is no such bucket, or container: not every store's package tells that from a folder that is empty."""


class BucketDelivery(Delivery):
    """A month's objects. What is there is asked once; another look needs another ``BucketDelivery``.

    Args:
        path: URL of the month folder.

    Raises:
        Refusal: if the packages for such URLs are not installed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._place: Any = place_of(path)

    @cached_property
    def _objects(self) -> dict[str, dict[str, Any]]:
        """What the store says of each object, by its name."""
        with storage_errors(self.path):
            fs = filesystem_of(self._place)
            try:
                listed = fs.ls(self._place.path, detail=True)
            except FileNotFoundError:
                if not fs.exists(self._place.bucket):
                    raise NoSuchBucket(self._place.bucket) from None
                return {}
        return {one["name"].rpartition("/")[2]: one for one in listed if one["type"] == "file"}

    @cached_property
    def _now(self) -> dt.datetime:
        """The store's time, if it tells; else this machine's."""
        fs = self._place.fs
        if "s3" in fs.protocol:
            with storage_errors(self.path):
                said = fs.call_s3("head_bucket", Bucket=self._place.bucket)
            return parsedate_to_datetime(said["ResponseMetadata"]["HTTPHeaders"]["date"])
        return dt.datetime.now(dt.UTC)

    def exists(self, name: str) -> bool:
        """Return whether there is an object of a name."""
        return name in self._objects

    def look(self, name: str) -> Look:
        """Look at an object, by the store's clock if it tells the time (S3)."""
        if name not in self._objects:
            raise FileNotFoundError(name)
        said = self._objects[name]
        return Look(said["size"], (self._now - _modified(said)).total_seconds(), _mark(said))

    @contextmanager
    def open(self, name: str) -> Iterator[_Object]:
        """Open an object for reading."""
        place = self._place / name
        url = without_credentials(str(place))
        with storage_errors(url):
            fs = filesystem_of(place)
            try:
                said = fs.info(place.path)
            except FileNotFoundError as error:
                raise FileNotFoundError(errno.ENOENT, "There is no such object", url) from error
            if said["type"] != "file":
                raise IsADirectoryError(errno.EISDIR, "It is a folder", url)
            file = fs.open(place.path, "rb", block_size=_BLOCK, cache_type="readahead")
        with file:
            yield _Object(place, url, said, file)


class _Object:
    """An open object of a month folder."""

    def __init__(self, place: Any, url: str, said: dict[str, Any], file: Any) -> None:
        self.bytes = said["size"]
        self.content = io.BufferedReader(_Reading(url, file, self), 1 << 17)
        self._place = place
        self._url = url
        self._said = said

    def refuse_change(self) -> None:
        """Raise ``NotYet`` if it was written again, or removed, since it was opened."""
        name = "/".join(self._url.split("/")[-2:])
        try:
            with storage_errors(self._url):
                now = filesystem_of(self._place).info(self._place.path)
        except FileNotFoundError:
            raise NotYet(f"{name} was removed while it was read.") from None
        if _mark(now) != _mark(self._said):
            raise NotYet(
                f"{name} was replaced by another object while it was read.",
                f"It had {self.bytes} bytes before, and has {now['size']} now.",
            )


class _Reading(io.RawIOBase):
    """Reads an object in blocks. S3 is asked for the same version each time (If-Match), and refuses another one.

    Azure and Google are not: there, ``refuse_change`` after the last block is what notices.
    """

    def __init__(self, url: str, file: Any, opened: _Object) -> None:
        self._url = url
        self._file = file
        self._opened = opened

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        with storage_errors(self._url):
            try:
                return self._file.readinto(buffer)
            except Exception:
                self._opened.refuse_change()
                raise


def _modified(said: dict[str, Any]) -> dt.datetime:
    """Return when an object was last written: stores say it in different ways."""
    when = next(said[key] for key in _MODIFIED if said.get(key) is not None)
    if isinstance(when, str):
        when = dt.datetime.fromisoformat(when)
    return when if when.tzinfo else when.replace(tzinfo=dt.UTC)


def _mark(said: dict[str, Any]) -> tuple:
    """Return what changes when an object does: its ETag, generation, or version, and its size."""
    return (said["size"], *(str(said[key]) for key in _MARKS if key in said))
