"""Where each month stands, from ledger, log, and runs; and what a restatement changed."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from streamflow.tables import TABLES
from streamflow.web.months import changes_of_revision, month_statuses, number
from streamflow.web.runs import MonthRun

JANUARY, FEBRUARY = dt.date(2024, 1, 31), dt.date(2024, 2, 29)
NOW = dt.datetime(2024, 4, 1, tzinfo=dt.UTC)


def sealed(as_of: dt.date, table: str, **more: Any) -> dict[str, Any]:
    """A row of ``pages/sealed.sql``."""
    row = {"as_of": as_of, "table_name": table, "revision": 1, "folder": "month_000", "delivered": 9}
    return row | {"snapshot_rows": 10, "warnings": 0, "run_id": "run", "sealed_at": NOW, "is_archived": False} | more


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


def test_a_month_that_is_only_in_the_archive_says_so():
    found = month_statuses([sealed(JANUARY, "users", is_archived=True), sealed(FEBRUARY, "users")], [], {})
    assert [month.as_json()["is_archived"] for month in found] == [False, True]


def test_tables_that_are_not_there_any_more_are_left_out():
    (month,) = month_statuses([sealed(JANUARY, "devices")], [], {})
    assert set(month.tables) == set(TABLES)


def revision(**more: Any) -> dict[str, Any]:
    """What a revision is compared by."""
    row = {"file_sha256": "a", "not_delivered": [], "delivered": 9, "snapshot_rows": 10, "carried_forward": 1}
    row |= {"kind": "restatement", "suppressed": 0}
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
    assert changes_of_revision(revision(), revision(kind="erasure", snapshot_rows=9, suppressed=1)) == [
        "users were erased",
        "snapshot rows: 10 → 9",
        "rows of erased users left out: 0 → 1",
    ]


@pytest.mark.parametrize(
    ("value", "said"), [(None, "–"), (7.0, "7"), (1234567, "1,234,567"), (0.123456, "0.1235"), (12345.6, "12,346")]
)
def test_numbers_in_words(value, said):
    assert number(value) == said
