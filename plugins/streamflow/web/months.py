"""Months × tables: where each month stands, from the ledger, the log of validations, and the DAG's runs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from streamflow.tables import TABLES, tables_of
from streamflow.web.database import Row
from streamflow.web.runs import MonthRun, tasks_by_table

STATES = {
    "sealed": "sealed",
    "waiting": "waiting for files",
    "asking": "waiting for approval",
    "queued": "queued",
    "running": "running",
    "failed": "failed",
    "open": "not sealed",
}
"""What a month's state is called on the pages."""


@dataclass
class Cell:
    """A table in a month.

    Attributes:
        revision: the newest in the ledger; None if the table is not sealed for the month.
        rows: of the sealed snapshot.
        delivered: rows of the sealed file, else of the file that was validated last.
        warnings: how many the ledger has, else the last validation.
        failed: how many rules the last validation has found broken, if it failed.
        is_checked: whether the log has a validation.
        step: what the newest run is doing, or has failed at.
    """

    revision: int | None = None
    rows: int | None = None
    delivered: int | None = None
    warnings: int = 0
    failed: int = 0
    is_checked: bool = False
    step: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for ``months.json``."""
        return {
            "revision": self.revision,
            "rows": self.rows,
            "delivered": self.delivered,
            "warnings": self.warnings,
            "broken_rules": self.failed,
            "step": self.step or None,
        }


@dataclass
class MonthStatus:
    """Where a month stands.

    Attributes:
        as_of: the month.
        tables: a cell for each table that the month has.
        folder: the delivery, as far as one is known.
        sealed_at: when the newest revision was sealed.
        run: the newest run, if there is one.
        is_archived: whether its snapshots are only in the archive.
    """

    as_of: str
    tables: dict[str, Cell]
    folder: str = ""
    sealed_at: dt.datetime | None = None
    run: MonthRun | None = field(default=None)
    is_archived: bool = False

    @property
    def is_sealed(self) -> bool:
        """Whether the ledger has it."""
        return self.sealed_at is not None

    @property
    def revision(self) -> int:
        """The highest revision of its tables; 0 if it is not sealed."""
        return max((cell.revision or 0 for cell in self.tables.values()), default=0)

    @property
    def warnings(self) -> int:
        """The warnings of all its tables."""
        return sum(cell.warnings for cell in self.tables.values())

    @property
    def state(self) -> str:
        """One of ``STATES``."""
        if self.is_sealed:
            return "sealed"
        return self.run.kind if self.run and self.run.kind != "done" else "open"

    @property
    def says(self) -> str:
        """What its newest run has to say, if that is not done."""
        if not self.run or not self.run.says:
            return ""
        return f"newest run {self.run.says}" if self.is_sealed else self.run.says

    def as_json(self) -> dict[str, Any]:
        """Return it for ``months.json``."""
        return {
            "as_of": self.as_of,
            "folder": self.folder or None,
            "state": self.state,
            "revision": self.revision or None,
            "sealed_at": self.sealed_at and self.sealed_at.isoformat(),
            "is_archived": self.is_archived,
            "run": self.run
            and {
                "run_id": self.run.run_id,
                "state": self.run.state,
                "failed": self.run.failed,
                "missing": self.run.missing if self.run.kind == "waiting" else [],
                "asks": self.run.asks,
            },
            "tables": {name: cell.as_json() for name, cell in self.tables.items()},
        }


def month_statuses(sealed: list[Row], checked: list[Row], runs: dict[str, MonthRun]) -> list[MonthStatus]:
    """Return where each month stands that is sealed, was validated, or has a run; the newest first.

    Args:
        sealed: what ``pages/sealed.sql`` returns.
        checked: what ``pages/checked.sql`` returns.
        runs: the newest run of each month.
    """
    names = {str(row["as_of"]) for row in [*sealed, *checked]} | set(runs)
    months = {
        name: MonthStatus(name, {table: Cell() for table in tables_of(name)}, run=runs.get(name))
        for name in sorted(names, reverse=True)
    }
    for row in checked:
        month = months[str(row["as_of"])]
        if cell := month.tables.get(row["table_name"]):
            cell.is_checked = True
            cell.delivered, cell.warnings = row["delivered"], row["warned"]
            cell.failed = 0 if row["is_passed"] else row["failed"]
            month.folder = row["folder"]
    for row in sealed:
        month = months[str(row["as_of"])]
        month.folder = row["folder"]
        month.is_archived |= row["is_archived"]
        month.sealed_at = max(filter(None, (month.sealed_at, row["sealed_at"])))
        if cell := month.tables.get(row["table_name"]):
            cell.revision, cell.rows = row["revision"], row["snapshot_rows"]
            cell.delivered, cell.warnings = row["delivered"], row["warnings"]
    for month in months.values():
        for table, steps in tasks_by_table(month.run).items() if month.run else ():
            if cell := month.tables.get(table):
                cell.step = _step(steps)
    return list(months.values())


def _step(steps: dict[str, str]) -> str:
    """Return the step of a table that matters: one that has failed, else one that is under way."""
    for state, said in (("failed", "failed at"), ("up_for_retry", "trying again"), ("running", "running"), ("", "")):
        for step, found in steps.items():
            if found == state:
                return f"{said} {step}"
    return ""


def all_tables() -> list[str]:
    """Return the names of the tables, in the order of the pages."""
    return list(TABLES)


# what a revision may differ in from the one before, and what that is called
_FIGURES = {
    "delivered": "delivered rows",
    "snapshot_rows": "snapshot rows",
    "carried_forward": "rows carried forward",
    "suppressed": "rows of erased users left out",
}


def changes_of_revision(before: Row, revision: Row) -> list[str]:
    """Say what a restatement or an erasure has changed in the ledger, a short text each."""
    said = ["users were erased"] if revision["kind"] == "erasure" else []
    if before["file_sha256"] != revision["file_sha256"]:
        said.append("another file")
    if before["not_delivered"] != revision["not_delivered"]:
        said.append(f"left out: {', '.join(revision['not_delivered']) or 'no column'}")
    for figure, called in _FIGURES.items():
        if before[figure] != revision[figure]:
            said.append(f"{called}: {before[figure]:,} → {revision[figure]:,}")
    for kind, called in (("mean", "mean of"), ("not_null", "share of values in")):
        old, new = before["profile"].get(kind, {}), revision["profile"].get(kind, {})
        for column in sorted({*old, *new}):
            if old.get(column) != new.get(column):
                said.append(f"{called} {column}: {number(old.get(column))} → {number(new.get(column))}")
    if before["snapshot_checksum"] != revision["snapshot_checksum"]:
        said.append("rows of the snapshot")
    return said or ["nothing that the ledger keeps"]


def number(value: float | None) -> str:
    """Return a number with four digits; a dash if there is none."""
    if value is None:
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
