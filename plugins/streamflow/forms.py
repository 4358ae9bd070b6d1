"""The forms that a table's file may have: ``users.csv``, ``users.csv.gz``, or ``users.parquet``."""

from __future__ import annotations

import io
from typing import Any

from streamflow import compressed

CSV, GZIP, PARQUET = ".csv", f".csv{compressed.SUFFIX}", ".parquet"
_BLOCK = 1 << 20  # bytes


def names_of(file_name: str) -> list[str]:
    """Return the names that a table's file may have.

    Args:
        file_name: its name as CSV, ``users.csv``.
    """
    stem = file_name.removesuffix(CSV)
    return [stem + form for form in (CSV, GZIP, PARQUET)]


def as_csv(file: io.BufferedReader, name: str, digest: Any = None) -> io.BufferedReader:
    """Return a delivered file as CSV. It can be read again from the beginning.

    Args:
        file: the file, opened in binary mode, at its beginning.
        name: what to call it in messages.
        digest: a hash that is updated with the file's bytes: of a Parquet file, which is not read in order, at once; of
            a compressed one, as they are read; not of a CSV file, which is returned as it is.

    Raises:
        NotGzip: if it is not what its name says; see ``compressed.decompressed``.
        NotParquet: the same; see ``parquet_rows.ParquetAsCsv``.
    """
    if name.endswith(compressed.SUFFIX):
        return compressed.decompressed(file, name, digest)
    if not name.endswith(PARQUET):
        return file
    from streamflow.parquet_rows import ParquetAsCsv

    while digest and (block := file.read(_BLOCK)):
        digest.update(block)
    file.seek(0)
    return io.BufferedReader(ParquetAsCsv(file, name), _BLOCK)
