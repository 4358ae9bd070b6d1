"""Deliveries with a manifest: exactly these files, at once, and no others."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamflow.manifest import NAME, BadManifest, Entry, parse, text_of
from streamflow.refusal import RUN_AGAIN, TaskRefused
from streamflow.tables import TABLES, files_of
from streamflow.wait_for_month import still_missing
from support.loading import JANUARY, nothing_is_loaded, operator, staged
from support.paths import ROOT

LABELS = b"user_id,churn_label\nann,True\n"


@pytest.fixture
def folder(deliveries) -> Path:
    """A delivery that was written just now, without a manifest."""
    folder = deliveries / "month_000"
    folder.mkdir()
    for table in TABLES.values():
        (folder / table.file_name).write_bytes(LABELS)
    return folder


def entry(content: bytes) -> dict:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def list_files(folder: Path, **changed: dict) -> dict[str, dict]:
    """Write a manifest of what is there, but for the tables that are said; return it."""
    files = {path.name: entry(path.read_bytes()) for path in folder.glob("*.*") if path.name != NAME}
    files |= {f"{table}.csv": said for table, said in changed.items()}
    (folder / NAME).write_text(json.dumps({"files": files}))
    return files


def missing(folder: Path) -> list[str]:
    return still_missing(folder, 3600, files_of(JANUARY))


def make(*args: str | Path) -> subprocess.CompletedProcess:
    """Run what `make manifest` runs."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "manifest.py", *args], capture_output=True, text=True, check=False
    )


def refused() -> str:
    with pytest.raises(TaskRefused) as refused:
        operator("labels").execute({})
    return str(refused.value)


def test_files_that_a_manifest_lists_need_not_settle(folder):
    assert len(missing(folder)) == len(TABLES)
    list_files(folder)
    assert missing(folder) == []
    for path in folder.iterdir():
        os.utime(path, (time.time() + 10**6,) * 2)  # nor does their date matter
    assert missing(folder) == []


def test_a_manifest_that_came_before_its_files_waits_for_them(folder):
    list_files(folder)
    (folder / "labels.csv").unlink()
    (folder / "users.csv").write_bytes(LABELS[:-1])
    assert missing(folder) == [
        f"users.csv has {len(LABELS) - 1} bytes ({NAME} says {len(LABELS)})",
        "labels.csv is missing",
    ]


def test_a_table_that_a_manifest_leaves_out_is_waited_for_even_if_its_file_is_there(folder):
    files = list_files(folder)
    del files["labels.csv"]
    (folder / NAME).write_text(json.dumps({"files": files}))
    assert missing(folder) == [f"labels.csv is not in {NAME}"]


def test_a_manifest_decides_between_two_forms(folder, database):
    database.step("tasks/stage.sql", JANUARY, "labels")
    list_files(folder)
    (folder / "labels.csv.gz").write_bytes(gzip.compress(LABELS))
    assert missing(folder) == []
    assert operator("labels").execute({})["file"] == "month_000/labels.csv"
    assert staged(database, "labels") == [("ann", True)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b'{"files": {"users.csv', "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[]", "has no files"),
        (b'{"files": {}}', "has no files"),
        (b'{"files": ["users.csv"]}', "has no files"),
        (b'{"files": {"users.csv": 5}}', "does not give 'users.csv' its bytes and sha256"),
        (b'{"files": {"users.csv": {"bytes": "5", "sha256": "%s"}}}' % (b"0" * 64), "does not give 'users.csv'"),
        (b'{"files": {"users.csv": {"bytes": true, "sha256": "%s"}}}' % (b"0" * 64), "does not give 'users.csv'"),
        (b'{"files": {"users.csv": {"bytes": -1, "sha256": "%s"}}}' % (b"0" * 64), "does not give 'users.csv'"),
        (b'{"files": {"\\u001b[2J": {"bytes": 5, "sha256": "0"}}}', "does not give '\\x1b[2J' its"),
        (b"[" * 500_000, "is not JSON"),
        (b" " * (2 << 20), "has more than 1048576 bytes"),
    ],
)
def test_what_is_no_manifest_is_waited_for_and_said(folder, content, said):
    """It may still be being written."""
    (folder / NAME).write_bytes(content)
    (sentence,) = missing(folder)
    assert sentence.startswith(f"{NAME} {said}")


def test_a_manifest_is_read_as_it_was_written():
    files = {"users.csv": Entry(5, "0" * 64), "labels.parquet": Entry(0, "f" * 64)}
    assert parse(text_of(files).encode()) == files
    with pytest.raises(BadManifest):
        parse(b"{}")


def test_a_file_that_is_not_the_manifests_is_refused_by_name(folder, database):
    database.step("tasks/stage.sql", JANUARY, "labels")
    other = LABELS.replace(b"True", b"no  ")  # as many bytes
    list_files(folder, labels=entry(other))
    assert missing(folder) == []
    said = refused()
    assert said.startswith(f"month_000/labels.csv is not the file that {NAME} names.\n")
    assert f"Expected {len(other)} bytes, sha256 {hashlib.sha256(other).hexdigest()}." in said
    assert f"Found {len(LABELS)} bytes, sha256 {hashlib.sha256(LABELS).hexdigest()}.\nNothing was loaded." in said
    assert f"write the manifest again (make manifest), then {RUN_AGAIN}" in said
    assert nothing_is_loaded(database)


def test_a_manifest_that_was_spoiled_after_the_waiting_is_refused_by_load(folder, database):
    database.step("tasks/stage.sql", JANUARY, "labels")
    (folder / NAME).write_text("{}")
    assert f"month_000/{NAME} has no files" in refused()
    files = list_files(folder)
    del files["labels.csv"]
    (folder / NAME).write_text(json.dumps({"files": files}))
    assert f"month_000/{NAME}:\nExpected labels.csv, or another form of it.\nFound " in refused()


@pytest.mark.slow
def test_make_manifest_lists_what_is_there(folder):
    (folder / "labels.csv.gz").write_bytes(gzip.compress(LABELS))
    done = make(folder)
    assert done.returncode == 1
    assert "Expected one file of the table labels.\nFound labels.csv and labels.csv.gz." in done.stderr
    assert not (folder / NAME).exists()
    (folder / "labels.csv").unlink()
    (folder / "notes.txt").touch()
    done = make(folder)
    assert (done.returncode, done.stdout) == (0, f"{folder}/{NAME}: {len(TABLES)} files.\n")
    assert missing(folder) == []
    assert set(parse((folder / NAME).read_bytes())) == {
        *(table.file_name for table in TABLES.values() if table.name != "labels"),
        "labels.csv.gz",
    }
    assert sorted(path.name for path in folder.iterdir() if "unfinished" in path.name) == []
