"""Runs a Great Expectations suite on a staged table, inside the database."""

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

# UNIQUE only counts; this rule finds the rows that it has counted. Asking for the rows in the first place would need a
# window over the whole table, which is twice the work.
_REPEATED = "expect_column_values_to_be_unique"


@functools.cache
def great_expectations() -> Any:
    """Import Great Expectations, which takes seconds, and return it.

    Its objects live until the process ends, so the garbage collector need not look at them. It is off during the
    import, and ``gc.freeze`` excludes them afterwards (see Python's documentation): the collection at the end of the
    process took a seventh of a month under ``airflow dags test``. ``test_expectations.py`` checks that it still would.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import: nothing leaves the machine
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # otherwise it buries the task's own log lines
    gc.disable()
    try:
        import great_expectations
    finally:
        gc.enable()
    gc.freeze()
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # it sets its own level

    return great_expectations


def run_suite(hook: PostgresHook, staged: str, suite: dict[str, Any], parameters: dict[str, Any]) -> Any:
    """Run a suite on a table of schema ``staging``.

    All rules are checked without fetching values. Broken rules are then run again to get the keys and values of a few
    rows, so that a valid delivery needs no second scan.

    Args:
        hook: gives the connections; Great Expectations sees no address and no password.
        staged: the table's name.
        suite: the suite in Great Expectations' serialized form.
        parameters: values of the suite's parameters.

    Returns:
        An ``ExpectationSuiteValidationResult``.
    """
    gx = great_expectations()
    from great_expectations.data_context.types.base import ProgressBarsConfig

    def connect() -> Any:
        connection: Any = hook.get_conn()  # psycopg's; the hook promises less
        connection.execute("set work_mem = '128MB'")  # as in parts/session.sql
        connection.commit()
        return connection

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_postgres(
        "streamflow",
        connection_string="postgresql+psycopg://airflow@connection/",  # never used: the creator connects
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
            lenient.traps[decimal.InvalidOperation] = False  # it sorts the values that it shows, even NaN
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
            detail = {"result_format": "COMPLETE"} if rule["type"] == QUERY else {}  # needed to get a query's rows
            again = validate(f"{suite['name']} {rule['id']}", [rule], **details | detail).results[0]
            result.success = again.success  # the share of unique values is 0 if there are no values
            result.result.update(again.result)
        return results
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()  # the engine that checked whether the table exists
