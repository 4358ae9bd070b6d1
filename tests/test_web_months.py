"""What the pages make of ledger, log and runs: a month's state, what a restatement changed, and the plots."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from streamflow.tables import TABLES
from streamflow.web.months import changes_of_revision, month_statuses, number
from streamflow.web.plots import Point, Series, draw, table_series
from streamflow.web.runs import MonthRun

JANUARY, FEBRUARY, MARCH = (dt.date(2024, 1, 31), dt.date(2024, 2, 29), dt.date(2024, 3, 31))
NOW = dt.datetime(2024, 4, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("state", "tasks", "missing", "kind", "says"),
    [
        ("queued", {}, [], "queued", "queued"),
        ("running", {}, [], "running", "running"),
        ("running", {"labels.load": "running"}, [], "running", "running: labels.load"),
        ("running", {"wait_for_month": "deferred"}, [], "waiting", "waiting for files"),
        (
            "running",
            {"wait_for_month": "up_for_reschedule"},
            ["labels.csv is not there", "users.csv is empty"],
            "waiting",
            "waiting: labels.csv is not there; users.csv is empty",
        ),
        ("running", {"gate": "awaiting_input"}, [], "asking", "waiting for approval"),
        (
            "failed",
            {"labels.validate": "failed", "gate": "upstream_failed"},
            [],
            "failed",
            "failed at labels.validate",
        ),
        ("failed", {}, [], "failed", "failed"),
        ("success", {}, [], "done", ""),
    ],
)
def test_a_runs_state_in_words(state, tasks, missing, kind, says):
    run = MonthRun("run", state, tasks, missing)
    assert (run.kind, run.says) == (kind, says)


def sealed(as_of: dt.date, table: str, **more: Any) -> dict[str, Any]:
    """A row of ``pages/sealed.sql``."""
    row = {"as_of": as_of, "table_name": table, "revision": 1, "folder": "month_000", "delivered": 9}
    return row | {"snapshot_rows": 10, "warnings": 0, "run_id": "run", "sealed_at": NOW} | more


def checked(as_of: dt.date, table: str, **more: Any) -> dict[str, Any]:
    """A row of ``pages/checked.sql``."""
    row = {"as_of": as_of, "table_name": table, "checked_at": NOW, "run_id": "run", "folder": "month_000"}
    return row | {"delivered": 9, "is_passed": True, "failed": 0, "warned": 0} | more


def test_months_of_ledger_log_and_runs_with_the_newest_first():
    runs = {"2024-03-31": MonthRun("run", "running", {"wait_for_month": "deferred"})}
    found = month_statuses([sealed(JANUARY, "users")], [checked(FEBRUARY, "users")], runs)
    assert [(month.as_of, month.state) for month in found] == [
        ("2024-03-31", "waiting"),
        ("2024-02-29", "open"),
        ("2024-01-31", "sealed"),
    ]


def test_a_sealed_month_stays_sealed_whatever_its_newest_run_does():
    run = MonthRun("run", "failed", {"labels.validate": "failed"})
    (month,) = month_statuses([sealed(JANUARY, "labels", revision=2)], [], {"2024-01-31": run})
    assert (month.state, month.revision, month.says) == ("sealed", 2, "newest run failed at labels.validate")
    assert month.tables["labels"].step == "failed at validate"


def test_a_failed_validation_of_a_sealed_month_is_seen_beside_what_is_sealed():
    (month,) = month_statuses(
        [sealed(JANUARY, "labels", warnings=1)],
        [checked(JANUARY, "labels", is_passed=False, failed=2, delivered=7)],
        {},
    )
    cell = month.tables["labels"]
    assert (cell.rows, cell.delivered, cell.warnings, cell.failed) == (10, 9, 1, 2)


def test_tables_that_are_not_there_any_more_are_left_out():
    (month,) = month_statuses([sealed(JANUARY, "devices")], [], {})
    assert set(month.tables) == set(TABLES)


def revision(**more: Any) -> dict[str, Any]:
    """What a revision is compared by."""
    row = {"file_sha256": "a", "not_delivered": [], "delivered": 9, "snapshot_rows": 10, "carried_forward": 1}
    return row | {"snapshot_checksum": "1", "profile": {"mean": {"x": 1.0}}} | more


def test_what_a_restatement_changed():
    assert changes_of_revision(revision(), revision()) == ["nothing that the ledger keeps"]
    after = revision(file_sha256="b", delivered=1234, snapshot_checksum="2", profile={"mean": {"x": 1.5}})
    assert changes_of_revision(revision(), after) == [
        "another file",
        "delivered rows: 9 → 1,234",
        "mean of x: 1 → 1.5",
        "rows of the snapshot",
    ]


@pytest.mark.parametrize(
    ("value", "said"), [(None, "–"), (7.0, "7"), (1234567, "1,234,567"), (0.123456, "0.1235"), (12345.6, "12,346")]
)
def test_numbers_in_words(value, said):
    assert number(value) == said


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
