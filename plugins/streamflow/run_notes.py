"""A run's note names its month, as the id of a run that was triggered with ``as_of`` cannot.

Airflow makes the id before it sees the params, and a task has no way to change a run's note. So a listener writes it,
in the scheduler, when the run starts.
"""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl

DAG_ID = "streamflow_monthly_ingest"


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    """Give a run of the month its note, unless it has one, or means no month: ``check_month`` will say why.

    Args:
        dag_run: the run's row, in the scheduler's own session, which saves the note with the run's state.
        msg: why it is called.
    """
    if dag_run.dag_id != DAG_ID or dag_run.note:
        return
    from streamflow.alerts import run_month
    from streamflow.months import MonthError

    try:
        month = run_month(dag_run)
    except MonthError:
        return
    dag_run.note = f"Month {month}{', restate' if (dag_run.conf or {}).get('restate') else ''}"
