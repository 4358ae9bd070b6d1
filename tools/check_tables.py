"""Check the folders of include/tables/; `make check-tables`.

In addition to the checks when the DAG is parsed, it asks Great Expectations whether it can check every rule. For every
mistake it names the file, the key, what was expected, and what was found, and exits with 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import tables_told

with tables_told():
    from streamflow.drift import read_bounds, suite_parameters
    from streamflow.tables import TABLES, Table
from streamflow.refusal import Refusal, count
from streamflow.rules import QUERY, Rule, place
from streamflow.suite import great_expectations


def mistakes(table: Table, number: int, rule: Rule, parameters: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield why Great Expectations cannot check a rule: where, what it expects, and what was found.

    Args:
        table: the rule's table.
        number: its position in the suite, from 1.
        rule: the rule.
        parameters: values of the suite's parameters for a month.
    """
    great_expectations()
    from great_expectations.compatibility import pydantic
    from great_expectations.core.suite_parameters import parse_suite_parameter
    from great_expectations.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    known = list_registered_expectation_implementations()
    if rule.type not in known:
        alike = get_close_matches(rule.type, known) or ["expect_column_values_to_be_between"]
        yield (
            place(table.suite, number, rule),
            f"Expected a type that Great Expectations knows, such as {' or '.join(alike)}.",
            f"Found {rule.type!r}.",
        )
        return
    for key, parameter in rule.parameters.items():
        try:
            parse_suite_parameter(str(parameter), parameters)
        except GreatExpectationsError:
            alike = get_close_matches(str(parameter), parameters) or [*parameters][:3]
            yield (
                place(table.suite, number, rule, key),
                f"Expected a $PARAMETER that a month gives, such as {' or '.join(alike)}.",
                f"Found {parameter!r}.",
            )
    if rule.type == QUERY and "{batch}" not in str(rule.kwargs.get("unexpected_rows_query", "{batch}")):
        yield (
            place(table.suite, number, rule, "unexpected_rows_query"),
            "Expected {batch}, which stands for the table that is checked.",
            "Found a query without it.",
        )
        return  # Great Expectations only prints it
    try:
        severity = FailureSeverity(rule.severity)
        ExpectationConfiguration(type=rule.type, severity=severity, kwargs=rule.kwargs).to_domain_obj()
    except pydantic.ValidationError as invalid:
        kind = get_expectation_impl(rule.type)
        keys = sorted({*kind.domain_keys, *kind.success_keys} - {"batch_id", "table"})
        # any value may be a dict, the $PARAMETER; the other errors say what the value itself should be
        errors = [error for error in invalid.errors() if error["type"] != "type_error.dict"] or invalid.errors()
        said: dict[str, list[str]] = {}  # by key: several messages if the value may have several types
        for error in errors:
            key = "" if error["loc"][0] == "__root__" else str(error["loc"][0])
            said.setdefault(key, []).append(error["msg"])
        for key, messages in said.items():
            is_unknown = key in rule.kwargs and key not in kind.__fields__
            yield (
                place(table.suite, number, rule, key),
                f"Expected one of {', '.join(keys)}."
                if is_unknown
                else f"Great Expectations says: {', or '.join(messages)}.",
                *([f"Found {rule.kwargs[key]!r}."] if key in rule.kwargs else []),
            )
    except (GreatExpectationsError, TypeError, ValueError) as error:
        yield place(table.suite, number, rule), f"Great Expectations says: {error}"


def main(args: list[str]) -> int:
    """Check all tables; return the exit code."""
    if args:
        print("usage: make check-tables", file=sys.stderr)
        return 2
    refusals, rules = [], 0
    for table in TABLES.values():
        try:
            parameters = suite_parameters(table, read_bounds(table.name), None, ()) | {"as_of": "2024-01-31"}
        except Refusal as refusal:  # all tables share this file
            refusals.append(refusal)
            break
        for number, rule in enumerate(table.read_rules(), 1):
            rules += 1
            refusals += [Refusal(*mistake) for mistake in mistakes(table, number, rule, parameters)]
    if refusals:
        print(*(line for refusal in refusals for line in refusal.lines), sep="\n", file=sys.stderr)
        return 1
    columns = sum(len(table.columns) for table in TABLES.values())
    print(f"OK: {count(len(TABLES), 'table')}, {count(columns, 'column')}, {count(rules, 'rule')}, bounds.json.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
