"""How far a month may differ from the one before: the bounds, and what they are called in a suite."""

from __future__ import annotations

import json

import pytest

from streamflow import drift
from streamflow.drift import KEYS, parameters_in_words, read_bounds, suite_parameters
from streamflow.spec import TablesError
from streamflow.tables import TABLES


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


def test_each_bound_says_what_it_is():
    assert {*json.loads(drift.BOUNDS.read_text())["what"]} == {*KEYS}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_each_parameter_has_words(table):
    bounds = read_bounds(table.name)
    assert {*parameters_in_words(table, bounds)} == {*suite_parameters(table, bounds, None, ()), "as_of"}
