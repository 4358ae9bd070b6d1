"""Great Expectations: a suite on a staged table, in the database."""

from __future__ import annotations

import decimal
import functools
import gc
import logging
import os
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook

from streamflow import settings
from streamflow.findings import missing_columns
from streamflow.rules import QUERY, UNIQUE

# UNIQUE only counts; this rule finds the rows that it has counted. Asking for the rows at once would take a window over
# the whole table, which is twice the work.
_REPEATED = "expect_column_values_to_be_unique"


@functools.cache
def great_expectations() -> Any:
    """Import Great Expectations, which takes seconds, and return it.

    What it makes stays until the process ends, so Python is told not to look for garbage in it (``gc.freeze``, as its
    documentation has it): not while it is imported, and not when the process ends, which took a seventh of a month
    under ``airflow dags test``. ``test_expectations.py`` sees that there would still be as much to look through.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import: nothing leaves the machine
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # else it buries what the task has to say
    gc.disable()
    try:
        import great_expectations
    finally:
        gc.enable()
    gc.freeze()
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # it asks for more itself

    return great_expectations


def run_suite(hook: PostgresHook, staged: str, suite: dict[str, Any], parameters: dict[str, Any]) -> Any:
    """Run a suite on a table of schema ``staging``.

    All rules are checked without fetching a value; those that are broken are then run again for the keys and values of
    a few rows, so that a delivery that keeps the rules costs no second scan.

    Args:
        hook: gives the connections; Great Expectations sees no address and no password.
        staged: the table's name.
        suite: the suite in Great Expectations' serialised form.
        parameters: values of the suite's parameters.

    Returns:
        An ``ExpectationSuiteValidationResult``.
    """
    gx = great_expectations()
    from great_expectations.data_context.types.base import ProgressBarsConfig

    def connect() -> Any:
        connection = hook.get_conn()
        connection.execute("set work_mem = '128MB'")  # as much as parts/session.sql gives the month's other steps
        connection.commit()
        return connection

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_postgres(
        "streamflow",
        connection_string="postgresql+psycopg://airflow@connection/",  # never dialled: the creator connects
        kwargs={"creator": connect},
        create_temp_table=False,
    )
    asset = source.add_table_asset(staged, table_name=staged, schema_name="staging")
    batch = asset.add_batch_definition_whole_table("all rows")

    def validate(name: str, rules: list[Any], **result_format: Any) -> Any:
        definition = gx.ValidationDefinition(
            name=name, data=batch, suite=context.suites.add(gx.ExpectationSuite(name=name, expectations=rules))
        )
        with decimal.localcontext() as lenient:
            lenient.traps[decimal.InvalidOperation] = False  # it sorts the values that it shows, NaN as well
            return definition.run(expectation_parameters=parameters, result_format=result_format)

    try:
        results = validate(suite["name"], suite["expectations"], result_format="SUMMARY", partial_unexpected_count=0)
        details = {"result_format": "SUMMARY", "partial_unexpected_count": settings.SAMPLES}
        if "user_id" not in missing_columns(results):
            details["unexpected_index_column_names"] = ["user_id"]
        for result in results.results:
            rule = result.expectation_config.to_json_dict()
            if rule["type"] == UNIQUE:
                rule |= {"type": _REPEATED, "kwargs": {"column": rule["kwargs"]["column"]}}
            has_rows = rule["type"] in (QUERY, _REPEATED) or result.result.get("unexpected_count")
            if result.success or not result.result or not has_rows:
                continue
            detail = {"result_format": "COMPLETE"} if rule["type"] == QUERY else {}  # a query's rows come with no less
            again = validate(f"{suite['name']} {rule['id']}", [rule], **details | detail).results[0]
            result.success = again.success  # the share of unique values is 0 where there is no value at all
            result.result.update(again.result)
        return results
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()  # the one that has looked whether the table is there
