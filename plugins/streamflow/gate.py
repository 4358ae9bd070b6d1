"""The audit before a month is published."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from streamflow import settings
from streamflow.drift import Key, read_bounds
from streamflow.plain import as_cell, show
from streamflow.refusal import RUN_AGAIN, Refusal, count, ends_task, wrap
from streamflow.sql import SqlStepOperator
from streamflow.tables import ROOT, tables_of
from streamflow.templating import last_row, render_task

log = logging.getLogger(__name__)

_MAX_EXAMPLES = 20  # lines of the log


class GateOperator(SqlStepOperator):
    """Pass the month, or say why not. If another run has sealed a month since the builds, they are built again first.

    Args:
        changes_sql: query for the changes that sealed months would get (templated).
        kwargs: arguments of SqlStepOperator.

    Returns (XCom):
        What :func:`audit` returns.

    Raises:
        TaskRefused: if rows refer to no user, or if sealed snapshots would change without ``restate``.
    """

    template_fields: Sequence[str] = (*SqlStepOperator.template_fields, "changes_sql")
    template_fields_renderers = SqlStepOperator.template_fields_renderers | {"changes_sql": "sql"}

    def __init__(self, *, changes_sql: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes_sql = changes_sql

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Query the database, and decide."""
        hook, state = self.get_db_hook(), super().execute(context)
        restate = context["params"]["restate"]
        if not state["is_current"]:
            self.log.info("Another run has sealed a month since the snapshots were built: building them again.")
            state = build_again(hook, state["as_of"], context["run_id"], restate)
        return audit(hook, self.conn_id, state, restate, self.changes_sql)


def build_again(hook: Any, as_of: str, run_id: str, restate: bool) -> dict[str, Any]:
    """Repeat the tasks ``snapshot``, based on what is sealed now; return the row that ``tasks/gate.sql`` returns."""
    sql = partial(render_task, as_of=as_of, run_id=run_id, restate=restate)
    for table in tables_of(as_of).values():
        hook.run(sql("tasks/snapshot.sql", table=table))
    return hook.run(sql("tasks/gate.sql"), handler=last_row)


def audit(hook: Any, conn_id: str, state: dict[str, Any], restate: bool, changes_sql: str) -> dict[str, Any]:
    """Report what is unusual about a month, and stop it if it must not be published.

    Args:
        hook: the database's hook.
        conn_id: its connection; the list of all changes goes to its reports folder.
        state: the row that ``tasks/gate.sql`` returns.
        restate: whether sealed snapshots may change.
        changes_sql: query for the changes that they would get.

    Returns:
        ``as_of``. ``month``: ``new``, ``late``, ``restated``, ``already sealed and unchanged``, or ``already sealed,
        without`` tables that this run adds. ``previous``: the nearest earlier sealed month. ``warnings``: one sentence
        for each thing that is unusual but allowed. ``builds``: the builds that passed; ``seal`` publishes no others.

    Raises:
        Refusal: if rows refer to no user, or if sealed snapshots would change without ``restate``.
    """
    report = settings.report_path(conn_id, state["as_of"], "changes.csv")
    report.unlink(missing_ok=True)  # written by an earlier attempt
    changes: list[dict[str, Any]] = state["sealed_changes"]
    examples: list[str] = []
    if changes and settings.shows_values():
        with closing(hook.get_conn()) as connection, connection.cursor(name="changes") as rows:
            connection.execute("set local datestyle = 'ISO'")
            examples = write_changes(rows.execute(changes_sql), report)
    if state["orphans"]:
        raise _orphans(state["orphans"])
    if changes and not restate:
        raise _would_change(state, examples, report)
    for line in _list(changes):
        log.info("Restating%s", line.removeprefix("  -"))
    warnings = _warnings(state, read_bounds(ROOT.name))
    for line in (line for warning in warnings for line in wrap(warning)):
        log.warning("%s", line)
    kind = _kind(state)
    log.info("The month %s passes the gate: %s.", state["as_of"], kind)
    return {name: state[name] for name in ("as_of", "previous", "builds")} | {"month": kind, "warnings": warnings}


def write_changes(rows: Iterable[Sequence[Any]], path: Path) -> list[str]:
    """Write all changes to a CSV file, and return those of the first few users as lines.

    Args:
        rows: the rows that ``parts/changed_cells.sql`` returns.
        path: the file; its folder is created if needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    users: set[str] = set()
    examples: list[str] = []
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


def _warnings(state: dict[str, Any], bounds: dict[Key, float]) -> list[str]:
    warnings = []
    if same := state["same_files_as"]:
        warnings.append(
            f"All files are identical to those of {same}: does this month's folder hold another month's files?"
        )
    before, gone = state["users_before"], state["users_gone"]
    if before and gone / before > bounds["users_gone_at_most"]:
        warnings.append(
            f"{gone} of the {before} users delivered for {state['previous']} are not in this delivery "
            f"(users_gone_at_most={bounds['users_gone_at_most']}): is {ROOT.file_name} truncated?"
        )
    return warnings


def _kind(state: dict[str, Any]) -> str:
    if state["is_sealed"]:
        if state["sealed_changes"]:
            return "restated"
        new = state["new_tables"]
        return f"already sealed, without {new}" if new else "already sealed and unchanged"
    if state["newest_sealed"] and state["newest_sealed"] > state["as_of"]:
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
            f"  - {rows['table_name']} of {rows['as_of']}: {count(rows['row_count'], 'row')}"
            + settings.sample(rows["examples"])
            for rows in orphans
        ),
        "Expected every user_id to be in the delivered users or in those of the nearest earlier month, in the same "
        "case and without white space around it.",
        "Nothing was written.",
        to_do=f"correct the files and {RUN_AGAIN}.",
    )


def _would_change(state: dict[str, Any], examples: list[str], report: Path) -> Refusal:
    as_of = state["as_of"]
    why = f"{as_of} is late"
    if state["is_sealed"]:
        new = state["new_tables"]
        why = f"{as_of} is sealed without {new}" if new else f"different files for {as_of}, which is sealed"
    if examples:
        shown = ["For example:", *examples, f"All of them: {report}"]
    elif settings.shows_values():
        shown = []  # only the list of columns that a file leaves out changes, and no row
    else:
        shown = ["Users and values are not shown (AIRFLOW__STREAMFLOW__SHOW_VALUES)."]
    return Refusal(
        f"Sealed snapshots would change: {why}.",
        *_list(state["sealed_changes"]),
        *shown,
        "Nothing was written.",
        to_do=f"if this is intended, run the month with the params as_of={as_of} and restate=true.",
    )
