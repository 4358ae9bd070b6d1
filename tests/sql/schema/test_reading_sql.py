"""What readers ask: the state as of a day, the history of a user, the sealed months and their revisions."""

from __future__ import annotations

import pytest

from support.builders import FEBRUARY, JANUARY, delivery
from support.database import as_csv

pytestmark = pytest.mark.fast


def test_the_state_as_of_a_day(two_months):
    def users(day: str) -> list:
        return two_months.query("select user_id from users_as_of(%s) order by 1", day)

    assert users("2024-01-30") == []
    assert users("2024-01-31") == users("2024-02-28") == [("ann",), ("bob",)]
    assert users("2024-12-31") == [("ann",), ("bob",), ("cid",)]


def test_the_history_of_a_user(two_months):
    two_months.load_month(JANUARY, delivery("ann", "bob", watch_hours_30d=5), restate=True)
    assert two_months.query("select as_of::text, table_name, what, was, is_now from user_history('bob') offset 6") == [
        (FEBRUARY, "usage_agg_30d", "changed", {"watch_hours_30d": 5}, {"watch_hours_30d": 7})
    ]
    assert {what for (what,) in two_months.query("select what from user_history('cid')")} == {"appeared"}


def test_the_list_of_sealed_months(two_months):
    sealed = two_months.query("select first_sealed_at, sealed_at from sealed_months")
    two_months.load_month(JANUARY, delivery("ann"), restate=True)
    again = two_months.query("select first_sealed_at, sealed_at from sealed_months")
    assert [first for first, _ in again] == [first for first, _ in sealed]
    assert again[0][1] > sealed[0][1]
    assert two_months.query("select as_of::text, revision, users_delivered::int, users::int from sealed_months") == [
        (JANUARY, 2, 1, 1),
        (FEBRUARY, 1, 2, 3),  # bob's row there is its own
    ]


def test_a_restated_month_keeps_the_old_figures(two_months):
    two_months.load_month(JANUARY, delivery("ann", "bob") | {"labels": as_csv([], ["user_id", "churn_label"])}, True)
    assert two_months.query(
        "select as_of::text, revision, delivered, carried_forward, snapshot_rows from deliveries "
        "where table_name = 'labels' order by 1, 2"
    ) == [(JANUARY, 1, 2, 0, 2), (JANUARY, 2, 0, 0, 0), (FEBRUARY, 1, 2, 1, 3), (FEBRUARY, 2, 2, 0, 2)]
