"""Archiving, retention, and restoring, killed anywhere: nothing is lost, and running it again completes it."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import psycopg
import pytest

from streamflow.archive import archive
from streamflow.archive_files import MANIFEST
from streamflow.months import Month
from streamflow.restore import restore
from streamflow.retention import apply_retention
from streamflow.verify import verify
from support.archives import archive_and_drop, file_of, partitions
from support.builders import FEBRUARY, JANUARY, MARCH
from support.database import Database, render


def killed(database: Database, blocked_at: str, work, *args) -> None:
    """Kill a process that does the work, where a lock stops it."""
    process = multiprocessing.get_context("fork").Process(target=work, args=("streamflow_db", *args))
    with psycopg.connect(database.admin_uri) as blocker:
        blocker.execute(blocked_at)
        process.start()
        deadline = time.monotonic() + 30
        waiting = (
            "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' "
            "and wait_event = 'relation'"
        )
        while not database.query_as_admin(waiting):
            assert process.is_alive(), "it has ended"
            assert time.monotonic() < deadline, "it does not wait"
            time.sleep(0.05)
        process.kill()
        process.join()
    while database.query_as_admin(
        "select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
        "and state <> 'idle'"
    ):
        assert time.monotonic() < deadline, "its transaction does not end"
        time.sleep(0.05)


def assert_verified(only_archived: int) -> None:
    sql = [render(f"{name}.sql", JANUARY) for name in ("tasks/verify", "parts/verified", "parts/archived_files")]
    assert verify("streamflow_db", *sql).only_archived == only_archived


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("blocked_at", "left"),
    [
        # it has begun a file, and waits for its rows
        ("lock table public.users_snapshots in access exclusive mode", {".unfinished"}),
        # the file is there, and read back; its manifest is not
        ("lock table public.archives in share mode", {"part-0.parquet"}),
        # users has its manifest, and its row in the ledger is not committed; the next file has begun
        (
            "lock table public.subscriptions_profile_snapshots in access exclusive mode",
            {"part-0.parquet", MANIFEST, ".unfinished"},
        ),
    ],
)
def test_archiving_is_killed(three_months, archive_folder, blocked_at, left):
    before = three_months.contents(ledger=True)
    killed(three_months, blocked_at, archive, "killed")
    found = {path.suffix if path.suffix == ".unfinished" else path.name for path in archive_folder.rglob("*.*")}
    assert found == left
    assert three_months.query("select count(*) from archives") == [(0,)]
    assert_verified(0)
    # what has no record cannot be dropped
    assert apply_retention("streamflow_db", "another", 1).dropped == []
    assert len(archive("streamflow_db", "again").archived) == 18
    assert three_months.contents(ledger=True) == before
    assert archive_and_drop(1).dropped == [JANUARY, FEBRUARY]
    assert_verified(12)


@pytest.mark.parametrize(
    "blocked_at",
    [
        "lock table public.archives in share mode",  # a file is read back, and not recorded
        "lock table staging.publish_lock in exclusive mode",  # all files are read back
        "lock table public.usage_agg_30d_snapshots in access share mode",  # some tables are dropped, nothing committed
    ],
)
def test_retention_is_killed(three_months, archive_folder, blocked_at):
    archive("streamflow_db", "a run")
    before, content = three_months.contents(ledger=True), files(archive_folder)
    killed(three_months, blocked_at, apply_retention, "killed", 1)
    assert three_months.contents(ledger=True) == before
    assert partitions(three_months) == [JANUARY, FEBRUARY, MARCH]
    assert_verified(0)
    assert apply_retention("streamflow_db", "again", 1).dropped == [JANUARY, FEBRUARY]
    assert files(archive_folder) == content
    assert_verified(12)


@pytest.mark.parametrize(
    "blocked_at",
    [
        "lock table staging.publish_lock in exclusive mode",  # all rows are read
        "lock table public.usage_agg_30d_snapshots in share update exclusive mode",  # some tables are attached
    ],
)
def test_restoring_is_killed(three_months, archive_folder, blocked_at):
    before = three_months.contents(ledger=True)
    archive_and_drop(1)
    killed(three_months, blocked_at, restore, Month.parse(JANUARY))
    assert partitions(three_months) == [MARCH]
    assert_verified(12)
    for month in (JANUARY, FEBRUARY):
        restore("streamflow_db", Month.parse(month))
    assert three_months.contents(ledger=True) == before
    assert_verified(0)
    assert file_of(archive_folder, "users", JANUARY).exists()
