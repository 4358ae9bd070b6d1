"""`make docs`: the data dictionary says what the folders of include/tables/ say."""

from __future__ import annotations

from streamflow.tables import TABLES
from write_dictionary import PAGE, page


def test_the_dictionary_is_current():
    assert PAGE.read_text() == page(), "include/tables has changed since: make docs"


def test_its_first_line_says_where_it_comes_from():
    assert "`make docs`" in PAGE.read_text().splitlines()[0]


def test_it_has_every_table_and_column_with_what_they_mean():
    for part, table in zip(page().split("\n## ")[2:], TABLES.values(), strict=True):  # after the rules of every table
        assert part.startswith(f"{table.name}\n")
        assert f"snapshot table `{table.snapshots}`" in part
        for column in table.fields:
            assert f"| `{column.name}` | {column.type} |" in part
            assert f"| {column.about} |\n" in part


def test_a_rule_is_said_in_words_once_for_all_of_its_columns():
    said = page()
    assert said.count("`user_id`: values must be unique") == 1
    assert "critical: must have greater than or equal to 80% of the previous month's rows. Why: " in said
    assert "warning: `months_active`, `monthly_fee`, `total_paid`: mean must be " in said
    assert "less than or equal to the month's last day" in said
    assert "$PARAMETER" not in said
