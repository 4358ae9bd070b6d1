"""The tables of a delivery, read from the folders of ``include/tables/``.

Python and the SQL templates take identifiers only from here.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from airflow.sdk import conf
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS

from streamflow.months import Month
from streamflow.rules import Rule, read_suite
from streamflow.spec import TablesError, in_words, read_text, repeated

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]  # the other class of the same methods

TABLES_FOLDER = Path(
    conf.get("streamflow", "tables_folder", fallback=None) or Path(__file__).resolve().parents[2] / "include" / "tables"
)
"""The folder that holds one folder per table: ``include/tables``, unless Airflow's configuration names another."""

SUITE = "expectations.json"

EXACT = "__exact"
"""Ends the name of the text that the archive has beside each number: 7.0 is not 7."""

Type = Literal["text", "boolean", "integer", "bigint", "numeric", "date"]
_LONGEST = len("_20240131_build_pkey")  # the longest suffix that the pipeline adds to a table's name
_TAKEN = frozenset(
    (
        "deliveries",
        "current_deliveries",
        "sealed_months",
        "schema_migrations",
        "validations",
        "questions",
        "training_sets",
        "training_sets_status",
        "archives",
        "current_archives",
        "archived_snapshots",
        "erasures",
        "erasure_months",
    )
)
# names of the columns, rows, and variables in the pipeline's SQL
_RESERVED = frozenset(
    (
        *("user_id", "as_of", "source_as_of", "what", "names", "month", "before", "is_delivered", "state", "sealed"),
        *("revision", "event_timestamp"),  # in the archive's files
    )
)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63 - _LONGEST)]
MonthName = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class Column(BaseModel):
    """One column of a table.

    Attributes:
        name: the column's name in the file and in PostgreSQL.
        type: its type in PostgreSQL.
        optional: whether a delivery may leave it out; its stored values are then kept.
        since: the first month, ``YYYY-MM``, whose delivery can have it; only for optional columns, as documentation.
        about: its meaning, in a sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Name
    type: Type
    optional: bool = False
    since: MonthName | None = None
    about: Annotated[str, Field(min_length=1)]


class Table(BaseModel):
    """One file of a delivery, with its live table and its snapshots.

    Attributes:
        name: the live table, the folder below ``include/tables/``, and the file without ``.csv``.
        about: its content, in a sentence.
        snapshots: the snapshot table.
        refers_to: the table that must have the users of its rows; None for the root table, to which all others refer,
            directly or not.
        since: the first month, ``YYYY-MM``, whose delivery has it; None if all have it.
        label: the column that models are trained to predict; at most one table has one.
        fields: its columns in order, without the key ``user_id``; optional ones last.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)

    name: Name
    about: Annotated[str, Field(min_length=1)]
    snapshots: Name
    refers_to: Name | None = None
    since: MonthName | None = None
    label: Name | None = None
    fields: Annotated[tuple[Column, ...], Field(alias="columns", strict=False)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [column.name for column in self.fields]
        if not names:
            raise ValueError("columns: expected at least one besides user_id, which every table has")
        for name in names:
            if name in _RESERVED:
                raise ValueError(f"columns: {name} is a name that the pipeline itself uses")
            if name.endswith(EXACT):
                raise ValueError(f"columns: {name} ends with {EXACT}, as the archive's copies of numbers do")
            if name in RESERVED_WORDS:
                raise ValueError(f"columns: {name} is a reserved word of SQL")
        if twice := repeated(names):
            raise ValueError(f"columns: {twice} appears twice")
        for column in self.fields:
            if column.since and not column.optional:
                raise ValueError(f"columns: {column.name} has since, so it must be optional")
        if tuple(names[len(self.required) :]) != self.optional:
            raise ValueError("columns: optional ones must come last, because PostgreSQL adds columns at the end")
        if self.label is not None and not any(
            column.name == self.label and column.type == "boolean" and not column.optional for column in self.fields
        ):
            raise ValueError(f"label: {self.label} is not one of the columns that are boolean and not optional")
        return self

    def is_delivered(self, as_of: str) -> bool:
        """Whether the delivery of a month (``YYYY-MM-DD``) has the table."""
        return self.since is None or as_of[:7] >= self.since

    @property
    def columns(self) -> tuple[str, ...]:
        """Live's columns in order, without the key."""
        return tuple(column.name for column in self.fields)

    @property
    def optional(self) -> tuple[str, ...]:
        """The columns that a delivery may leave out."""
        return tuple(column.name for column in self.fields if column.optional)

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that every delivery has."""
        return tuple(column.name for column in self.fields if not column.optional)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns whose values can be written in several ways: 7 and 7.0."""
        return tuple(column.name for column in self.fields if column.type == "numeric")

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Live's columns in order, with the key."""
        return ("user_id", *self.columns)

    @property
    def file_name(self) -> str:
        """The file of a month folder that holds the table."""
        return f"{self.name}.csv"

    @property
    def suite(self) -> Path:
        """The file with its rules, in Great Expectations' serialized form."""
        return TABLES_FOLDER / self.name / SUITE

    def read_rules(self) -> tuple[Rule, ...]:
        """Return its rules."""
        return read_suite(self.suite, self.name, self.all_columns)

    def staged(self, as_of: str) -> str:
        """Return the name of the staging table of a month (``YYYY-MM-DD``): ``labels_20240131``, in schema staging.

        This name and the names of the builds are defined here and, for the owner's functions, in
        ``include/sql/schema/relation_name.sql``. A test checks that they are equal.
        """
        return f"{self.name}_{Month.parse(as_of).suffix}"

    def build(self, as_of: str) -> str:
        """Return the name of the table that a month's snapshot is built in, in schema staging."""
        return f"{self.staged(as_of)}_build"

    def changes(self, as_of: str) -> str:
        """Return the name of the table, in schema staging, of a month's changes to sealed months."""
        return f"{self.staged(as_of)}_changes"

    def read_back(self, as_of: str) -> str:
        """Return the name of the table, in schema staging, that a month's archived file is read into."""
        return f"{self.staged(as_of)}_file"


def read_tables(folder: Path = TABLES_FOLDER) -> dict[str, Table]:
    """Return the tables of a folder that holds one folder per table; those that others refer to come first.

    Raises:
        TablesError: if a table is not valid, if two share a name, or if there is not one root table to which all others
            refer. It names the file, the key, what was expected, and what was found.
    """
    for path in sorted(folder.glob("[!._]*/")):
        if not (path / "table.yaml").exists():
            raise TablesError(f"{path / 'table.yaml'}:", "Expected the table's definition.", "Found no file.")
    tables = {path.parent.name: _read(path) for path in sorted(folder.glob("[!._]*/table.yaml"))}
    if not tables:
        raise TablesError(f"{folder}: expected one folder with a table.yaml per table; found none.")
    for name, table in tables.items():
        where = folder / name / "table.yaml"
        for said in (name, table.snapshots):
            if said in RESERVED_WORDS | _TAKEN:
                what = "a reserved word of SQL" if said in RESERVED_WORDS else "a table of the pipeline itself"
                raise TablesError(f"{where}:", "Expected a table's name.", f"Found {said}, which is {what}.")
        if table.refers_to is not None and table.refers_to not in tables:
            raise TablesError(
                f"{where}, refers_to:", f"Expected one of {', '.join(tables)}.", f"Found {table.refers_to!r}."
            )
        taken = [
            other.name
            for other in tables.values()
            if table.snapshots == other.name or (other is not table and table.snapshots == other.snapshots)
        ]
        if taken:
            raise TablesError(f"{where}, snapshots:", "Expected a unique name.", f"Found a name that {taken[0]} uses.")
        earlier = table.refers_to and tables[table.refers_to].since
        if earlier and (table.since or "") < earlier:
            raise TablesError(
                f"{where}, since:",
                f"Expected {earlier} or later, the since of {table.refers_to}, to which it refers.",
                f"Found {table.since or 'none'}.",
            )
    labels = [f"{name}.{table.label}" for name, table in tables.items() if table.label]
    if len(labels) > 1:
        raise TablesError(f"{folder}: expected one table with a label at most.", f"Found {', '.join(labels)}.")
    roots = [name for name, table in tables.items() if table.refers_to is None]
    if len(roots) != 1:
        raise TablesError(
            f"{folder}: expected exactly one table without refers_to: the one that all others refer to.",
            f"Found {', '.join(roots) or 'none'}.",
        )
    if since := tables[roots[0]].since:
        raise TablesError(
            f"{folder / roots[0] / 'table.yaml'}, since:",
            "Expected no since: all other tables refer to this one, so every delivery has it.",
            f"Found {since}.",
        )
    try:
        order = TopologicalSorter(
            {name: [table.refers_to] if table.refers_to else [] for name, table in tables.items()}
        ).static_order()
        return {name: tables[name] for name in order}
    except CycleError as error:
        raise TablesError(
            f"{folder}, refers_to:", "Expected no circular references.", f"Found {' → '.join(error.args[1])}."
        ) from None


class _Loader(SafeLoader):
    """Plain YAML, except that a repeated key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        if key := repeated([key.value for key, _ in node.value]):
            raise yaml.MarkedYAMLError(problem=f"the key {key} appears twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> Table:
    """Read one ``table.yaml``."""
    name = path.parent.name
    try:
        said = yaml.load(read_text(path, "the table's definition"), _Loader)  # noqa: S506 (a SafeLoader)
        if not isinstance(said, dict):
            raise TablesError(f"{path}:", "Expected keys and values (about, snapshots, columns).", f"Found {said!r}.")
        table = Table.model_validate({"snapshots": f"{name}_snapshots", **said, "name": name})
    except yaml.YAMLError as error:
        raise TablesError(f"{path}:", *str(error).splitlines()) from None
    except ValidationError as invalid:
        raise in_words(path, said, invalid) from None
    read_suite(path.parent / SUITE, name, table.all_columns)
    return table


TABLES: dict[str, Table] = read_tables()
ROOT: Table = next(iter(TABLES.values()))
"""The table that all others refer to, directly or not."""


def tables_of(as_of: str) -> dict[str, Table]:
    """Return the tables that a month's delivery has (``YYYY-MM-DD``); those that others refer to come first."""
    return {name: table for name, table in TABLES.items() if table.is_delivered(as_of)}


def files_of(as_of: str) -> list[str]:
    """Return the names of the files that a month's delivery has."""
    return [table.file_name for table in tables_of(as_of).values()]
