"""What the contract says the database holds, from DESIGN.md's definition and from nothing else.

D(m) is the last accepted delivery of month m; state(k) has for every user the row of the D(j) with the greatest
j <= k that has the user. An optional column that D(j) left out has the value of the newest earlier delivery of the
user that did not.
"""

from __future__ import annotations

import pandas as pd

from streamflow.tables import TABLES, Table

Accepted = dict[str, dict[str, pd.DataFrame]]  # as_of -> table -> the delivered rows, values as text or None
States = dict[str, dict[str, pd.DataFrame]]  # table -> as_of -> state


def state(accepted: Accepted, table: Table, k: str) -> pd.DataFrame:
    """state(k) of a table: indexed by user_id, with live's columns and source_as_of."""
    deliveries = [D[table.name].assign(source_as_of=j) for j, D in sorted(accepted.items()) if j <= k]
    newest = pd.concat(deliveries).groupby("user_id").tail(1).set_index("user_id")
    newest = newest.reindex(columns=[*table.columns, "source_as_of"])
    for column in table.optional:
        given = [D[["user_id", column]] for D in deliveries if column in D]
        if given:
            newest[column] = pd.concat(given).groupby("user_id").tail(1).set_index("user_id")[column]
    return newest.astype(object).where(newest.notna(), None).sort_index()


def states(accepted: Accepted) -> States:
    """state(k) of every table and accepted month."""
    return {table.name: {k: state(accepted, table, k) for k in sorted(accepted)} for table in TABLES.values()}


def contents(states: States) -> dict[str, list[tuple]]:
    """All live and snapshot tables as sorted rows of text."""
    held: dict[str, list[tuple]] = {}
    for table in TABLES.values():
        by_month = states[table.name]
        held[table.snapshots] = sorted(
            ((*row[:-1], k, row[-1]) for k, rows in by_month.items() for row in rows.itertuples(name=None)), key=repr
        )
        head = list(by_month.values())[-1:]
        held[table.name] = sorted((row[:-1] for rows in head for row in rows.itertuples(name=None)), key=repr)
    return held


def has_orphans(states: States) -> bool:
    """Whether some month has a row without its user."""
    return any(
        not set(rows.index) <= set(states["users"][k].index)
        for by_month in states.values()
        for k, rows in by_month.items()
    )


def changes_sealed(before: States, after: States) -> bool:
    """Whether a snapshot of ``before`` is another one in ``after``."""
    return any(not rows.equals(after[name][k]) for name, by_month in before.items() for k, rows in by_month.items())
