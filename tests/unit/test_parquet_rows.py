"""Delivered Parquet files: the same rows, the same messages, as the CSV that they stand for."""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from streamflow.refusal import RUN_AGAIN, TaskRefused
from support.loading import nothing_is_loaded, staged


def packed(columns: dict, **types: pa.DataType) -> bytes:
    """A Parquet file of these columns."""
    file = io.BytesIO()
    arrays = {name: pa.array(values, types.get(name)) for name, values in columns.items()}
    table = pa.table(arrays)
    parquet.write_table(table, file, row_group_size=max(2, table.num_rows // 3))
    return file.getvalue()


def peak_memory() -> int:
    """The most memory, in bytes, that this process ever had."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) << 10


def refused_load(load, table: str, content: bytes) -> str:
    with pytest.raises(TaskRefused) as refused:
        load(table, content, ending=".parquet")
    return str(refused.value)


def test_a_parquet_file_is_loaded_as_what_it_holds_and_recorded_as_what_it_is(database, load):
    content = packed(
        {
            "user_id": ["ann", "", "c,d", 'e"f', "g\th"],
            "watch_hours_30d": [7.0, 7.25, None, 1e20, 0.1],
            "avg_session_mins_7d": [decimal.Decimal("7.00"), None, decimal.Decimal("1.25"), None, None],
            "unique_devices_30d": [1, None, 2**31 - 1, -1, 0],
            "skips_7d": [1.0, 2.0, None, 3.0, 4.0],  # as pandas writes whole numbers with gaps
            "rebuffer_events_7d": [None] * 5,
        }
    )
    found = load("usage_agg_30d", content, ending=".parquet")
    assert found == {
        "file": "month_000/usage_agg_30d.parquet",
        "rows": 5,
        "suppressed": 0,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "not_delivered": [],
        "unknown": [],
    }
    rows = staged(database, "usage_agg_30d", "user_id, watch_hours_30d::text, avg_session_mins_7d::text, skips_7d")
    assert rows == [
        ("", "7.25", None, 2),
        ("ann", "7", "7.00", 1),
        ("c,d", None, "1.25", None),
        ('e"f', "100000000000000000000", None, 3),
        ("g\th", "0.1", None, 4),
    ]
    assert database.query("select file_name, file_sha256 from staging.files") == [(found["file"], found["sha256"])]


@pytest.mark.parametrize(
    "days",
    [
        pa.array([dt.date(2024, 1, 5), None], pa.date32()),
        pa.array([dt.date(2024, 1, 5), None], pa.date64()),
        pa.array(["2024-01-05", None]),
        pa.array(["2024-01-05", None]).dictionary_encode(),
        pa.array(["2024-01-05", None], pa.large_string()),
        pa.array(["2024-01-05", None], pa.string_view()),
    ],
    ids=lambda array: str(array.type),
)
def test_dates_and_texts_of_all_types(database, load, days):
    file = io.BytesIO()
    table = pa.table({"signup_date": days, "user_id": ["ann", "bob"], "has_family": [True, None]})
    parquet.write_table(table, file)
    load("users", file.getvalue(), ending=".parquet")
    assert staged(database, "users", "user_id, signup_date, has_family") == [
        ("ann", dt.date(2024, 1, 5), True),
        ("bob", None, None),
    ]


@pytest.mark.parametrize(
    ("table", "column", "values", "said"),
    [
        (
            "payments_agg_90d",
            "failed_payments_90d",
            [1.5, 2],
            "expected a whole number of at most 2147483647, found '1.5'",
        ),
        (
            "payments_agg_90d",
            "failed_payments_90d",
            [2**31, 2],
            "whole number of at most 2147483647, found '2147483648'",
        ),
        ("payments_agg_90d", "failed_payments_90d", ["0x1F", "1"], "whole number of at most 2147483647, found '0x1F'"),
        ("labels", "churn_label", ["", "true"], "expected true or false, found ''"),
        ("labels", "churn_label", [7, 1], "expected true or false, found '7'"),
        ("labels", "churn_label", ["tru", "true"], "expected true or false, found 'tru'"),
        ("users", "signup_date", ["05-01-24", "2024-01-05"], "expected a date (YYYY-MM-DD), found '05-01-24'"),
        (
            "users",
            "signup_date",
            [dt.datetime(2024, 1, 5, tzinfo=dt.UTC), None],
            "a date (YYYY-MM-DD), found '2024-01-05 00:00:00",
        ),
        ("users", "user_gender", ["a\nb", "x"], "a closing quote on the same line (a cell cannot have a line break)"),
    ],
)
def test_bad_cells_are_named_as_those_of_a_csv_file(database, load, table, column, values, said):
    message = refused_load(load, table, packed({"user_id": ["ann", "bob"], column: values}))
    assert message.startswith(f"month_000/{table}.parquet: ")
    assert f"  - line 2, column {column}: expected " in message
    assert said in message
    assert nothing_is_loaded(database, table)


@pytest.mark.parametrize(
    "values",
    [[["a"], ["b"]], [{"a": 1}, {"a": 2}], [b"a", b"b"], [dt.timedelta(1), dt.timedelta(2)]],
    ids=["list", "struct", "binary", "duration"],
)
def test_a_type_that_is_no_cell_is_refused_by_its_column(database, load, values):
    message = refused_load(load, "labels", packed({"user_id": ["ann", "bob"], "churn_label": values}))
    assert message.startswith(
        "month_000/labels.parquet, column 'churn_label':\nExpected text, numbers, booleans, or dates.\nFound "
    )
    assert nothing_is_loaded(database)


GOOD = packed({"user_id": ["ann", "bob"] * 5000, "churn_label": [True, False] * 5000})


@pytest.mark.parametrize(
    "content",
    [
        b"user_id,churn_label\nann,True\n",
        GOOD[:-10],
        GOOD[len(GOOD) // 2 :],
        GOOD[:4],
        GOOD[:40] + bytes(400) + GOOD[440:],
    ],
    ids=["CSV", "cut off at its end", "without its beginning", "a few bytes", "damaged"],
)
def test_a_file_that_is_not_whole_is_refused(database, load, content):
    message = refused_load(load, "labels", content)
    assert message.startswith("month_000/labels.parquet cannot be read.\nExpected a complete Parquet file.\nFound ")
    assert message.endswith(f"Nothing was loaded.\nWhat to do: deliver the file again, then {RUN_AGAIN}")
    assert nothing_is_loaded(database)


def test_columns_are_found_by_their_names_as_in_a_csv_file(database, load):
    message = refused_load(load, "labels", packed({"user_id": ["ann"], " Churn_Label": [True]}))
    assert "month_000/labels.parquet, line 1, column 2:\nExpected 'churn_label'.\nFound ' Churn_Label'." in message
    message = refused_load(load, "labels", packed({'a" drop table users --': ["ann"]}))
    assert "Expected column names (user_id, churn_label)." in message


def test_a_file_that_is_too_large_as_csv_is_refused(database, load, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MAX_FILE_BYTES", "100000")
    message = refused_load(load, "labels", packed({"user_id": ["ann" * 9] * 9000, "churn_label": [True] * 9000}))
    assert "month_000/labels.parquet is too large when written as CSV.\nExpected at most 100000 bytes" in message


def test_a_small_file_of_long_texts_does_not_fill_the_memory(database, load, monkeypatch):
    """20 GB when written as CSV: refused at the first row that is too long, or at the limit, without decoding all."""
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MAX_FILE_BYTES", str(50 << 20))
    rows = 20_000
    one = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * (1 << 20)]))
    file = io.BytesIO()
    parquet.write_table(pa.table({"user_id": one, "churn_label": [True] * rows}), file)
    content = file.getvalue()
    assert len(content) < 1 << 22
    before = peak_memory()
    message = refused_load(load, "labels", content)
    assert "month_000/labels.parquet" in message
    assert peak_memory() - before < 600 << 20


def test_a_file_without_rows_has_none(database, load):
    assert (
        load("labels", packed({"user_id": [], "churn_label": []}, user_id=pa.string()), ending=".parquet")["rows"] == 0
    )
