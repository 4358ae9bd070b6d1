"""A month that comes back from the archive is what it was, to the last digit."""

from __future__ import annotations

import pytest

from streamflow.months import Month
from streamflow.refusal import Refusal
from streamflow.restore import restore
from streamflow.tables import TABLES
from support.archives import archive_and_drop, file_of, partitions, places
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.sealing import assert_is_denied, tables_of
from support.training import merged


@pytest.fixture
def odd(database, archive_folder):
    """Two months; the first has values that a careless copy would change."""
    text = 'a "b",\nc\r\n\\. ÄÖ \U0001f600'
    files = [
        delivery("ann", monthly_fee="7.0", total_paid="1e400", user_gender=text, net_service=None),
        delivery("Ännä", monthly_fee="7", total_paid="NaN", user_gender="", contract_type="NULL"),
        delivery(" cid ", monthly_fee="0.10", total_paid=None, months_active=None, signup_date="0001-01-01"),
    ]
    database.load_month(JANUARY, merged(*files))
    database.load_month(FEBRUARY, delivery("ann"))
    return database


def test_it_has_the_same_rows_and_the_ledger_stays(odd, archive_folder):
    before = odd.contents(ledger=True)
    assert archive_and_drop(1).dropped == [JANUARY]
    assert odd.contents() != {name: rows for name, rows in before.items() if name != "deliveries"}
    assert sorted(restore("streamflow_db", Month.parse(JANUARY))) == sorted(TABLES)
    assert odd.contents(ledger=True) == before
    assert places(odd) == {JANUARY: "database", FEBRUARY: "database"}
    assert odd.verify() == []


def test_its_tables_are_what_the_pipeline_made(odd, archive_folder):
    def shapes():
        return odd.query(
            "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint "
            "where contype <> 'n' and conrelid::regclass::text like '%snapshots_20240131' order by 1, 2"
        ) + odd.query(
            "select attrelid::regclass::text, attname, atttypid::regtype::text, attnotnull, atthasdef "
            "from pg_attribute "
            "where attrelid::regclass::text like '%snapshots_20240131' and attnum > 0 order by 1, attnum"
        )

    before = shapes(), tables_of(odd)
    assert before[0]
    archive_and_drop(1)
    restore("streamflow_db", Month.parse(JANUARY))
    assert (shapes(), tables_of(odd)) == before
    assert_is_denied(odd, "insert into labels_snapshots_20240131 values ('zoe', true, '2024-01-31', '2024-01-31')")
    assert odd.query("select relpersistence::text from pg_class where relname = 'labels_snapshots_20240131'") == [
        ("p",)
    ]


def test_again_does_nothing(odd, archive_folder):
    archive_and_drop(1)
    restore("streamflow_db", Month.parse(JANUARY))
    before = odd.contents(ledger=True)
    assert restore("streamflow_db", Month.parse(JANUARY)) == []
    assert odd.contents(ledger=True) == before


def test_the_newest_revision_comes_back(odd, archive_folder):
    archive_and_drop(2)
    odd.load_month(JANUARY, delivery("ann", failed_payments_90d=5), restate=True)
    archive_and_drop(1)
    restore("streamflow_db", Month.parse(JANUARY))
    assert odd.query("select failed_payments_90d from payments_agg_90d_as_of('2024-01-31')") == [(5,)]
    assert odd.verify() == []


def test_a_column_that_came_later_is_null(odd, archive_folder):
    assert archive_and_drop(1).dropped == [JANUARY]
    odd.run_as_admin("alter table users add column later text; alter table users_snapshots add column later text")
    restore("streamflow_db", Month.parse(JANUARY))
    assert odd.query("select later from users_snapshots where as_of = '2024-01-31'") == [(None,)] * 3
    assert partitions(odd) == [JANUARY, FEBRUARY]


def test_a_file_that_is_damaged_restores_nothing(odd, archive_folder):
    archive_and_drop(1)
    file = file_of(archive_folder, "users", JANUARY)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"?")
    with pytest.raises(
        Refusal, match=r"users_snapshots/as_of=2024-01-31/revision=1/part-0.parquet:\nExpected .* bytes"
    ):
        restore("streamflow_db", Month.parse(JANUARY))
    assert partitions(odd) == [FEBRUARY]
    file.write_bytes(content)
    restore("streamflow_db", Month.parse(JANUARY))
    assert odd.verify() == []


def test_a_month_that_is_not_sealed_is_refused(odd, archive_folder):
    with pytest.raises(Refusal, match="2024-03-31 is not sealed"):
        restore("streamflow_db", Month.parse(MARCH))


def test_the_next_retention_drops_it_again(odd, archive_folder):
    archive_and_drop(1)
    restore("streamflow_db", Month.parse(JANUARY))
    assert archive_and_drop(1).dropped == [JANUARY]


def test_it_works_from_an_object_store(odd, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__ARCHIVE", f"file://{tmp_path}/store")
    before = odd.contents(ledger=True)
    archive_and_drop(1)
    assert places(odd)[JANUARY].startswith(f"file://{tmp_path}/store/streamflow_test-")
    restore("streamflow_db", Month.parse(JANUARY))
    assert odd.contents(ledger=True) == before


def test_nobody_but_the_functions_writes_the_record(odd, archive_folder):
    archive_and_drop(1)
    assert_is_denied(odd, "update archives set file_sha256 = ''")
    assert_is_denied(odd, "insert into archives select * from archives")
    assert_is_denied(odd, "delete from archives")
