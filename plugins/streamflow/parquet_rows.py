"""A Parquet file as the CSV that it stands for: the same cells, checks, and messages.

Its first row is line 2, as in a CSV file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

from streamflow import settings
from streamflow.lines import MAX_LINE
from streamflow.plain import printable, show
from streamflow.refusal import RUN_AGAIN, Refusal

_ROWS = 1 << 12  # rows in memory
_TEXT = 1 << 24  # bytes of text in memory, about


class NotParquet(Refusal):
    """A ``.parquet`` file that cannot be read, or is too large as CSV."""


class ParquetAsCsv(io.RawIOBase):
    """The rows of a Parquet file as CSV. Can be read again from the beginning.

    Args:
        file: the delivered file, opened in binary mode.
        name: what to call it in messages.

    Raises:
        NotParquet: if it is not a Parquet file, or a column has a type that no cell can hold. While it is read: if it
            is damaged, or has more than ``settings.max_file_bytes()`` as CSV.
    """

    def __init__(self, file: io.BufferedReader, name: str) -> None:
        from pyarrow import parquet

        self._name = name
        self._limit = settings.max_file_bytes()
        schema = self._read(lambda: parquet.ParquetFile(file)).schema_arrow
        # texts stay a number each until it is known how long they are: a small file can hold gigabytes of one text
        texts = [field.name for field in schema if _is_text(field.type)]
        self._file = self._read(lambda: parquet.ParquetFile(file, read_dictionary=texts))
        for field in schema:
            if not _is_plain(field.type):
                raise NotParquet(
                    f"{name}, column {show(field.name)}:",
                    "Expected text, numbers, booleans, or dates.",
                    f"Found {printable(str(field.type))}.",
                    "Nothing was loaded.",
                    to_do=f"write the column in one of these types, then {RUN_AGAIN}",
                )
        self._begin()

    def _begin(self) -> None:
        self._blocks = self._lines()
        self._rest = memoryview(b"")
        self._size = 0

    def _lines(self) -> Iterator[bytes]:
        """Yield the header, and then some rows at a time."""
        import pyarrow as pa
        from pyarrow import csv

        columns = self._file.schema_arrow.names
        yield (",".join('"' + name.replace('"', '""') + '"' for name in columns) + "\n").encode()
        batches = self._file.iter_batches(_ROWS, use_threads=False)
        while (batch := self._read(lambda: next(batches, None))) is not None:
            rows = max(1, batch.num_rows * _TEXT // max(_TEXT, self._bytes_of_text(batch)))
            for begin in range(0, batch.num_rows, rows):
                cells = [_as_cells(column) for column in batch.slice(begin, rows).columns]
                written = io.BytesIO()
                csv.write_csv(
                    pa.RecordBatch.from_arrays(cells, names=[str(place) for place in range(len(cells))]),
                    written,
                    csv.WriteOptions(include_header=False, quoting_style="needed"),
                )
                yield written.getvalue()

    def _bytes_of_text(self, batch: Any) -> int:
        """Return how long the texts of some rows are together."""
        import pyarrow as pa
        from pyarrow import compute

        size = 0
        for column in batch.columns:
            if pa.types.is_dictionary(column.type):
                lengths = compute.binary_length(column.dictionary)
                if (compute.max(lengths).as_py() or 0) > MAX_LINE:
                    raise NotParquet(
                        f"{self._name}:",
                        f"Expected rows of at most {MAX_LINE} bytes.",
                        "Found a longer cell.",
                        "Nothing was loaded.",
                        to_do=f"correct the file, then {RUN_AGAIN}",
                    )
                size += compute.sum(lengths.take(column.indices)).as_py() or 0
        return size

    def _read(self, step: Any) -> Any:
        """Do one step; an error of Parquet's becomes a refusal that names the file."""
        import pyarrow as pa

        try:
            return step()
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # of the disk, not of the file
            raise NotParquet(
                f"{self._name} cannot be read.",
                "Expected a complete Parquet file.",
                f"Found {printable(str(error).splitlines()[0] if str(error) else type(error).__name__)}",
                "Nothing was loaded.",
                to_do=f"deliver the file again, then {RUN_AGAIN}",
            ) from None

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read again."""
        return True

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go back to the beginning."""
        if (position, whence) != (0, os.SEEK_SET):
            raise io.UnsupportedOperation("only the beginning can be read again")
        self._begin()
        return 0

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what there is; return the number of bytes."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        self._size += size
        if self._size > self._limit:
            raise NotParquet(
                f"{self._name} is too large when written as CSV.",
                f"Expected at most {self._limit} bytes (AIRFLOW__STREAMFLOW__MAX_FILE_BYTES).",
                "Found more.",
                "Nothing was loaded.",
                to_do=f"deliver the right file, or raise the limit, then {RUN_AGAIN}",
            )
        return size


def _is_plain(kind: Any) -> bool:
    """Return whether a value of a type is one cell."""
    from pyarrow import types

    return _is_text(kind) or any(
        is_one(kind)
        for is_one in (
            types.is_boolean,
            types.is_integer,
            types.is_float32,
            types.is_float64,
            types.is_decimal,
            types.is_date,
            types.is_timestamp,
            types.is_null,
        )
    )


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _as_cells(column: Any) -> Any:
    """Return a column of a type that the writer of CSV knows."""
    import pyarrow as pa
    from pyarrow import types

    if _is_text(column.type):
        return column.cast(pa.string())
    return column.cast(pa.date32()) if types.is_date64(column.type) else column
