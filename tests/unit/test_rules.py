"""A table's rules: what is wrong with a suite is told when the DAG is parsed."""

from __future__ import annotations

import json

import pytest

from streamflow.spec import TablesError
from streamflow.tables import read_tables
from support.tables import edit

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
        (
            lambda suite: suite["expectations"][4].update(meta={"ask": True}),
            [
                "expectations 5 (expect_column_values_to_not_be_null) meta ask:",
                "true only for a rule of severity warning",
                "Found true for a rule of severity critical.",
            ],
        ),
        (
            lambda suite: suite["expectations"][4].update(severity="warning", meta={"ask": "yes"}),
            ['Found "yes" for a rule of severity warning.'],
        ),
        (lambda suite: suite["expectations"].append("none"), ["expectations 7:", "Found 'none'."]),
        (
            lambda suite: suite["expectations"].append(suite["expectations"][4] | {"severity": "warning"}),
            ["expectations 7 (expect_column_values_to_not_be_null):", "each rule once", "Found it also as number 5."],
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


def test_what_great_expectations_writes_besides_is_accepted(folder):
    suite, write = edit(folder)
    suite |= {"id": "6f1c", "meta": {"great_expectations_version": "1.24"}, "notes": None}
    suite["expectations"][0] |= {"id": "6f1d", "notes": ["more"]}
    write()
    assert "labels" in read_tables(folder)
