"""When a month's run is due, and which month a run is for."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import conf
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from airflow.utils.types import DagRunType
from pendulum import UTC, DateTime

from streamflow.months import last_month_end, month_end

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction

WEST, EAST = dt.timedelta(hours=-12), dt.timedelta(hours=14)  # the range of UTC offsets


def _midnight(day: dt.date) -> DateTime:
    return DateTime(day.year, day.month, day.day, tzinfo=UTC)


def _interval(as_of: dt.date) -> DataInterval:
    return DataInterval(start=_midnight(as_of.replace(day=1)), end=_midnight(as_of))


def _next_month(day: dt.date) -> dt.date:
    """Return the first day of the month after ``day``'s."""
    return month_end(day) + dt.timedelta(days=1)


def _day_that_begins(instant: dt.datetime) -> dt.date | None:
    """Return the day that begins at ``instant`` in UTC, or else in Airflow's ``[core] default_timezone``."""
    name = conf.get("core", "default_timezone")
    # mypy may take the function for pendulum's module of the same name
    own = pendulum.local_timezone() if name == "system" else pendulum.timezone(name)  # type: ignore[operator, unused-ignore]
    for zone in (UTC, own):
        local = instant.astimezone(zone)
        if local.time() == dt.time():
            return local.date()
    return None


def months_meant(instant: dt.datetime) -> list[dt.date]:
    """Return the month ends that a person may mean who picked ``instant`` as a day in their own time zone.

    Airflow passes on only the instant. If it is midnight in UTC or in Airflow's own zone (the command line's), it means
    that day. Otherwise it may come from a browser in any zone, whose calendar keeps the time of day when a day is
    clicked. It may then mean any day that it is at that instant somewhere on earth. Usually these days mean the same
    month. If not, both months are returned, in order.
    """
    if day := _day_that_begins(instant):
        return [last_month_end(day)]
    utc = instant.astimezone(UTC)
    return sorted({last_month_end((utc + offset).date()) for offset in (WEST, EAST)})


def interval_meant(instant: dt.datetime) -> DataInterval:
    """Return the month that ``instant`` means. If it may mean two, return an empty interval, which names no month."""
    months = months_meant(instant)
    return _interval(months[0]) if len(months) == 1 else DataInterval.exact(pendulum.instance(instant))


def _day_of_bound(instant: dt.datetime) -> dt.date:
    """Return the day that a person picked as a backfill's first or last day.

    ``instant`` is the day's midnight, or its end, in some time zone. Between 10:00 and 12:00 UTC an instant is the
    midnight of two days: the earlier one in the far west (Honolulu), the later one in the far east (Auckland). The
    earlier day is returned, so that a backfill of whole months has the same months in every zone.
    """
    if instant.minute % 15 == 14:  # the form ends a day at 23:59:59.999; UTC offsets are multiples of 15 minutes
        return _day_of_bound(instant.replace(second=0, microsecond=0) + dt.timedelta(minutes=1)) - dt.timedelta(days=1)
    if day := _day_that_begins(instant):
        return day
    return (instant.astimezone(UTC) - WEST - dt.timedelta(microseconds=1)).date()


class MonthEndTimetable(Timetable):
    """One run per month, whose data interval goes from the month's first day to its last day (UTC).

    ``{{ data_interval_end | ds }}`` is therefore the month's ``as_of``. The run is due at midnight on the first of the
    next month. A run triggered for a date is for the month that ends on that day, or else for the last month that
    ended before it. A backfill run has its ``as_of`` as logical date, which the UI shows.

    Args:
        start: the first day of the first month that the schedule runs.
    """

    description = "At 00:00 UTC on the first of each month, for the month that has just ended"

    def __init__(self, start: dt.date) -> None:
        self.start = dt.date(start.year, start.month, start.day)

    def serialize(self) -> dict[str, Any]:
        """Return the arguments, for the serialized DAG."""
        return {"start": self.start.isoformat()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> MonthEndTimetable:
        """Return the timetable that ``serialize`` described."""
        return cls(dt.date.fromisoformat(data["start"]))

    @property
    def summary(self) -> str:
        """The schedule, as the UI shows it."""
        return "monthly, after the month's last day"

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the month that ends on the day of ``run_after``, or else the last month that ended before it.

        If that depends on the time zone (``months_meant``), the interval is the instant itself, and ``check_month``
        rejects the run. If this raised an error, the API would return status 500.
        """
        return interval_meant(run_after)

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: DateTime, data_interval: DataInterval | None, **extra: Any
    ) -> str:
        """Return an id that names the run's month, if the month is certain: ``scheduled__2024-03-31``.

        The id of a manual run also has the time, because a month may be run many times. It names no month if the
        interval comes from the clock: the param ``as_of``, which is not known here, probably names another month.
        (Airflow makes the id of a backfill run itself, from the run's date.)
        """
        month = data_interval and data_interval.end.date()
        if month and data_interval == _interval(month) and month == month_end(month):
            if run_type == DagRunType.SCHEDULED:
                return run_type.generate_run_id(suffix=str(month))
            if run_type == DagRunType.MANUAL and data_interval != interval_meant(run_after):
                return run_type.generate_run_id(suffix=f"{month}__{run_after.isoformat()}")
        return super().generate_run_id(run_type=run_type, run_after=run_after, data_interval=data_interval, **extra)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return what ``next_dagrun_info_v2`` returns after a scheduled run."""
        last = last_automated_data_interval
        info = last and DagRunInfo(run_after=_midnight(_next_month(last.start.date())), data_interval=last)
        return self.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction)

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the month after the last one, or the first one that ``restriction`` allows.

        The schedule catches up, month by month, on every due date missed since its own last run. Its first run, or its
        first run after a backfill, is for last month if that is the next one, otherwise for the current month. Older
        months need a backfill: without their folders, their runs would only wait.
        """
        is_schedule = not restriction.catchup  # a backfill sets catchup
        if last_dagrun_info is not None and (last := last_dagrun_info.data_interval):
            first = _next_month(last.start.date())
            goes_on = last_dagrun_info.run_after > last.end  # they are equal in a backfill run
        else:
            first = _day_of_bound(restriction.earliest) if restriction.earliest else self.start
            if is_schedule:  # a backfill names its own first month
                first = max(first, self.start)
            if first.day > 1:
                first = _next_month(first)
            goes_on = False
        if is_schedule and not goes_on:
            this_month = DateTime.now(UTC).date().replace(day=1)
            newest_over = (this_month - dt.timedelta(days=1)).replace(day=1)
            if first < newest_over:
                first = this_month
        if restriction.latest is not None and first > _day_of_bound(restriction.latest):
            return None
        interval = _interval(month_end(first))
        return DagRunInfo(_midnight(_next_month(first)) if is_schedule else interval.end, interval)
