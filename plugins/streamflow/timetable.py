"""When a month is due, and which month a run means."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from pendulum import UTC, DateTime

from streamflow.months import last_month_end, month_end

if TYPE_CHECKING:
    from airflow.timetables.base import TimeRestriction


def _midnight(day: dt.date) -> DateTime:
    return DateTime(day.year, day.month, day.day, tzinfo=UTC)


def _interval(as_of: dt.date) -> DataInterval:
    return DataInterval(start=_midnight(as_of.replace(day=1)), end=_midnight(as_of))


def _next_month(day: dt.date) -> dt.date:
    """Return the first day of the month after ``day``'s."""
    return month_end(day) + dt.timedelta(days=1)


class MonthEndTimetable(Timetable):
    """One run a month, whose data interval goes from the month's first day to its last (UTC).

    So ``{{ data_interval_end | ds }}`` is the month's ``as_of``. The run becomes due when the month is over, at
    midnight of the first of the next one. A run that is asked for by date means the month that ends on that day,
    else the last one that ended before it.

    Args:
        start: the first day of the first month that is ever due by itself.
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
        """What the UI shows as the schedule."""
        return "monthly, after the month's last day"

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """Return the month that ends on ``run_after``'s day, else the last that ended before it."""
        return _interval(last_month_end(run_after.in_timezone(UTC).date()))

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the month after the last one, or the first one that ``restriction`` allows.

        Without catchup, a single missed due date is made good and a longer gap is left to a backfill: the next
        run is then the current month's. So unpausing starts no run for a month of long ago, which would wait
        for its folder and hold the only run slot.
        """
        if last_automated_data_interval is not None:
            first = _next_month(last_automated_data_interval.start.date())
        else:
            earliest = restriction.earliest or _midnight(self.start)
            if not restriction.catchup:  # a backfill says itself from when on
                earliest = max(earliest, _midnight(self.start))
            first = earliest.in_timezone(UTC).date()
            if earliest > _midnight(first.replace(day=1)):
                first = _next_month(first)
        if not restriction.catchup:
            this_month = DateTime.now(UTC).date().replace(day=1)
            newest_over = (this_month - dt.timedelta(days=1)).replace(day=1)
            if first < newest_over:
                first = this_month
        if restriction.latest is not None and _midnight(first) > restriction.latest:
            return None
        return DagRunInfo(run_after=_midnight(_next_month(first)), data_interval=_interval(month_end(first)))
