"""What the pages make of a table's history: values, bounds, and plots."""

from __future__ import annotations

import datetime as dt
from typing import Any

from streamflow.tables import TABLES
from streamflow.web.plots import Point, Series, draw, table_series

JANUARY, FEBRUARY, MARCH = (dt.date(2024, 1, 31), dt.date(2024, 2, 29), dt.date(2024, 3, 31))


def history(as_of: dt.date, mean: float, is_sealed: bool = True, **more: Any) -> dict[str, Any]:
    """A row of ``pages/history.sql`` for ``usage_agg_30d``."""
    profile = {"mean": {"watch_hours_30d": mean}, "not_null": {"watch_hours_30d": 0.9}}
    row = {"as_of": as_of, "is_sealed": is_sealed, "is_passed": True, "revision": 1, "not_delivered": []}
    return row | {"delivered": 100, "profile": profile, "result": None} | more


def mean_of(rows: list[dict[str, Any]]) -> Series:
    """The series of the mean of ``watch_hours_30d``."""
    _, columns = table_series(TABLES["usage_agg_30d"], rows)
    return dict(columns)["watch_hours_30d"][0]


def test_bounds_follow_the_month_before():
    series = mean_of([history(JANUARY, 100.0), history(FEBRUARY, 110.0), history(MARCH, 200.0)])
    assert [(point.low, point.high, point.broken) for point in series.points] == [
        (None, None, ""),
        (75.0, 125.0, ""),
        (82.5, 137.5, "above"),
    ]
    assert series.summary.endswith("Outside its bounds: 2024-03-31 above its bound.")


def test_the_bounds_that_the_month_was_checked_with_count():
    rule = {"column": "watch_hours_30d", "measured": {"kind": "mean", "value": 110.0, "min": 99.0, "max": 101.0}}
    series = mean_of([history(JANUARY, 100.0), history(FEBRUARY, 110.0, result=[rule])])
    assert (series.points[1].low, series.points[1].high, series.points[1].broken) == (99.0, 101.0, "above")


def test_a_month_that_is_not_sealed_has_what_was_measured_and_bounds_no_other():
    rule = {"column": "watch_hours_30d", "measured": {"kind": "mean", "value": 500.0, "min": 75.0, "max": 125.0}}
    series = mean_of(
        [
            history(JANUARY, 100.0),
            history(FEBRUARY, 0.0, is_sealed=False, profile=None, not_delivered=None, result=[rule]),
            history(MARCH, 100.0),
        ]
    )
    assert [point.value for point in series.points] == [100.0, 500.0, 100.0]
    assert [point.broken for point in series.points] == ["", "above", ""]


def test_shares_are_of_nulls():
    rows, columns = table_series(TABLES["usage_agg_30d"], [history(JANUARY, 1.0), history(FEBRUARY, 1.0)])
    nulls = dict(columns)["watch_hours_30d"][1]
    assert nulls.said(nulls.points[1].value) == "10.0%"
    assert (nulls.said(nulls.points[1].low), nulls.said(nulls.points[1].high)) == ("5.0%", "15.0%")
    assert [point.low for point in rows.points] == [None, 80.0]


def test_nothing_at_all_can_be_drawn_and_so_can_one_month():
    assert draw([])["marks"] == []
    assert table_series(TABLES["usage_agg_30d"], [])[0].points == []
    drawn = draw([Point("2024-01-31", 5.0, None, None, True)])
    assert len(drawn["marks"]) == 1
    assert drawn["lines"] == []
    assert draw([Point("2024-01-31", None, None, None, True)])["marks"] == []


def test_a_gap_breaks_the_line():
    points = [Point(f"2024-0{month}-28", value, None, None, True) for month, value in enumerate([1, 2, None, 3, 4], 1)]
    assert len(draw(points)["lines"]) == 2
