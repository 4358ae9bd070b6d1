"""A staged table against its Great Expectations suite, every row, in the database."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook

from streamflow import settings
from streamflow.drift import read_bounds, suite_parameters
from streamflow.months import Month
from streamflow.suite import exception, explain, missing_columns, profile, run_suite, write_page
from streamflow.tables import Table


class ValidateOperator(BaseOperator):
    """Validate one staged table; a broken critical rule fails the task, a broken warning is only reported.

    Args:
        table: which of the six tables.
        as_of: the month (templated); the suites' parameter ``as_of``.
        suite: path of the suite, in Great Expectations' serialised form.
        bounds: path of the bounds on what may differ from the month before.
        staged_sql: query for the staged file's record and the month before (templated).
        passed_sql: statement that lets that very file through when the suite has passed (templated).
        conn_id: connection of the database.

    Returns (XCom):
        ``rules``, how many were checked, ``warnings``, a sentence per broken rule of severity warning, and
        ``report``, the page of the Data Docs.

    Raises:
        AirflowFailException: if a rule of another severity is broken; names table, rule, column, how many rows and a
            few values. Not retried. Also if nothing is staged, or something else when the suite has passed.
        AirflowException: if the database went away meanwhile; retried.
    """

    template_fields: Sequence[str] = ("as_of", "staged_sql", "passed_sql")
    template_fields_renderers = {"staged_sql": "sql", "passed_sql": "sql"}
    template_ext: Sequence[str] = (".sql",)
    ui_color = "#e6def5"

    def __init__(
        self,
        *,
        table: Table,
        as_of: str,
        suite: str | Path,
        bounds: str | Path,
        staged_sql: str,
        passed_sql: str,
        conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.as_of = as_of
        self.suite = str(suite)
        self.bounds = str(bounds)
        self.staged_sql = staged_sql
        self.passed_sql = passed_sql
        self.conn_id = conn_id

    def execute(self, context: Any) -> dict[str, Any]:
        """Run the suite and let the table through, or say what is wrong with it."""
        hook = PostgresHook(self.conn_id)
        staged = f"{self.table.name}_{Month.parse(self.as_of).suffix}"
        file = hook.get_first(self.staged_sql)
        if file is None:
            raise AirflowFailException(
                f"Nothing is staged in staging.{staged}: clear this table's tasks from stage on."
            )
        sha256, left_out, before = file
        parameters = suite_parameters(self.table, read_bounds(self.bounds, self.table.name), before, left_out)
        suite = json.loads(Path(self.suite).read_text())
        results = run_suite(hook, staged, suite, parameters | {"as_of": self.as_of}, settings.shows_values())
        broken = self._broken(results, staged)
        failures = [explain(one) for one in broken if one.expectation_config.severity != "warning"]
        warnings = [explain(one) for one in broken if one.expectation_config.severity == "warning"]
        page = settings.report_path(self.as_of, f"{self.table.name}.html")
        write_page(results, page)
        for warning in warnings:
            self.log.warning("%s of %s: %s", self.table.name, self.as_of, warning)
        compared = f" The month before, {before['as_of']}, had {before['delivered']} rows." if before else ""
        if failures:
            raise AirflowFailException(
                f"{self.table.name} of {self.as_of}: {len(failures)} of {len(results.results)} rules are broken.\n"
                + "".join(f"  - {failure}\n" for failure in failures)
                + f"All results: {page}\n"
                f"Live and snapshots are untouched; the rows are in staging.{staged}.{compared} "
                f"Correct {self.table.file_name} and clear this table's tasks from stage on."
            )
        passed = {
            "file_sha256": sha256,
            "warnings": warnings,
            "profile": json.dumps(profile(results, left_out)),
        }
        if hook.run(self.passed_sql, parameters=passed, handler=lambda cursor: cursor.rowcount) != 1:
            raise AirflowFailException(f"staging.{staged} was loaded anew while it was validated: clear this task.")
        self.log.info(
            "%s of %s: %d of %d rules hold, %d warn. All results: %s",
            self.table.name,
            self.as_of,
            len(results.results) - len(warnings),
            len(results.results),
            len(warnings),
            page,
        )
        return {"rules": len(results.results), "warnings": warnings, "report": str(page)}

    def _broken(self, results: Any, staged: str) -> list[Any]:
        """Return the rules that do not hold; those that only say again that a column is missing are left out."""
        missing = missing_columns(results)
        broken = [
            result
            for result in results.results
            if not result.success
            and not (missing and (result.expectation_config.kwargs.get("column") in missing or not result.result))
        ]
        if any("OperationalError" in exception(one) for one in broken if not one.result):
            raise AirflowException(f"The database went away while staging.{staged} was validated: {explain(broken[0])}")
        return broken
