"""A staged table against its Great Expectations suite, every row, in the database."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook

from streamflow.months import Month
from streamflow.tables import Table

_EXAMPLES = 5  # values shown per broken rule


class ValidateOperator(BaseOperator):
    """Validate one staged table; a broken critical rule fails the task, a broken warning is only reported.

    Args:
        table: which of the six tables.
        as_of: the month (templated); the suites' parameter ``as_of``.
        suite: path of the suite, in Great Expectations' serialised form.
        staged_sql: query for the sha256 of the staged file (templated).
        passed_sql: statement that lets that very file through when the suite has passed (templated).
        conn_id: connection of the database.

    Returns (XCom):
        ``rules``, how many were checked, and ``warnings``, a sentence per broken rule of severity warning.

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
        staged_sql: str,
        passed_sql: str,
        conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.as_of = as_of
        self.suite = str(suite)
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
        results = run_suite(hook, staged, json.loads(Path(self.suite).read_text()), {"as_of": self.as_of})
        missing = _missing_columns(results)
        broken = [
            result
            for result in results
            # a rule on a column that is not there says nothing that the missing column does not
            if not result.success and not (missing & {result.expectation_config.kwargs.get("column")})
        ]
        if any("OperationalError" in _exception(one) for one in broken if not one.result):
            raise AirflowException(f"The database went away while staging.{staged} was validated: {explain(broken[0])}")
        failures = [explain(one) for one in broken if one.expectation_config.severity != "warning"]
        warnings = [explain(one) for one in broken if one.expectation_config.severity == "warning"]
        for warning in warnings:
            self.log.warning("%s of %s: %s", self.table.name, self.as_of, warning)
        if failures:
            raise AirflowFailException(
                f"{self.table.name} of {self.as_of}: {len(failures)} of {len(results)} rules are broken.\n"
                + "".join(f"  - {failure}\n" for failure in failures)
                + f"Live and snapshots are untouched; the rows are in staging.{staged}. "
                f"Correct {self.table.file_name} and clear this table's tasks from stage on."
            )
        if hook.run(self.passed_sql, parameters={"file_sha256": file[0]}, handler=lambda cursor: cursor.rowcount) != 1:
            raise AirflowFailException(f"staging.{staged} was loaded anew while it was validated: clear this task.")
        self.log.info("%s of %s: all %d rules hold.", self.table.name, self.as_of, len(results) - len(warnings))
        return {"rules": len(results), "warnings": warnings}


def run_suite(hook: PostgresHook, staged: str, suite: dict[str, Any], parameters: dict[str, Any]) -> list[Any]:
    """Run a suite on a table of schema ``staging``.

    Args:
        hook: gives the connections; Great Expectations sees no address and no password.
        staged: the table's name.
        suite: the suite in Great Expectations' serialised form.
        parameters: values of the suite's parameters.

    Returns:
        An ``ExpectationValidationResult`` per rule.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import: nothing leaves the machine
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_postgres(
        "streamflow",
        connection_string="postgresql+psycopg://airflow@connection/",  # never dialled: the creator connects
        kwargs={"creator": hook.get_conn},
        create_temp_table=False,
    )
    batch = source.add_table_asset(staged, table_name=staged, schema_name="staging").add_batch_definition_whole_table(
        "all rows"
    )
    validation = gx.ValidationDefinition(
        name=staged, data=batch, suite=context.suites.add(gx.ExpectationSuite(**suite))
    )
    try:
        return validation.run(
            expectation_parameters=parameters,
            result_format={"result_format": "SUMMARY", "partial_unexpected_count": _EXAMPLES},
        ).results
    finally:
        source.get_execution_engine().close()


def _missing_columns(results: list[Any]) -> set[str]:
    return {
        column
        for result in results
        if result.expectation_config.type == "expect_table_columns_to_match_set"
        for column in ((result.result.get("details") or {}).get("mismatched") or {}).get("missing", [])
    }


def _show(value: Any) -> str:
    return repr(value) if isinstance(value, str | list) else str(value)


def explain(result: Any) -> str:
    """Say in a sentence what a broken rule found: rule, column, how many rows, a few values."""
    rule = result.expectation_config.type
    kwargs = {
        key: value
        for key, value in result.expectation_config.kwargs.items()
        if key not in ("batch_id", "column") and value is not None
    }
    column = result.expectation_config.kwargs.get("column")
    said = f"{rule}({', '.join(f'{key}={_show(value)}' for key, value in kwargs.items())})"
    if column:
        said = f"column {column}: {said}"
    found = result.result
    if not found:
        return f"{said} could not be checked: {_exception(result)}"
    if "unexpected_count" in found:
        values = ", ".join(_show(value) for value in found.get("partial_unexpected_list", [])[:_EXAMPLES])
        return f"{said}: {found['unexpected_count']} of {found['element_count']} rows" + (
            f", for example {values}" if values.replace("None, ", "").strip("None") else ""
        )
    mismatched = (found.get("details") or {}).get("mismatched")
    if mismatched:
        return f"{rule}: " + "; ".join(f"{kind} columns {', '.join(names)}" for kind, names in mismatched.items())
    return f"{said}: found {_show(found.get('observed_value'))}"


def _exception(result: Any) -> str:
    """Return the first line of what kept a rule from being checked."""
    info = result.exception_info
    if "exception_message" not in info:  # one a metric
        info = next(iter(info.values()))
    return str(info["exception_message"]).partition("\n")[0]
