"""Great Expectations: a suite on a staged table, in the database."""

from __future__ import annotations

import decimal
import functools
import gc
import importlib.util
import logging
import os
import sys
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook

from streamflow import settings
from streamflow.findings import missing_columns


@functools.cache
def great_expectations() -> Any:
    """Import Great Expectations, which takes seconds, and return it.

    It imports ``scipy.stats`` for three expectations that no suite here uses, which is more than a quarter of the time
    and 55 MB: that is left until somebody does use it.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import: nothing leaves the machine
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # else it buries what the task has to say
    _import_when_used("scipy.stats")
    import great_expectations

    import streamflow.metrics  # noqa: F401 (it registers)

    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # it asks for more itself

    gc.freeze()  # what is imported stays: collections need not look at it again, and forks share it longer
    return great_expectations


def _import_when_used(name: str) -> None:
    """Put a submodule into place that loads itself when its first attribute is asked for."""
    if name in sys.modules:
        return
    package, _, submodule = name.rpartition(".")
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    setattr(sys.modules[package], submodule, module)


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
        connection.execute("set work_mem = '128MB'")  # as much as resources.sql gives the month's other steps
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
    batch = source.add_table_asset(staged, table_name=staged, schema_name="staging").add_batch_definition_whole_table(
        "all rows"
    )

    def validate(name: str, rules: list[Any], values: int, detail: str = "SUMMARY", **more: Any) -> Any:
        definition = gx.ValidationDefinition(
            name=name, data=batch, suite=context.suites.add(gx.ExpectationSuite(name=name, expectations=rules))
        )
        with decimal.localcontext() as lenient:
            lenient.traps[decimal.InvalidOperation] = False  # it sorts the values that it shows, NaN as well
            return definition.run(
                expectation_parameters=parameters,
                result_format={"result_format": detail, "partial_unexpected_count": values, **more},
            )

    try:
        results = validate(suite["name"], suite["expectations"], 0)
        keys = {} if "user_id" in missing_columns(results) else {"unexpected_index_column_names": ["user_id"]}
        for result in results.results:
            rule = result.expectation_config.to_json_dict()
            is_query = rule["type"] == "unexpected_rows_expectation"  # whose rows come with all details only
            found = result.result.get("observed_value" if is_query else "unexpected_count")
            if not result.success and found:
                again = validate(
                    f"{suite['name']} {rule['id']}",
                    [rule],
                    settings.SAMPLES,
                    **({"detail": "COMPLETE"} if is_query else keys),
                )
                result.result.update(again.results[0].result)
                if is_query:
                    del result.result["details"]["unexpected_rows"][settings.SAMPLES :]
        return results
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()  # the one that has looked whether the table is there
