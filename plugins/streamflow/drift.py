"""How much a delivery may differ from the month before: bounds as data, and what they allow a given month."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from streamflow.tables import TABLES_FOLDER, Table

BOUNDS = TABLES_FOLDER / "bounds.json"


def read_bounds(table: str) -> dict[str, float]:
    """Return a table's bounds: the defaults of ``bounds.json``, overridden by what it says of the table.

    Returns:
        ``rows_at_least``, share of the month before's rows below which a file counts as truncated;
        ``null_share_change_at_most``, in shares of the rows; ``mean_change_at_most``, relative to the mean before;
        ``users_gone_at_most``, share of the users delivered the month before.
    """
    bounds = json.loads(BOUNDS.read_text())
    return bounds["defaults"] | bounds["tables"].get(table, {})


def suite_parameters(
    table: Table, bounds: dict[str, float], before: dict[str, Any] | None, left_out: Sequence[str]
) -> dict[str, Any]:
    """Return the run-time values of a suite's parameters that compare with the month before.

    Args:
        table: which of the six tables.
        bounds: its bounds.
        before: ``delivered`` and ``profile`` of the nearest earlier sealed month; None if there is none.
        left_out: optional columns that the delivery does not have; that they come or go is no drift.

    Returns:
        ``rows_min``, and for each column ``<column>_mean_min``, ``…_mean_max``, ``…_not_null_min`` and
        ``…_not_null_max``; None where there is nothing to compare with, which Great Expectations takes for no bound.
    """
    profile = before["profile"] if before else {}
    parameters: dict[str, Any] = {
        "rows_min": max(1, math.ceil(before["delivered"] * bounds["rows_at_least"])) if before else 1
    }
    for column in table.columns:
        mean = profile.get("mean", {}).get(column)
        share = profile.get("not_null", {}).get(column) if column not in left_out else None
        mean_slack = abs(mean) * bounds["mean_change_at_most"] if mean is not None else None
        share_slack = bounds["null_share_change_at_most"]
        parameters |= {
            f"{column}_mean_min": None if mean is None else mean - mean_slack,
            f"{column}_mean_max": None if mean is None else mean + mean_slack,
            f"{column}_not_null_min": None if share is None else max(0.0, share - share_slack),
            f"{column}_not_null_max": None if share is None else min(1.0, share + share_slack),
        }
    return parameters
