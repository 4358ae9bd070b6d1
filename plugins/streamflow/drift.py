"""How much a delivery may differ from the previous month: the bounds, and what they allow in a given month."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamflow.spec import in_words, read_json
from streamflow.tables import TABLES, TABLES_FOLDER, Table

BOUNDS = TABLES_FOLDER / "bounds.json"

Key = Literal["rows_at_least", "null_share_change_at_most", "mean_change_at_most", "users_gone_at_most"]
KEYS = get_args(Key)
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Bounds(BaseModel):
    """The content of ``bounds.json``.

    Attributes:
        what: one sentence per key, for readers.
        defaults: one bound per key.
        tables: bounds of single tables that override the defaults.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    what: dict[Key, str] = {}
    defaults: dict[Key, Share]
    tables: dict[str, dict[Key, Share]] = {}

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if missing := [key for key in KEYS if key not in self.defaults]:
            raise ValueError(f"defaults: expected {', '.join(KEYS)}; {', '.join(missing)} not found")
        if unknown := [table for table in self.tables if table not in TABLES]:
            raise ValueError(f"tables: expected some of {', '.join(TABLES)}; found {', '.join(unknown)}")
        return self


def read_bounds(table: str) -> dict[Key, float]:
    """Return a table's bounds: the defaults of ``bounds.json``, overridden by the table's own.

    Returns:
        ``rows_at_least``, share of the previous month's rows below which a file counts as truncated;
        ``null_share_change_at_most``, in shares of the rows; ``mean_change_at_most``, relative to the previous mean;
        ``users_gone_at_most``, share of the users delivered in the previous month.

    Raises:
        TablesError: if the file is not valid; names the key, what was expected, and what was found.
    """
    said = read_json(BOUNDS, "bounds on how much a delivery may differ from the previous month")
    try:
        bounds = Bounds.model_validate(said)
    except ValidationError as invalid:
        raise in_words(BOUNDS, said, invalid) from None
    return bounds.defaults | bounds.tables.get(table, {})


def suite_parameters(
    table: Table, bounds: dict[Key, float], before: dict[str, Any] | None, left_out: Sequence[str]
) -> dict[str, Any]:
    """Return the values of a suite's parameters: the table's columns, and the limits from the previous month.

    Args:
        table: the table.
        bounds: its bounds.
        before: ``delivered`` and ``profile`` of the nearest earlier sealed month; None if there is none.
        left_out: optional columns that the delivery does not have; a column that comes or goes is not drift.

    Returns:
        ``columns``, all of the table's with the key; ``rows_min``, and for each column ``<column>_mean_min``,
        ``…_mean_max``, ``…_not_null_min``, and ``…_not_null_max``; None if there is nothing to compare with, which
        Great Expectations treats as no bound.
    """
    profile = before["profile"] if before else {}
    parameters: dict[str, Any] = {
        "columns": [*table.all_columns],
        "rows_min": max(1, math.ceil(before["delivered"] * bounds["rows_at_least"])) if before else 1,
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


def parameters_in_words(table: Table, bounds: dict[Key, float]) -> dict[str, str]:
    """Return the same parameters, and ``as_of``, in words: for documentation, which has no month."""
    change, points = f"{bounds['mean_change_at_most']:.0%}", f"{bounds['null_share_change_at_most']:g}"
    words = {
        "as_of": "the month's last day",
        "columns": "those of table.yaml",
        "rows_min": f"{bounds['rows_at_least']:.0%} of the previous month's",
    }
    for column in table.columns:
        words |= {
            f"{column}_mean_min": f"the previous month's minus {change}",
            f"{column}_mean_max": f"the previous month's plus {change}",
            f"{column}_not_null_min": f"the previous month's minus {points}",
            f"{column}_not_null_max": f"the previous month's plus {points}",
        }
    return words
