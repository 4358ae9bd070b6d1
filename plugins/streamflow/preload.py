"""Great Expectations, imported once in the scheduler for all the tasks that its LocalExecutor forks.

Its import takes seconds of CPU, which each of a month's validations would pay for itself: under the scheduler that
is more than a tenth of the month. It is done by the lifecycle listener that Airflow documents (``on_starting``).
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.listeners import hookimpl
from airflow.sdk import conf


@hookimpl
def on_starting(component: Any) -> None:
    """Import it in a scheduler whose tasks are its own forks; other components have no use for it."""
    # a job that starts does not say yet which it is; the command does
    if sys.argv[1:2] == ["scheduler"] and "LocalExecutor" in conf.get("core", "executor"):
        from streamflow.suite import great_expectations

        great_expectations()
