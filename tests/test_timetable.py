"""Which month a run means, and when it is due."""

from __future__ import annotations

import json

import pendulum
import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DataInterval, TimeRestriction
from pendulum import DateTime

from streamflow.timetable import MonthEndTimetable

START = pendulum.datetime(2024, 1, 1)
TIMETABLE = MonthEndTimetable(START)


def at(text: str, timezone: str = "UTC") -> DateTime:
    return pendulum.parse(text, tz=timezone)


def runs(restriction: TimeRestriction, limit: int = 50) -> list[tuple[str, str, str]]:
    """First day, last day and due date of each run that ``restriction`` allows, as Airflow's backfill asks for them."""
    found, last = [], None
    while len(found) < limit:
        info = TIMETABLE.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info is None:
            break
        last = info.data_interval
        assert last.start < last.end < info.run_after
        found.append(tuple(day.isoformat() for day in (last.start, last.end, info.run_after)))
    return found


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("2024-01-31", "2024-01-01", "2024-01-31"),
        ("2024-02-01", "2024-01-01", "2024-01-31"),
        ("2024-02-15", "2024-01-01", "2024-01-31"),
        ("2024-02-28", "2024-01-01", "2024-01-31"),
        ("2024-02-29", "2024-02-01", "2024-02-29"),
        ("2024-02-29T23:59:59.999999", "2024-02-01", "2024-02-29"),
        ("2024-03-01", "2024-02-01", "2024-02-29"),
        ("2023-02-28", "2023-02-01", "2023-02-28"),
        ("2100-02-28", "2100-02-01", "2100-02-28"),
        ("2023-12-31", "2023-12-01", "2023-12-31"),
        ("2024-01-01", "2023-12-01", "2023-12-31"),
        ("2024-01-30", "2023-12-01", "2023-12-31"),
    ],
)
def test_a_date_means_the_month_that_ends_on_it_or_ended_before(asked, start, end):
    assert TIMETABLE.infer_manual_data_interval(run_after=at(asked)) == DataInterval(at(start), at(end))


@pytest.mark.parametrize(
    ("local", "timezone", "end"),
    [
        ("2024-01-31T00:30", "Europe/Berlin", "2023-12-31"),  # still 30 January in UTC
        ("2024-01-30T20:00", "America/New_York", "2024-01-31"),  # 31 January in UTC already
    ],
)
def test_days_are_those_of_utc(local, timezone, end):
    interval = TIMETABLE.infer_manual_data_interval(run_after=at(local, timezone))
    assert interval.end == at(end)
    assert (interval.start.offset, interval.end.offset) == (0, 0)


def test_a_backfill_of_the_first_quarter_is_three_months():
    assert runs(TimeRestriction(START, at("2024-03-31"), catchup=True)) == [
        ("2024-01-01T00:00:00+00:00", "2024-01-31T00:00:00+00:00", "2024-02-01T00:00:00+00:00"),
        ("2024-02-01T00:00:00+00:00", "2024-02-29T00:00:00+00:00", "2024-03-01T00:00:00+00:00"),
        ("2024-03-01T00:00:00+00:00", "2024-03-31T00:00:00+00:00", "2024-04-01T00:00:00+00:00"),
    ]


@pytest.mark.parametrize(
    ("earliest", "latest", "months"),
    [
        ("2024-01-01", "2024-01-01", ["2024-01-31"]),  # Airflow names intervals by their start
        ("2024-01-02", "2024-02-29", ["2024-02-29"]),
        ("2024-01-15", "2024-03-01", ["2024-02-29", "2024-03-31"]),
        ("2024-01-01T00:00:01", "2024-02-01", ["2024-02-29"]),
        ("2023-11-01", "2024-01-31", ["2023-11-30", "2023-12-31", "2024-01-31"]),  # a backfill says from when on
        ("2024-01-15", "2024-01-31", []),
    ],
)
def test_a_window_holds_the_months_that_start_in_it(earliest, latest, months):
    found = runs(TimeRestriction(at(earliest), at(latest), catchup=True))
    assert [end[:10] for _, end, _ in found] == months


def test_catchup_without_end_goes_on_month_by_month_for_ever():
    ends = [end[:10] for _, end, _ in runs(TimeRestriction(START, None, catchup=True), limit=50)]
    assert len(ends) == 50
    assert ends[:3] + ends[-1:] == ["2024-01-31", "2024-02-29", "2024-03-31", "2028-02-29"]


def test_a_task_or_dag_without_start_date_begins_with_the_timetable():
    assert runs(TimeRestriction(None, None, catchup=True), limit=1)[0][1][:10] == "2024-01-31"


def test_a_timetable_may_start_within_a_month():
    info = MonthEndTimetable(at("2024-05-02")).next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=True)
    )
    assert info.data_interval == DataInterval(at("2024-06-01"), at("2024-06-30"))


@pytest.mark.parametrize(
    ("months_since_last", "next_is"),
    [
        (None, 0),  # unpaused for the first time: nothing of long ago
        (1, 0),  # up to date
        (2, 1),  # the due date of last month was missed, by minutes or by weeks: made good
        (3, 0),  # a longer gap is a backfill's
        (12, 0),
    ],
)
def test_without_catchup_one_missed_due_date_is_made_good(months_since_last, next_is):
    this_month = pendulum.now("UTC").start_of("month")
    last = None
    if months_since_last is not None:
        start = this_month.subtract(months=months_since_last)
        last = DataInterval(start, start.end_of("month").start_of("day"))
    info = TIMETABLE.next_dagrun_info(
        last_automated_data_interval=last, restriction=TimeRestriction(START, None, catchup=False)
    )
    expected = this_month.subtract(months=next_is)
    assert info.data_interval.start == expected
    assert info.data_interval.end == expected.end_of("month").start_of("day")
    assert info.run_after == expected.add(months=1)


def test_without_catchup_a_start_in_the_future_is_kept():
    start = pendulum.now("UTC").start_of("month").add(months=5)
    info = TIMETABLE.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(start, None, catchup=False)
    )
    assert info.data_interval.start == start


def test_no_month_before_the_timetables_start_is_due_by_itself():
    start = pendulum.now("UTC").start_of("month").add(months=5)
    info = MonthEndTimetable(start).next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(START, None, catchup=False)
    )
    assert info.data_interval.start == start


def test_after_the_end_date_nothing_is_scheduled():
    assert (
        TIMETABLE.next_dagrun_info(
            last_automated_data_interval=None, restriction=TimeRestriction(START, at("2024-06-30"), catchup=False)
        )
        is None
    )


def test_airflow_can_store_it_and_read_it_back():
    stored = json.loads(json.dumps(encode_timetable(MonthEndTimetable(at("2022-07-01")))))
    assert "streamflow.timetable.MonthEndTimetable" in str(stored)
    read = decode_timetable(stored)
    assert type(read) is MonthEndTimetable
    assert (str(read.start), read.summary) == ("2022-07-01", "monthly, after the month's last day")
