"""A column and a table are added to a database that the version before has sealed months in.

``test_tables_of_your_own.py`` runs this file on a folder of tables with ``devices`` and ``subscriptions.ad_supported``.
"""

from __future__ import annotations

import pytest

import embedded
from streamflow.tables import TABLES
from support.database import Database, Refused, as_csv
from support.editions import APRIL, FEBRUARY, FILES, JANUARY, MARCH, RUNS, install, load

MAY = "2024-05-31"
SEALED = "select user_id, months_active, total_paid, add_on_support, as_of from subscriptions_profile_snapshots"


@pytest.fixture
def edition() -> str:
    """The version that has sealed the months."""
    return "second_edition"


@pytest.fixture(params=["make schema", "prepare, without roles"])
def upgrade(request) -> str:
    """Who brings the tables along."""
    return request.param


@pytest.fixture
def upgraded(earlier, upgrade, tmp_path, monkeypatch) -> Database:
    """The database with the new table and the new column."""
    before = earlier.query_as_admin(f"{SEALED} order by user_id, as_of")
    install(earlier, upgrade, tmp_path, monkeypatch)
    assert earlier.query_as_admin(f"{SEALED} order by user_id, as_of") == before
    return earlier


def with_ads(subscriptions: bytes, ads: str) -> bytes:
    """A file of subscriptions with one value of ad_supported for all users."""
    header, *rows = subscriptions.decode().splitlines()
    return "\n".join([f"{header},ad_supported", *(f"{row},{ads}" for row in rows), ""]).encode()


def devices_of(users: bytes, number: int) -> bytes:
    _, *rows = users.decode().splitlines()
    columns = ["user_id", "devices_registered"]
    return as_csv([dict(zip(columns, (row.split('"')[1], number), strict=True)) for row in rows], columns)


NEW = {
    APRIL: FILES[APRIL]
    | {
        "subscriptions": with_ads(FILES[APRIL]["subscriptions"], "true"),
        "devices": devices_of(FILES[APRIL]["users"], 1),
    },
    # May's file of subscriptions leaves the new column out: what is stored is kept
    MAY: FILES[MARCH] | {"devices": devices_of(FILES[MARCH]["users"], 2)},
}
FIRST_JANUARY = {name: text.encode() for name, text in RUNS[0]["delivery"].items()}  # other than the one sealed


def contents(database: Database) -> dict[str, list[tuple]]:
    """Live and snapshots by the names of their columns: in snapshots those that came later are the last."""
    held = {}
    for table in TABLES.values():
        for relation, more in ((table.name, ()), (table.snapshots, ("as_of", "source_as_of"))):
            columns = ", ".join(f"{name}::text" for name in (*table.all_columns, *more))
            held[relation] = sorted(database.query(f"select {columns} from {relation}"), key=repr)
    return held


def ledger(database: Database) -> list[tuple]:
    return database.query(
        "select as_of, table_name, delivered, inserted, updated, carried_forward, snapshot_rows from current_deliveries"
    )


@pytest.fixture
def today(server, schema):
    """A new database of this version, to compare with."""
    database = Database(
        embedded.uri(server, "streamflow_today", template=schema, user="streamflow_ingest"), first_month="2024-01"
    )
    yield database
    database.close()
    embedded.sql(server, "drop database streamflow_today with (force);")


def two_more_months(database: Database) -> None:
    for month, files in NEW.items():
        database.load_month(month, files)


def coverage(database: Database) -> dict[str, set[bool]]:
    """Whether the checksums of a month's subscriptions cover the new column, all revisions."""
    return {
        str(month): {covered}
        for month, covered in database.query(
            "select as_of, 'ad_supported' = any(columns) from current_deliveries where table_name = 'subscriptions'"
        )
    }


def test_what_is_sealed_has_null_and_is_proven(upgraded):
    assert upgraded.verify() == []
    assert upgraded.query("select ad_supported, count(*) > 0 from subscriptions_profile_snapshots group by 1") == [
        (None, True)
    ]
    assert upgraded.query("select count(*) from devices") == [(0,)]
    left_out = upgraded.query("select not_delivered from current_deliveries where table_name = 'subscriptions'")
    assert len(left_out) == 3
    assert all(names[-1] == "ad_supported" for (names,) in left_out)
    assert set(coverage(upgraded)) == {JANUARY, FEBRUARY, MARCH}
    assert all(covered == {False} for covered in coverage(upgraded).values())


def test_months_sealed_before_run_again_and_change_nothing(upgraded):
    before = upgraded.contents(ledger=True)
    for month in (MARCH, JANUARY, FEBRUARY):
        load(upgraded, month)
        load(upgraded, month, restate=True)
    assert upgraded.contents(ledger=True) == before
    assert upgraded.verify() == []


def test_two_more_months_and_an_old_one_restated_are_as_if_all_had_come_today(upgraded, today):
    two_more_months(upgraded)
    assert upgraded.verify() == []
    assert {name: covered for name, covered in coverage(upgraded).items() if covered == {True}} == {
        APRIL: {True},
        MAY: {True},
    }
    assert upgraded.query("select as_of::text, count(*) > 0 from devices_snapshots group by 1 order by 1") == [
        (APRIL, True),
        (MAY, True),
    ]
    upgraded.load_month(JANUARY, FIRST_JANUARY, restate=True)
    assert upgraded.verify() == []
    for month, files in {**FILES, JANUARY: FIRST_JANUARY, **NEW}.items():
        today.load_month(month, files)
    assert contents(upgraded) == contents(today)
    assert ledger(upgraded) == ledger(today)
    live = upgraded.query("select distinct ad_supported from subscriptions where user_id in ('ann', 'kim') order by 1")
    assert live == [(True,)]


def test_an_old_month_restated_with_the_new_column_is_carried_forward(upgraded):
    two_more_months(upgraded)
    january = FILES[JANUARY] | {"subscriptions": with_ads(FILES[JANUARY]["subscriptions"], "false")}
    with pytest.raises(Refused):
        upgraded.load_month(JANUARY, january)
    upgraded.load_month(JANUARY, january, restate=True)
    assert upgraded.verify() == []
    values = dict(
        upgraded.query("select as_of::text, ad_supported from subscriptions_profile_snapshots where user_id = 'bob'")
    )
    assert values[JANUARY] is values[FEBRUARY] is values[MARCH] is False
    assert coverage(upgraded)[MARCH] == {True}


@pytest.mark.parametrize("column", ["ad_supported", "paperless_billing"])
def test_a_value_that_somebody_wrote_into_a_sealed_month_is_found(upgraded, column):
    upgraded.run_as_admin(
        f"update subscriptions_profile_snapshots set {column} = {column} is not true "
        f"where as_of = '{FEBRUARY}' and user_id = 'ann'"
    )
    ((relation, month, _, found, *_),) = upgraded.verify()
    assert (relation, month) == ("subscriptions_profile_snapshots", FEBRUARY)
    assert ("values in columns that came later" in found) == (column == "ad_supported")


def test_a_sealed_column_that_a_migration_has_dropped_is_found(upgraded):
    upgraded.run_as_admin(
        f"update deliveries set columns = columns || '{{gone}}' "
        f"where as_of = '{FEBRUARY}' and table_name = 'subscriptions'"
    )
    ((relation, month, _, found, *_),) = upgraded.verify()
    assert (relation, month) == ("subscriptions_profile_snapshots", FEBRUARY)
    assert "columns are gone" in found


def test_a_month_before_the_tables_first_one_does_not_take_its_file(upgraded):
    two_more_months(upgraded)
    january = FILES[JANUARY] | {"devices": devices_of(FILES[JANUARY]["users"], 9)}
    before = upgraded.contents(ledger=True)
    upgraded.load_month(JANUARY, january)
    assert upgraded.contents(ledger=True) == before


def test_a_restated_file_of_the_new_table_alone(upgraded):
    two_more_months(upgraded)
    april = NEW[APRIL] | {"devices": devices_of(FILES[APRIL]["users"], 5)}
    upgraded.load_month(APRIL, april, restate=True)
    assert upgraded.verify() == []
    assert upgraded.query(f"select distinct devices_registered from devices_as_of('{APRIL}')") == [(5,)]
    kim = upgraded.query("select as_of::text, what from user_history('kim') where table_name = 'devices'")
    assert kim == [(APRIL, "appeared")]
