"""Erased users in the archive: no file has them afterwards, and months that had left the database are erased too."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from pyarrow import parquet

from streamflow import archive as streamflow_archive
from streamflow import erase_archives
from streamflow.archive import archive
from streamflow.erase import plan
from streamflow.refusal import Refusal
from streamflow.retention import apply_retention
from streamflow.tables import TABLES
from streamflow.templating import render
from streamflow.verify import verify
from support.archives import archive_and_drop, file_of, partitions
from support.builders import FEBRUARY, JANUARY, delivery
from support.erasing import erase, found_anywhere, use


@pytest.fixture
def archived(two_months, archive_folder, monkeypatch):
    """January (ann, bob) is only in the archive; February (bob, cid, and ann carried forward) is also there."""
    use(two_months, monkeypatch)
    assert archive_and_drop(1).dropped == [JANUARY]
    return two_months


def files_that_have(folder: Path, user: str) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*.parquet")
        if user in parquet.read_table(path, partitioning=None)["user_id"].to_pylist()
    )


def check() -> None:
    verify(
        "streamflow_db",
        *(render(path) for path in ("tasks/verify.sql", "parts/verified.sql", "parts/archived_files.sql")),
    )


def test_the_plan_counts_months_that_are_only_in_the_archive(archived):
    planned = plan("streamflow_db", ["ann", "nobody"])
    assert planned.rows == {JANUARY: dict.fromkeys(TABLES, 1), FEBRUARY: dict.fromkeys(TABLES, 1)}
    assert (planned.users, planned.unknown, planned.brought_back) == (2, 1, 1)
    assert "1 month of them is only in the archive: the database must have room for all of them" in planned.lines[2]
    assert plan("streamflow_db", ["cid"]).rows == {FEBRUARY: dict.fromkeys(TABLES, 1)}
    assert partitions(archived) == [FEBRUARY]


def test_no_file_has_them_and_the_newest_revisions_are_there(archived, archive_folder):
    assert len(files_that_have(archive_folder, "ann")) == 2 * len(TABLES)
    erased = erase("ann")
    assert erased.rows == {JANUARY: len(TABLES), FEBRUARY: len(TABLES)}
    assert erased.archived == ["Archive: 12 files written without them, 12 files with them deleted."]
    assert files_that_have(archive_folder, "ann") == []
    assert len(files_that_have(archive_folder, "bob")) == 2 * len(TABLES)
    for month in (JANUARY, FEBRUARY):
        assert not file_of(archive_folder, "users", month, 1).parent.exists()
        assert file_of(archive_folder, "users", month, 2).exists()
    assert found_anywhere(archived, ["ann"]) == []
    check()
    assert apply_retention("streamflow_db", "later", 1).dropped == [JANUARY]  # it had come back to be erased
    check()
    archived.load_month("2024-03-31", delivery("ann", "bob"))
    assert found_anywhere(archived, ["'ann'"]) == []


def test_a_month_without_them_stays_where_it_is(archived, archive_folder):
    before = file_of(archive_folder, "users", JANUARY).read_bytes()
    erase("cid")
    assert partitions(archived) == [FEBRUARY]
    assert file_of(archive_folder, "users", JANUARY).read_bytes() == before
    assert files_that_have(archive_folder, "cid") == []
    check()


def test_a_revision_that_was_restated_away_is_deleted_too(two_months, archive_folder, monkeypatch):
    use(two_months, monkeypatch)
    archive("streamflow_db", "a run")
    two_months.load_month(JANUARY, delivery("bob"), True)  # ann is in the archived revision 1 alone
    assert plan("streamflow_db", ["ann"]).rows == {}
    erase("ann")
    assert files_that_have(archive_folder, "ann") == []
    check()


@pytest.mark.parametrize("at", ["archive_months", "_delete"])
def test_an_erasure_that_is_killed_in_the_archive_goes_on(archived, archive_folder, monkeypatch, at):
    class Killed(Exception):
        pass

    def kill(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(erase_archives, at, kill)
        with pytest.raises(Killed):
            erase("ann")
    check()
    with pytest.raises(Exception, match="an erasure of users has begun and not ended"):
        archived.load_month("2024-03-31", delivery("bob"))
    erase("ann")
    assert files_that_have(archive_folder, "ann") == []
    assert found_anywhere(archived, ["ann"]) == []
    check()


def test_a_file_that_was_never_recorded_is_found(two_months, archive_folder, monkeypatch):
    """An attempt to archive was killed, and a restatement came before the next one."""
    use(two_months, monkeypatch)
    record, left = streamflow_archive.record, [2]

    def killed(*args):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        record(*args)

    with monkeypatch.context() as patch:
        patch.setattr(streamflow_archive, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            archive("streamflow_db", "a run")
    assert two_months.query("select from archives") == []
    (archive_folder / "x" / "y").mkdir(parents=True)
    unfinished = file_of(archive_folder, "users", JANUARY).with_name(".17.unfinished")
    unfinished.write_bytes(b"ann")
    two_months.load_month(JANUARY, delivery("bob"), True)
    assert files_that_have(archive_folder, "ann") != []
    erase("ann")
    assert files_that_have(archive_folder, "ann") == []
    assert not unfinished.exists()
    check()


def test_an_older_file_that_cannot_be_read_is_deleted(two_months, archive_folder, monkeypatch):
    use(two_months, monkeypatch)
    archive("streamflow_db", "a run")
    file_of(archive_folder, "labels", JANUARY).write_bytes(b"not Parquet")
    two_months.load_month(JANUARY, delivery("bob"), True)
    erase("ann")
    assert not file_of(archive_folder, "labels", JANUARY).exists()
    assert files_that_have(archive_folder, "ann") == []


def test_the_month_before_comes_back_if_it_is_counted_with(two_months, archive_folder, monkeypatch):
    """February was sealed after March, so March's counts are of another time; it has no row of the user."""
    use(two_months, monkeypatch)
    two_months.load_month("2024-04-30", delivery("bob", "dot"))
    two_months.load_month("2024-03-31", delivery("bob", "cid"), True)
    assert archive_and_drop(1).dropped == [JANUARY, FEBRUARY, "2024-03-31"]
    erase("dot")
    assert found_anywhere(two_months, ["'dot'"]) == []
    assert files_that_have(archive_folder, "dot") == []
    check()
    two_months.load_month("2024-05-31", delivery("bob"))
    check()


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"not Parquet")], ids=["no", "damaged"])
def test_a_copy_that_is_lost_stops_it_before_anything_is_erased(archived, archive_folder, spoil):
    spoil(file_of(archive_folder, "users", JANUARY))
    before = archived.contents(ledger=True)
    with pytest.raises(Refusal, match="the archived file that has the only copy of a snapshot"):
        erase("ann")
    assert archived.contents(ledger=True) == before
    assert archived.query("select from erasures") == []


def test_a_newest_file_cannot_be_forgotten(archived):
    with pytest.raises(psycopg.errors.RaiseException, match="is not replaced by an erasure"):
        archived.query("select staging.forget_archive(%s, 'users', 1)", JANUARY)
