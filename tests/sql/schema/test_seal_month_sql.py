"""A restatement reaches later months: it counts again there only what it changes, and what it cannot rely on."""

from __future__ import annotations

import pytest

from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database
from support.training import merged

COUNTS = """
select as_of::text, revision, inserted, updated, unchanged, carried_forward
from current_deliveries where table_name = 'labels' order by 1
"""


def seal_three_months(database: Database) -> Database:
    """Bob is delivered in January only; ann is in every month."""
    for month, users in ((JANUARY, ("ann", "bob")), (FEBRUARY, ("ann",)), (MARCH, ("ann",))):
        database.load_month(month, delivery(*users))
    return database


def restate(database: Database, month: str, *users: str) -> None:
    database.load_month(month, delivery(*users, churn_label="False"), restate=True)


def test_all_later_months_of_a_row_that_is_carried_forward_are_revised(database):
    restate(seal_three_months(database), JANUARY, "ann", "bob")
    assert database.query(COUNTS) == [
        (JANUARY, 2, 2, 0, 0, 0),
        (FEBRUARY, 2, 0, 1, 0, 1),
        (MARCH, 2, 0, 0, 1, 1),
    ]
    assert database.verify() == []


def test_the_ledger_counts_against_the_month_before_as_it_is_when_a_revision_is_sealed(database):
    """February changes ann's row, and March keeps its revision; bob's row then changes in all three months."""
    seal_three_months(database)
    restate(database, FEBRUARY, "ann")
    assert database.query(COUNTS)[2] == (MARCH, 1, 0, 0, 1, 1)
    restate(database, JANUARY, "ann", "bob")
    assert database.query(COUNTS)[1:] == [(FEBRUARY, 3, 0, 0, 1, 1), (MARCH, 2, 0, 1, 0, 1)]
    assert database.verify() == []


def test_a_late_month_is_counted_with_the_month_after_it(database):
    database.load_month(JANUARY, delivery("ann", "bob"))
    database.load_month(MARCH, delivery("ann"))
    restate(database, FEBRUARY, "ann", "bob")
    assert database.query(COUNTS) == [
        (JANUARY, 1, 2, 0, 0, 0),
        (FEBRUARY, 1, 0, 2, 0, 0),
        (MARCH, 2, 0, 1, 0, 1),
    ]
    assert database.verify() == []


def test_a_sealed_row_that_was_changed_by_hand_still_differs_after_a_restatement_of_other_users(database):
    """The new revision's checksum is the one before, plus what has changed: it does not take the forgery over."""
    seal_three_months(database)
    database.run_as_admin(
        f"update labels_snapshots set churn_label = not churn_label where as_of = '{MARCH}' and user_id = 'ann'"
    )
    restate(database, JANUARY, "ann", "bob")
    assert database.query(COUNTS)[2][:2] == (MARCH, 2)
    assert [(relation, as_of) for relation, as_of, *_ in database.verify() if relation not in TABLES] == [
        ("labels_snapshots", MARCH)
    ]
    database.load_month(MARCH, delivery("ann"), restate=True)
    assert database.verify() == []


@pytest.mark.parametrize(
    ("by_hand", "label"),
    [
        ("update labels_snapshots set churn_label = not churn_label where user_id = 'bob'", "True"),
        (f"update labels_snapshots set churn_label = null where user_id = 'bob' and as_of = '{MARCH}'", "False"),
        (f"delete from labels_snapshots where user_id = 'bob' and as_of = '{MARCH}'", "False"),
    ],
)
def test_a_restatement_that_repairs_what_was_changed_by_hand_repairs_the_ledger_too(database, by_hand, label):
    """What bob's rows counted for before is not what the ledger counted: later months are counted whole."""
    seal_three_months(database)
    database.run_as_admin(by_hand)
    database.load_month(JANUARY, delivery("ann", "bob", churn_label=label), restate=True)
    rows = [(relation, as_of) for relation, as_of, *_ in database.verify() if relation not in TABLES]
    assert rows == []
    february = (0, 1, 0, 1) if label == "False" else (0, 0, 1, 1)
    assert [row[2:] for row in database.query(COUNTS)] == [(2, 0, 0, 0), february, (0, 0, 1, 1)]


def test_counts_that_do_not_fit_the_rows_are_counted_again(database):
    """January's row of ann was changed by hand; repaired, she counts otherwise in February than the ledger says."""
    database.load_month(JANUARY, delivery("ann", "bob", "cid"))
    database.load_month(FEBRUARY, merged(delivery("ann"), delivery("cid", churn_label="False")))
    database.run_as_admin(
        f"update labels_snapshots set churn_label = not churn_label where as_of = '{JANUARY}' and user_id = 'ann'"
    )
    january = merged(delivery("ann", "cid"), delivery("bob", churn_label="False"))
    database.load_month(JANUARY, january, restate=True)
    assert database.query(COUNTS)[1] == (FEBRUARY, 2, 0, 1, 1, 1)
    assert database.verify() == []


def test_a_revision_covers_the_columns_that_came_after_the_one_before(database):
    """The ledger is as if add_on_support had come later; the checksum without it says nothing of the one with it."""
    seal_three_months(database)
    database.run_as_admin(
        """
        update deliveries set
            columns = array_remove(columns, 'add_on_support'),
            snapshot_checksum = (
                select snapshot_checksum from staging.checksum_of(
                    'subscriptions_profile_snapshots', as_of, array_remove(columns, 'add_on_support')
                )
            )
        where table_name = 'subscriptions'
        """
    )
    assert database.verify() == []
    database.load_month(JANUARY, delivery("ann", "bob", monthly_fee="99.5"), restate=True)
    covers_it = "select revision, 'add_on_support' = any(columns) from current_deliveries where table_name = %s"
    assert database.query(covers_it, "subscriptions") == [(2, True)] * 3
    assert database.verify() == []
