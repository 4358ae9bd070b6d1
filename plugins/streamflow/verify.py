"""Is everything as it was sealed?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook

from streamflow.settings import sample


class Difference(NamedTuple):
    """One thing that is not as it was sealed.

    Attributes:
        relation: the table.
        as_of: the month.
        expected: what the ledger, or for live the newest snapshot, says.
        found: what the table holds.
        users: some of the users whose rows differ, if they are known.
    """

    relation: str
    as_of: str
    expected: str
    found: str
    users: list[str]

    def __str__(self) -> str:
        found = self.found + sample([f"user_id {user}" for user in self.users])
        return f"{self.relation} of {self.as_of}: expected {self.expected}; found {found}"


def find_differences(conn_id: str, sql: str) -> list[Difference]:
    """Run ``verify.sql`` and return every difference; before the first month there is nothing that could differ.

    Args:
        conn_id: connection of the database.
        sql: the rendered file.
    """
    with closing(PostgresHook(conn_id).get_conn()) as connection, connection.cursor() as cursor:
        if cursor.execute("select to_regclass('public.deliveries')").fetchone() == (None,):
            return []
        connection.rollback()  # the file chooses how its transaction is isolated
        cursor.execute(sql)
        while cursor.nextset():
            pass
        return [Difference(*row) for row in cursor.fetchall()]


class VerifyOperator(BaseOperator):
    """Recompute counts and checksums of every snapshot and compare live with the newest one; it only reads.

    Args:
        sql: ``verify.sql`` (templated).
        conn_id: connection of the database.

    Raises:
        AirflowFailException: naming every difference.
    """

    template_fields: Sequence[str] = ("sql",)
    template_fields_renderers = {"sql": "sql"}
    template_ext: Sequence[str] = (".sql",)
    ui_color = "#d5e8f0"

    def __init__(self, *, sql: str, conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.conn_id = conn_id

    def execute(self, context: Any) -> None:
        """Compare, and name what differs."""
        if differences := find_differences(self.conn_id, self.sql):
            raise AirflowFailException(
                f"{len(differences)} differences from what was sealed:\n"
                + "".join(f"  - {difference}\n" for difference in differences)
                + "Somebody wrote to these tables other than by this pipeline. Running a month with restate=true "
                "builds its snapshots, and live, from its files again."
            )
        self.log.info("Everything is as it was sealed.")
