"""Deliveries for Hypothesis to draw: of a few users and months, with all that a file may hold or lack."""

from __future__ import annotations

import os

import pandas as pd
from hypothesis import strategies as st

from streamflow.tables import TABLES
from support.database import as_csv

SEQUENCES = int(os.environ.get("SEQUENCES", 60))  # how many histories a property is tried on; .ci/run draws more
MONTHS = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]
USERS = list("abcde")
VALUES = {
    "boolean": st.sampled_from(["true", "false", None]),
    "integer": st.sampled_from(["0", "3"]),
    # the last two are one number and two texts: a snapshot keeps what was delivered
    "numeric": st.sampled_from(["0", "7", "7.0", None]),
    "date": st.sampled_from(["2023-05-01", "2023-06-01"]),
    "text": st.sampled_from(["", "x,\"y'", None]),
}


@st.composite
def deliveries(draw) -> dict[str, pd.DataFrame]:
    """A delivery: each table with its own users, so that some are missing and some are orphans."""
    files = {}
    everyone = draw(st.sets(st.sampled_from(USERS), min_size=1))
    for table in TABLES.values():
        users = everyone if draw(st.booleans()) else draw(st.sets(st.sampled_from(sorted(everyone)), min_size=1))
        left_out = draw(st.sets(st.sampled_from(table.optional))) if table.optional else set()
        columns = [column for column in table.fields if column.name not in left_out]
        files[table.name] = pd.DataFrame(
            [
                {"user_id": user, **{column.name: draw(VALUES[column.type]) for column in columns}}
                for user in sorted(users)
            ],
            dtype=object,
        )
    return files


def as_files(delivery: dict[str, pd.DataFrame]) -> dict[str, bytes]:
    return {name: as_csv(frame.to_dict("records"), list(frame)) for name, frame in delivery.items()}
