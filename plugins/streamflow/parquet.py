"""Parquet files whose bytes depend only on rows, columns, and the version of pyarrow."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

ROWS_PER_GROUP = 131_072  # rows of a row group of the file, and in memory
_BLOCK = 8 << 20  # bytes of CSV per read; a row must fit into it


class CopiedRows(io.RawIOBase):
    """The rows that a COPY sends, as a file to read from.

    Args:
        copy: psycopg's ``Copy``.

    Attributes:
        sha256: hash of the bytes that were read.
    """

    def __init__(self, copy: Any) -> None:
        self._copy = copy
        self._rest = memoryview(b"")
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what there is; return the number of bytes."""
        if not self._rest:
            self._rest = memoryview(self._copy.read())
            self.sha256.update(self._rest)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def write_parquet(rows: io.RawIOBase, to: Path | IO[bytes], columns: dict[str, str]) -> str:
    """Write rows to a Parquet file.

    Args:
        rows: CSV as PostgreSQL's COPY writes it, without a header.
        to: the file: its path, or an open file.
        columns: the columns in order, with their types in PostgreSQL. ``numeric`` becomes a double. A ``timestamptz``
            is expected as ``2024-01-31T00:00:00Z``.

    Returns:
        The program that wrote the file: ``pyarrow 26.0.1``.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    types = {
        "text": pa.string(),
        "boolean": pa.bool_(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "numeric": pa.float64(),
        "date": pa.date32(),
        "timestamptz": pa.timestamp("us", "UTC"),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    # What could differ between versions of pyarrow is said; the schema of Arrow's own would be metadata. The reader is
    # closed on an error too: pyarrow reads ahead in a thread, which would go on reading from the caller's connection.
    with (
        io.BufferedReader(rows, _BLOCK) as buffered,
        parquet.ParquetWriter(
            to,
            schema,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            compression_level=3,
            store_schema=False,
        ) as writer,
    ):
        if buffered.peek(1):  # pyarrow does not read an empty file
            batches = csv.open_csv(
                buffered,
                read_options=csv.ReadOptions(column_names=schema.names, block_size=_BLOCK),
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    column_types=schema,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,  # COPY quotes an empty text, and not NULL
                    true_values=["t"],
                    false_values=["f"],
                ),
            )
            for table in _groups(batches, schema):
                writer.write_table(table, row_group_size=ROWS_PER_GROUP)
    return f"pyarrow {pa.__version__}"


def read_parquet(file: IO[bytes], columns: Sequence[str]) -> Iterator[bytes]:
    """Yield the rows of a Parquet file as CSV for PostgreSQL's COPY, without a header, some rows at a time.

    Args:
        file: the open file.
        columns: the columns to read, in the order to return them.

    Raises:
        KeyError: if the file does not have one of them.
    """
    import pyarrow as pa
    from pyarrow import csv, parquet

    options = csv.WriteOptions(include_header=False, quoting_style="all_valid")  # an empty text, and not NULL
    for batch in parquet.ParquetFile(file).iter_batches(ROWS_PER_GROUP, columns=[*columns]):
        rows = pa.BufferOutputStream()
        csv.write_csv(batch.select(columns), rows, options)
        yield rows.getvalue().to_pybytes()


def _groups(batches: Any, schema: Any) -> Iterator[Any]:
    """Yield tables of ``ROWS_PER_GROUP`` rows, each in one chunk, and one with the rest."""
    import pyarrow as pa

    rest = schema.empty_table()
    for batch in batches:
        rest = pa.concat_tables([rest, pa.Table.from_batches([batch], schema)])
        while rest.num_rows >= ROWS_PER_GROUP:
            yield rest.slice(0, ROWS_PER_GROUP).combine_chunks()
            rest = rest.slice(ROWS_PER_GROUP)
    if rest.num_rows:
        yield rest.combine_chunks()
