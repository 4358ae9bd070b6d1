"""The first task: which month is this run for, and may it be?"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException

from streamflow.months import Month, MonthError, last_month_end

log = logging.getLogger(__name__)

_HOW_TO = (
    "Trigger it with the param as_of, for example "
    """--conf '{"as_of": "2024-01-31"}', or in the UI with a logical date and as_of left empty."""
)


def check_month(as_of: str, first_month: str, **context: Any) -> dict[str, str]:
    """Refuse a run that names no month that can have been delivered.

    Args:
        as_of: the run's param, empty if the data interval decides.
        first_month: the Airflow variable ``streamflow_first_month``, ``YYYY-MM``.
        context: Airflow's task context.

    Returns:
        The month's ``as_of`` and ``folder``.

    Raises:
        AirflowFailException: for a date that is no month end, one in the future or before the first month, a
            run without data interval, or one whose interval Airflow took from the clock.
    """
    try:
        month = month_of(as_of, context["dag_run"], context.get("data_interval_end"))
        folder = month.folder(first_month)
        if month.as_of > (today := dt.datetime.now(dt.UTC).date()):
            raise MonthError(f"as_of {month} lies in the future: today is {today} (UTC).")
    except MonthError as error:
        raise AirflowFailException(str(error)) from None
    log.info("This run is for the month that ends on %s: delivery %s.", month, folder)
    return {"as_of": str(month), "folder": folder}


def month_of(as_of: str | None, run: Any, interval_end: dt.datetime | None) -> Month:
    """Return the month that a run means.

    Args:
        as_of: the run's param, if it has a value.
        run: the run's record: ``run_type``, ``logical_date`` and ``run_after``.
        interval_end: the end of its data interval, if it has one.

    Raises:
        MonthError: if it names no month end, or its interval comes from the clock.
    """
    if as_of:
        return Month.parse(as_of)
    if interval_end is None:
        raise MonthError(f"this run has no data interval, so it names no month. {_HOW_TO}")
    day = interval_end.date()
    if run.run_type == "manual" and run.logical_date is not None:
        # `airflow dags trigger --logical-date` takes the interval from the time of triggering, not from that date
        meant = last_month_end(run.logical_date.date())
        if day != meant and day == last_month_end(run.run_after.date()):
            raise MonthError(
                f"this run's logical date is {run.logical_date.date()}, which means {meant}, but Airflow took its "
                f"data interval from the clock, which means {day}. {_HOW_TO}"
            )
    return Month.parse(day.isoformat())
