"""Any order, any number of times, killed anywhere: the database is what the contract says, after every step."""

from __future__ import annotations

import hashlib
import os

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings, target
from hypothesis import strategies as st

from streamflow.tables import TABLES
from support import oracle
from support.database import Database
from support.histories import MONTHS, SEQUENCES, as_files, contents, deliveries, is_refused, load
from support.paths import REAL_DELIVERIES

PARTS = 4

RUNS = st.lists(
    st.tuples(
        st.sampled_from(MONTHS),
        st.integers(0, 2),  # which delivery of that month: the same ones come again
        st.booleans(),  # restate
        st.one_of(st.none(), st.none(), st.integers(1, 22)),  # killed after so many steps
    ),
    min_size=1,
    max_size=6,
)


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def revisions(database: Database) -> list[tuple]:
    return database.query(
        "select as_of::text, table_name, revision, file_sha256, delivered, inserted, updated, unchanged, "
        "carried_forward, snapshot_rows from deliveries order by 1, 2, 3"
    )


def tables_without_key(database: Database) -> list[str]:
    """Live tables whose foreign key is lifted."""
    keyed = "select conrelid::regclass::text from pg_constraint where contype = 'f' and confdeltype = 'c'"
    return [
        name
        for (name,) in database.query(
            f"select table_name from staging.tables() where refers_to is not null and table_name not in ({keyed})"
        )
    ]


@pytest.mark.parametrize("part", range(PARTS))
def test_the_database_depends_only_on_the_last_accepted_deliveries(fresh_database, part):
    """In parts, which processors share; a part draws the same at every run."""
    check = given(offered=st.lists(deliveries(), min_size=3, max_size=3), runs=RUNS)(assert_contract)
    check = settings(
        max_examples=max(SEQUENCES // PARTS, 1),
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
        database=None,
    )(seed(part)(check))
    check(fresh_database)


def assert_contract(fresh_database, offered: list[dict[str, pd.DataFrame]], runs: list[tuple]) -> None:
    """Run the months, and compare what the database holds with what the oracle says, after each of them."""
    database = fresh_database()
    accepted: oracle.Accepted = {}
    states, ledger = oracle.states(accepted), oracle.Ledger()
    before: dict[str, list] = {table: [] for table in TABLES}  # what live has been
    is_live_behind = False  # a run was killed after it sealed, and none has succeeded since
    for month, which, restate, killed_after in runs:
        delivery = offered[(which + MONTHS.index(month)) % len(offered)]
        after = oracle.states(accepted | {month: delivery})
        refused = is_refused(accepted, month, delivery, states, after, restate)
        newest = oracle.contents(states)
        sealed, completed = load(database, month, as_files(delivery), restate, killed_after, refused)
        if sealed:
            ledger.record(month, digests(as_files(delivery)), states, after, restate)
            accepted, states = accepted | {month: delivery}, after
        is_live_behind = not completed and (is_live_behind or sealed)
        expected, found = oracle.contents(states), contents(database)
        before = {table: [*before[table], newest[table]] for table in TABLES}
        if is_live_behind:  # never ahead: each row is of the newest snapshot, or all are of one that was it before
            for table in TABLES:
                rows = set(found.pop(table))  # a user who is gone takes rows of other tables along
                assert any(rows <= set(known) for known in (expected.pop(table), *before[table])), table
        for name in expected:
            assert found[name] == expected[name], name
        assert revisions(database) == ledger.rows()
        without_key = tables_without_key(database)
        assert not without_key or not completed, without_key
        assert all(database.rows(table) == [] for table in without_key), without_key
        differs = {relation for relation, *_ in database.verify()}
        assert differs == set() or (is_live_behind and differs <= set(TABLES)), differs
    target(float(len(accepted)))


@pytest.mark.skipif(not REAL_DELIVERIES.exists(), reason="the real deliveries are not beside this checkout")
@pytest.mark.skipif("TABLES_OF_TEST" in os.environ, reason="the real deliveries have StreamFlow's own tables")
def test_real_february_and_then_january(fresh_database):
    files = {
        month: {table: (REAL_DELIVERIES / folder / f"{table}.csv").read_bytes() for table in TABLES}
        for month, folder in (("2024-01-31", "month_000"), ("2024-02-29", "month_001"))
    }

    def held_after(*months: str) -> tuple[dict, list]:
        database = fresh_database()
        for month in months:
            database.load_month(month, files[month])
        checksums = database.query(
            "select as_of, table_name, revision, snapshot_rows, snapshot_checksum from deliveries order by 1, 2"
        )
        return database.contents(), checksums

    assert held_after("2024-02-29", "2024-01-31") == held_after("2024-01-31", "2024-02-29")
