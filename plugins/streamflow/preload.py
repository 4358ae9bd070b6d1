"""Great Expectations, imported once in the scheduler for all the tasks that its LocalExecutor forks.

Its import takes seconds of CPU, which each of a month's six validations would pay for itself.
"""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl
from airflow.providers.common.compat.sdk import conf

from streamflow.process import is_airflow


@hookimpl
def on_starting(component: Any) -> None:
    """Import it in a scheduler whose tasks are its own forks; other components have no use for it."""
    # a job that starts does not say yet which it is
    if is_airflow("scheduler") and "LocalExecutor" in conf.get("core", "executor"):
        from streamflow.suite import great_expectations

        great_expectations()
