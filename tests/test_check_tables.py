"""`make check-tables`: what is wrong with a table's folder is told with file, key, what was expected and found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from streamflow import drift
from streamflow.drift import KEYS, parameters_in_words, read_bounds, suite_parameters
from streamflow.spec import TablesError
from streamflow.tables import TABLES, TABLES_FOLDER, read_tables


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of include/tables."""
    return shutil.copytree(TABLES_FOLDER, tmp_path / "tables")


def run(tool: str, *arguments: str | Path, tables: Path) -> subprocess.CompletedProcess:
    """Run a tool on the tables of a folder."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / f"{tool}.py", *arguments],
        env=os.environ | {"AIRFLOW__STREAMFLOW__TABLES_FOLDER": str(tables)},
        capture_output=True,
        text=True,
        check=False,
    )


def edit(folder: Path, table: str = "labels"):
    """The suite of a table, to be changed, and what writes it back."""
    path = folder / table / "expectations.json"
    suite = json.loads(path.read_text())
    return suite, lambda: path.write_text(json.dumps(suite))


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


COLUMN_SET = {"column_set": {"$PARAMETER": "columns"}}
UNIQUE = "expect_column_proportion_of_unique_values_to_be_between"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda suite: suite.update(name="label"), [", name:", "Expected 'labels'", "Found 'label'."]),
        (lambda suite: suite.pop("name"), [", name:", "Field required."]),
        (lambda suite: suite.update(expectation=[]), [", expectation:", "not permitted"]),
        (lambda suite: suite.update(expectations={}), [", expectations:", "valid tuple"]),
        (
            lambda suite: suite["expectations"][4]["kwargs"].update(column="churned"),
            [
                "expectations 5 (expect_column_values_to_not_be_null) kwargs column:",
                "Expected one of user_id, churn_label.",
                "Found 'churned'.",
            ],
        ),
        (
            lambda suite: suite["expectations"][4].update(severity="fatal"),
            [
                "expectations 5 (expect_column_values_to_not_be_null) severity:",
                "'critical' or 'warning'",
                "Found 'fatal'.",
            ],
        ),
        (
            lambda suite: suite["expectations"][4].pop("severity"),
            ["expectations 5 (expect_column_values_to_not_be_null) severity:", "Field required."],
        ),
        (
            lambda suite: suite["expectations"][4].update(severty="critical"),
            ["expectations 5 (expect_column_values_to_not_be_null) severty:", "not permitted"],
        ),
        (lambda suite: suite["expectations"].append("none"), ["expectations 7:", "Found 'none'."]),
        (
            lambda suite: suite["expectations"].append(suite["expectations"][4] | {"severity": "warning"}),
            ["expectations 7 (expect_column_values_to_not_be_null):", "each rule once", "as number 5 as well."],
        ),
        (
            lambda suite: suite["expectations"][0]["kwargs"].update(column_set=["user_id", "churn_label"]),
            [json.dumps(COLUMN_SET), 'Found critical with {"column_set": ["user_id", "churn_label"]}.'],
        ),
        (lambda suite: suite["expectations"].pop(2), ["expect_column_values_to_not_be_null", "Found none."]),
        (lambda suite: suite["expectations"][3].update(severity="warning"), [UNIQUE, "Found warning with"]),
    ],
)
def test_what_is_wrong_with_a_suite_is_told_when_the_dag_is_parsed(folder, change, says):
    suite, write = edit(folder)
    change(suite)
    write()
    with pytest.raises(TablesError) as refused:
        read_tables(folder)
    for words in [f"{folder}/labels/expectations.json", *says]:
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ('"name": "labels",', '"name": "labels"', ["line 3, column 3:", "Expecting ',' delimiter."]),
        ('"name": "labels",', '"name": "labels", "name": "users",', ["the key name appears twice."]),
        ('"labels"', '"lab\udce9ls"', ["Expected UTF-8 text.", "Found byte 0xe9."]),
    ],
)
def test_a_suite_that_is_no_json_is_told(folder, was, now, says):
    path = folder / "labels" / "expectations.json"
    path.write_bytes(path.read_text().replace(was, now, 1).encode(errors="surrogateescape"))
    with pytest.raises(TablesError) as refused:
        read_tables(folder)
    for words in [str(path), *says]:
        assert words in str(refused.value)


def test_a_folder_without_a_table_is_told(folder):
    (folder / "devices").mkdir()
    with pytest.raises(TablesError, match=r"devices/table\.yaml:\nExpected the table's definition\.\nFound no file"):
        read_tables(folder)


def test_what_great_expectations_writes_besides_is_accepted(folder):
    suite, write = edit(folder)
    suite |= {"id": "6f1c", "meta": {"great_expectations_version": "1.24"}, "notes": None}
    suite["expectations"][0] |= {"id": "6f1d", "notes": ["more"]}
    write()
    assert "labels" in read_tables(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda said: said["tables"].update(label={}), ["tables: expected some of", "found label."]),
        (
            lambda said: said["tables"].update(labels={"rows_at_last": 1}),
            ["tables labels rows_at_last:", "'rows_at_least'", "Found 'rows_at_last'."],
        ),
        (
            lambda said: said["tables"].update(labels={"rows_at_least": "most"}),
            ["tables labels rows_at_least:", "valid number", "Found 'most'."],
        ),
        (
            lambda said: said["defaults"].update(mean_change_at_most=-1),
            ["defaults mean_change_at_most:", "greater than or equal to 0", "Found -1."],
        ),
        (lambda said: said["defaults"].update(mean_change_at_most=True), ["valid number", "Found True."]),
        (lambda said: said["defaults"].pop("rows_at_least"), ["defaults: expected", "rows_at_least not found."]),
        (lambda said: said.update(table={}), ["bounds.json, table:", "not permitted"]),
    ],
)
def test_what_is_wrong_with_the_bounds_is_told(folder, monkeypatch, change, says):
    path = folder / "bounds.json"
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))
    monkeypatch.setattr(drift, "BOUNDS", path)
    with pytest.raises(TablesError) as refused:
        read_bounds("labels")
    for words in [str(path), *says]:
        assert words in str(refused.value)


def test_the_tool_tells_what_is_wrong_with_the_bounds(folder):
    (folder / "bounds.json").unlink()
    done = run("check_tables", tables=folder)
    assert done.returncode == 1
    assert paragraph(done.stderr).endswith("month before. Found no file.")
    assert done.stderr.startswith(f"{folder}/bounds.json:\n")


def test_each_bound_says_what_it_is():
    assert {*json.loads(drift.BOUNDS.read_text())["what"]} == {*KEYS}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_each_parameter_has_words(table):
    bounds = read_bounds(table.name)
    assert {*parameters_in_words(table, bounds)} == {*suite_parameters(table, bounds, None, ()), "as_of"}
