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
        month = Month.parse(as_of or _interval_end(context))
        folder = month.folder(first_month)
        if month.as_of > (today := dt.datetime.now(dt.UTC).date()):
            raise MonthError(f"as_of {month} lies in the future: today is {today} (UTC).")
    except MonthError as error:
        raise AirflowFailException(str(error)) from None
    log.info("This run is for the month that ends on %s: delivery %s.", month, folder)
    return {"as_of": str(month), "folder": folder}


def _interval_end(context: dict[str, Any]) -> str:
    run = context["dag_run"]
    end = context.get("data_interval_end")
    if end is None:
        raise MonthError(f"this run has no data interval, so it names no month. {_HOW_TO}")
    if run.run_type == "manual" and run.logical_date is not None:
        # `airflow dags trigger --logical-date` takes the interval from the time of triggering, not from that date
        meant = last_month_end(run.logical_date.date())
        if end.date() != meant and end.date() == last_month_end(run.run_after.date()):
            raise MonthError(
                f"this run's logical date is {run.logical_date.date()}, which means {meant}, but Airflow took its "
                f"data interval from the clock, which means {end.date()}. {_HOW_TO}"
            )
    return end.date().isoformat()
