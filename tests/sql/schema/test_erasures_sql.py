"""Who may erase, and what the functions of an erasure refuse: an approval comes first, then months, oldest first."""

from __future__ import annotations

import psycopg
import pytest

from support.builders import FEBRUARY, JANUARY, delivery
from support.database import Database
from support.sealing import assert_is_denied

APPROVAL = '{"by": "officer", "at": "2026-11-26", "why": "request 17"}'
RECORD = "select staging.record_erasure(%s, %s, array_fill('b'::text, array[%s]), 'key', %s, 'run')"


INGEST_CANNOT = [
    "insert into erasures default values",
    "update erasures set completed_at = now()",
    "delete from erasures",
    "truncate erasures",
    "drop table erasures",
    "insert into erasure_months default values",
    "update erasure_months set inserted = 0",
    "delete from erasure_months",
    "delete from labels_snapshots",
    "delete from labels_snapshots_20240131",
    "delete from validations",
    "update questions set cells = '[]'",
    "update deliveries set kind = 'erasure'",
    "delete from staging.builds",
    "alter function staging.erase_month(uuid, date, text[]) security invoker",
    "select staging.redacted('{}', '{}')",
]
READER_CANNOT = [
    "select from erasures",
    "select from erasure_months",
    "select staging.count_erased('{ann}')",
    f"select staging.record_erasure('{{ann}}', '{{x}}', '{{b}}', 'key', '{APPROVAL}', 'run')",
    "select staging.erase_month(gen_random_uuid(), '2024-01-31', '{ann}')",
    "select staging.finish_erasure(gen_random_uuid(), '{ann}', '{ann}')",
    "select staging.readmit('{x}', 'key', 'me', 'why')",
    "select staging.suppress('2024-01-31', 'labels', '{ann}')",
]


@pytest.fixture
def two_months(january) -> Database:
    """January, sealed with ann and bob, and February, with ann."""
    january.load_month(FEBRUARY, delivery("ann"))
    return january


def record(database: Database, *users: str, approval: str = APPROVAL) -> str:
    ((erasure,),) = database.query(
        RECORD, [*users], [f"hash of {user}".encode() for user in users], len(users), approval
    )
    return erasure


def assert_is_refused(database: Database, says: str, statement: str, *parameters: object) -> None:
    before = database.contents(ledger=True)
    with pytest.raises(psycopg.errors.RaiseException, match=says):
        database.query(statement, *parameters)
    assert database.contents(ledger=True) == before


def test_ingest_cannot_erase_but_by_the_functions_and_the_reader_not_at_all(two_months):
    reader = Database(two_months.uri.replace("streamflow_ingest@", "streamflow_reader@"))
    before = two_months.contents(ledger=True)
    for database, statements in ((two_months, INGEST_CANNOT), (reader, READER_CANNOT)):
        for statement in statements:
            assert_is_denied(database, statement)
    assert two_months.contents(ledger=True) == before


@pytest.mark.parametrize("lacking", ["by", "at", "why"])
def test_no_one_is_erased_without_an_approval(two_months, lacking):
    approval = APPROVAL.replace(f'"{lacking}"', '"other"')
    assert_is_refused(two_months, "needs a reason, and a person", RECORD, ["ann"], [b"hash"], 1, approval)
    assert two_months.query("select from erasures") == []


@pytest.mark.parametrize(
    ("users", "hashes"),
    [([], []), (["ann"], []), (["ann", "bob"], [b"one", b"one"]), ([None], [b"one"]), (["ann"], [None])],
)
def test_each_user_has_a_hash(two_months, users, hashes):
    assert_is_refused(two_months, "one hash and one bucket per user", RECORD, users, hashes, len(users), APPROVAL)


def test_the_steps_have_an_order(two_months):
    erase, finish = "select staging.erase_month(%s, %s, %s)", "select from staging.finish_erasure(%s, %s, '{ann}')"
    assert_is_refused(two_months, "no such erasure", "select staging.erase_month(gen_random_uuid(), %s, '{}')", JANUARY)
    erasure = record(two_months, "ann")
    assert_is_refused(two_months, "months before 2024-02-29 are not erased", erase, erasure, FEBRUARY, ["ann"])
    assert_is_refused(two_months, "still have its users", finish, erasure, ["ann"])
    assert_is_refused(two_months, "has 0 rows of these users, not 1", erase, erasure, JANUARY, ["zoe"])
    assert_is_refused(two_months, "these are other users", RECORD, ["bob"], [b"hash of bob"], 1, APPROVAL)
    assert two_months.query(erase, erasure, JANUARY, ["ann"]) == [(6,)]
    assert two_months.verify() == []
    assert record(two_months, "ann") == erasure  # it goes on
    assert two_months.query(erase, erasure, JANUARY, ["ann"]) == [(0,)]
    assert two_months.query(erase, erasure, FEBRUARY, ["ann"]) == [(6,)]
    assert two_months.verify() == []
    two_months.query(finish, erasure, ["ann"])
    assert_is_refused(two_months, "no such erasure", erase, erasure, JANUARY, ["ann"])
    assert two_months.query(RECORD, ["ann"], [b"hash of ann"], 1, APPROVAL) == [(None,)]  # nothing to do
    assert two_months.verify() == []


def test_another_fingerprint_is_refused(two_months):
    record(two_months, "zoe")
    statement = RECORD.replace("'key'", "'another'")
    assert_is_refused(two_months, "another key", statement, ["zoe"], [b"hash of zoe"], 1, APPROVAL)


def test_an_erasure_waits_for_no_reader_and_a_reader_for_no_erasure(two_months):
    """Whether it holds a lock that readers wait for: it would wait for theirs."""
    with psycopg.connect(two_months.uri.replace("streamflow_ingest@", "streamflow_reader@")) as reader:
        for relation in ("labels", "labels_snapshots", "users", "users_snapshots", "deliveries", "sealed_months"):
            reader.execute(f"select count(*) from {relation}")  # and its transaction stays open
        two_months.run("set lock_timeout = '2s'")
        erasure = record(two_months, "ann")
        for month in (JANUARY, FEBRUARY):
            with two_months.transaction() as cursor:
                cursor.execute("select staging.erase_month(%s, %s, '{ann}')", (erasure, month))
                assert reader.execute("select count(*) from labels_snapshots where user_id = 'ann'").fetchone() == (
                    2 if month == JANUARY else 1,
                )
        two_months.query("select from staging.finish_erasure(%s, '{ann}', '{}')", erasure)
    assert two_months.verify() == []
