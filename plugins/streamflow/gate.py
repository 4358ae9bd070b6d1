"""The audit before a month is published."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from streamflow import settings
from streamflow.approval import (
    MAX_CELLS,
    DecisionNeeded,
    ask,
    can_ask,
    is_own_approval,
    may_restate,
    read_answer,
)
from streamflow.drift import Key, read_bounds
from streamflow.plain import as_cell, show
from streamflow.refusal import RUN_AGAIN, Refusal, count, ends_task, wrap
from streamflow.sql import SqlStepOperator
from streamflow.tables import ROOT, tables_of
from streamflow.templating import last_row, render_task

log = logging.getLogger(__name__)

_MAX_EXAMPLES = 20  # lines of the log


class GateOperator(SqlStepOperator):
    """Pass the month, ask a person, or say why not.

    If sealed snapshots would change, or a rule marked ``ask`` is broken, a person is asked (*Required Actions* in the
    UI), unless the run has ``restate``. The task waits in the state ``awaiting_input``, without a slot. The answer is
    about the builds of the question: if there are others by then, they are audited, and if needed a person is asked
    again. Under ``airflow dags test`` no one can answer, so the task fails.

    If another run has sealed a month since the builds, they are built again first.

    Args:
        changes_sql: query for the changes that sealed months would get (templated).
        question_sql: statement that adds a question to the log (templated).
        kwargs: arguments of SqlStepOperator.

    Returns (XCom):
        What :func:`audit` returns, and ``approval`` (``by``, ``at``, ``why``) if a person has approved.

    Raises:
        TaskRefused: if rows refer to no user; if there is something to decide and no one can be asked; if a person
            rejects the month, or no one answers in time.
        TaskAwaitingInput: if a person is asked.
    """

    template_fields: Sequence[str] = (*SqlStepOperator.template_fields, "changes_sql", "question_sql")
    template_fields_renderers = SqlStepOperator.template_fields_renderers | {
        "changes_sql": "sql",
        "question_sql": "sql",
    }

    def __init__(self, *, changes_sql: str, question_sql: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes_sql = changes_sql
        self.question_sql = question_sql

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Query the database, and decide or ask a person."""
        return self._decide(context, self._current(context, super().execute(context)))

    @ends_task
    def execute_complete(self, context: Any, event: dict[str, Any], builds: str) -> dict[str, Any]:
        """Continue with a person's answer.

        Args:
            context: Airflow's task context.
            event: the answer as Airflow passes it on.
            builds: the builds that the question was about.
        """
        approval = read_answer(event)
        state = self._current(context, self.get_db_hook().run(self.sql, handler=last_row))
        if is_own_approval(context, approval):
            self.log.warning("%s has started the run, so someone else has to approve it.", approval.by)
        elif state["builds"] != builds:
            self.log.warning("The snapshots have been built again since the question was asked.")
        else:
            self.log.info("Approved by %s: %s", approval.by, approval.why or "no reason given")
            return self._audit(state, restate=True) | {"approval": approval.as_xcom()}
        return self._decide(context, state)

    def _current(self, context: Any, state: Any) -> dict[str, Any]:
        """Return what ``tasks/gate.sql`` says of the builds, after they are built again if that is needed."""
        if state["is_current"]:
            return state
        self.log.info("Another run has sealed a month since the snapshots were built: building them again.")
        return build_again(self.get_db_hook(), state["as_of"], context["run_id"], context["params"]["restate"])

    def _decide(self, context: Any, state: dict[str, Any]) -> dict[str, Any]:
        """Return what the audit returns, or ask a person if there is something to decide."""
        try:
            return self._audit(state, may_restate(context))
        except DecisionNeeded as raised:
            needed = raised
        if not can_ask(context):
            raise needed.refusal(context, state["as_of"])
        for line in needed.lines:
            self.log.warning("%s", line)
        self.get_db_hook().run(self.question_sql, parameters=needed.as_parameters(state["builds"]))
        self.log.info("Waiting for a person's answer (Required Actions).")
        ask(context, state["as_of"], needed, state["builds"])

    def _audit(self, state: dict[str, Any], restate: bool) -> dict[str, Any]:
        return audit(self.get_db_hook(), self.conn_id, state, restate, self.changes_sql)


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
        restate: whether sealed snapshots may change, and rules marked ``ask`` may be broken.
        changes_sql: query for the changes that they would get.

    Returns:
        ``as_of``. ``month``: ``new``, ``late``, ``restated``, ``already sealed and unchanged``, or ``already sealed,
        without`` tables that this run adds. ``previous``: the nearest earlier sealed month. ``warnings``: one sentence
        for each thing that is unusual but allowed. ``builds``: the builds that passed; ``seal`` publishes no others.

    Raises:
        Refusal: if rows refer to no user.
        DecisionNeeded: if sealed snapshots would change, or a rule marked ``ask`` is broken, and may not.
    """
    report = settings.report_path(conn_id, state["as_of"], "changes.csv")
    report.unlink(missing_ok=True)  # written by an earlier attempt
    changes: list[dict[str, Any]] = state["sealed_changes"]
    examples: list[str] = []
    cells: list[Sequence[Any]] = []
    if changes and settings.shows_values():
        with closing(hook.get_conn()) as connection, connection.cursor(name="changes") as rows:
            connection.execute("set local datestyle = 'ISO'")
            all_cells = iter(rows.execute(changes_sql))
            cells = [*islice(all_cells, MAX_CELLS)]
            examples = write_changes(chain(cells, all_cells), report)
    if state["orphans"]:
        raise _orphans(state["orphans"])
    if (changes or state["asks"]) and not restate:
        raise _decision(state, examples, cells, report)
    for change in _list(changes):
        log.info("Restating %s", change)
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
        f"{change['as_of']} {change['table_name']}: {count(change['row_count'], 'row')} {change['what']}"
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


def _decision(state: dict[str, Any], examples: list[str], cells: list[Sequence[Any]], report: Path) -> DecisionNeeded:
    as_of, changes, asks = state["as_of"], state["sealed_changes"], state["asks"]
    reasons = []
    if changes:
        why = f"{as_of} is late"
        if state["is_sealed"]:
            new = state["new_tables"]
            why = f"{as_of} is sealed without {new}" if new else f"different files for {as_of}, which is sealed"
        reasons.append(f"Sealed snapshots would change: {why}.")
    if asks:
        reasons.append(f"{as_of} breaks {count(len(asks), 'rule')} that a person decides about.")
    if examples:
        shown = ["For example:", *examples, f"All of them: {report}"]
    elif not changes or settings.shows_values():
        shown = []  # a rule, or only the list of columns that a file leaves out: no row changes
    else:
        shown = ["Users and values are not shown (AIRFLOW__STREAMFLOW__SHOW_VALUES)."]
    return DecisionNeeded(" ".join(reasons), [*_list(changes), *asks], shown, cells)
