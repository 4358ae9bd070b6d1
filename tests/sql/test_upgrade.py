"""A database that an earlier version of the package has sealed months in is carried over.

``fixtures/first_edition.sql`` (commit e7ae367) and ``fixtures/second_edition.sql`` (05cb56c, before the ledger kept its
columns) are dumps of such databases: three months, January restated, and April left half done, the first with live
ahead as only that version left it. ``fixtures/runs.json`` has the files of their runs in order.
"""

from __future__ import annotations

import psycopg
import pytest

import embedded
from streamflow import __version__
from streamflow.tables import TABLES
from support.database import Database
from support.editions import APRIL, FEBRUARY, FILES, JANUARY, MARCH, RUNS, install, load

SEALED = [*(table.snapshots for table in TABLES.values()), "deliveries"]


def sealed(database: Database) -> dict[str, list[tuple]]:
    """What is sealed, without the columns that the ledger did not have."""
    ledger = (
        "as_of, table_name, revision, file_name, file_bytes, file_sha256, not_delivered, delivered, inserted, updated, "
        "unchanged, carried_forward, snapshot_rows, snapshot_checksum, run_id, sealed_at, warnings, profile"
    )
    return {
        name: database.query_as_admin(
            f"select {ledger if name == 'deliveries' else '*'} from {name} order by as_of, 1, 2, 3"
        )
        for name in SEALED
    }


def differences(database: Database) -> list[tuple]:
    """Where ledger and snapshots do not agree, by what the ledger's comment says of the checksum."""
    found = " union all ".join(
        f"select as_of, '{table.name}', count(*), sum(hashtextextended(snapshot::text, 0)) "
        f"from {table.snapshots} as snapshot group by as_of"
        for table in TABLES.values()
    )
    recorded = "select as_of, table_name, snapshot_rows, snapshot_checksum from current_deliveries"
    return database.query_as_admin(f"(({found}) except {recorded}) union all ({recorded} except ({found}))")


@pytest.fixture(params=["make schema", "prepare", "prepare, without roles"])
def upgrade(request) -> str:
    """Who installs today's schema: its administrator, or the first run where that may."""
    return request.param


@pytest.fixture(params=["first_edition", "second_edition"])
def edition(request) -> str:
    """Which version has sealed the months."""
    return request.param


@pytest.fixture
def upgraded(earlier, edition, upgrade, tmp_path, monkeypatch):
    """The same database with today's schema."""
    before, live = sealed(earlier), {name: earlier.rows(name) for name in TABLES}
    assert differences(earlier) == []
    install(earlier, upgrade, tmp_path, monkeypatch)
    assert sealed(earlier) == before
    assert {name: earlier.rows(name) for name in TABLES} == live
    assert differences(earlier) == []
    live_is_ahead = {"users"} if edition == "first_edition" else set()
    assert {relation for relation, *_ in earlier.verify()} == live_is_ahead
    return earlier


def test_sealed_months_run_again_change_nothing_and_live_follows(upgraded):
    before = sealed(upgraded)
    for month in (MARCH, JANUARY, FEBRUARY):
        load(upgraded, month)
    assert sealed(upgraded) == before
    assert upgraded.verify() == []


def test_the_half_done_month_is_run_again(upgraded):
    before = sealed(upgraded)
    load(upgraded, APRIL)
    assert upgraded.verify() == []
    for name, rows in sealed(upgraded).items():
        assert [row for row in rows if row in before[name]] == before[name]
        assert len(rows) > len(before[name])


def test_a_month_is_restated_as_if_all_had_been_loaded_today(upgraded, server, schema):
    files = dict(FILES)
    files[JANUARY] = {run["as_of"]: run for run in reversed(RUNS)}[JANUARY]["delivery"]  # as it came first
    files[JANUARY] = {name: text.encode() for name, text in files[JANUARY].items()}
    today = Database(embedded.uri(server, "streamflow_today", template=schema, user="streamflow_ingest"))
    for month in (JANUARY, FEBRUARY, MARCH):
        today.load_month(month, files[month])
    upgraded.load_month(JANUARY, files[JANUARY], restate=True)
    assert upgraded.verify() == []
    assert upgraded.contents() == today.contents()
    current = "select as_of, table_name, delivered, inserted, updated, snapshot_rows, snapshot_checksum"
    assert upgraded.query(f"{current} from current_deliveries") == today.query(f"{current} from current_deliveries")
    today.close()
    embedded.sql(server, "drop database streamflow_today with (force);")


def test_the_ledger_names_the_version_that_sealed_a_month_from_then_on(upgraded):
    load(upgraded, APRIL)
    versions = dict(upgraded.query("select distinct as_of::text, package_version from deliveries"))
    assert versions == {JANUARY: None, FEBRUARY: None, MARCH: None, APRIL: __version__}


def test_another_first_month_is_refused(upgraded):
    before = upgraded.contents(ledger=True)
    upgraded.first_month = "2023-12"
    with pytest.raises(psycopg.errors.RaiseException, match="its folder would be month_003") as refused:
        load(upgraded, MARCH)
    assert "Expected 2024-01: in the ledger, month_002 is sealed as 2024-03-31." in str(refused.value)
    assert refused.value.diag.message_hint.startswith("set the Airflow variable streamflow_first_month to 2024-01")
    assert upgraded.contents(ledger=True) == before


def test_live_follows_deletions_from_then_on(upgraded):
    kinds = upgraded.query_as_admin(
        "select confdeltype, count(*) from pg_constraint where confrelid = 'public.users'::regclass and contype = 'f' "
        "group by 1"
    )
    assert kinds == [("c", 5)]


def test_nothing_of_an_earlier_version_is_left_in_staging(upgraded):
    left = upgraded.query_as_admin(
        "select relname::text from pg_class where relnamespace = 'staging'::regnamespace and relkind in ('r', 'v') "
        "order by 1"
    )
    assert left == [("builds",), ("files",), ("publish_lock",), ("runs",)]


@pytest.mark.parametrize("upgrade", ["make schema"], indirect=True)
def test_the_pipelines_user_loses_what_it_might_do_to_sealed_months(upgraded):
    for statement in (
        "insert into deliveries select * from deliveries",
        "update labels_snapshots set churn_label = true",
        "insert into labels_snapshots_20240331 select * from labels_snapshots_20240331",
        "create table staging.mine (a int)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            upgraded.run(statement)
