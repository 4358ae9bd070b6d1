"""The last step of a month."""

from __future__ import annotations

from typing import Any

from streamflow.refusal import NotYet, ends_task
from streamflow.sql import SqlStepOperator
from streamflow.tables import TABLES
from streamflow.templating import last_row, render_task

_TRIES = 3  # as long as other runs seal months meanwhile


class DropStagingOperator(SqlStepOperator):
    """Drop what the run has in staging, once all live tables are at the same month.

    Each upsert brings its table to the month that is the newest then. If another run has sealed one in between, they
    are brought there once more, here: that run may never come to it.

    Raises:
        TaskNotYet: if other runs seal months faster than live follows.
    """

    @ends_task
    def execute(self, context: Any) -> dict[str, Any] | None:
        """Look at what the upserts have said, and drop."""
        live = context["ti"].xcom_pull(task_ids=[f"upsert.{table}" for table in TABLES])
        tries = 0
        while not _is_of_one_month(live):
            if tries == _TRIES:
                raise NotYet(f"Other runs have sealed months {_TRIES} times while live was brought to the newest one.")
            tries += 1
            self.log.info("Another run has sealed a month meanwhile: live is brought to it.")
            sql = [render_task("tasks/upsert.sql", "", table, run_id="") for table in TABLES.values()]
            live = [self.get_db_hook().run(one, handler=last_row) for one in sql]
        return super().execute(context)


def _is_of_one_month(live: list[dict[str, Any] | None]) -> bool:
    """Whether all upserts have said what they did, and had the same ledger before them."""
    return all(live) and len({table["ledger_rows"] for table in live}) == 1
