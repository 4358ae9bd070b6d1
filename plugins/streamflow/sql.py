"""The SQL steps of the month."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from streamflow.refusal import RUN_AGAIN, Refusal, ends_task


class SqlStepOperator(SQLExecuteQueryOperator):
    """Airflow's own operator; what a statement raises by itself (``staging.require``) is a refusal, not a crash.

    Raises:
        TaskRefused: with the message and, as what to do, the hint of the exception that the statement raised.
    """

    @ends_task
    def execute(self, context: Any) -> Any:
        """Run the statements."""
        import psycopg

        try:
            return super().execute(context)
        except psycopg.errors.RaiseException as error:
            raise as_refusal(error) from None
        except psycopg.errors.ForeignKeyViolation:  # its own message would show a user_id
            raise Refusal(
                "Rows would refer to no user: another run has sealed or restated a month since this one's gate.",
                "This task has written nothing.",
                to_do=f"{RUN_AGAIN}.",
            ) from None


def as_refusal(error: Any) -> Refusal:
    """Return what a statement has raised by itself as a refusal.

    Args:
        error: a ``psycopg.errors.RaiseException``; its message has a fact per line.
    """
    return Refusal(*error.diag.message_primary.splitlines(), to_do=error.diag.message_hint or "")
