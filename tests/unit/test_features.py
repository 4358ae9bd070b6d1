"""What the columns of a training set are called, and which column is the label."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamflow.features import FEATURES, LABEL, features_of, label_of
from streamflow.spec import TablesError
from streamflow.tables import read_tables

MORE = """  - name: {}
    type: {}
    about: more
"""


def add(folder: Path, table: str, name: str, kind: str = "integer") -> None:
    """Give a table another column, at the end."""
    with (folder / table / "table.yaml").open("a") as file:
        file.write(MORE.format(name, kind))


def names(folder: Path) -> list[str]:
    return [feature.name for feature in features_of(read_tables(folder))]


def test_the_label_is_the_column_that_says_so_and_no_feature():
    assert (LABEL.table.name, LABEL.column.name, LABEL.name) == ("labels", "churn_label", "churn_label")
    assert "churn_label" not in [feature.column.name for feature in FEATURES]
    assert len(FEATURES) == 25


def test_names_are_the_columns_own():
    assert [feature.name for feature in FEATURES] == [feature.column.name for feature in FEATURES]


def test_a_name_that_is_in_two_tables_gets_its_tables(folder):
    add(folder, "usage_agg_30d", "score")
    add(folder, "payments_agg_90d", "score")
    assert {name for name in names(folder) if "score" in name} == {"usage_agg_30d_score", "payments_agg_90d_score"}


def test_a_feature_with_the_labels_name_or_a_parameters_gets_its_tables(folder):
    add(folder, "usage_agg_30d", "churn_label", kind="boolean")
    add(folder, "usage_agg_30d", "horizon_months")
    assert names(folder)[-2:] == ["usage_agg_30d_churn_label", "usage_agg_30d_horizon_months"]


def test_other_columns_of_the_labels_table_are_features(folder):
    add(folder, "labels", "reason_code")
    assert "reason_code" in names(folder)


def test_names_that_cannot_be_told_apart_are_refused(folder):
    for table, name in (("users", "score"), ("labels", "score"), ("usage_agg_30d", "users_score")):
        add(folder, table, name)
    with pytest.raises(TablesError, match=r"users_score, which is taken\."):
        features_of(read_tables(folder))


def test_a_name_that_would_be_too_long_is_refused(folder):
    long = (folder / "labels").rename(folder / ("labels_" + "x" * 30))
    suite = long / "expectations.json"
    suite.write_text(suite.read_text().replace('"name": "labels"', f'"name": "{long.name}"'))
    for table in ("users", long.name):
        add(folder, table, "y" * 40)
    with pytest.raises(TablesError, match="which is longer than 63 characters"):
        features_of(read_tables(folder))


def test_without_a_label_all_columns_are_features(folder):
    path = folder / "labels" / "table.yaml"
    path.write_text(path.read_text().replace("label: churn_label\n", ""))
    assert label_of(read_tables(folder)) is None
    assert names(folder).count("churn_label") == 1


def test_two_labels_are_refused(folder):
    path = folder / "users" / "table.yaml"
    path.write_text("label: has_family\n" + path.read_text())
    with pytest.raises(TablesError, match=r"expected one table with a label at most\.\nFound .*users\.has_family"):
        read_tables(folder)


@pytest.mark.parametrize("label", ["months_active", "add_on_backup", "churn_label"])
def test_what_can_be_no_label_is_refused(folder, label):
    """A number, an optional column, and another table's."""
    path = folder / "subscriptions" / "table.yaml"
    path.write_text(f"label: {label}\n" + path.read_text())
    with pytest.raises(
        TablesError, match=f"label: {label} is not one of the columns that are boolean and not optional"
    ):
        read_tables(folder)
