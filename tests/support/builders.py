"""Deliveries for a few users."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from streamflow import settings
from streamflow.months import Month
from streamflow.tables import TABLES
from support.database import as_csv

JANUARY, FEBRUARY, MARCH = "2024-01-31", "2024-02-29", "2024-03-31"


def delivery(*users: str, without: tuple[str, ...] = TABLES["subscriptions"].optional, **values) -> dict[str, bytes]:
    """A delivery of all six files for ``users``; ``values`` are columns' values, ``without`` columns left out."""
    defaults = defaultdict(lambda: 1) | {
        "signup_date": "2023-05-01",
        **dict.fromkeys(("user_is_senior", "has_family", "has_dependents", "paperless_billing", "churn_label"), "True"),
        **dict.fromkeys(("plan_stream_tv", "plan_stream_movies", *TABLES["subscriptions"].optional)),
    }
    return {
        table.name: as_csv(
            [
                {"user_id": user, **{column: values.get(column, defaults[column]) for column in table.columns}}
                for user in users
            ],
            ["user_id", *(column for column in table.columns if column not in without)],
        )
        for table in TABLES.values()
    }


# folders with other names


def named(folder: Path, as_of: str, first_month: str = "2024-01") -> Path:
    """Give a month folder the name that the setting says."""
    return folder.rename(folder.with_name(Month.parse(as_of).folder(first_month, settings.month_folder())))
