"""Compressed files: loaded as what they hold, recorded as what they are, refused if they are not whole."""

from __future__ import annotations

import gzip
import os
import subprocess

import pytest

import streamflow.load
from streamflow import settings
from streamflow.refusal import RUN_AGAIN, TaskNotYet, TaskRefused
from support.loading import JANUARY, nothing_is_loaded, operator, refused_load, staged

# compressed files

LABELS = b"user_id,churn_label\nann,True\nbob,False\n"
PACKED = gzip.compress(LABELS)


@pytest.mark.parametrize(
    "content",
    [
        PACKED,
        gzip.compress(LABELS, 1),
        gzip.compress(LABELS.removesuffix(b"\n")),
        gzip.compress(b"\xef\xbb\xbf" + LABELS.replace(b"\n", b"\r\n")),
        b"".join(gzip.compress(LABELS[at : at + 5]) for at in range(0, len(LABELS), 5)),
        gzip.compress(b"") + PACKED + gzip.compress(b""),
        PACKED + bytes(512),
        PACKED[:3] + b"\x08" + PACKED[4:10] + b"../../etc/passwd; $(id)\0" + PACKED[10:],
    ],
    ids=[
        "gzip",
        "fast",
        "no last line feed",
        "BOM and CRLF",
        "members",
        "empty members",
        "zeros after it",
        "a name in it",
    ],
)
def test_a_compressed_file_is_loaded_as_what_it_holds_and_recorded_as_what_it_is(database, load, deliveries, content):
    found = load("labels", content, ending=".csv.gz")
    path = deliveries / "month_000" / "labels.csv.gz"
    sha256 = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    assert found == {
        "file": "month_000/labels.csv.gz",
        "rows": 2,
        "suppressed": 0,
        "bytes": path.stat().st_size,
        "sha256": sha256,
        "not_delivered": [],
        "unknown": [],
    }
    assert database.query("select file_name, file_bytes, file_sha256, delivered from staging.files") == [
        ("month_000/labels.csv.gz", len(content), sha256, 2)
    ]
    assert staged(database, "labels") == [("ann", True), ("bob", False)]
    assert path.read_bytes() == content
    assert [one.name for one in path.parent.iterdir()] == ["labels.csv.gz"]


def test_a_large_compressed_file_is_read_block_by_block(database, load):
    rows = "".join(f"u{number:06d},{number}\n" for number in range(300_000))
    found = load("payments_agg_90d", gzip.compress(f"user_id,failed_payments_90d\n{rows}".encode()), ending=".csv.gz")
    assert found["rows"] == 300_000
    assert database.query("select sum(failed_payments_90d) from staging.payments_agg_90d_20240131") == [
        (sum(range(300_000)),)
    ]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (LABELS, "another kind of file"),
        (b"PK\3\4" + PACKED, "another kind of file"),
        (b"\x1f", "another kind of file"),
        *((PACKED[:size], "a truncated one") for size in (2, 9, 15, -9, -8, -4, -1)),
        (PACKED + PACKED[:-1], "a truncated one"),
        (PACKED + b"x", "other data after the compressed data"),
        (PACKED + LABELS, "other data after the compressed data"),
        (PACKED + bytes(8) + LABELS, "other data after the compressed data"),
        (PACKED[:2] + b"\7" + PACKED[3:], "damaged data (Unknown compression method)"),
        (PACKED[:10] + b"\xff" * 20 + PACKED[30:], "damaged data (Error -3 while decompressing data"),
        (PACKED[:-8] + bytes(4) + PACKED[-4:], "damaged data (CRC check failed"),
        (PACKED[:-4] + bytes(4), "damaged data (Incorrect length of data produced)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",  # its bytes have the time in them
)
def test_what_is_no_whole_gzip_file_is_refused_and_nothing_of_it_loaded(database, load, content, found):
    message = refused_load(load, content)
    assert message.startswith("month_000/labels.csv.gz cannot be decompressed.\nExpected a ")
    assert f"\nFound {found}" in message
    assert message.endswith(f"then {RUN_AGAIN}")
    assert ("name it labels.csv," in message) is ("another kind" in found)
    assert nothing_is_loaded(database)


def test_a_large_file_that_is_cut_off_is_refused_for_that_and_not_for_its_rows(database, load):
    """The end is missed when COPY has refused a row long ago."""
    rows = "".join(f"u{number},{number * 7919 % 10007}\n" for number in range(200_000))
    content = gzip.compress(f"user_id,failed_payments_90d\nann,many\n{rows}".encode())
    message = refused_load(load, content[:-5], "payments_agg_90d")
    assert (
        "payments_agg_90d.csv.gz cannot be decompressed.\nExpected a complete gzip file.\nFound a truncated" in message
    )
    assert nothing_is_loaded(database, "payments_agg_90d")
    report = settings.report_path("streamflow_db", JANUARY, "payments_agg_90d.bad_cells.csv")
    assert not report.exists()
    assert "line 2, column failed_payments_90d" in refused_load(load, content, "payments_agg_90d")
    assert report.exists()


@pytest.mark.parametrize(
    "bomb",
    [
        LABELS + b"ann,True\n" * 200_000,
        LABELS + b"\n" * 2_000_000,
        LABELS + b"x" * 2_000_000,
        b"user_id,churn_label\n\\.\n" + b"x" * 2_000_000,
        bytes(2_000_000),
    ],
    ids=["rows", "line feeds", "one line", "an end mark", "zeros"],
)
def test_a_file_that_becomes_too_large_is_refused_with_the_setting(database, load, monkeypatch, bomb):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MAX_FILE_BYTES", "1500000")
    content = gzip.compress(bomb)
    assert len(content) < 10_000
    assert refused_load(load, content) == (
        "month_000/labels.csv.gz is too large when decompressed.\n"
        "Expected at most 1500000 bytes (AIRFLOW__STREAMFLOW__MAX_FILE_BYTES).\n"
        "Found more.\n"
        "Nothing was loaded.\n"
        f"What to do: deliver the right file, or raise the limit, then {RUN_AGAIN}"
    )
    assert nothing_is_loaded(database)
    assert not settings.report_path("streamflow_db", JANUARY, "labels.bad_cells.csv").exists()


def test_what_is_decompressed_may_be_as_large_as_the_setting(load, monkeypatch):
    content = LABELS + b"ann,True\n" * 1000
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MAX_FILE_BYTES", str(len(content)))
    assert load("labels", gzip.compress(content), ending=".csv.gz")["rows"] == 1002
    assert "is too large when decompressed" in refused_load(load, gzip.compress(content + b"\n"))


def test_a_compressed_files_bad_cells_are_told_with_their_lines(database, load):
    message = refused_load(load, gzip.compress(b"user_id,churn_label\nann,True\nbob,maybe\ncid\n"))
    assert message.startswith("month_000/labels.csv.gz: 2 invalid cells or rows.\n")
    assert "  - line 3, column churn_label: expected true or false, found 'maybe'\n" in message
    assert "  - line 4: expected 2 cells, found 1\n" in message
    report = settings.report_path("streamflow_db", JANUARY, "labels.bad_cells.csv")
    assert len(report.read_text().splitlines()) == 3
    assert nothing_is_loaded(database)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ", line 1:\nExpected column names.\nFound none."),
        (gzip.compress(b""), ", line 1:\nExpected column names.\nFound none."),
        (
            gzip.compress(b"ann,True\n"),
            ", line 1:\nExpected column names (user_id, churn_label).\nFound none of them in",
        ),
        (gzip.compress(LABELS + b"Zo\xeb,True\n"), ", line 4:\nExpected UTF-8 text.\nFound 0xeb"),
        (gzip.compress(b"user_id,churn_label\n\\.\n"), ", line 2:\nExpected a row.\nFound \\. alone"),
        (
            gzip.compress(PACKED),
            ", line 1:\nExpected text.\nFound the beginning of a gzip-compressed file.\nNothing was loaded.\n",
        ),
    ],
    ids=["0 bytes", "nothing", "no header", "latin-1", "an end mark", "twice"],
)
def test_what_a_compressed_file_holds_is_checked_as_a_plain_one(database, load, content, words):
    assert refused_load(load, content).startswith(f"month_000/labels.csv.gz{words}")
    assert nothing_is_loaded(database)


def test_a_compressed_file_without_its_ending_is_told(load):
    large = gzip.compress(os.urandom(100_000), 0)
    for content in (PACKED, large):
        with pytest.raises(TaskRefused) as refused:
            load("labels", content)
        assert str(refused.value) == (
            "month_000/labels.csv, line 1:\n"
            "Expected text.\n"
            "Found the beginning of a gzip-compressed file.\n"
            "Nothing was loaded.\n"
            f"What to do: name it labels.csv.gz, then {RUN_AGAIN}"
        )


def test_two_files_for_a_table_are_one_too_many(database, load, deliveries):
    (deliveries / "month_000" / "labels.csv.gz").write_bytes(PACKED)
    with pytest.raises(TaskRefused) as refused:
        load("labels", LABELS)
    assert str(refused.value) == (
        "month_000: labels.csv and labels.csv.gz both exist.\n"
        "Expected only one of them.\n"
        "Nothing was read.\n"
        f"What to do: remove the wrong one, then {RUN_AGAIN}"
    )
    assert database.query("select from staging.files") == []


@pytest.mark.parametrize("change", ["grows", "is replaced"])
def test_a_compressed_file_that_changes_while_it_is_read_is_tried_again(
    database, load, deliveries, monkeypatch, change
):
    path = deliveries / "month_000" / "labels.csv.gz"

    def read_meanwhile(*args):
        yield from blocks(*args)
        if change == "grows":
            with path.open("ab") as upload:
                upload.write(PACKED)
        else:
            path.with_suffix(".new").write_bytes(PACKED)
            path.with_suffix(".new").replace(path)

    blocks = streamflow.load._blocks
    monkeypatch.setattr(streamflow.load, "_blocks", read_meanwhile)
    with pytest.raises(TaskNotYet, match=r"labels.csv.gz was (written to|replaced by another file) while it was read"):
        load("labels", PACKED, ending=".csv.gz")
    assert nothing_is_loaded(database)


def test_a_compressed_file_is_opened_as_carefully_as_a_plain_one(load, deliveries, tmp_path):
    path = deliveries / "month_000" / "labels.csv.gz"
    (tmp_path / "outside.gz").write_bytes(PACKED)
    path.symlink_to(tmp_path / "outside.gz")
    with pytest.raises(
        TaskRefused, match=r"labels.csv.gz is not in the deliveries' folder.\n.*\nFound a link to .*outside"
    ):
        operator("labels").execute({})
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(TaskRefused, match=r"labels.csv.gz is not a file.\nFound something else"):
        operator("labels").execute({})
