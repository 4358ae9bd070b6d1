"""Great Expectations: a suite on a staged table, in the database, and its results as sentences and as a page."""

from __future__ import annotations

import decimal
import functools
import gc
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.providers.postgres.hooks.postgres import PostgresHook

from streamflow import settings


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


def run_suite(
    hook: PostgresHook, staged: str, suite: dict[str, Any], parameters: dict[str, Any], shows_values: bool
) -> Any:
    """Run a suite on a table of schema ``staging``.

    All rules are checked without fetching a value; those that are broken are then run again for a few of them, so that
    a delivery that keeps the rules costs no second scan.

    Args:
        hook: gives the connections; Great Expectations sees no address and no password.
        staged: the table's name.
        suite: the suite in Great Expectations' serialised form.
        parameters: values of the suite's parameters.
        shows_values: whether the results may hold a few of the table's values.

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

    def validate(name: str, rules: list[Any], values: int, detail: str = "SUMMARY") -> Any:
        definition = gx.ValidationDefinition(
            name=name, data=batch, suite=context.suites.add(gx.ExpectationSuite(name=name, expectations=rules))
        )
        with decimal.localcontext() as lenient:
            lenient.traps[decimal.InvalidOperation] = False  # it sorts the values that it shows, NaN as well
            return definition.run(
                expectation_parameters=parameters,
                result_format={"result_format": detail, "partial_unexpected_count": values},
            )

    try:
        results = validate(suite["name"], suite["expectations"], 0)
        for result in results.results:
            rule = result.expectation_config.to_json_dict()
            is_query = rule["type"] == "unexpected_rows_expectation"  # whose rows come with all details only
            found = result.result.get("observed_value" if is_query else "unexpected_count")
            if shows_values and not result.success and found:
                detail = "COMPLETE" if is_query else "SUMMARY"
                again = validate(f"{suite['name']} {rule['id']}", [rule], settings.SAMPLES, detail)
                result.result.update(again.results[0].result)
                if is_query:
                    del result.result["details"]["unexpected_rows"][settings.SAMPLES :]
        return results
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()  # the one that has looked whether the table is there


def write_page(results: Any, path: Path) -> None:
    """Write results as a page of Great Expectations' Data Docs, in a folder that is made if need be.

    Args:
        results: an ``ExpectationSuiteValidationResult``.
        path: the page; one that is there is replaced at once, never half.
    """
    from great_expectations.render.renderer import ValidationResultsPageRenderer

    page = _page_view().render(ValidationResultsPageRenderer(run_info_at_end=True).render(results))
    # the page's logo is fetched from its maker with the time in the address: who opens a page does not tell them
    quiet = '<meta http-equiv="Content-Security-Policy" content="img-src \'self\' data:">'
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=path.name, suffix=".part", delete=False
    ) as part:
        part.write(page.replace("<head>", f"<head>\n{quiet}", 1))
    Path(part.name).chmod(0o644)
    Path(part.name).replace(path)


@functools.cache
def _page_view() -> Any:
    """Return what lays the pages out, with its templates compiled once for all tables of ``dags test``."""
    from great_expectations.render.view import DefaultJinjaPageView

    return DefaultJinjaPageView()


def missing_columns(results: Any) -> set[str]:
    """Return the columns that the suite expects and the table has not."""
    return {
        column
        for result in results.results
        if result.expectation_config.type == "expect_table_columns_to_match_set"
        for column in _mismatched(result).get("missing", [])
    }


def profile(results: Any, left_out: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return what the rules on drift have found in columns that are not ``left_out``: mean and not_null, by column."""
    kinds = {
        "expect_column_mean_to_be_between": "mean",
        "expect_column_proportion_of_non_null_values_to_be_between": "not_null",
    }
    found: dict[str, dict[str, float]] = {kind: {} for kind in kinds.values()}
    for result in results.results:
        kind, column = kinds.get(result.expectation_config.type), result.expectation_config.kwargs.get("column")
        if kind and column not in left_out and (value := result.result.get("observed_value")) is not None:
            found[kind][column] = float(value)
    return found


def explain(result: Any) -> str:
    """Say in a sentence what a broken rule found: rule, column, how many rows, a few values."""
    config, found = result.expectation_config, result.result
    column = config.kwargs.get("column")
    given = {
        key: value
        for key, value in config.kwargs.items()
        if key not in ("batch_id", "column", "unexpected_rows_query") and value is not None
    }
    said = config.description or f"{config.type}({', '.join(f'{key}={_show(value)}' for key, value in given.items())})"
    if column:
        said = f"column {column}: {said}"
    if not found:
        return f"{said} could not be checked: {exception(result)}"
    if "unexpected_count" in found:
        values = found.get("partial_unexpected_list", [])
        shown = settings.sample([_show(value) for value in values]) if any(one is not None for one in values) else ""
        return f"{said}: {found['unexpected_count']} of {found['element_count']} rows{shown}"
    if mismatched := _mismatched(result):
        kinds = (f"{kind} columns {', '.join(names)}" for kind, names in mismatched.items())
        return f"{config.type}: {'; '.join(kinds)}"
    if config.type == "unexpected_rows_expectation":
        rows = (found.get("details") or {}).get("unexpected_rows", [])
        shown = settings.sample([", ".join(f"{key} {_show(value)}" for key, value in row.items()) for row in rows])
        return f"{said}: {found['observed_value']} rows{shown.replace(', for example', ', for example:', 1)}"
    return f"{said}: found {_show(found.get('observed_value'))}"


def exception(result: Any) -> str:
    """Return the first line of what kept a rule from being checked."""
    info = result.exception_info
    if "exception_message" not in info:  # one a metric
        info = next(iter(info.values()))
    return str(info["exception_message"]).partition("\n")[0]


def _mismatched(result: Any) -> dict[str, list[str]]:
    return (result.result.get("details") or {}).get("mismatched") or {}


def _show(value: Any) -> str:
    return repr(value) if isinstance(value, str | list) else str(value)
