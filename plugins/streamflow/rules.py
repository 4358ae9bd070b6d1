"""The rules of a table, read from its ``expectations.json`` without Great Expectations."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamflow.spec import TablesError, in_words, numbered, read_json

COLUMNS = "expect_table_columns_to_match_set"
NOT_NULL = "expect_column_values_to_not_be_null"
UNIQUE = "expect_column_proportion_of_unique_values_to_be_between"
QUERY = "unexpected_rows_expectation"

# rules that the pipeline relies on when it builds and publishes a table
NEEDED: tuple[tuple[str, dict[str, Any]], ...] = (
    (COLUMNS, {"column_set": {"$PARAMETER": "columns"}}),
    (NOT_NULL, {"column": "user_id"}),
    (UNIQUE, {"column": "user_id", "min_value": 1}),
)


class Rule(BaseModel):
    """One rule, in Great Expectations' serialized form.

    Attributes:
        type: its name in Great Expectations.
        severity: ``critical``, which stops the month, or ``warning``, which is only reported.
        description: what it requires, if Great Expectations' own description is not clear.
        kwargs: its arguments, such as the column.
        meta: ``why``, the reason for the rule; ``ask``, whether a person decides about a month that breaks it.
        notes, id: other fields that Great Expectations may write.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Annotated[str, Field(min_length=1)]
    severity: Literal["critical", "warning"]
    description: str | None = None
    kwargs: dict[str, Any]
    meta: dict[str, Any] = {}
    notes: Any = None
    id: str | None = None

    @property
    def columns(self) -> list[tuple[str, Any]]:
        """The columns that it names, each after the key of ``kwargs`` that names it."""
        return [
            (key, column)
            for key, value in self.kwargs.items()
            if key in ("column", "column_A", "column_B", "column_list")
            for column in (value if isinstance(value, list) else [value])
        ]

    @property
    def parameters(self) -> dict[str, Any]:
        """The suite parameters that give it values when it is checked, by the key of ``kwargs``."""
        return {
            key: value["$PARAMETER"]
            for key, value in self.kwargs.items()
            if isinstance(value, dict) and "$PARAMETER" in value
        }


class Suite(BaseModel):
    """The content of ``expectations.json``: the table's name, its rules, and what else Great Expectations may write."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    expectations: Annotated[tuple[Rule, ...], Field(strict=False)]
    meta: dict[str, Any] = {}
    notes: Any = None
    id: str | None = None


def place(path: Path, number: int, rule: Rule, key: str = "") -> str:
    """Return where a rule, or its value for ``key``, is: file, position, and type."""
    return f"{path}, expectations {numbered(number, rule.type)}{f' kwargs {key}' if key else ''}:"


def read_suite(path: Path, table: str, columns: Collection[str]) -> tuple[Rule, ...]:
    """Return the rules of a table.

    Args:
        path: its ``expectations.json``.
        table: its name.
        columns: its columns, with the key.

    Raises:
        TablesError: naming every mistake: file, rule, key, what was expected, and what was found.
    """
    said = read_json(path, "the table's rules")
    try:
        suite = Suite.model_validate(said)
    except ValidationError as invalid:
        raise in_words(path, said, invalid) from None
    if mistakes := [*_mistakes(path, suite, table, columns)]:
        raise TablesError(*mistakes)
    return suite.expectations


def _mistakes(path: Path, suite: Suite, table: str, columns: Collection[str]) -> Iterator[str]:
    if suite.name != table:
        yield from (f"{path}, name:", f"Expected {table!r}, the table's name.", f"Found {suite.name!r}.")
    first: dict[str, int] = {}
    for number, rule in enumerate(suite.expectations, 1):
        for key, column in rule.columns:
            if column not in columns:
                yield place(path, number, rule, key)
                yield from (f"Expected one of {', '.join(columns)}.", f"Found {column!r}.")
        if (ask := rule.meta.get("ask", False)) not in (True, False) or (ask and rule.severity != "warning"):
            yield f"{path}, expectations {numbered(number, rule.type)} meta ask:"
            yield "Expected true or false; true only for a rule of severity warning."
            yield f"Found {json.dumps(ask)} for a rule of severity {rule.severity}."
        same = first.setdefault(json.dumps([rule.type, rule.kwargs], sort_keys=True), number)
        if same != number:
            yield from (place(path, number, rule), "Expected each rule once.", f"Found it also as number {same}.")
    for kind, kwargs in NEEDED:
        column = kwargs.get("column")
        alike = [rule for rule in suite.expectations if rule.type == kind and rule.kwargs.get("column") == column]
        if not any(rule.severity == "critical" and rule.kwargs == kwargs for rule in alike):
            found = " and ".join(f"{rule.severity} with {json.dumps(rule.kwargs)}" for rule in alike)
            yield f"{path}, expectations:"
            yield f"Expected {kind}, critical with {json.dumps(kwargs)}, as for every table."
            yield f"Found {found or 'none'}."
