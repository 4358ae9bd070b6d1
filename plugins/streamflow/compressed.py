"""The content of a file that is compressed with gzip."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from streamflow import settings
from streamflow.plain import printable
from streamflow.refusal import RUN_AGAIN, Refusal

SUFFIX = ".gz"
MAGIC = b"\x1f\x8b"  # the first bytes of every gzip file
_BLOCK = 1 << 17  # bytes


class NotGzip(Refusal):
    """A ``.gz`` file that cannot be decompressed, or is too large when decompressed."""


def decompressed(file: io.BufferedReader, name: str, digest: Any = None) -> io.BufferedReader:
    """Return the content of a gzip file.

    It is decompressed while it is read. It can be read again from the beginning.

    Args:
        file: the delivered file, opened in binary mode, at its beginning.
        name: what to call it in messages.
        digest: a hash that is updated with the compressed bytes as they are read.

    Raises:
        NotGzip: if it is not compressed. While it is read: if it is damaged or truncated, if other data follows the
            compressed data, or if it decompresses to more than ``settings.max_file_bytes()``.
    """
    begins = file.peek(len(MAGIC))[: len(MAGIC)]
    if begins and begins != MAGIC:
        raise NotGzip(
            f"{name} cannot be decompressed.",
            "Expected a gzip file.",
            "Found another kind of file.",
            "Nothing was loaded.",
            to_do=f"compress it with gzip or, if it is CSV, rename it {Path(name).name.removesuffix(SUFFIX)}, "
            f"then {RUN_AGAIN}",
        )
    return _Decompressed(_Decompressing(file, name, digest), _BLOCK)


@contextmanager
def check_whole_first(file: IO[bytes]) -> Iterator[None]:
    """Report a damaged or too large compressed file as such, not as the bad rows that it leads to.

    Args:
        file: a delivered file, as ``forms.as_csv`` returned it.

    Raises:
        NotGzip: in place of the block's own exception.
    """
    try:
        yield
    except NotGzip:
        raise
    except Exception:
        if isinstance(file, _Decompressed):
            file.seek(0)
            while file.read(_BLOCK):
                pass
        raise


class _Decompressed(io.BufferedReader):
    """The content of a gzip file."""


class _Decompressing(io.RawIOBase):
    """Reads the content of a gzip file. Any error becomes a refusal that names the file."""

    def __init__(self, file: io.BufferedReader, name: str, digest: Any) -> None:
        self._content = gzip.GzipFile(fileobj=_Digesting(file, digest) if digest else file, mode="rb")
        self._name = name
        self._limit = settings.max_file_bytes()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        return self._content.seek(position, whence)

    def readinto(self, buffer: Any) -> int:
        try:
            size = self._content.readinto(buffer)
        except EOFError:
            raise self._refuse("a truncated one") from None
        except zlib.error as error:
            raise self._refuse(f"damaged data ({printable(str(error))})") from None
        except gzip.BadGzipFile as error:
            is_next = str(error).startswith("Not a gzipped file")  # the first one began correctly
            what = "other data after the compressed data" if is_next else f"damaged data ({printable(str(error))})"
            raise self._refuse(what) from None
        if self._content.tell() > self._limit:
            raise NotGzip(
                f"{self._name} is too large when decompressed.",
                f"Expected at most {self._limit} bytes (AIRFLOW__STREAMFLOW__MAX_FILE_BYTES).",
                "Found more.",
                "Nothing was loaded.",
                to_do=f"deliver the right file, or raise the limit, then {RUN_AGAIN}",
            )
        return size

    def _refuse(self, found: str) -> NotGzip:
        return NotGzip(
            f"{self._name} cannot be decompressed.",
            "Expected a complete gzip file.",
            f"Found {found}.",
            "Nothing was loaded.",
            to_do=f"deliver the file again, then {RUN_AGAIN}",
        )


class _Digesting:
    """Updates a hash with the bytes that are read from a file."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self._file = file
        self._digest = digest
        self.seek = file.seek

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._digest.update(block)
        return block
