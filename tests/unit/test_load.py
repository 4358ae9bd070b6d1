"""A delivered file into its staging table, exactly as the file says it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pytest

import streamflow.load
import streamflow.local
from streamflow import settings
from streamflow.refusal import RUN_AGAIN, Refusal, TaskNotYet, TaskRefused
from streamflow.tables import TABLES
from support.loading import JANUARY, operator, staged, types
from support.paths import ROOT

SAMPLES = ROOT / "include" / "data" / "month_000"


@pytest.mark.parametrize("table", TABLES)
def test_a_sample_file_is_staged_row_by_row_and_recorded(database, load, table):
    content = (SAMPLES / f"{table}.csv").read_bytes()
    found = load(table, content)
    rows = content.count(b"\n") - 1
    digest = hashlib.sha256(content).hexdigest()
    not_delivered = list(TABLES[table].optional)
    assert found == {
        "file": f"month_000/{table}.csv",
        "rows": rows,
        "suppressed": 0,
        "bytes": len(content),
        "sha256": digest,
        "not_delivered": not_delivered,
        "unknown": [],
    }
    assert database.query(
        "select as_of::text, table_name, file_name, file_bytes, file_sha256, not_delivered, delivered, is_validated "
        "from staging.files"
    ) == [(JANUARY, table, f"month_000/{table}.csv", len(content), digest, not_delivered, rows, False)]
    ids = [line.split(",")[0] for line in content.decode().splitlines()[1:]]
    assert [user for (user,) in staged(database, table, "user_id")] == sorted(ids)
    assert types(database, table) == dict(
        database.query(
            "select column_name::text, data_type::text from information_schema.columns "
            "where table_schema = 'public' and table_name = %s",
            table,
        )
    )


def test_values_have_their_types(database, load):
    load("users", "user_id,signup_date,user_gender,user_is_senior\nann,2023-05-01,Female,True\nbob,,,\n")
    assert staged(database, "users", "user_id, signup_date::text, user_gender, user_is_senior") == [
        ("ann", "2023-05-01", "Female", True),
        ("bob", None, None, None),
    ]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ('""', ""),
        ('" "', " "),
        (" Female ", " Female "),
        ('"a,b"', "a,b"),
        ('"say ""hi"""', 'say "hi"'),
        ("Zoë 東京 🎬 e\u0301", "Zoë 東京 🎬 e\u0301"),
        ("NULL", "NULL"),
        ("\\N", "\\N"),
        (r"a\tb\\c", r"a\tb\\c"),
        ("'; drop table users; --", "'; drop table users; --"),
        ("{{ 7*7 }}", "{{ 7*7 }}"),
        ("%(file_name)s %s %%", "%(file_name)s %s %%"),
        ("$$", "$$"),
        ("=cmd()", "=cmd()"),
        ("\ufeff", "\ufeff"),
        ("x" * 100_000, "x" * 100_000),
    ],
)
def test_text_comes_out_as_it_went_in(database, load, written, value):
    assert load("users", f"user_id,user_gender\nann,{written}\nbob,last\n")["rows"] == 2
    assert staged(database, "users", "user_id, user_gender") == [("ann", value), ("bob", "last")]
    assert database.query("select count(*) from users") == [(0,)]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfuser_id,churn_label\nann,True\nbob,False\n",
        b'\xef\xbb\xbf"user_id","churn_label"\n"ann","True"\n"bob","False"\n',
        b"user_id,churn_label\r\nann,True\r\nbob,False\r\n",
        b"user_id,churn_label\nann,True\nbob,False",
        b"churn_label,user_id\nTrue,ann\nFalse,bob\n",
        b"user_id,churn_label\nann,t\nbob,0\n",
    ],
    ids=["BOM", "BOM and quotes", "CRLF", "no last newline", "other order", "other spellings"],
)
def test_the_same_table_in_another_spelling(database, load, content):
    assert load("labels", content)["sha256"] == hashlib.sha256(content).hexdigest()
    assert staged(database, "labels", "user_id, churn_label") == [("ann", True), ("bob", False)]


def test_more_than_a_block(database, load):
    rows = [f"u{number:06d},{number}" for number in range(150_000)]
    found = load("payments_agg_90d", "\n".join(["user_id,failed_payments_90d", *rows]))
    assert found["rows"] == 150_000
    assert found["bytes"] > 1 << 20
    assert database.query("select sum(failed_payments_90d), max(user_id) from staging.payments_agg_90d_20240131") == [
        (sum(range(150_000)), "u149999")
    ]


@pytest.mark.parametrize("block", [1, 2, 5, 1 << 20], ids="blocks of {} bytes".format)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""], ids=["lf", "crlf", "end of file"])
def test_a_line_that_older_servers_take_for_the_end_is_refused(database, load, monkeypatch, block, end):
    monkeypatch.setattr(streamflow.load, "_BLOCK", block)
    rest = "bob\n" if end else ""
    with pytest.raises(TaskRefused, match=r"users.csv, line 3:\nExpected a row.\nFound \\\. alone"):
        load("users", f"user_id\nann\n\\.{end}{rest}")
    assert staged(database, "users") == []


def test_a_value_that_only_looks_like_it_is_a_value(database, load, monkeypatch):
    monkeypatch.setattr(streamflow.load, "_BLOCK", 2)
    assert load("users", 'user_id\n\\.x\nx\\.\n"\\."\n')["rows"] == 3
    assert staged(database, "users", "user_id") == [("\\.",), ("\\.x",), ("x\\.",)]


def test_a_header_alone_is_no_row(database, load):
    assert load("labels", "user_id,churn_label\n")["rows"] == 0
    assert staged(database, "labels") == []


def test_optional_columns_left_out_are_null_and_named(database, load):
    found = load("subscriptions", "user_id,add_on_backup,months_active\nann,True,3\n")
    assert found["not_delivered"] == ["add_on_security", "add_on_device_protect", "add_on_support"]
    assert staged(database, "subscriptions", "add_on_backup, add_on_support, months_active") == [(True, None, 3)]


def test_an_optional_column_in_another_case_is_not_taken_as_left_out(load):
    with pytest.raises(TaskRefused, match=r"line 1, column 2:\nExpected 'add_on_backup'.\nFound 'Add_On_Backup'."):
        load("subscriptions", "user_id,Add_On_Backup,months_active\nann,True,3\n")


def test_a_missing_column_is_absent(database, load):
    load("users", "user_id,signup_date\nann,2023-05-01\n")
    assert types(database, "users") == {"user_id": "text", "signup_date": "date"}


def test_without_the_key_the_rest_is_staged_for_the_validation_to_refuse(database, load):
    load("labels", "churn_label\nTrue\n")
    assert types(database, "labels") == {"churn_label": "boolean"}


def test_an_unknown_column_is_text_and_named(database, load):
    assert load("labels", "user_id,churn_label,score\nann,True,0012\n")["unknown"] == ["score"]
    assert types(database, "labels")["score"] == "text"
    assert staged(database, "labels", "score") == [("0012",)]


def test_lines_that_end_in_cr_alone_are_refused_with_the_file(load):
    with pytest.raises(TaskRefused, match=r"month_000/labels\.csv, line 1"):
        load("labels", "user_id,churn_label\rann,True\r")


def test_an_empty_file_is_refused(load):
    with pytest.raises(TaskRefused, match=r"month_000/labels\.csv, line 1:\nExpected column names.\nFound none"):
        load("labels", "")


@pytest.mark.parametrize(
    ("table", "content", "found"),
    [
        (
            "users",
            b"user_id,signup_date\nann,2023-05-01\nbob,2023-02-30\n",
            "line 3, column signup_date: expected a date (YYYY-MM-DD), found '2023-02-30'",
        ),
        (
            "labels",
            b"user_id,churn_label\nann,maybe\n",
            "line 2, column churn_label: expected true or false, found 'maybe'",
        ),
        (
            "payments_agg_90d",
            b"user_id,failed_payments_90d\nann,1\nbob,1.5\n",
            "line 3, column failed_payments_90d: expected a whole number of at most 2147483647, found '1.5'",
        ),
        (
            "payments_agg_90d",
            b"user_id,failed_payments_90d\nann,2147483648\n",
            "line 2, column failed_payments_90d: expected a whole number of at most 2147483647, found '2147483648'",
        ),
        (
            "usage_agg_30d",
            b"user_id,watch_hours_30d\nann,1;5\n",
            "line 2, column watch_hours_30d: expected a number (1234.5), found '1;5'",
        ),
        # a quoted empty string is no NULL, and no boolean either
        (
            "labels",
            b'user_id,churn_label\nann,""\n',
            "line 2, column churn_label: expected true or false, found ''",
        ),
        ("labels", b"user_id,churn_label\nann,True,9\n", "line 2: expected 2 cells, found 3"),
        ("labels", b"user_id,churn_label\nann\n", "line 2: expected 2 cells, found 1"),
        ("labels", b"user_id,churn_label\n\n", "line 2: expected 2 cells, found an empty line"),
        (
            "labels",
            b"user_id,churn_label\nann,True\r\n",
            "line 2: expected a row that ends in LF alone, as the header does, found a carriage return",
        ),
    ],
)
def test_a_cell_that_cannot_be_read_is_named_with_its_place(database, load, table, content, found):
    with pytest.raises(TaskRefused) as refused:
        load(table, content)
    report = settings.report_path("streamflow_db", JANUARY, f"{table}.bad_cells.csv")
    assert str(refused.value) == (
        f"month_000/{table}.csv: 1 invalid cell or row.\n"
        f"  - {found}\n"
        "All of them are listed in\n"
        f"  {report}\n"
        "Nothing was loaded.\n"
        f"What to do: correct the file, then {RUN_AGAIN}"
    )
    assert len(report.read_text().splitlines()) == 2  # a header, and the cell
    assert staged(database, table) == []
    assert database.query("select count(*) from staging.files") == [(0,)]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (b"ann,Zo\xeb", "0xeb 0x0a"),
        (b"ann,a\x00b", "a NUL byte"),
    ],
)
def test_what_is_no_text_is_named_with_its_line(database, load, row, found):
    with pytest.raises(TaskRefused) as refused:
        load("users", b"user_id,user_gender\n" + row + b"\n")
    assert str(refused.value) == (
        f"month_000/users.csv, line 2:\nExpected UTF-8 text.\nFound {found}.\nNothing was loaded.\n"
        f"What to do: export the file as UTF-8, then {RUN_AGAIN}"
    )
    assert staged(database, "users") == []
    assert database.query("select count(*) from staging.files") == [(0,)]


@pytest.mark.parametrize(
    "written",
    [
        *("01/02/2023", "1.2.2023", "31/01/2024", "2024-02-30", "20240131", "2024-1-31", "2024-01-31 00:00:00"),
        *("05-01-24", "050124", "Jan 5 2024"),  # years that PostgreSQL would make up, or months
        *("yesterday", "today", "epoch"),  # another date tomorrow
        *(" 2024-01-31", "infinity", "-infinity", "0044-03-15 BC", "12024-01-31"),
    ],
)
def test_a_date_is_written_year_month_day(database, load, written):
    with pytest.raises(TaskRefused) as refused:
        load("users", f"user_id,signup_date\nann,2023-05-01\nbob,{written}\ncid,\n")
    assert "month_000/users.csv: 1 invalid cell or row." in str(refused.value)
    assert f"line 3, column signup_date: expected a date (YYYY-MM-DD), found {written!r}" in str(refused.value)
    assert database.query("select count(*) from staging.files") == [(0,)]


def test_a_delivery_without_dates_is_loaded_for_its_suite_to_refuse(database, load):
    load("users", "user_id,signup_day\nann,2023-05-01\n")
    assert types(database, "users") == {"user_id": "text", "signup_day": "text"}


def test_a_retry_follows_the_new_header_and_leaves_nothing_of_the_old(database, load):
    load("labels", "user_id,wrong,older\nzoe,1,2\n")
    found = load("labels", "churn_label,user_id,newer\nTrue,ann,x\n", retry=True)
    assert types(database, "labels") == {"user_id": "text", "churn_label": "boolean", "newer": "text"}
    assert staged(database, "labels", "user_id, churn_label, newer") == [("ann", True, "x")]
    assert database.query("select file_sha256, delivered, is_validated from staging.files") == [
        (found["sha256"], 1, False)
    ]


def test_a_retry_after_a_bad_file_loads_the_corrected_one(database, load):
    with pytest.raises(TaskRefused, match="line 3"):
        load("labels", "user_id,churn_label,extra\nann,True,1\nbob,maybe,2\n")
    load("labels", "user_id,churn_label\nann,True\nbob,False\n", retry=True)
    assert staged(database, "labels") == [("ann", True), ("bob", False)]


def test_loading_again_takes_the_validation_back(database, load):
    load("labels", "user_id,churn_label\nann,True\n")
    database.mark_validated(JANUARY, "labels", b"user_id,churn_label\nann,True\n")
    assert database.query("select is_validated from staging.files") == [(True,)]
    load("labels", "user_id,churn_label\nann,False\n", retry=True)
    database.mark_validated(JANUARY, "labels", b"user_id,churn_label\nann,True\n")  # of the file before
    assert database.query("select is_validated from staging.files") == [(False,)]


@pytest.mark.parametrize("content", [b"user_id,churn_label\nann,True\n", b"user_id,churn_label\nann,maybe\n", b""])
def test_the_source_file_is_only_read(load, deliveries, content):
    path = deliveries / "month_000" / "labels.csv"
    with suppress(TaskRefused):
        load("labels", content)
    written = path.stat()
    path.chmod(0o444)
    for _ in range(2):
        with suppress(TaskRefused):
            operator("labels").execute({})
    assert path.read_bytes() == content
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (written.st_mtime_ns, written.st_size)
    assert [file.name for file in path.parent.iterdir()] == ["labels.csv"]


def test_a_missing_file_is_named_and_not_made(database, load, deliveries):
    path = deliveries / "month_000" / "labels.csv"
    with pytest.raises(TaskRefused, match=f"{path} cannot be read:\nNo such file or directory.\n.*deliver the file"):
        operator("labels").execute({})
    assert not path.exists()


def test_a_folder_in_place_of_the_file_is_named(load, deliveries):
    path = deliveries / "month_000" / "labels.csv"
    path.mkdir()
    with pytest.raises(TaskRefused, match=f"{path} is not a file.\nFound a folder.\n.*deliver the file"):
        operator("labels").execute({})


def test_a_file_that_grows_while_it_is_read_is_tried_again(database, load, deliveries, monkeypatch):
    path = deliveries / "month_000" / "labels.csv"

    def read_while_it_grows(first_line, file, name, kinds):
        yield from blocks(first_line, file, name, kinds)
        with path.open("a") as upload:
            upload.write("bob,False\n")

    blocks = streamflow.load._blocks
    monkeypatch.setattr(streamflow.load, "_blocks", read_while_it_grows)
    with pytest.raises(
        TaskNotYet, match=r"labels.csv was written to while it was read.\nIt had 29 bytes before, and 39"
    ):
        load("labels", "user_id,churn_label\nann,True\n")
    assert staged(database, "labels") == []


@pytest.mark.parametrize("length", [100_000, 200_000, 400_000, 1_000_000])
@pytest.mark.parametrize("column", ["user_is_senior", "signup_date"])
def test_a_bad_cell_of_any_length_is_refused(load, column, length):
    """The server repeats it in its error, while the load may still be sending."""
    rows = "".join(f"u{number},{'x' * length}\n" for number in range(3))
    with pytest.raises(TaskRefused, match=rf"3 invalid cells.*\n.*found 'x{{80}}'\.\.\. \({length} characters\)"):
        load("users", f"user_id,{column}\n{rows}")


def test_links_that_stay_below_the_root_are_followed(database, load, deliveries):
    real = deliveries / "kept" / "labels.csv"
    real.parent.mkdir()
    real.write_text("user_id,churn_label\nann,True\n")
    load("labels", "user_id\n")
    (deliveries / "month_000" / "labels.csv").unlink()
    (deliveries / "month_000").rmdir()
    (deliveries / "month_000").symlink_to("kept", target_is_directory=True)
    real.rename(deliveries / "the file.csv")
    real.symlink_to("../the file.csv")
    assert operator("labels").execute({})["rows"] == 1


def test_a_link_to_itself_and_a_pipe_are_refused(load, deliveries):
    path = deliveries / "month_000" / "labels.csv"
    path.symlink_to(path)
    with pytest.raises(TaskRefused, match=r"labels.csv cannot be read:\nToo many levels of symbolic links"):
        operator("labels").execute({})
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(TaskRefused, match=r"labels.csv is not a file.\nFound something else"):
        operator("labels").execute({})


SWAP = """
import os, sys
path, other, spare = sys.argv[1:]
while True:
    os.rename(path, spare)
    os.rename(other, path)
    os.rename(path, other)
    os.rename(spare, path)
"""


@pytest.mark.parametrize("swapped", ["month_000/labels.csv", "month_000"], ids=["the file", "its folder"])
def test_what_is_opened_is_below_the_root_whatever_is_swapped_meanwhile(load, deliveries, tmp_path, swapped):
    """Another process puts a link out of the root in the place of the file, or of its folder, and takes it away."""
    path, outside = deliveries / "month_000" / "labels.csv", tmp_path / "outside"
    path.write_text("inside")
    outside.mkdir()
    (outside / "labels.csv").write_text("outside")
    link = deliveries / "link"
    link.symlink_to(outside if swapped == "month_000" else outside / "labels.csv")
    found = Counter()
    with subprocess.Popen([sys.executable, "-c", SWAP, deliveries / swapped, link, deliveries / "spare"]) as swapper:
        try:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                try:
                    with streamflow.local.open_delivered(deliveries, path) as file:
                        found[file.read()] += 1
                except (Refusal, OSError) as error:
                    found[type(error).__name__] += 1
        finally:
            swapper.kill()
    assert found[b"inside"]
    assert found["Refusal"]  # it was a link at times
    assert not found[b"outside"], found
