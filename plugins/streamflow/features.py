"""The columns of a training set: the label, and the features of all tables."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from streamflow.spec import TablesError
from streamflow.tables import TABLES, TABLES_FOLDER, Column, Table

_LONGEST = 63  # characters of a name in PostgreSQL
_PARAMETERS = ("as_of", "horizon_months")  # of the SQL function training_set: its columns need other names


class Feature(NamedTuple):
    """A column of a table, as a training set has it.

    Attributes:
        table: the table.
        column: the table's column.
        name: the training set's column.
    """

    table: Table
    column: Column
    name: str


def label_of(tables: dict[str, Table]) -> Feature | None:
    """Return the column that models are trained to predict; None if no table has a label."""
    for table in tables.values():
        for column in table.fields:
            if column.name == table.label:
                return Feature(table, column, column.name)
    return None


def features_of(tables: dict[str, Table]) -> tuple[Feature, ...]:
    """Return the features: all columns of all tables but the key and the label.

    A column whose name is in several tables, or is the label's or a parameter's, is called ``<table>_<column>``.

    Raises:
        TablesError: if that name is too long, or another column's.
    """
    label = label_of(tables)
    columns = [
        (table, column)
        for table in tables.values()
        for column in table.fields
        if label is None or (table, column) != label[:2]
    ]
    taken = Counter([column.name for _, column in columns])
    taken.update(["user_id", *_PARAMETERS, *([label.name] if label else [])])
    features = tuple(
        Feature(table, column, column.name if taken[column.name] == 1 else f"{table.name}_{column.name}")
        for table, column in columns
    )
    names = Counter([*(feature.name for feature in features), *([label.name] if label else [])])
    for table, column, name in features:
        if names[name] > 1 or len(name) > _LONGEST:
            raise TablesError(
                f"{TABLES_FOLDER / table.name / 'table.yaml'}, columns {column.name}:",
                "Expected a name that no other table has, or one that is unique and short enough with the table's name "
                "before it: a training set has the columns of all tables.",
                f"Found {name}, which is {'taken' if names[name] > 1 else f'longer than {_LONGEST} characters'}.",
            )
    return features


LABEL: Feature | None = label_of(TABLES)
FEATURES: tuple[Feature, ...] = features_of(TABLES)
