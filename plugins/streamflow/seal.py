"""The step that seals a month, and tells other DAGs which snapshots are new."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, AssetAlias

from streamflow.sql import SqlStepOperator
from streamflow.tables import TABLES, Table

SEALED = AssetAlias("streamflow_snapshots")
"""Stands for those of the snapshots' assets that a run has changed: a plain outlet is updated by every run."""

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
    """Seal the month, and add an event to a snapshot's asset for each revision that the run has written to the ledger.

    An event's extra has the revision's ``as_of``, number and counts. A run that changes nothing adds no event.
    """

    def execute(self, context: Any) -> dict[str, Any]:
        """Seal, and tell."""
        sealed = super().execute(context)
        events = context["outlet_events"][SEALED]
        for revision in sealed["revisions"]:
            asset = asset_of(TABLES[revision["table_name"]])
            events.add(asset, extra={name: revision[name] for name in _TOLD})
        return sealed
