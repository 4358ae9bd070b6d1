"""The last look before anything of a month is written outside staging."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook

from streamflow.drift import read_bounds
from streamflow.settings import sample
from streamflow.templating import last_row


class GateOperator(BaseOperator):
    """Let the month through, or say why not.

    Args:
        sql: ``gate.sql``, rendered for the month (templated). It runs in a transaction that is rolled back.
        warn_sql: statement that puts warnings on record (templated).
        bounds: path of the bounds on what may differ from the month before.
        restate: whether sealed snapshots may change (templated; ``true`` or ``false``).
        conn_id: connection of the database.

    Returns (XCom):
        ``as_of``, ``month`` (new, unchanged, late or restated), ``previous``, the nearest earlier sealed month, and
        ``warnings``, a sentence for each thing that is odd but let through.

    Raises:
        AirflowFailException: if rows refer to no user, or if sealed snapshots would change without ``restate``.
    """

    template_fields: Sequence[str] = ("sql", "warn_sql", "restate")
    template_fields_renderers = {"sql": "sql", "warn_sql": "sql"}
    template_ext: Sequence[str] = (".sql",)
    ui_color = "#f3e3c3"

    def __init__(
        self, *, sql: str, warn_sql: str, bounds: str | Path, restate: str, conn_id: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.warn_sql = warn_sql
        self.bounds = str(bounds)
        self.restate = restate
        self.conn_id = conn_id

    def execute(self, context: Any) -> dict[str, Any]:
        """Ask the database, and decide."""
        import psycopg

        try:
            hook = PostgresHook(self.conn_id)
            with closing(hook.get_conn()) as connection, connection.cursor() as cursor:
                cursor.execute(self.sql)
                found = last_row(cursor)
                connection.rollback()
        except psycopg.errors.RaiseException as error:
            raise AirflowFailException(error.diag.message_primary) from None
        if found["orphans"]:
            raise AirflowFailException(_explain_orphans(found["orphans"]))
        changes = found["sealed_changes"]
        if changes and self.restate != "true":
            raise AirflowFailException(_explain_sealed(found["as_of"], found["is_sealed"], changes))
        if changes:
            self.log.info("Restating sealed months: %s.", _count(changes))
        warnings = _warnings(found, read_bounds(self.bounds, "users"))
        for warning in warnings:
            self.log.warning(warning)
        hook.run(self.warn_sql, parameters={"warnings": warnings})
        kind = _kind(found)
        self.log.info("The gate is open: %s is %s.", found["as_of"], kind)
        return {"as_of": found["as_of"], "month": kind, "previous": found["previous"], "warnings": warnings}


def _warnings(found: dict[str, Any], bounds: dict[str, float]) -> list[str]:
    warnings = []
    if same := found["same_files_as"]:
        warnings.append(
            f"All six files are those of {same}, byte for byte: is it the wrong month's folder under this month's name?"
        )
    before, gone = found["users"]["before"], found["users"]["gone"]
    if before and gone / before > bounds["users_gone_at_most"]:
        warnings.append(
            f"{gone} of the {before} users delivered for {found['previous']} are not in this delivery "
            f"(users_gone_at_most={bounds['users_gone_at_most']}): is users.csv truncated?"
        )
    return warnings


def _kind(found: dict[str, Any]) -> str:
    if found["is_sealed"]:
        return "restated" if found["sealed_changes"] else "sealed already and unchanged"
    if found["newest_sealed"] and found["newest_sealed"] > found["as_of"]:
        return "late"
    return "new"


def _count(changes: list[dict[str, Any]]) -> str:
    return "; ".join(
        f"{change['as_of']} {change['table_name']}: {change['row_count']} rows {change['what']}" for change in changes
    )


def _explain_orphans(orphans: list[dict[str, Any]]) -> str:
    found = "; ".join(
        f"{one['table_name']} of {one['as_of']}: {one['row_count']} rows"
        + sample([repr(user) for user in one["examples"]])
        for one in orphans
    )
    return (
        "Every user_id must be in the delivered users or in those of the nearest earlier month, in the same case and "
        f"without white space around it. Without a user: {found}. Nothing was written. Correct the files and run the "
        "month again."
    )


def _explain_sealed(as_of: str, is_sealed: bool, changes: list[dict[str, Any]]) -> str:
    why = f"other files for {as_of}, which is sealed" if is_sealed else f"{as_of} comes late"
    return (
        f"Sealed snapshots would change ({why}): {_count(changes)}. Nothing was written. "
        f"If that is right, run the month with the params as_of={as_of} and restate=true."
    )
