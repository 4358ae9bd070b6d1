"""Imports Great Expectations once in the scheduler, for all tasks that its LocalExecutor forks.

The import takes seconds of CPU. Otherwise each validation of a month would pay for it, which is more than a tenth of a
month under the scheduler. Airflow's documented lifecycle listener (``on_starting``) does the import.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.listeners import hookimpl
from airflow.sdk import conf


@hookimpl
def on_starting(component: Any) -> None:
    """Import it in a scheduler that forks its tasks; other components do not need it."""
    # a starting job does not know its type yet; the command line has it
    if sys.argv[1:2] == ["scheduler"] and "LocalExecutor" in conf.get("core", "executor"):
        from streamflow.suite import great_expectations

        great_expectations()
