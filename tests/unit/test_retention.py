"""Retention: older months leave the database once they were read back, and everything says where they are."""

from __future__ import annotations

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from streamflow import settings
from streamflow.archive import archive
from streamflow.archive_files import MANIFEST
from streamflow.months import Month
from streamflow.refusal import NotYet, Refusal
from streamflow.restore import restore
from streamflow.retention import RetentionOperator, apply_retention
from streamflow.tables import TABLES
from support.archives import archive_and_drop, file_of, partitions, places
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database

APRIL = "2024-04-30"


def retain(keep_months: int):
    return apply_retention("streamflow_db", "another run", keep_months)


def test_older_months_are_dropped_and_the_newest_stay(three_months, archive_folder):
    done = archive_and_drop(1)
    assert str(done) == (
        "2024-01-31, 2024-02-29: only in the archive now. The database keeps the newest 1 month (keep_months)."
    )
    assert partitions(three_months) == [MARCH]
    base = str(archive_folder / settings.database_folder("streamflow_db"))
    assert places(three_months) == {JANUARY: base, FEBRUARY: base, MARCH: "database"}
    assert three_months.query("select to_regclass('labels_snapshots_20240131')") == [(None,)]
    assert three_months.verify() == []
    assert three_months.query("select count(*) from deliveries") == [(18,)]


def test_with_as_many_months_as_there_are_nothing_is_dropped(three_months, archive_folder):
    assert str(archive_and_drop(3)) == "No month was dropped. The database keeps the newest 3 months (keep_months)."
    assert partitions(three_months) == [JANUARY, FEBRUARY, MARCH]


def test_what_was_dropped_was_read_back_by_the_run_that_dropped_it(three_months, archive_folder):
    archive("streamflow_db", "the run before")
    retain(2)
    assert three_months.query(
        "select run_id, count(*) from archives where as_of = '2024-01-31' group by 1 order by 1"
    ) == [("another run", 6), ("the run before", 6)]
    assert three_months.query("select count(*) from archives where as_of > '2024-01-31'") == [(12,)]


def test_a_month_that_is_not_archived_stays(three_months, archive_folder):
    archive("streamflow_db", "a run", Month.parse(FEBRUARY))
    done = retain(1)
    assert done.dropped == [FEBRUARY]
    assert done.warnings == [f"2024-01-31 stays in the database: not archived are {', '.join(sorted(TABLES))}."]
    assert partitions(three_months) == [JANUARY, MARCH]


def test_a_month_that_was_restated_since_stays(three_months, archive_folder):
    archive("streamflow_db", "a run")
    three_months.load_month(JANUARY, delivery("ann", "bob", failed_payments_90d=5), restate=True)
    assert retain(1).warnings[0] == "2024-01-31 stays in the database: not archived are payments_agg_90d."
    assert JANUARY in partitions(three_months)


def damage(path) -> None:
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda file: file.unlink(), "Found no file."),
        (lambda file: file.write_bytes(b""), "Found 0 bytes."),
        (damage, "Found SHA-256 "),
        (lambda file: (file.parent / MANIFEST).unlink(), f"Found no {MANIFEST} beside it."),
    ],
)
def test_a_month_whose_archive_is_damaged_stays(three_months, archive_folder, spoil, found):
    archive("streamflow_db", "a run")
    spoil(file_of(archive_folder, "usage_agg_30d", JANUARY))
    with pytest.raises(Refusal, match="2024-01-31 stays in the database") as refused:
        retain(1)
    assert any(fact.startswith(found) for fact in refused.value.facts)
    assert partitions(three_months) == [JANUARY, FEBRUARY, MARCH]


def test_a_file_with_other_rows_drops_nothing_even_if_its_hash_is_recorded(three_months, archive_folder):
    archive("streamflow_db", "a run")
    file_of(archive_folder, "labels", JANUARY).write_bytes(file_of(archive_folder, "labels", FEBRUARY).read_bytes())
    three_months.run_as_admin(
        "update archives set (file_bytes, file_sha256) = (select file_bytes, file_sha256 from archives as other "
        "where other.table_name = 'labels' and other.as_of = '2024-02-29') "
        "where table_name = 'labels' and as_of = '2024-01-31'"
    )
    with pytest.raises(psycopg.errors.RaiseException, match="labels of 2024-01-31 are not those of revision 1"):
        retain(1)
    assert partitions(three_months) == [JANUARY, FEBRUARY, MARCH]


def test_readers_that_do_not_end_keep_the_month(three_months, archive_folder):
    archive("streamflow_db", "a run")
    three_months.run_as_admin("alter function staging.drop_archived_month set lock_timeout = '100ms'")
    with psycopg.connect(three_months.admin_uri) as reader:
        reader.execute("select count(*) from labels_snapshots")
        with pytest.raises(NotYet, match="2024-01-31 is still in the database, because others read its snapshots"):
            retain(1)
    assert partitions(three_months) == [JANUARY, FEBRUARY, MARCH]
    assert retain(1).dropped == [JANUARY, FEBRUARY]


def test_a_run_cannot_have_a_month_dropped_that_it_has_not_read_back(three_months, archive_folder):
    archive("streamflow_db", "a run")
    drop = "select staging.drop_archived_month(%s, %s, %s)"
    for month, run_id, keep, message in (
        (JANUARY, "a run", 1, "has not read all of it back from the archive: labels"),
        (JANUARY, "a run", 0, "at least one month is kept"),
        (JANUARY, "a run", 3, "among the newest 3 sealed months"),
        (MARCH, "a run", 1, "among the newest 1 sealed months"),
        ("2023-12-31", "a run", 1, "or not sealed"),
    ):
        with pytest.raises(psycopg.errors.RaiseException, match=message):
            three_months.query(drop, month, run_id, keep)
    assert partitions(three_months) == [JANUARY, FEBRUARY, MARCH]


# What others see of a month that is only in the archive


def test_as_of_says_where_the_month_is_instead_of_giving_no_rows(three_months, archive_folder):
    archive_and_drop(1)
    for table in TABLES:
        with pytest.raises(
            psycopg.errors.RaiseException, match=f"{table} for 2024-01-31 is only in the archive"
        ) as said:
            three_months.query(f"select * from {table}_as_of('2024-02-10')")
        assert said.value.diag.message_hint.startswith("make restore MONTH=2024-01-31")
    assert len(three_months.query("select * from labels_as_of('2024-03-31')")) == 4
    assert three_months.query("select * from labels_as_of('2023-12-31')") == []


def test_the_reader_is_told_the_same(three_months, archive_folder):
    archive_and_drop(1)
    reader = Database(three_months.uri.replace("streamflow_ingest@", "streamflow_reader@"))
    with pytest.raises(psycopg.errors.RaiseException, match="users for 2024-01-31 is only in the archive"):
        reader.query("select * from users_as_of('2024-01-31')")
    assert places(reader) == places(three_months)
    assert {row[0] for row in reader.query("select what from user_history('ann')")} == {"archived", "found"}
    reader.close()


def test_a_training_set_needs_its_months_in_the_database(three_months, archive_folder):
    archive_and_drop(1)
    with pytest.raises(psycopg.errors.RaiseException, match="needs snapshots that are only in the archive") as said:
        three_months.query("select * from training_set('2024-01-31', 1)")
    assert said.value.diag.message_hint.startswith("make restore MONTH=2024-01-31, make restore MONTH=2024-02-29, then")


def test_a_users_history_names_the_months_that_it_does_not_know(three_months, archive_folder):
    three_months.load_month(APRIL, delivery("ann", "dot", watch_hours_30d=8))
    archive_and_drop(2)
    history = "select as_of::text, what, was, is_now from user_history(%s) where table_name = 'usage_agg_30d'"
    assert [row[:2] for row in three_months.query(history, "ann")] == [
        (FEBRUARY, "archived"),
        (MARCH, "found"),
        (APRIL, "changed"),
    ]
    assert three_months.query(history, "ann")[1][3]["watch_hours_30d"] == 9
    assert [row[:2] for row in three_months.query(history, "no one")] == [(FEBRUARY, "archived")]


# A late month, and a restatement


@pytest.mark.parametrize("month", ["2023-12-31", FEBRUARY])
def test_a_late_month_beside_one_in_the_archive_is_refused_before_it_is_staged(database, archive_folder, month):
    for sealed in (JANUARY, MARCH, APRIL):
        database.load_month(sealed, delivery("ann", "bob"))
    archive_and_drop(2)
    before = database.contents(ledger=True)
    with pytest.raises(
        psycopg.errors.RaiseException, match=f"{month} needs sealed snapshots .*: those of 2024-01-31"
    ) as e:
        database.step("tasks/prepare.sql", month)
    assert e.value.diag.message_hint.startswith("make restore MONTH=2024-01-31, then run the month again")
    assert database.contents(ledger=True) == before
    restore("streamflow_db", Month.parse(JANUARY))
    database.load_month(month, delivery("ann"), restate=True)
    assert database.verify() == []


def test_the_next_month_goes_on_as_ever(three_months, archive_folder):
    archive_and_drop(1)
    three_months.load_month(APRIL, delivery("dot"))
    assert three_months.query("select user_id from users order by 1") == [("ann",), ("bob",), ("cid",), ("dot",)]
    assert archive_and_drop(1).dropped == [MARCH]
    assert three_months.verify() == []


def test_the_same_files_again_change_nothing_and_need_no_archive(three_months, archive_folder):
    archive_and_drop(1)
    before = three_months.contents(ledger=True)
    three_months.load_month(JANUARY, delivery("ann", "bob"))
    assert three_months.contents(ledger=True) == before


def test_a_restatement_of_a_month_in_the_archive_is_refused_until_all_that_it_may_change_is_back(
    three_months, archive_folder
):
    three_months.load_month(APRIL, delivery("ann"))
    archive_and_drop(2)
    before = three_months.contents(ledger=True)
    spoiled = delivery("ann", "bob", watch_hours_30d=3)
    for restored, missing in ((None, "2024-01-31, 2024-02-29"), (JANUARY, "2024-02-29")):
        if restored:
            restore("streamflow_db", Month.parse(restored))
            before = three_months.contents(ledger=True)
        with pytest.raises(psycopg.errors.RaiseException, match=f"only in the archive: those of {missing}\\."):
            three_months.load_month(JANUARY, spoiled, restate=True)
        assert three_months.contents(ledger=True) == before
    restore("streamflow_db", Month.parse(FEBRUARY))
    three_months.load_month(JANUARY, spoiled, restate=True)
    assert three_months.verify() == []
    assert archive_and_drop(2).dropped == [JANUARY, FEBRUARY]
    assert file_of(archive_folder, "usage_agg_30d", JANUARY, 1).exists()
    assert file_of(archive_folder, "usage_agg_30d", JANUARY, 2).exists()


def test_a_month_that_was_dropped_between_build_and_seal_is_not_published(three_months, archive_folder):
    archive("streamflow_db", "a run")
    three_months.build_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=8), restate=True)
    assert retain(2).dropped == [JANUARY]
    for step in (three_months.gate, three_months.seal):
        with pytest.raises(psycopg.errors.RaiseException, match="only in the archive: those of 2024-01-31"):
            step(FEBRUARY, restate=True)
    restore("streamflow_db", Month.parse(JANUARY))
    three_months.gate(FEBRUARY, restate=True)
    three_months.seal(FEBRUARY, restate=True)
    for table in TABLES:
        three_months.upsert(FEBRUARY, table)
    assert three_months.verify() == []


def test_no_month_is_dropped_while_a_build_reads_it(three_months, archive_folder):
    archive("streamflow_db", "a run")
    three_months.stage_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=8))
    three_months.run_as_admin("alter function staging.drop_archived_month set lock_timeout = '100ms'")
    with three_months.transaction() as cursor:
        cursor.execute("select staging.create_build(%s, 'labels', %s, true)", (FEBRUARY, three_months.run_id))
        with pytest.raises(NotYet):
            retain(2)


# The task


def run(monkeypatch, keep: str):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__KEEP_MONTHS", keep)
    return RetentionOperator(task_id="retention", conn_id="streamflow_db").execute({"run_id": "scheduled"})


def test_the_task_drops_what_the_setting_says(three_months, archive_folder, monkeypatch):
    archive("streamflow_db", "a run")
    assert run(monkeypatch, "2") == {"keep_months": 2, "dropped": [JANUARY], "warnings": []}


def test_without_the_setting_the_task_is_skipped(three_months, archive_folder, monkeypatch):
    archive("streamflow_db", "a run")
    with pytest.raises(AirflowSkipException, match="keeps all months"):
        run(monkeypatch, "0")
    assert partitions(three_months) == [JANUARY, FEBRUARY, MARCH]
