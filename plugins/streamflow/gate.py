"""The audit before a month is published."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from streamflow import settings
from streamflow.drift import read_bounds
from streamflow.plain import as_cell, show
from streamflow.refusal import RUN_AGAIN, Refusal, count, ends_task, wrap
from streamflow.sql import SqlStepOperator

_MAX_EXAMPLES = 20  # lines of the log


class GateOperator(SqlStepOperator):
    """Let the month through, or say why not. Read-only.

    Args:
        changes_sql: query for what would change in sealed months (templated).
        bounds: path of the bounds on what may differ from the month before.
        as_of: the month (templated).
        restate: whether sealed snapshots may change (templated; ``true`` or ``false``).
        kwargs: SqlStepOperator's.

    Returns (XCom):
        ``as_of``, ``month`` (new, unchanged, late or restated), ``previous``, the nearest earlier sealed month,
        ``warnings``, a sentence for each thing that is odd but let through, and ``builds``, which no others are sealed
        for.

    Raises:
        TaskRefused: if rows refer to no user, or if sealed snapshots would change without ``restate``.
    """

    template_fields: Sequence[str] = (*SqlStepOperator.template_fields, "changes_sql", "as_of", "restate")
    template_fields_renderers = SqlStepOperator.template_fields_renderers | {"changes_sql": "sql"}
    ui_color = "#f3e3c3"

    def __init__(self, *, changes_sql: str, bounds: str | Path, as_of: str, restate: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes_sql = changes_sql
        self.bounds = str(bounds)
        self.as_of = as_of
        self.restate = restate

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Ask the database, and decide."""
        report = settings.report_path(self.conn_id, self.as_of, "changes.csv")
        report.unlink(missing_ok=True)  # what an earlier try has found
        found = super().execute(context)
        audit(self.get_db_hook(), found, self.restate == "true", self.changes_sql, report)
        for line in _list(found["sealed_changes"]):
            self.log.info("Restating%s", line.removeprefix("  -"))
        warnings = _warnings(found, read_bounds(self.bounds, "users"))
        for line in (line for warning in warnings for line in wrap(warning)):
            self.log.warning("%s", line)
        kind = _kind(found)
        self.log.info("The gate is open: %s is %s.", found["as_of"], kind)
        passed = {name: found[name] for name in ("as_of", "previous", "builds")}
        return passed | {"month": kind, "warnings": warnings}


def audit(hook: Any, found: dict[str, Any], restate: bool, changes_sql: str, report: Path) -> None:
    """Stop a month that must not be published.

    Args:
        hook: of the database.
        found: what ``tasks/gate.sql`` returns.
        restate: whether sealed snapshots may change.
        changes_sql: query for what would change in them.
        report: the CSV file that lists all of it.

    Raises:
        Refusal: if rows refer to no user, or if sealed snapshots would change without ``restate``.
    """
    changes, examples = found["sealed_changes"], []
    if changes and settings.shows_values():
        with closing(hook.get_conn()) as connection, connection.cursor(name="changes") as rows:
            examples = write_changes(rows.execute(changes_sql), report)
    if found["orphans"]:
        raise _orphans(found["orphans"])
    if changes and not restate:
        raise _would_change(found, examples, report)


def write_changes(rows: Iterable[Sequence[Any]], path: Path) -> list[str]:
    """Write what would change to a CSV file, and return the changes of the first few users as lines.

    Args:
        rows: what ``parts/changed_cells.sql`` returns.
        path: the file, in a folder that is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    users: set[str] = set()
    examples = []
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["as_of", "table", "user_id", "what", "column", "was", "would_be"])
        for as_of, table, user, what, column, was, would_be in rows:
            shown = ["" if value is None else as_cell(value) for value in (was, would_be)]
            writer.writerow([as_of, table, as_cell(user), what, column, *shown])
            if user in users or len(users) < settings.SAMPLES:
                users.add(user)
                if len(examples) < _MAX_EXAMPLES:
                    examples.append(
                        f"  - {as_of} {table}, user_id {show(user)}, {column}: was {show(was)}, "
                        f"would be {show(would_be)}"
                    )
    return examples


def _warnings(found: dict[str, Any], bounds: dict[str, float]) -> list[str]:
    warnings = []
    if same := found["same_files_as"]:
        warnings.append(
            f"All six files are those of {same}, byte for byte: is it the wrong month's folder under this month's name?"
        )
    before, gone = found["users_before"], found["users_gone"]
    if before and gone / before > bounds["users_gone_at_most"]:
        warnings.append(
            f"{gone} of the {before} users delivered for {found['previous']} are not in this delivery "
            f"(users_gone_at_most={bounds['users_gone_at_most']}): is users.csv truncated?"
        )
    return warnings


def _kind(found: dict[str, Any]) -> str:
    if found["is_sealed"]:
        return "restated" if found["sealed_changes"] else "sealed already and unchanged"
    if found["newest_sealed"] and found["newest_sealed"] > found["as_of"]:
        return "late"
    return "new"


def _list(changes: list[dict[str, Any]]) -> list[str]:
    return [
        f"  - {change['as_of']} {change['table_name']}: {count(change['row_count'], 'row')} {change['what']}"
        for change in changes
    ]


def _orphans(orphans: list[dict[str, Any]]) -> Refusal:
    return Refusal(
        "Rows without a user:",
        *(
            f"  - {found['table_name']} of {found['as_of']}: {count(found['row_count'], 'row')}"
            + settings.sample([show(user) for user in found["examples"]])
            for found in orphans
        ),
        "Expected: every user_id is in the delivered users or in those of the nearest earlier month, in the same case "
        "and without white space around it.",
        "Nothing was written.",
        to_do=f"correct the files and {RUN_AGAIN}.",
    )


def _would_change(found: dict[str, Any], examples: list[str], report: Path) -> Refusal:
    as_of = found["as_of"]
    why = f"other files for {as_of}, which is sealed" if found["is_sealed"] else f"{as_of} comes late"
    if examples:
        shown = ["For example:", *examples, f"All of them: {report}"]
    elif settings.shows_values():
        shown = []  # columns that a file leaves out, or no longer does, and no row changes
    else:
        shown = ["Users and values are not shown (AIRFLOW__STREAMFLOW__SHOW_VALUES)."]
    return Refusal(
        f"Sealed snapshots would change: {why}.",
        *_list(found["sealed_changes"]),
        *shown,
        "Nothing was written.",
        to_do=f"if that is right, run the month with the params as_of={as_of} and restate=true.",
    )
