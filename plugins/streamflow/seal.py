"""The step that publishes a month, and reports the changed snapshots to other DAGs as asset events."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow.sdk import Asset, AssetAlias

from streamflow.approval import DecisionNeeded, may_restate
from streamflow.gate import audit, build_again
from streamflow.refusal import NotYet, ends_task
from streamflow.sql import SqlStepOperator
from streamflow.tables import TABLES, Table
from streamflow.templating import render_task

SEALED = AssetAlias("streamflow_snapshots")
"""Stands for the snapshot assets that a run has changed. A plain outlet would be updated by every run."""

SEALED_MONTH = Asset("sealed_month", uri="streamflow://sealed_month")
"""Has an event per month that was sealed or changed, when live is up to date. Its partition key is the ``as_of``."""

_TRIES = 3  # attempts while other runs seal months
_TOLD = (
    "as_of",
    "revision",
    "delivered",
    "inserted",
    "updated",
    "unchanged",
    "carried_forward",
    "snapshot_rows",
)


def asset_of(table: Table) -> Asset:
    """Return the asset of a table's snapshots, on which other DAGs can be scheduled."""
    return Asset(table.snapshots, uri=f"streamflow://{table.snapshots}")


class SealOperator(SqlStepOperator):
    """Seal the month, and add an asset event for each revision that the run has written to the ledger.

    An event's extra has the revision's ``as_of``, number, and counts. A run that changes nothing adds no event. If
    another run has sealed a month since the snapshots were built, or if they are not the builds that the gate passed,
    they are built and audited again here.

    Args:
        as_of: the month (templated).
        kwargs: arguments of SqlStepOperator.

    Raises:
        TaskRefused: if the new builds must not be published.
        TaskNotYet: if other runs seal months faster than this one can build.
    """

    template_fields: Sequence[str] = (*SqlStepOperator.template_fields, "as_of")

    def __init__(self, *, as_of: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.as_of = as_of

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Seal the month, and add the asset events."""
        import psycopg

        for tries_left in reversed(range(_TRIES)):
            try:
                sealed = super().execute(context)
                break
            except psycopg.errors.SerializationFailure as overtaken:
                if not tries_left:
                    raise NotYet(
                        f"Other runs sealed months {_TRIES} times while this run built its snapshots."
                    ) from None
                self.log.info("%s: building them again.", overtaken.diag.message_primary)
                self._build_again(context)
        events = context["outlet_events"][SEALED]
        for revision in sealed["revisions"]:
            asset = asset_of(TABLES[revision["table_name"]])
            events.add(asset, extra={name: revision[name] for name in _TOLD})
        return sealed

    def _build_again(self, context: Any) -> None:
        """Repeat the tasks ``snapshot`` and ``gate``, based on what is sealed now."""
        restate = context["params"]["restate"]
        sql = partial(render_task, as_of=self.as_of, run_id=context["run_id"], restate=restate)
        hook = self.get_db_hook()
        state = build_again(hook, self.as_of, context["run_id"], restate)
        try:
            passed = audit(hook, self.conn_id, state, may_restate(context), sql("parts/changed_cells.sql"))
        except DecisionNeeded as needed:  # an approval was about the builds before
            raise needed.refusal(context, self.as_of) from None
        self.sql = sql("tasks/seal.sql", gate=passed)
