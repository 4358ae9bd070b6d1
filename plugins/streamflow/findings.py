"""Great Expectations' results as plain text, rule by rule: for the log, the XCom, the ledger, and the page."""

from __future__ import annotations

import json
import math
import string
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from streamflow import settings
from streamflow.plain import printable, show
from streamflow.rules import COLUMNS, QUERY

# rules whose observed value describes the table, not a single row, and the name under which it is kept
_ABOUT_THE_TABLE = {
    "expect_column_mean_to_be_between": "mean",
    "expect_column_proportion_of_non_null_values_to_be_between": "not_null",
    "expect_table_row_count_to_be_between": "rows",
}


class Example(NamedTuple):
    """A row that breaks a rule.

    Attributes:
        values: its key and the offending values, by column.
        users: its key, or all its keys if a query returned several.
    """

    values: dict[str, Any]
    users: tuple[str | None, ...]


class Finding(NamedTuple):
    """The result of one rule. All of it is plain text, in which delivered values are harmless.

    Attributes:
        rule: its name in Great Expectations.
        column: its column; empty if it has none.
        says: what it requires.
        severity: ``critical`` or ``warning``.
        why: the reason for the rule.
        verdict: ``passed``, ``failed``, or ``warning`` for a broken rule of severity warning.
        found: how many rows break it, or what else was found.
        examples: some of these rows: their line numbers, and their values if those may be shown.
        asks: whether a person decides if a month that breaks it is published.
    """

    rule: str
    column: str
    says: str
    severity: str
    why: str
    verdict: str
    found: str
    examples: tuple[str, ...] = ()
    asks: bool = False

    def __str__(self) -> str:
        subject = f"column {self.column}: " if self.column else ""
        says = f"{self.says} ({self.rule})" if self.says else self.rule
        return f"{subject}{says}: {self.found}"

    def in_a_line(self) -> str:
        """Return the finding with its examples, for places that hold one text per rule."""
        return f"{self}, for example {'; '.join(self.examples)}" if self.examples else str(self)


def describe(result: Any, lines: dict[str | None, list[int]], shows_values: bool) -> Finding:
    """Return the finding for a rule's result.

    Args:
        result: an ``ExpectationValidationResult``.
        lines: each user's line numbers in the file, as far as they are known.
        shows_values: whether the text may contain delivered values.
    """
    config = result.expectation_config
    severity = str(getattr(config.severity, "value", config.severity))
    broken = "warning" if severity == "warning" else "failed"
    return Finding(
        rule=config.type,
        column=config.kwargs.get("column") or "",
        says=config.description or wording(config),
        severity=severity,
        why=(config.meta or {}).get("why", ""),
        verdict="passed" if result.success else broken,
        found=_found(result, shows_values),
        examples=() if result.success else tuple(_in_words(examples(result), lines, shows_values)),
        asks=bool((config.meta or {}).get("ask")),
    )


def examples(result: Any) -> list[Example]:
    """Return up to ``settings.SAMPLES`` different rows that break a rule, if the result has any."""
    found = result.result
    column = result.expectation_config.kwargs.get("column")
    if result.expectation_config.type == QUERY:
        rows = (found.get("details") or {}).get("unexpected_rows") or []
    else:
        rows = found.get("partial_unexpected_index_list")
        if rows is None:
            rows = [{column: value} for value in found.get("partial_unexpected_list", [])]
    different = {tuple((name, show(value)) for name, value in row.items()): row for row in rows}
    return [
        Example(row, tuple(value for name, value in row.items() if name.endswith("user_id")))
        for row in list(different.values())[: settings.SAMPLES]
    ]


def missing_columns(results: Any) -> set[str]:
    """Return the columns that the suite expects and the table does not have."""
    return {
        column
        for result in results.results
        if result.expectation_config.type == COLUMNS
        for column in _mismatched(result).get("missing", [])
    }


def profile(results: Any, left_out: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return what the drift rules found, ``mean`` and ``not_null`` by column, without the columns in ``left_out``."""
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


def measured(result: Any) -> dict[str, Any] | None:
    """Return what a rule on the table as a whole has measured, and between which bounds it should be.

    Returns:
        ``kind`` (``mean``, ``not_null`` or ``rows``), ``value``, ``min`` and ``max``, each None if there is none; None
        for a rule of another kind.
    """
    config = result.expectation_config
    if not (kind := _ABOUT_THE_TABLE.get(config.type)):
        return None
    return {
        "kind": kind,
        "value": _number(result.result.get("observed_value")),
        "min": _number(config.kwargs.get("min_value")),
        "max": _number(config.kwargs.get("max_value")),
    }


def as_json(results: Sequence[Any], lines: dict[str | None, list[int]], shows_values: bool) -> dict[str, str]:
    """Return a suite's result as the log of validations keeps it: what has no delivered value, and the rest.

    Args:
        results: an ``ExpectationValidationResult`` per rule.
        lines: the lines of the file that each user is in, as far as they are known.
        shows_values: whether delivered values may be kept.

    Returns:
        ``result``, a JSON array with the finding of each rule, and what it has ``measured`` if it is one of the table
        as a whole; ``delivered_values``, an object with what was ``found`` and the ``examples`` in words that have
        values, by the rule's position, of the rules for which they are other words.
    """
    bare = [describe(result, lines, shows_values=False) for result in results]
    rules = [finding._asdict() | {"measured": measured(result)} for finding, result in zip(bare, results, strict=True)]
    values = {}
    if shows_values:
        for position, result in enumerate(results):
            finding = describe(result, lines, shows_values=True)
            if finding != bare[position]:
                values[str(position)] = {"found": finding.found, "examples": finding.examples}
    return {"result": json.dumps(rules), "delivered_values": json.dumps(values)}


def _number(value: Any) -> float | None:
    """Return a number that JSON can hold; None for NaN, infinity, and what is no number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def exception(result: Any) -> str:
    """Return the first line of the error that kept a rule from being checked; it may contain delivered values."""
    info = result.exception_info
    if "exception_message" not in info:  # one per metric
        info = next(iter(info.values()), {"exception_message": "no reason given"})
    return str(info["exception_message"]).partition("\n")[0]


def _found(result: Any, shows_values: bool) -> str:
    """Return what a rule has found, without examples."""
    rule, found = result.expectation_config.type, result.result
    if not found:
        reason = exception(result)
        if not shows_values:  # the database quotes the value that it rejects; the error's name comes first
            reason = reason.partition(")")[0].lstrip("(") if reason.startswith("(") else "the reason may not be shown"
        return f"could not be checked: {printable(reason)}"
    if "unexpected_count" in found and "element_count" not in found:  # a rule on the distinct values
        return f"{found['unexpected_count']} of the distinct values"
    if "unexpected_count" in found:
        return f"{found['unexpected_count']} of {_count(found['element_count'])}"
    if mismatched := _mismatched(result):
        return "; ".join(
            f"{kind} column{'s' if len(names) > 1 else ''} {', '.join(map(_name, names))}"
            for kind, names in mismatched.items()
        )
    observed = found.get("observed_value")
    if rule == QUERY:
        return _count(observed)
    if rule == COLUMNS:
        return f"found {', '.join(map(_name, observed or []))}"
    if shows_values or rule in _ABOUT_THE_TABLE:
        return f"found {show(observed)}"
    return "found another value"


def _in_words(found: list[Example], lines: dict[str | None, list[int]], shows_values: bool) -> Iterator[str]:
    """Yield each example, in the order of the file: its line numbers and, if they may be shown, its values."""
    places = [sorted({line for user in example.users for line in lines.get(user, [])}) for example in found]
    for known, example in sorted(zip(places, found, strict=True), key=lambda one: one[0]):
        said = ", ".join(f"{name} {show(value)}" for name, value in example.values.items()) if shows_values else ""
        if known or said:
            yield ": ".join(filter(None, (_lines(known), said)))


def _lines(known: list[int]) -> str:
    shown = ", ".join(map(str, known[: settings.SAMPLES]))
    more = " and more" if len(known) > settings.SAMPLES else ""
    return f"line{'s' if len(known) > 1 else ''} {shown}{more}" if known else ""


def _count(rows: int) -> str:
    return f"{rows} row{'' if rows == 1 else 's'}"


def _name(column: str) -> str:
    """Return a column name from a file's header, in quotes if it is not an identifier."""
    return column if column.isidentifier() else show(column)


def _mismatched(result: Any) -> dict[str, list[str]]:
    return (result.result.get("details") or {}).get("mismatched") or {}


def wording(config: Any) -> str:
    """Return Great Expectations' own description of a rule; empty if it has none.

    It is made from the suite and its parameters only, so it never contains a delivered value.
    """
    from great_expectations.expectations.registry import get_renderer_impl

    if config.type == COLUMNS:
        return "columns must be those of table.yaml"  # the whole list does not fit on a line
    _, render = get_renderer_impl(config.type, "renderer.prescriptive") or (None, None)
    if render is None or config.type == QUERY:
        return ""
    try:
        contents: Any = render(configuration=config, runtime_configuration={"include_column_name": False})
    except Exception:  # only the description is lost
        return ""
    for content in contents:
        said = getattr(content, "string_template", None)
        if said:
            values = {
                name: repr(value) if name.startswith("v__") else str(value) for name, value in said["params"].items()
            }
            words = string.Template(said["template"].removesuffix(".")).safe_substitute(values)
            return words[:1].lower() + words[1:]
    return ""
