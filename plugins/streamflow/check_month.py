"""The first task: finds the month that the run is for, and rejects invalid ones."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from streamflow import settings
from streamflow.months import Month, MonthError
from streamflow.refusal import ends_task
from streamflow.timetable import interval_meant, months_meant

log = logging.getLogger(__name__)

NAME_IT = (
    'trigger a run with the param as_of ("Month end" in the UI\'s form), '
    """by command: --conf '{"as_of": "2024-01-31"}'"""
)


@ends_task
def check_month(as_of: str, first_month: str, **context: Any) -> dict[str, str]:
    """Return the run's month and its folder; reject a month that cannot have been delivered.

    Args:
        as_of: the run's param, empty if the data interval decides.
        first_month: the Airflow variable ``streamflow_first_month``, ``YYYY-MM``.
        context: Airflow's task context.

    Returns:
        The month's ``as_of`` and ``folder``.

    Raises:
        TaskRefused: if the date is not a month end, in the future, or before the first month; if the run has no data
            interval, its logical date may mean two months, or Airflow took its interval from the clock; or if the
            setting ``month_folder`` is not a valid pattern.
    """
    month = month_of(as_of, context["dag_run"], context.get("data_interval_end"))
    folder = month.folder(first_month, settings.month_folder())
    if month.as_of > (today := dt.datetime.now(dt.UTC).date()):
        raise MonthError(f"as_of {month} is in the future.", f"Today is {today} (UTC).", to_do=NAME_IT)
    log.info("This run is for the month that ends on %s: delivery %s.", month, folder)
    return {"as_of": str(month), "folder": folder}


def month_of(as_of: str | None, run: Any, interval_end: dt.datetime | None) -> Month:
    """Return the month that a run is for.

    Args:
        as_of: the run's param, if it has a value.
        run: the run's record: ``run_type``, ``logical_date`` and ``run_after``.
        interval_end: the end of its data interval, if it has one.

    Raises:
        MonthError: if it has no interval or its date is not a month end, its logical date may mean two months, or its
            interval comes from the clock.
    """
    if as_of:
        return Month.parse(as_of)
    if interval_end is None:
        raise MonthError("This run has no data interval, so it names no month.", to_do=NAME_IT)
    if run.run_type not in ("scheduled", "backfill") and run.logical_date is not None:
        _check_logical_date(run, interval_end)
    return Month.parse(interval_end.date().isoformat())


def _check_logical_date(run: Any, interval_end: dt.datetime) -> None:
    """Reject a run unless its logical date can only mean the month of its data interval."""
    meant = months_meant(run.logical_date)
    date = f"This run's logical date is {run.logical_date:%Y-%m-%d %H:%M} UTC"
    if interval_end == run.logical_date and len(meant) > 1:
        raise MonthError(
            f"{date}, which is a different day in different time zones.",
            f"It means {meant[0]} in one time zone and {meant[1]} in another.",
            to_do=f"trigger a run with the param as_of, {meant[0]} or {meant[1]}",
        )
    # `airflow dags trigger --logical-date` computes the interval from the time of triggering, not from that date
    from_the_clock = interval_meant(run.run_after).end
    if interval_end == from_the_clock != interval_meant(run.logical_date).end:
        raise MonthError(
            f"{date}, which means {' or '.join(map(str, meant))}.",
            f"Airflow took its data interval from the clock: it ends on {interval_end.date()}.",
            to_do=NAME_IT,
        )
