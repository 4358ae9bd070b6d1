"""The month's SQL: in order, again, refused and restated."""

from __future__ import annotations

from collections import defaultdict

import psycopg
import pytest

from months import Refused, as_csv
from streamflow.tables import TABLES

JANUARY, FEBRUARY, MARCH = "2024-01-31", "2024-02-29", "2024-03-31"


def delivery(*users: str, without: tuple[str, ...] = TABLES["subscriptions"].optional, **values) -> dict[str, bytes]:
    """A delivery of all six files for ``users``; ``values`` are columns' values, ``without`` columns left out."""
    defaults = defaultdict(lambda: 1) | {
        "signup_date": "2023-05-01",
        **dict.fromkeys(("user_is_senior", "has_family", "has_dependents", "paperless_billing", "churn_label"), "True"),
        **dict.fromkeys(("plan_stream_tv", "plan_stream_movies", *TABLES["subscriptions"].optional)),
    }
    return {
        table.name: as_csv(
            [
                {"user_id": user, **{column: values.get(column, defaults[column]) for column in table.columns}}
                for user in users
            ],
            ["user_id", *(column for column in table.columns if column not in without)],
        )
        for table in TABLES.values()
    }


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


def test_a_changed_first_month_is_refused(database):
    """The harness has month_000 as 2023-01; the ledger says that January 2024 came from it."""
    database.load_month(JANUARY, delivery("ann"))
    database.run_as_admin("update deliveries set file_name = 'month_000/' || file_name")
    before = database.contents(ledger=True)
    with pytest.raises(psycopg.errors.RaiseException, match="its folder would be month_013") as refused:
        database.load_month(FEBRUARY, delivery("ann"))
    assert "Expected 2024-01: in the ledger, month_000 is sealed as 2024-01-31." in str(refused.value)
    assert refused.value.diag.message_hint.startswith("set the Airflow variable streamflow_first_month to 2024-01")
    assert database.contents(ledger=True) == before


FOLDERS = [
    # the folder that January 2024 was sealed from, the one that February would come from, and what the first month is
    # if that is not the same by both
    ("month_000", "month_001", None),
    ("month_000", "month_000", "2024-01"),
    ("month_000", "month_013", "2024-01"),
    ("month_012", "month_001", "2023-01"),
    ("month_998", "month_999", None),
    ("month_999", "month_1000", None),
    ("000", "001", None),
    ("000", "002", "2024-01"),
    ("v2-000.d", "v2-001.d", None),
    ("v2-000.d", "v2-005.d", "2024-01"),
    ("s3 (50%) [000]", "s3 (50%) [005]", "2024-01"),
    ("2024-01", "2024-02", None),
    ("month=2024-01", "month=2024-02", None),
    ("v2_2024-01_000", "v2_2024-02_000", None),
    # the pattern was changed
    ("month_000", "delivery-005", None),
    ("month_000", "000", None),
    ("month_000", "2024-02", None),
    ("month_000", "month_2024-02", None),
    ("2024-01", "000", None),
    ("2024-01", "month_013", None),
    ("2024-02", "005-02", None),
    ("005-02", "2024-02", None),
    # no one's
    ("month_", "month_005", None),
    ("month_99999999999", "month_005", None),
]


def test_a_folders_number_and_the_ledger_agree_on_the_first_month(database):
    database.load_month(JANUARY, delivery("ann"))
    claim = "select staging.claim_month(%s, %s, %s)"
    for sealed, folder, first_month in FOLDERS:
        database.run_as_admin(f"update deliveries set file_name = '{sealed}/labels.csv'")
        if first_month is None:
            database.query(claim, FEBRUARY, sealed + folder, folder)
            assert database.query("select run_id from staging.runs where as_of = %s", FEBRUARY) == [(sealed + folder,)]
        else:
            with pytest.raises(psycopg.errors.RaiseException, match="its folder would be") as refused:
                database.query(claim, FEBRUARY, sealed + folder, folder)
            assert f"Expected {first_month}: in the ledger, {sealed} is sealed as 2024-01-31." in str(refused.value)
            to_do = f"set the Airflow variable streamflow_first_month to {first_month}"
            assert refused.value.diag.message_hint.startswith(to_do)


def test_a_changed_first_month_is_seen_past_months_with_other_folders(database):
    database.load_month(JANUARY, delivery("ann"))
    database.run_as_admin("update deliveries set file_name = 'month_000/' || file_name")
    database.first_month = "2024-01"
    database.load_month(FEBRUARY, delivery("ann"))
    database.run_as_admin(f"update deliveries set file_name = '2024-02/' || file_name where as_of = '{FEBRUARY}'")
    with pytest.raises(psycopg.errors.RaiseException, match="in the ledger, month_000 is sealed as 2024-01-31"):
        database.query("select staging.claim_month(%s, 'a run', 'month_003')", MARCH)
    database.query("select staging.claim_month(%s, 'a run', 'month_002')", MARCH)
