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
    months = [j for j in sorted(accepted) if j <= k and table.is_delivered(j)]
    deliveries = [accepted[j][table.name].assign(source_as_of=j) for j in months]
    newest = pd.concat(deliveries).groupby("user_id").tail(1).set_index("user_id")
    newest = newest.reindex(columns=[*table.columns, "source_as_of"])
    for column in table.optional:
        given = [D[["user_id", column]] for D in deliveries if column in D]
        if given:
            newest[column] = pd.concat(given).groupby("user_id").tail(1).set_index("user_id")[column]
    return newest.astype(object).where(newest.notna(), None).sort_index()


def states(accepted: Accepted) -> States:
    """state(k) of every table and accepted month that has it."""
    return {
        table.name: {k: state(accepted, table, k) for k in sorted(accepted) if table.is_delivered(k)}
        for table in TABLES.values()
    }


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
        not set(rows.index) <= set(states[table.refers_to][k].index)
        for table in TABLES.values()
        if table.refers_to
        for k, rows in states[table.name].items()
    )


def changes_sealed(before: States, after: States) -> bool:
    """Whether a snapshot of ``before`` is another one in ``after``."""
    return any(not rows.equals(after[name][k]) for name, by_month in before.items() for k, rows in by_month.items())


Revision = tuple[str, str, int, str, int, int, int, int, int, int]
"""as_of, table, revision, file_sha256, delivered, inserted, updated, unchanged, carried_forward, snapshot_rows"""


class Ledger:
    """What the ledger holds: a revision for each snapshot that a run seals, changes, or restates from another file."""

    def __init__(self) -> None:
        self.revisions: dict[tuple[str, str], list[Revision]] = {}

    def record(self, month: str, sha256: dict[str, str], before: States, after: States, restate: bool) -> None:
        """Add what an accepted run of ``month`` adds.

        Args:
            month: the run's month.
            sha256: of the run's files, by table.
            before: the states of the months that were sealed before it.
            after: the states with it.
            restate: whether the run restates; if not, other bytes that say the same are no change.
        """
        for table, by_month in after.items():
            for k, rows in by_month.items():
                known = self.revisions.setdefault((k, table), [])
                file = sha256[table] if k == month else known[-1][3]
                is_new = not known
                is_changed = not is_new and not before[table][k].equals(rows)
                is_refiled = k == month and restate and not is_new and known[-1][3] != file
                if is_new or is_changed or is_refiled:
                    earlier = [rows for j, rows in by_month.items() if j < k]
                    known.append((k, table, len(known) + 1, file, *_counts(k, rows, earlier[-1] if earlier else None)))

    def erase(self, before: States, after: States) -> None:
        """Add what an erasure adds: a revision, counted again, for each snapshot that has lost a row.

        Args:
            before: the states with the users.
            after: the states without them.
        """
        for table, by_month in after.items():
            for k, rows in by_month.items():
                if len(rows) < len(before[table][k]):
                    known = self.revisions[k, table]
                    earlier = [rows for j, rows in by_month.items() if j < k]
                    counted = _counts(k, rows, earlier[-1] if earlier else None)
                    known.append((k, table, len(known) + 1, known[-1][3], *counted))

    def rows(self) -> list[Revision]:
        """All revisions, sorted."""
        return sorted(one for known in self.revisions.values() for one in known)


def _counts(k: str, rows: pd.DataFrame, previous: pd.DataFrame | None) -> tuple[int, int, int, int, int, int]:
    known = {} if previous is None else {row[0]: row[1:-1] for row in previous.itertuples(name=None)}
    delivered = [row for row in rows.itertuples(name=None) if row[-1] == k]
    inserted = sum(row[0] not in known for row in delivered)
    updated = sum(row[0] in known and known[row[0]] != row[1:-1] for row in delivered)
    unchanged = len(delivered) - inserted - updated
    return len(delivered), inserted, updated, unchanged, len(rows) - len(delivered), len(rows)
