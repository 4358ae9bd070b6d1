"""`make check-tables`: what is wrong with a table's folder is told with file, key, what was expected and found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamflow.tables import TABLES, TABLES_FOLDER
from support.paths import ROOT
from support.tables import edit

pytestmark = pytest.mark.slow


def run(tool: str, *arguments: str | Path, tables: Path) -> subprocess.CompletedProcess:
    """Run a tool on the tables of a folder."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / f"{tool}.py", *arguments],
        env=os.environ | {"AIRFLOW__STREAMFLOW__TABLES_FOLDER": str(tables)},
        capture_output=True,
        text=True,
        check=False,
    )


def paragraph(said: str) -> str:
    """What was printed, without the breaks of long lines."""
    return " ".join(said.split())


def test_all_is_well_with_the_tables_of_this_package():
    done = run("check_tables", tables=TABLES_FOLDER)
    rules = sum(len(table.read_rules()) for table in TABLES.values())
    columns = sum(len(table.columns) for table in TABLES.values())
    assert done.stdout == f"OK: {len(TABLES)} tables, {columns} columns, {rules} rules, bounds.json.\n", done.stderr
    assert done.returncode == 0


# what Great Expectations alone can find: a rule, and what is said of it
BAD_RULES = [
    (
        {"type": "expect_column_values_to_be_betwen", "kwargs": {"column": "churn_label"}},
        "Expected a type that Great Expectations knows, such as expect_column_values_to_be_between or",
        "Found 'expect_column_values_to_be_betwen'.",
    ),
    (
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "churn_label", "min": 0, "max_value": 1}},
        "(expect_column_values_to_be_between) kwargs min: Expected one of column, ",
        "Found 0.",
    ),
    (
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "churn_label"}},
        "(expect_column_values_to_be_between): Great Expectations says: min_value and max_value cannot both be None.",
        "",
    ),
    (
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "churn_label", "min_value": "zero"}},
        "kwargs min_value: Great Expectations says: value is not a valid float, or invalid date format, or ",
        "Found 'zero'.",
    ),
    (
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "churn_label", "value_set": "yes"}},
        "kwargs value_set: Great Expectations says: value is not a valid list.",
        "Found 'yes'.",
    ),
    (
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "churn_label"}},
        "(expect_column_values_to_be_in_set) kwargs value_set: Great Expectations says: field required.",
        "",
    ),
    (
        {"type": "expect_column_mean_to_be_between", "kwargs": {"min_value": 0}},
        "(expect_column_mean_to_be_between) kwargs column: Great Expectations says: field required.",
        "",
    ),
    (
        {
            "type": "expect_column_mean_to_be_between",
            "kwargs": {"column": "churn_label", "min_value": {"$PARAMETER": "churn_label_mean_mim"}},
        },
        "kwargs min_value: Expected a $PARAMETER that a month gives, such as churn_label_mean_min or",
        "Found 'churn_label_mean_mim'.",
    ),
    (
        {"type": "unexpected_rows_expectation", "kwargs": {"unexpected_rows_query": "select user_id from labels"}},
        "kwargs unexpected_rows_query: Expected {batch}, which stands for the table that is checked.",
        "Found a query without it.",
    ),
]


def test_every_rule_that_great_expectations_cannot_check_is_told_at_once(folder):
    suite, write = edit(folder)
    before = len(suite["expectations"])
    suite["expectations"] += [{"severity": "warning", **rule} for rule, _, _ in BAD_RULES]
    write()
    done = run("check_tables", tables=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    said = paragraph(done.stderr)
    for number, (rule, expected, found) in enumerate(BAD_RULES, before + 1):
        where = f"{folder}/labels/expectations.json, expectations {number} ({rule['type']})"
        assert where in said
        of_this = said.partition(where)[2].partition(f"{folder}/")[0]
        assert expected in where.rpartition(" ")[2] + of_this, of_this
        assert found in of_this


def test_a_table_that_the_pipeline_cannot_read_is_told_without_a_stack(folder, tmp_path):
    yaml = folder / "labels" / "table.yaml"
    yaml.write_text(yaml.read_text().replace("type: boolean", "type: bool"))
    for tool, arguments in (
        ("check_tables", []),
        ("write_dictionary", []),
        ("generate_deliveries", [tmp_path / "deliveries"]),
    ):
        done = run(tool, *arguments, tables=folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert paragraph(done.stderr).startswith(f"{yaml}, columns churn_label type: ")
        assert done.stderr.endswith("Found 'bool'.\n")


def test_the_tool_tells_what_is_wrong_with_the_bounds(folder):
    (folder / "bounds.json").unlink()
    done = run("check_tables", tables=folder)
    assert done.returncode == 1
    assert paragraph(done.stderr).endswith("previous month. Found no file.")
    assert done.stderr.startswith(f"{folder}/bounds.json:\n")
