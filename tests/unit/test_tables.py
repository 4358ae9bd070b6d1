"""The folders of include/tables/: what they may say, and how a mistake in one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamflow.drift import read_bounds, suite_parameters
from streamflow.tables import ROOT, TABLES, TablesError, read_tables


def change(path: Path, was: str, now: str) -> None:
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now, 1))


def test_a_table_comes_after_the_one_that_it_refers_to(folder):
    change(folder / "labels" / "table.yaml", "refers_to: users", "refers_to: usage_agg_30d")
    names = [*read_tables(folder)]
    assert names[0] == "users" == ROOT.name
    assert names.index("labels") > names.index("usage_agg_30d")
    assert {*names} == {*TABLES}


def test_a_snapshots_name_follows_from_the_tables_unless_it_is_given(folder):
    change(folder / "labels" / "table.yaml", "snapshots: labels_snapshots\n", "")
    assert read_tables(folder)["labels"].snapshots == "labels_snapshots"
    assert read_tables(folder)["subscriptions"].snapshots == "subscriptions_profile_snapshots"


LABELS = """  - name: churn_label
    type: boolean
    about: the user has left
"""
MORE = "  - name: {}\n    type: text\n    about: more\n"


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("type: boolean", "type: bool", ["columns churn_label type:", "'text', 'boolean', 'integer'", "Found 'bool'."]),
        ("type: boolean", "typ: boolean", ["columns churn_label type:", "Field required."]),
        ("type: boolean", "typ: boolean", ["columns churn_label typ:", "not permitted"]),
        ("    about: the user has left\n", "", ["columns churn_label about:", "Field required."]),
        ("name: churn_label", "name: Churn", ["columns Churn name:", "Found 'Churn'."]),
        ("name: churn_label", f"name: {'c' * 50}", ["at most 43 characters"]),
        ("name: churn_label", "name: as_of", ["as_of is a name that the pipeline itself uses."]),
        ("name: churn_label", "name: order", ["order is a reserved word of SQL"]),
        ("name: churn_label", "name: month", ["month is a name that the pipeline itself uses."]),
        ("name: churn_label", "name: revision", ["revision is a name that the pipeline itself uses."]),
        ("name: churn_label", "name: fee__exact", ["fee__exact ends with __exact, as the archive's copies of"]),
        ("name: churn_label", 'name: "a;b"', ["Found 'a;b'."]),
        ("name: churn_label", "name: 1", ["columns 1 name:", "Found 1."]),
        (LABELS, LABELS + LABELS, ["churn_label appears twice."]),
        (LABELS, LABELS + "    optional: true\n" + MORE.format("why"), ["optional ones must come last"]),
        (LABELS, LABELS + "    optional: often\n", ["columns churn_label optional:", "Found 'often'."]),
        (LABELS, LABELS + "    since: 2024-02\n", ["churn_label has since, so it must be optional."]),
        (LABELS, LABELS + "    since: 2024-13\n", ["columns churn_label since:", "Found '2024-13'."]),
        (f"columns:\n{LABELS}", "columns: []\n", ["columns:", "expected at least one"]),
        (f"columns:\n{LABELS}", "", ["columns:", "Field required."]),
        ("refers_to: users", "refers_to: people", ["refers_to:", "Expected one of labels,", "Found 'people'."]),
        ("refers_to: users", "refers_to: labels", ["Found labels → labels."]),
        ("refers_to: users\n", "", ["expected exactly one table without", "Found labels, users."]),
        ("snapshots: labels_", "snapshots: users_", ["snapshots:", "Found a name that users uses."]),
        ("snapshots: labels_snapshots", "snapshots: users", ["snapshots:", "Found a name that users uses."]),
        ("about: what", "about: a\nabout: what", ["the key about appears twice", "line 1"]),
        ("columns:", "colums: 1\ncolumns:", ["colums:", "not permitted"]),
        ("columns:\n", "columns: {\n", ["line"]),
    ],
)
def test_what_is_wrong_with_a_table_is_told(folder, was, now, says):
    change(folder / "labels" / "table.yaml", was, now)
    with pytest.raises(TablesError) as refused:
        read_tables(folder)
    assert str(folder) in str(refused.value)
    for words in says:
        assert words in str(refused.value)


def test_an_optional_column_needs_no_other_edit(folder):
    change(folder / "labels" / "table.yaml", LABELS, LABELS + MORE.format("churn_reason") + "    optional: true\n")
    labels = read_tables(folder)["labels"]
    assert labels.optional == ("churn_reason",)
    assert suite_parameters(labels, read_bounds("labels"), None, ())["columns"] == [
        *("user_id", "churn_label", "churn_reason")
    ]


def test_a_table_needs_its_rules(folder):
    (folder / "labels" / "expectations.json").unlink()
    with pytest.raises(TablesError, match=r"labels/expectations\.json:\nExpected the table's rules\.\nFound no file\."):
        read_tables(folder)


def test_no_tables_at_all_is_told(tmp_path):
    with pytest.raises(TablesError, match=r"expected one folder with a table\.yaml per table; found none"):
        read_tables(tmp_path)


def test_an_empty_file_is_told(folder):
    (folder / "labels" / "table.yaml").write_text("")
    with pytest.raises(TablesError, match=r"Expected keys and values .*\nFound None"):
        read_tables(folder)
