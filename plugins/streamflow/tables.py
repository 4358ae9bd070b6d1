"""The tables of a delivery, as the folders of ``include/tables/`` say.

It is the only place that Python and the SQL templates take identifiers from.
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

TABLES_FOLDER = Path(
    conf.get("streamflow", "tables_folder", fallback=None) or Path(__file__).resolve().parents[2] / "include" / "tables"
)
"""The folder with one of each table: ``include/tables``, unless Airflow's configuration names another."""

SUITE = "expectations.json"

TYPES = ("text", "boolean", "integer", "bigint", "numeric", "date")
_LONGEST = len("_20240131_build_pkey")  # what names of staged and built tables, partitions and keys end in
_TAKEN = frozenset(("deliveries", "current_deliveries", "sealed_months", "schema_migrations"))
# names that the pipeline's SQL gives to columns, rows and variables beside a table's own
_RESERVED = frozenset(
    ("user_id", "as_of", "source_as_of", "what", "names", "month", "before", "is_delivered", "state", "sealed")
)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63 - _LONGEST)]
MonthName = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class Column(BaseModel):
    """One column of a table.

    Attributes:
        name: the column's name in the file and in PostgreSQL.
        type: its type in PostgreSQL.
        optional: whether a delivery may leave it out; its stored values are then kept.
        since: the first month, ``YYYY-MM``, whose delivery can have it, if it is optional; for readers.
        about: a sentence that says what it means.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Name
    type: Literal[TYPES]
    optional: bool = False
    since: MonthName | None = None
    about: Annotated[str, Field(min_length=1)]


class Table(BaseModel):
    """One file of a delivery and what becomes of it.

    Attributes:
        name: the live table, the folder below ``include/tables/``, and the file without ``.csv``.
        about: a sentence that says what it holds.
        snapshots: the table of the month-end states.
        refers_to: the table whose users it may have rows of; None for the one that all others refer to in the end.
        since: the first month, ``YYYY-MM``, whose delivery has it; None: every month's has.
        fields: its columns in order, without the key ``user_id``; optional ones last.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)

    name: Name
    about: Annotated[str, Field(min_length=1)]
    snapshots: Name
    refers_to: Name | None = None
    since: MonthName | None = None
    fields: Annotated[tuple[Column, ...], Field(alias="columns", strict=False)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [column.name for column in self.fields]
        if not names:
            raise ValueError("columns: expected at least one beside user_id, which every table has")
        for name in names:
            if name in _RESERVED:
                raise ValueError(f"columns: {name} is a name that the pipeline gives itself")
            if name in RESERVED_WORDS:
                raise ValueError(f"columns: {name} is a word of SQL, and no name")
        if name := repeated(names):
            raise ValueError(f"columns: {name} is there twice")
        for column in self.fields:
            if column.since and not column.optional:
                raise ValueError(f"columns: {column.name} has since, so it must be optional")
        if tuple(names[len(self.required) :]) != self.optional:
            raise ValueError("columns: optional ones come last, as PostgreSQL adds them")
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
        """Those of ``columns`` that a delivery may leave out."""
        return tuple(column.name for column in self.fields if column.optional)

    @property
    def required(self) -> tuple[str, ...]:
        """Those of ``columns`` that every delivery has."""
        return tuple(column.name for column in self.fields if not column.optional)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Those of ``columns`` in which one value can be written in several ways: 7 and 7.0."""
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
        """The file with its rules, in Great Expectations' serialised form."""
        return TABLES_FOLDER / self.name / SUITE

    def read_rules(self) -> tuple[Rule, ...]:
        """Return its rules."""
        return read_suite(self.suite, self.name, self.all_columns)

    def staged(self, as_of: str) -> str:
        """Return the name of the staging table of a month (``YYYY-MM-DD``): ``labels_20240131``, in schema staging.

        This and the names of the builds are made here and, for the owner's functions, in
        ``include/sql/schema/relation_name.sql``, which a test holds equal.
        """
        return f"{self.name}_{Month.parse(as_of).suffix}"

    def build(self, as_of: str) -> str:
        """Return the name of the table that a month's snapshot is built in, in schema staging."""
        return f"{self.staged(as_of)}_build"

    def changes(self, as_of: str) -> str:
        """Return the name of the list of rows of sealed months that a month would change, in schema staging."""
        return f"{self.staged(as_of)}_changes"


def read_tables(folder: Path = TABLES_FOLDER) -> dict[str, Table]:
    """Return the tables that a folder has a folder of each for, those that others refer to first.

    Raises:
        TablesError: naming file, key, what was expected and what was found, if one is not whole, if two share a name,
            or if the tables do not all refer to one in the end.
    """
    for path in sorted(folder.glob("[!._]*/")):
        if not (path / "table.yaml").exists():
            raise TablesError(f"{path / 'table.yaml'}:", "Expected what the table is.", "Found no file.")
    tables = {path.parent.name: _read(path) for path in sorted(folder.glob("[!._]*/table.yaml"))}
    if not tables:
        raise TablesError(f"{folder}: expected a folder with a table.yaml per table; found none.")
    for name, table in tables.items():
        where = folder / name / "table.yaml"
        for said in (name, table.snapshots):
            if said in RESERVED_WORDS | _TAKEN:
                what = "a word of SQL" if said in RESERVED_WORDS else "a table of the pipeline's own"
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
            raise TablesError(f"{where}, snapshots:", "Expected a name of its own.", f"Found that of {taken[0]}.")
        earlier = table.refers_to and tables[table.refers_to].since
        if earlier and (table.since or "") < earlier:
            raise TablesError(
                f"{where}, since:",
                f"Expected {earlier} or later, as {table.refers_to} has, which it refers to.",
                f"Found {table.since or 'none'}.",
            )
    roots = [name for name, table in tables.items() if table.refers_to is None]
    if len(roots) != 1:
        raise TablesError(
            f"{folder}: expected one table without refers_to, whose users all others refer to in the end.",
            f"Found {', '.join(roots) or 'none'}.",
        )
    if since := tables[roots[0]].since:
        raise TablesError(
            f"{folder / roots[0] / 'table.yaml'}, since:",
            "Expected none: all other tables refer to this one, so every delivery has it.",
            f"Found {since}.",
        )
    try:
        order = TopologicalSorter(
            {name: [table.refers_to] if table.refers_to else [] for name, table in tables.items()}
        ).static_order()
        return {name: tables[name] for name in order}
    except CycleError as error:
        raise TablesError(
            f"{folder}, refers_to:", "Expected no table that refers to itself.", f"Found {' → '.join(error.args[1])}."
        ) from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML as it is, but a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        if key := repeated([key.value for key, _ in node.value]):
            raise yaml.MarkedYAMLError(problem=f"the key {key} is there twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> Table:
    """Read one ``table.yaml``."""
    name = path.parent.name
    try:
        said = yaml.load(read_text(path, "what the table is"), _Loader)  # noqa: S506 (a SafeLoader)
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
"""The table that all others refer to in the end."""


def tables_of(as_of: str) -> dict[str, Table]:
    """Return the tables that a month's delivery has (``YYYY-MM-DD``), those that others refer to first."""
    return {name: table for name, table in TABLES.items() if table.is_delivered(as_of)}


def files_of(as_of: str) -> list[str]:
    """Return the names of the files that a month's delivery has."""
    return [table.file_name for table in tables_of(as_of).values()]
