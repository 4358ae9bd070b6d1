"""Deliveries for Hypothesis to draw: of a few users and months, with all that a file may hold or lack."""

from __future__ import annotations

import os

import pandas as pd
from hypothesis import strategies as st

from streamflow.tables import TABLES, tables_of
from support import oracle
from support.database import Database, Refused, as_csv

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


def is_refused(
    accepted: oracle.Accepted,
    month: str,
    delivery: dict[str, pd.DataFrame],
    states: oracle.States,
    after: oracle.States,
    restate: bool,
) -> bool:
    """Whether the pipeline must refuse a delivery, which would turn ``states`` into ``after``."""
    other_columns = month in accepted and any(
        list(accepted[month][one]) != list(delivery[one]) for one in tables_of(month)
    )
    return oracle.has_orphans(after) or (not restate and (other_columns or oracle.changes_sealed(states, after)))


def load(
    database: Database, month: str, files: dict[str, bytes], restate: bool, killed_after: int | None, refused: bool
) -> tuple[bool, bool]:
    """Load a month, killed after so many steps; return whether it was sealed, and whether live follows it.

    It must be refused if ``refused`` says so, and else go through.
    """
    sealed = completed = False
    try:
        for number, step in enumerate(database.steps(month, files, restate), start=1):
            sealed = sealed or step == "seal"
            completed = step in (f"upsert {list(TABLES)[-1]}", "drop_staging")
            if number == killed_after:
                break
    except Refused:
        assert refused
    else:
        assert sealed == (not refused) or killed_after
    return sealed, completed


def contents(database: Database) -> dict[str, list[tuple]]:
    """The rows of live and snapshots, as texts."""
    held = {}
    for table in TABLES.values():
        for name, extra in ((table.name, ()), (table.snapshots, ("as_of", "source_as_of"))):
            columns = ", ".join(f"{column}::text" for column in ("user_id", *table.columns, *extra))
            held[name] = sorted(database.query(f"select {columns} from {name}"), key=repr)
    return held
