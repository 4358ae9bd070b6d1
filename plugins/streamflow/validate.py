"""Validates every row of a staged table against its Great Expectations suite, inside the database."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.providers.standard.hooks.filesystem import FSHook
from airflow.sdk import BaseOperator

from streamflow import settings
from streamflow.bad_cells import find_lines
from streamflow.delivery import delivery_at
from streamflow.drift import read_bounds, suite_parameters
from streamflow.findings import Finding, as_json, describe, examples, exception, missing_columns, profile
from streamflow.forms import as_csv
from streamflow.page import write_page
from streamflow.places import below
from streamflow.plain import printable
from streamflow.refusal import RUN_AGAIN, NotYet, Refusal, count, ends_task, wrap
from streamflow.suite import run_suite
from streamflow.tables import Table
from streamflow.web.link import ValidationLink


class ValidateOperator(BaseOperator):
    """Validate one staged table. A broken critical rule fails the task; a broken warning is only reported.

    A file that the month was sealed with passes again, and rules that would fail it are reported as warnings. It fails
    only if it lacks a column that the table has gained since.

    Args:
        table: which of the tables.
        as_of: the month (templated); the suites' parameter ``as_of``.
        suite: path of the suite, in Great Expectations' serialized form.
        fs_conn_id: connection whose path holds the month folders; the file is read for the lines of broken rows.
        staged_sql: query for the staged file's record and the month before (templated).
        log_sql: statement that adds the result to the log of validations, passed or failed (templated).
        passed_sql: statement that marks this file as validated when the suite has passed (templated).
        conn_id: connection of the database.

    Returns (XCom):
        ``rules``: how many were checked. ``warnings``: one text per broken rule of severity warning, and one if the
        file has changed since it was staged. ``report``: the page with all results.

    Raises:
        TaskRefused: if a critical rule is broken; names the table, the rule, the column, the number of rows and, for a
            few rows, the line, user, and value. Also if nothing is staged, or if the table was loaded again during
            validation. Not retried.
        TaskNotYet: if the connection to the database was lost; retried.
    """

    template_fields: Sequence[str] = ("as_of", "staged_sql", "log_sql", "passed_sql")
    template_fields_renderers = {"staged_sql": "sql", "log_sql": "sql", "passed_sql": "sql"}
    template_ext: Sequence[str] = (".sql",)
    operator_extra_links = (ValidationLink(),)

    def __init__(
        self,
        *,
        table: Table,
        as_of: str,
        suite: str | Path,
        fs_conn_id: str,
        staged_sql: str,
        log_sql: str,
        passed_sql: str,
        conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.as_of = as_of
        self.suite = str(suite)
        self.fs_conn_id = fs_conn_id
        self.staged_sql = staged_sql
        self.log_sql = log_sql
        self.passed_sql = passed_sql
        self.conn_id = conn_id

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Run the suite, then mark the table as validated or report what is wrong with it."""
        hook = PostgresHook(self.conn_id)
        title, staged = f"{self.table.name} of {self.as_of}", self.table.staged(self.as_of)
        record = hook.get_first(self.staged_sql)
        if record is None:
            raise Refusal(f"{title}: nothing is staged.", to_do=RUN_AGAIN)
        name, size, sha256, left_out, is_sealed, before = record
        root = FSHook(self.fs_conn_id).get_path()
        parameters = suite_parameters(self.table, read_bounds(self.table.name), before, left_out)
        suite = json.loads(Path(self.suite).read_text())
        results = run_suite(hook, staged, suite, parameters | {"as_of": self.as_of})
        broken = self._broken(results, staged)
        users = {user for result in broken for example in examples(result) for user in example.users}
        state, lines = _look_again(root, name, size, sha256, users)
        shows_values = settings.shows_values()
        failures: list[Finding] = []
        warnings: list[Finding] = []
        # A sealed file has passed before; only the rules, or the month before, can have changed since. But a file
        # without a column that the table has now cannot be built.
        passes = is_sealed and not missing_columns(results)
        for result in broken:
            finding = describe(result, lines, shows_values)
            (failures if finding.verdict == "failed" and not passes else warnings).append(finding)

        said = [finding.in_a_line() for finding in warnings]
        if any(finding.verdict == "failed" for finding in warnings):
            said.append(f"{name} passes although rules are broken: {self.as_of} is sealed with this same file.")
        changed = f"{name} has changed since it was staged: the rules were checked on the file as it was then."
        if state == "changed" and not failures:
            said.append(f"{changed} To load the file as it is now, run the month again.")
        for warning in said:
            for line in wrap(f"{title}: {warning}"):
                self.log.warning("%s", line)

        aside = [
            *([f"The month before, {before['as_of']}, had {before['delivered']} rows."] if before else []),
            *([changed] if state == "changed" else []),
        ]
        page = settings.report_path(self.conn_id, self.as_of, f"{self.table.name}.html")
        facts = [
            f"{len(failures)} of {len(results.results)} rules failed; {count(len(warnings), 'warning')}.",
            f"File: {name}, {size} bytes, sha256 {sha256}",
            *aside,
            f"Checked: {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        ]
        logged = {"file_sha256": sha256, "is_passed": not failures, "facts": facts}
        logged |= as_json(results.results, lines, shows_values)
        if hook.run(self.log_sql, parameters=logged, handler=lambda cursor: cursor.rowcount) != 1:
            raise Refusal(self._loaded_again(title, staged), to_do=RUN_AGAIN)
        write_page(page, title, facts, [describe(result, lines, shows_values) for result in results.results])
        if failures:
            raise Refusal(
                f"{title}: {len(failures)} of {len(results.results)} rules failed.",
                *(line for finding in failures for line in _as_facts(finding)),
                *aside,
                *([f"{name} can no longer be read, so line numbers are missing."] if state == "gone" else []),
                f"All results: {page}",
                f"The rows are in staging.{staged}. Live and snapshots are untouched.",
                to_do=RUN_AGAIN if state == "changed" else f"correct {Path(name).name}, then {RUN_AGAIN}",
            )
        passed = {
            "file_sha256": sha256,
            "warnings": said,
            # without delivered values: more people may see a question than may read logs
            "asks": [str(one) for one in (describe(result, {}, shows_values=False) for result in broken) if one.asks],
            "profile": json.dumps(profile(results, left_out)),
        }
        if hook.run(self.passed_sql, parameters=passed, handler=lambda cursor: cursor.rowcount) != 1:
            raise Refusal(self._loaded_again(title, staged), to_do=RUN_AGAIN)
        passing = len(results.results) - len(warnings)
        self.log.info("%s: %s passed, %s.", title, count(passing, "rule"), count(len(warnings), "warning"))
        self.log.info("All results: %s", page)
        return {"rules": len(results.results), "warnings": said, "report": str(page)}

    def _loaded_again(self, title: str, staged: str) -> str:
        return f"{title}: staging.{staged} was loaded again while it was validated."

    def _broken(self, results: Any, staged: str) -> list[Any]:
        """Return the broken rules, without those that fail only because a column is missing."""
        missing = missing_columns(results)
        broken = [
            result
            for result in results.results
            if not result.success
            and not (missing and (result.expectation_config.kwargs.get("column") in missing or not result.result))
        ]
        lost = next((one for one in broken if not one.result and "OperationalError" in exception(one)), None)
        if lost:
            raise NotYet(
                f"{self.table.name} of {self.as_of}: the connection was lost while staging.{staged} was validated.",
                printable(exception(lost)),
            )
        return broken


def _as_facts(finding: Finding) -> list[str]:
    return [f"  - {finding}", *(f"      {example}" for example in finding.examples)]


def _look_again(
    root: str, name: str, size: int, sha256: str, users: set[str | None]
) -> tuple[str, dict[str | None, list[int]]]:
    """Return whether a file is ``as staged``, ``changed``, or ``gone`` (cannot be read), and the users' line numbers.

    There are no line numbers if the file is not as staged, or if they cannot be found: the results do not need them.
    """
    folder, _, file_name = name.rpartition("/")
    try:
        with delivery_at(below(root, folder)).open(file_name) as file:
            if file.bytes != size or hashlib.file_digest(file.content, "sha256").hexdigest() != sha256:
                return "changed", {}
            file.content.seek(0)
            try:
                return "as staged", find_lines(as_csv(file.content, name), users) if users else {}
            except (ValueError, StopIteration, Refusal):  # no user_id in its header, or modified in the meantime
                return "as staged", {}
    except (OSError, Refusal):
        return "gone", {}
