"""Which month a run means, and when it is due."""

from __future__ import annotations

import datetime as dt
import json
import subprocess

import pendulum
import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.utils.types import DagRunType
from hypothesis import given
from hypothesis import strategies as st
from pendulum import DateTime

from streamflow.months import last_month_end, month_end
from streamflow.timetable import MonthEndTimetable, months_meant

START = pendulum.datetime(2024, 1, 1)
TIMETABLE = MonthEndTimetable(START)
ZONES = [dt.timedelta(minutes=minutes) for minutes in range(-12 * 60, 14 * 60 + 1, 15)]
DAYS = st.dates(dt.date(2000, 1, 1), dt.date(2100, 12, 31))


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
        assert last.start < last.end <= info.run_after
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


def picked(day: dt.date, offset: dt.timedelta, time: dt.time = dt.time()) -> DateTime:
    """The instant that Airflow makes of a day and time picked in a zone."""
    return pendulum.instance(dt.datetime.combine(day, time, dt.timezone(offset))).in_timezone("UTC")


@given(DAYS, st.times())
def test_a_day_picked_in_any_zone_never_means_another_month(day, time):
    # Airflow's calendar keeps the time of day when a day is clicked
    for offset in ZONES:
        instant = picked(day, offset, time)
        if instant != instant.start_of("day"):  # on the dot of midnight it is UTC's: see below
            assert last_month_end(day) in months_meant(instant)


@given(DAYS)
def test_midnight_in_utc_is_that_day(day):
    assert months_meant(picked(day, dt.timedelta())) == [last_month_end(day)]
    assert TIMETABLE.infer_manual_data_interval(run_after=picked(day, dt.timedelta())).end.date() == last_month_end(day)


@given(DAYS, st.sampled_from(ZONES))
def test_a_day_well_within_a_month_means_the_same_in_every_zone(day, offset):
    if 1 < day.day < month_end(day).day - 1:
        assert months_meant(picked(day, offset)) == [last_month_end(day)]


@pytest.mark.parametrize("zone", ["Europe/Athens", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_midnight_in_airflows_own_zone_is_that_day(monkeypatch, zone):
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", zone)
    for day in ("2024-01-30", "2024-01-31", "2024-02-01", "2024-02-28", "2024-02-29", "2024-03-01", "2023-12-31"):
        assert months_meant(at(day, zone)) == [last_month_end(dt.date.fromisoformat(day))]


def test_an_instant_that_may_mean_two_months_has_an_interval_that_names_none():
    instant = at("2024-02-29", "Europe/Athens")
    assert months_meant(instant) == [dt.date(2024, 1, 31), dt.date(2024, 2, 29)]
    assert TIMETABLE.infer_manual_data_interval(run_after=instant) == DataInterval.exact(instant)


def backfilled(earliest: DateTime, latest: DateTime) -> list[str]:
    return [end[:10] for _, end, _ in runs(TimeRestriction(earliest, latest, catchup=True))]


# Between 10:00 and 12:00 UTC an instant is midnight twice: of a day in the far west, and of the next one in the far
# east. It is read as the former: right for everyone who begins with a month's first day and ends with a last one.
@pytest.mark.parametrize("offset", ZONES)
def test_a_backfill_of_whole_months_is_the_same_in_every_zone(offset):
    for to_time in (dt.time(), dt.time(23, 59, 59, 999000), dt.time(23, 59)):  # the form's is the end of the day
        for to, months in (
            (dt.date(2024, 1, 31), ["2024-01-31"]),
            (dt.date(2024, 2, 29), ["2024-01-31", "2024-02-29"]),
            (dt.date(2024, 3, 31), ["2024-01-31", "2024-02-29", "2024-03-31"]),
        ):
            assert backfilled(picked(dt.date(2024, 1, 1), offset), picked(to, offset, to_time)) == months


@given(DAYS, st.integers(0, 100))
def test_a_backfill_from_and_to_any_day_is_the_same_in_every_zone(from_day, days):
    to_day = from_day + dt.timedelta(days=days)
    in_utc = backfilled(picked(from_day, dt.timedelta()), picked(to_day, dt.timedelta()))
    for offset in ZONES:
        if offset >= dt.timedelta(hours=12) and (from_day.day == 2 or to_day.day == 1):
            continue  # the one pick that is read as the day before, see above
        assert backfilled(picked(from_day, offset), picked(to_day, offset)) == in_utc
        assert backfilled(picked(from_day, offset), picked(to_day, offset, dt.time(23, 59, 59, 999000))) == in_utc


@pytest.mark.parametrize(
    ("zone", "earliest", "latest", "months"),
    [
        ("America/New_York", "2024-01-01", "2024-03-31", ["2024-01-31", "2024-02-29", "2024-03-31"]),
        ("America/New_York", "2024-01-01", "2024-03-31T23:59:59.999", ["2024-01-31", "2024-02-29", "2024-03-31"]),
        ("Europe/Athens", "2024-02-01", "2024-03-01", ["2024-02-29", "2024-03-31"]),
        ("Pacific/Honolulu", "2024-01-01", "2024-01-31T23:59:59.999", ["2024-01-31"]),
        ("Pacific/Auckland", "2024-01-01", "2024-02-29T23:59:59.999", ["2024-01-31", "2024-02-29"]),
    ],
)
def test_a_backfill_covers_the_months_that_were_picked(zone, earliest, latest, months):
    assert backfilled(at(earliest, zone), at(latest, zone)) == months


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Pacific/Kiritimati", "Pacific/Honolulu"])
def test_a_backfill_in_airflows_own_zone_is_exact(monkeypatch, zone):
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", zone)
    assert backfilled(at("2024-01-02", zone), at("2024-03-01", zone)) == ["2024-02-29", "2024-03-31"]


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Athens", "Pacific/Kiritimati"])
def test_the_commands_backfill_is_the_same_in_every_zone(monkeypatch, zone):
    subprocess.run(["airflow", "dags", "reserialize"], check=True, capture_output=True)
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", zone)
    done = subprocess.run(
        [
            *("airflow", "backfill", "create", "--dag-id", "streamflow_monthly_ingest", "--dry-run"),
            *("--from-date", "2024-01-01", "--to-date", "2024-02-29"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [day in done.stdout for day in ("2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01")] == [
        *(False, True, True, False)
    ], done.stdout


def test_a_backfill_of_the_first_quarter_is_three_months():
    assert runs(TimeRestriction(START, at("2024-03-31"), catchup=True)) == [
        ("2024-01-01T00:00:00+00:00", "2024-01-31T00:00:00+00:00", "2024-01-31T00:00:00+00:00"),
        ("2024-02-01T00:00:00+00:00", "2024-02-29T00:00:00+00:00", "2024-02-29T00:00:00+00:00"),
        ("2024-03-01T00:00:00+00:00", "2024-03-31T00:00:00+00:00", "2024-03-31T00:00:00+00:00"),
    ]


@pytest.mark.parametrize(
    ("earliest", "latest", "months"),
    [
        ("2024-01-01", "2024-01-01", ["2024-01-31"]),  # Airflow names intervals by their start
        ("2024-01-02", "2024-02-29", ["2024-02-29"]),
        ("2024-01-15", "2024-03-01", ["2024-02-29", "2024-03-31"]),
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


def next_due(last: DagRunInfo | None) -> DagRunInfo:
    return TIMETABLE.next_dagrun_info_v2(last_dagrun_info=last, restriction=TimeRestriction(START, None, catchup=False))


def this_month() -> DateTime:
    return pendulum.now("UTC").start_of("month")


def months_ago(months: int, *, is_backfill: bool = False) -> DagRunInfo:
    start = this_month().subtract(months=months)
    interval = DataInterval(start, start.end_of("month").start_of("day"))
    return DagRunInfo(interval.end if is_backfill else start.add(months=1), interval)


@pytest.mark.parametrize("missed", [0, 1, 2, 3, 12])
def test_every_due_date_missed_since_the_schedules_last_run_is_made_good(missed):
    info = months_ago(missed + 1)
    for number in range(missed, -1, -1):  # the last one is this month's, which is not due yet
        info = next_due(info)
        month = this_month().subtract(months=number)
        assert info.data_interval == DataInterval(month, month.end_of("month").start_of("day"))
        assert info.run_after == month.add(months=1)
    assert info.run_after > pendulum.now("UTC")


def test_unpausing_for_the_first_time_starts_no_run_for_months_of_long_ago():
    assert next_due(None).data_interval.start == this_month()


@pytest.mark.parametrize(("months_since_last", "next_is"), [(1, 0), (2, 1), (3, 0), (31, 0)])
def test_a_backfill_of_months_of_long_ago_does_not_start_the_schedule_there(months_since_last, next_is):
    info = next_due(months_ago(months_since_last, is_backfill=True))
    assert info.data_interval.start == this_month().subtract(months=next_is)


def test_airflow_tells_a_backfills_run_from_a_scheduled_one():
    restriction = TimeRestriction(START, at("2024-01-31"), catchup=True)
    backfilled = TIMETABLE.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    assert backfilled.run_after == backfilled.data_interval.end
    assert next_due(backfilled).data_interval.start == this_month()


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


NOW = at("2024-07-10T09:30:00.123456")


def run_id(run_type: DagRunType, interval: DataInterval | None, run_after: DateTime = NOW) -> str:
    return TIMETABLE.generate_run_id(run_type=run_type, run_after=run_after, data_interval=interval)


def test_a_scheduled_runs_id_names_its_month():
    month = months_ago(0)
    as_of = month.data_interval.end.to_date_string()
    made = run_id(DagRunType.SCHEDULED, month.data_interval, month.run_after)
    assert made == f"scheduled__{as_of}"


def test_a_manual_runs_id_names_the_month_that_was_picked_and_stays_unique():
    interval = TIMETABLE.infer_manual_data_interval(run_after=at("2024-03-31"))
    made = run_id(DagRunType.MANUAL, interval)
    assert made == "manual__2024-03-31__2024-07-10T09:30:00.123456+00:00"
    assert run_id(DagRunType.MANUAL, interval, NOW.add(microseconds=1)) != made


@pytest.mark.parametrize(
    "interval",
    [
        None,  # no logical date: the param as_of names the month, and it is not to be seen here
        TIMETABLE.infer_manual_data_interval(run_after=NOW),  # the form's default; as_of may name another month
        TIMETABLE.infer_manual_data_interval(run_after=at("2024-02-29", "Europe/Athens")),  # January or February
        DataInterval(at("2024-01-01"), at("2024-01-30")),  # somebody's own
    ],
)
def test_the_id_of_a_run_whose_month_is_not_certain_names_none(interval):
    made = run_id(DagRunType.MANUAL, interval)
    assert made == "manual__2024-07-10T09:30:00.123456+00:00"
