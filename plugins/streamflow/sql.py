"""The SQL steps of the month."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk.exceptions import AirflowSkipException

from streamflow.refusal import ends_task
from streamflow.tables import Table
from streamflow.templating import last_row, render


class SqlStepOperator(SQLExecuteQueryOperator):
    """Airflow's own operator; what a statement raises by itself (``staging.assert_true``) is a refusal, not a crash.

    All statements of the file are one transaction. The log has them once, and ends with what they return.

    Args:
        table: the table that the file is for; templates see it as ``task.table``.
        kwargs: SQLExecuteQueryOperator's.

    Returns (XCom):
        The row that the last statement selects, as column name to value.

    Raises:
        TaskRefused: with the message and, as what to do, the hint of the exception that the statement raised.
        TaskNotYet: if rows refer to users who are not in live yet, as another run is about to bring them there.
    """

    def __init__(self, *, table: Table | None = None, **kwargs: Any) -> None:
        super().__init__(**{"handler": last_row, "hook_params": {"log_sql": False}, "split_statements": False} | kwargs)
        self.table = table

    @ends_task
    def execute(self, context: Any) -> dict[str, Any] | None:
        """Run the statements."""
        found = super().execute(context)
        for name, value in (found or {}).items():
            if value != "" and not isinstance(value, list | dict):
                self.log.info("%s: %s", name, value)
        return found


class StageOperator(SqlStepOperator):
    """Make a table's empty staging table; skip it, and the steps after it, in months before the table's first one.

    Args:
        as_of: the month (templated).
        kwargs: SqlStepOperator's.
    """

    template_fields: Sequence[str] = (*SqlStepOperator.template_fields, "as_of")

    def __init__(self, *, as_of: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.as_of = as_of

    @ends_task
    def execute(self, context: Any) -> dict[str, Any] | None:
        """Run the statements, or skip."""
        if not self.table.is_delivered(self.as_of):
            raise AirflowSkipException(f"{self.table.name} is delivered since {self.table.since}.")
        return super().execute(context)


class PrepareOperator(SqlStepOperator):
    """Install the schema if the database does not have this version of it, then run the file.

    The schema is not a part of the file, as its statement is longer than the UI shows; a database that has it is left
    alone, so the DAG's own user need not be allowed to change it.
    """

    @ends_task
    def execute(self, context: Any) -> dict[str, Any] | None:
        """Install and run."""
        self.get_db_hook().run(render("schema.sql"))
        return super().execute(context)
