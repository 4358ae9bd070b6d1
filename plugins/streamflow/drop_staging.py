"""The last step of a month: drops its staging tables."""

from __future__ import annotations

from typing import Any

from streamflow.refusal import NotYet, ends_task
from streamflow.seal import SEALED_MONTH
from streamflow.sql import SqlStepOperator
from streamflow.tables import TABLES
from streamflow.templating import last_row, render_task

_TRIES = 3  # attempts while other runs seal months


class DropStagingOperator(SqlStepOperator):
    """Drop the run's staging tables once all live tables are at the same month, and report the months that changed.

    The asset ``sealed_month`` gets an event for each month that was sealed or changed, with its ``as_of`` as the
    partition key, and none if nothing changed. This includes months that an earlier run of the same month sealed before
    it was killed.

    Each upsert brings its table to the month that is newest at that moment. If another run has sealed a month in
    between, all live tables are brought to it here, because that run may never get to its own upserts.

    Raises:
        TaskNotYet: if other runs seal months faster than live follows.
    """

    @ends_task
    def execute(self, context: Any) -> dict[str, Any] | None:
        """Check what the upserts returned, drop, and add the asset events."""
        live = context["ti"].xcom_pull(task_ids=[f"upsert.{table}" for table in TABLES])
        tries = 0
        while not _is_of_one_month(live):
            if tries == _TRIES:
                raise NotYet(f"Other runs sealed months {_TRIES} times while this run brought live to the newest one.")
            tries += 1
            self.log.info("Another run has sealed a month in the meantime: bringing live to it.")
            sql = [render_task("tasks/upsert.sql", "", table, run_id="") for table in TABLES.values()]
            live = [self.get_db_hook().run(one, handler=last_row) for one in sql]
        dropped = super().execute(context)
        months: set[str] = set()
        if dropped["months"] is not None:  # else another run has the month now, and adds the events when it ends
            # seal's XCom counts if an earlier attempt was killed after it had dropped everything
            sealed = context["ti"].xcom_pull(task_ids="seal") or {}
            months = {*dropped["months"], *(revision["as_of"] for revision in sealed.get("revisions", []))}
        if months:
            context["outlet_events"][SEALED_MONTH].add_partitions(sorted(months))
        else:
            self.outlets = []  # Airflow adds an event without a key to an outlet that got no partition
        return dropped


def _is_of_one_month(live: list[dict[str, Any] | None]) -> bool:
    """Whether all upserts have returned a result, and saw the same ledger."""
    said = [table for table in live if table]
    return len(said) == len(live) and len({table["ledger_rows"] for table in said}) == 1
