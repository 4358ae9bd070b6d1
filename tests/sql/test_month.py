"""The month's SQL: in order, again, refused and restated."""

from __future__ import annotations

import pytest

from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Refused

pytestmark = pytest.mark.fast


def test_first_month_is_inserted_and_sealed(database):
    database.load_month(JANUARY, delivery("ann", "bob"))
    assert database.query("select user_id from labels order by 1") == [("ann",), ("bob",)]
    assert database.query(
        "select distinct delivered, inserted, updated, unchanged, carried_forward, snapshot_rows, revision, run_id "
        "from deliveries"
    ) == [(2, 2, 0, 0, 0, 2, 1, "manual__it's a test")]


def test_second_month_updates_carries_forward_and_leaves_identical_rows_unwritten(database):
    database.load_month(JANUARY, delivery("ann", "bob"))
    before = database.query("select user_id, xmin from payments_agg_90d order by 1")
    database.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=7))
    assert database.query(
        "select user_id, source_as_of::text, watch_hours_30d from usage_agg_30d_snapshots where as_of = '2024-02-29' "
        "order by 1"
    ) == [("ann", JANUARY, 1), ("bob", FEBRUARY, 7), ("cid", FEBRUARY, 7)]
    assert database.query(
        "select table_name, delivered, inserted, updated, unchanged, carried_forward, snapshot_rows from deliveries "
        "where as_of = '2024-02-29' and table_name in ('usage_agg_30d', 'labels') order by 1"
    ) == [("labels", 2, 1, 0, 1, 1, 3), ("usage_agg_30d", 2, 1, 1, 0, 1, 3)]
    assert database.query("select user_id, xmin from payments_agg_90d where user_id <> 'cid' order by 1") == before


def test_a_late_month_is_counted_by_all_tables_as_the_one_before(database):
    database.load_month(JANUARY, delivery("ann"))
    database.load_month(MARCH, delivery("ann", "bob", "cid"))
    database.load_month(FEBRUARY, delivery("ann", "bob", "dan"), restate=True)
    assert database.query(
        "select distinct as_of::text, delivered, inserted, updated, unchanged from current_deliveries "
        "where as_of > '2024-01-31' order by 1"
    ) == [(FEBRUARY, 3, 2, 0, 1), (MARCH, 3, 1, 0, 2)]  # March of itself adds cid; dan is carried into it


def test_autovacuum_leaves_builds_alone_until_they_are_sealed(database):
    """If one were being vacuumed, seal would wait until autovacuum is cancelled, with its lock held."""
    options = "select relname, reloptions from pg_class where relkind = 'r' and relname ~ '^labels_.*20240131'"
    database.build_month(JANUARY, delivery("ann"))
    assert ("labels_20240131_build", ["autovacuum_enabled=false"]) in database.query(options)
    database.seal(JANUARY)
    assert ("labels_snapshots_20240131", None) in database.query(options)


def test_january_never_sees_february(database):
    database.load_month(JANUARY, delivery("ann"))
    january = database.query("select user_id, churn_label from labels_snapshots where as_of = '2024-01-31'")
    database.load_month(FEBRUARY, delivery("ann", "bob", churn_label="False"))
    assert database.query("select user_id, churn_label from labels_snapshots where as_of = '2024-01-31'") == january


def test_same_files_again_change_nothing(database):
    database.load_month(JANUARY, delivery("ann"))
    database.load_month(FEBRUARY, delivery("ann", "bob"))
    before = database.contents(ledger=True)
    database.load_month(JANUARY, delivery("ann"))
    database.load_month(FEBRUARY, delivery("ann", "bob"))
    assert database.contents(ledger=True) == before


def test_null_is_a_value(database):
    database.load_month(JANUARY, delivery("ann", plan_stream_tv="False"))
    database.load_month(FEBRUARY, delivery("ann", plan_stream_tv=None))
    assert database.query("select plan_stream_tv from subscriptions") == [(None,)]


def test_optional_column_not_delivered_keeps_its_value(database):
    database.load_month(JANUARY, delivery("ann", without=(), add_on_backup="True"))
    database.load_month(FEBRUARY, delivery("ann", "bob"))
    database.load_month(MARCH, delivery("ann", without=("add_on_support",), add_on_backup=None))
    assert database.query(
        "select as_of::text, user_id, add_on_backup from subscriptions_profile_snapshots order by 1, 2"
    ) == [
        (JANUARY, "ann", True),
        (FEBRUARY, "ann", True),
        (FEBRUARY, "bob", None),
        (MARCH, "ann", None),
        (MARCH, "bob", None),
    ]
    assert database.query("select not_delivered from current_deliveries where table_name = 'subscriptions'") == [
        ([],),
        (list(TABLES["subscriptions"].optional),),
        (["add_on_support"],),
    ]


def test_other_files_for_a_sealed_month_are_refused(database):
    database.load_month(JANUARY, delivery("ann", "bob"))
    before = database.contents(ledger=True)
    with pytest.raises(Refused) as refused:
        database.load_month(JANUARY, delivery("ann", watch_hours_30d=9))
    changes = {(one["table_name"], one["what"]): one["row_count"] for one in refused.value.args[0]["sealed_changes"]}
    assert changes[("usage_agg_30d", "changed")] == 1
    assert changes[("labels", "removed")] == 1
    assert database.contents(ledger=True) == before


def test_orphans_are_refused(database):
    files = delivery("ann") | {"labels": delivery("ann", "zoe")["labels"]}
    with pytest.raises(Refused) as refused:
        database.load_month(JANUARY, files)
    assert refused.value.args[0]["orphans"] == [
        {"as_of": JANUARY, "table_name": "labels", "row_count": 1, "examples": ["zoe"]}
    ]


def test_snapshot_refuses_what_was_not_validated(database):
    database.stage_month(JANUARY, delivery("ann"))
    database.stage(JANUARY, "labels", delivery("ann")["labels"], is_validated=False)
    with pytest.raises(Exception, match="labels of 2024-01-31 is not staged and validated"):
        database.build(JANUARY, "labels")
    for table in set(TABLES) - {"labels"}:
        database.build(JANUARY, table)
    for step in (database.gate, database.seal):
        with pytest.raises(Exception, match="only 5 of 6 tables of 2024-01-31 are staged, validated, and built"):
            step(JANUARY)
    assert not any(database.contents(ledger=True).values())


@pytest.mark.parametrize("table", TABLES)
def test_live_has_the_columns_that_the_templates_name(database, table):
    assert [
        name
        for (name,) in database.query(
            "select column_name::text from information_schema.columns "
            "where table_schema = 'public' and table_name = %s order by ordinal_position",
            table,
        )
    ] == ["user_id", *TABLES[table].columns]
