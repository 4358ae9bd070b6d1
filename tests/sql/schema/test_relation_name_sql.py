"""The names of what is staged and built."""

from __future__ import annotations

from streamflow.tables import TABLES

MONTH = "2024-01-31"


def test_the_names_of_staged_and_built_tables_are_the_same_in_python_and_in_the_database(database):
    for table in TABLES.values():
        assert database.query_as_admin(
            "select staging.relation_name(%s, date '2024-01-31'), "
            "staging.relation_name(%s, date '2024-01-31', 'build'), "
            "staging.relation_name(%s, date '2024-01-31', 'changes')",
            *[table.name] * 3,
        ) == [(table.staged(MONTH), table.build(MONTH), table.changes(MONTH))]
