"""Parquet files: values as they were delivered, and the same bytes however the rows arrive."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import math
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from streamflow import parquet as streamflow_parquet
from streamflow.parquet import CopiedRows, read_parquet, write_parquet


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "file.parquet"


def written(path: Path, content: bytes, **columns: str) -> list[dict]:
    write_parquet(io.BytesIO(content), path, columns)
    return parquet.read_table(path).to_pylist()


def test_each_type_has_its_own(path):
    columns = {
        "t": "text", "b": "boolean", "i": "integer", "l": "bigint", "n": "numeric", "d": "date",
    }  # fmt: skip
    rows = written(path, b"x,t,-1,9223372036854775807,7.50,2024-02-29\n,f,,,,\n", **columns)
    assert rows == [
        {"t": "x", "b": True, "i": -1, "l": 2**63 - 1, "n": 7.5, "d": dt.date(2024, 2, 29)},
        {"t": None, "b": False, "i": None, "l": None, "n": None, "d": None},
    ]
    types = [pa.string(), pa.bool_(), pa.int32(), pa.int64(), pa.float64(), pa.date32()]
    assert parquet.read_schema(path).types == types


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (b"", None),
        (b'""', ""),
        (b'"a ""quote"", a comma"', 'a "quote", a comma'),
        (b'"a line\nand\r\nanother"', "a line\nand\r\nanother"),
        (b" padded ", " padded "),
        (b"NULL", "NULL"),
        (b"nan", "nan"),
        (b"t", "t"),
        (b"007", "007"),
        (b"2024-02-29", "2024-02-29"),
        (b'"\\."', "\\."),
        (b"=1+1", "=1+1"),
        ("Ännä \U0001f600".encode(), "Ännä \U0001f600"),
    ],
)
def test_texts_stay_as_they_are(path, cell, value):
    assert written(path, b"1," + cell + b"\n", n="integer", cell="text") == [{"n": 1, "cell": value}]


def test_a_time_is_in_utc(path):
    assert written(path, b"2024-01-31T00:00:00Z\n", at="timestamptz") == [
        {"at": dt.datetime(2024, 1, 31, tzinfo=dt.UTC)}
    ]


def test_rows_come_back_as_csv_that_copy_reads_in_the_order_that_was_asked_for():
    file = io.BytesIO()
    content = b'1,,t,2024-02-29\n2,"",f,\n,"a ""b"",\nc",,0001-01-01\n'
    write_parquet(io.BytesIO(content), file, {"n": "integer", "t": "text", "b": "boolean", "d": "date"})
    assert b"".join(read_parquet(file, ["t", "n", "b", "d"])) == (
        b',"1","true","2024-02-29"\n"","2","false",\n"a ""b"",\nc",,,"0001-01-01"\n'
    )
    with pytest.raises(KeyError, match="none"):
        [*read_parquet(file, ["n", "none"])]


def test_numbers_that_are_none_stay_that(path):
    nan, infinity = (row["n"] for row in written(path, b"NaN\n-Infinity\n", n="numeric"))
    assert math.isnan(nan)
    assert infinity == -math.inf


def test_without_rows_there_are_columns(path):
    assert written(path, b"", a="text", b="integer") == []
    assert parquet.read_schema(path).names == ["a", "b"]


def test_the_file_has_no_time_and_no_metadata_but_what_wrote_it(path):
    assert write_parquet(io.BytesIO(b"a\n"), path, {"t": "text"}) == f"pyarrow {pa.__version__}"
    metadata = parquet.read_metadata(path)
    assert metadata.metadata is None
    assert metadata.created_by == f"parquet-cpp-arrow version {pa.__version__}"


class Copy:
    """What psycopg's Copy does: some bytes at a time, in the end none."""

    def __init__(self, content: bytes, size: int) -> None:
        self._content = io.BytesIO(content)
        self._size = size

    def read(self) -> bytes:
        return self._content.read(self._size)


def test_bytes_do_not_depend_on_how_the_rows_arrive(path, monkeypatch):
    content = b"".join(b"user %05d,%d\n" % (number, number % 7) for number in range(3000))
    monkeypatch.setattr(streamflow_parquet, "ROWS_PER_GROUP", 1024)
    found = set()
    for size, block in ((64, 8 << 20), (100_000, 8 << 20), (100_000, 5000)):
        monkeypatch.setattr(streamflow_parquet, "_BLOCK", block)
        rows = CopiedRows(Copy(content, size))
        write_parquet(rows, path, {"user_id": "text", "n": "integer"})
        assert rows.sha256.hexdigest() == hashlib.sha256(content).hexdigest()
        found.add(path.read_bytes())
    assert len(found) == 1
    metadata = parquet.read_metadata(path)
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [1024, 1024, 952]


def test_after_an_error_no_one_reads_on(path, tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"1\n" * 10_000 + b"one\n")
    rows = io.FileIO(tmp_path / "rows.csv")
    with pytest.raises(pa.ArrowInvalid, match="'one'"):
        write_parquet(rows, path, {"i": "integer"})
    assert rows.closed
