"""Operators for the SQL steps of the month."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk.exceptions import AirflowSkipException

from streamflow.refusal import ends_task
from streamflow.tables import Table
from streamflow.templating import last_row, render


class SqlStepOperator(SQLExecuteQueryOperator):
    """Airflow's SQL operator, in which an exception raised by a statement (``staging.assert_true``) is a refusal.

    All statements of the file run in one transaction. The log shows them once, and ends with what they return.

    Args:
        table: the table that the file is for; templates see it as ``task.table``.
        kwargs: arguments of SQLExecuteQueryOperator.

    Returns (XCom):
        The row that the last statement selects, as column name to value.

    Raises:
        TaskRefused: with the message of the exception that the statement raised, and its hint as what to do.
        TaskNotYet: if rows refer to users who are not in live yet, because another run has not upserted them yet.
    """

    conn_id: str  # the operator may do without, a step has one

    def __init__(self, *, table: Table | None = None, **kwargs: Any) -> None:
        defaults: dict[str, Any] = {"handler": last_row, "hook_params": {"log_sql": False}, "split_statements": False}
        super().__init__(**defaults | kwargs)
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
    """Create a table's empty staging table. In months before the table's first one, skip this and the next steps.

    Args:
        table: the table.
        as_of: the month (templated).
        kwargs: arguments of SqlStepOperator.
    """

    template_fields: Sequence[str] = (*SqlStepOperator.template_fields, "as_of")

    def __init__(self, *, table: Table, as_of: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table: Table = table
        self.as_of = as_of

    @ends_task
    def execute(self, context: Any) -> dict[str, Any] | None:
        """Run the statements, or skip."""
        if not self.table.is_delivered(self.as_of):
            raise AirflowSkipException(f"{self.table.name} is delivered since {self.table.since}.")
        return super().execute(context)


class PrepareOperator(SqlStepOperator):
    """Install the schema if the database does not have this version of it, then run the file.

    The schema is not part of the file, because its statement is longer than the UI shows. A database that has this
    version is left alone, so the DAG's user does not need the right to change the schema.
    """

    @ends_task
    def execute(self, context: Any) -> dict[str, Any] | None:
        """Install the schema and run the file."""
        self.get_db_hook().run(render("schema.sql"))
        return super().execute(context)
