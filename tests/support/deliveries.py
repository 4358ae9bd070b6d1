"""Good files of two months, ten users each, and ways to break one."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

import embedded
from streamflow.tables import TABLES
from support.database import Database
from support.run import Refused, Run

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
USERS = [f"SF-{number:02d}" for number in range(1, 11)]  # the user of number n is in line n + 1


def rows_of(month: int) -> dict[str, list[list[str]]]:
    """The good files of the first or the second month, row by row, headers included."""
    rows = {
        table.name: [["user_id", *(column for column in table.columns if column not in table.optional)]]
        for table in TABLES.values()
    }
    for number, user in enumerate(USERS, start=1):
        odd, net = str(number % 2 == 1), "DSL" if number > 2 else "No"
        plans = ["", ""] if net == "No" else [odd, odd]
        values = {
            "users": [f"2023-05-{number:02d}", "Female" if number % 2 else "Male", odd, "False", "True"],
            "subscriptions": [str(number), *plans, "One year", odd, "20.50", f"{number}0.25", net],
            "usage_agg_30d": [f"{number + month * 0.25}", f"{number}.5", "2", "3", str(number)],
            "payments_agg_90d": [str(number % 3)],
            "support_agg_90d": [str(number % 4), f"{number}.125"],
            "labels": [odd],
        }
        others = {"integer": str(number), "numeric": f"{number}.5", "boolean": odd, "text": "x", "date": "2023-05-01"}
        for table in TABLES.values():
            required = [others[column.type] for column in table.fields if not column.optional]
            rows[table.name].append([user, *values.get(table.name, required)])
    return rows


def write(path: Path, rows: list[list[str]], delimiter: str = ",", end: str = "\n") -> None:
    """Write cells as they are: whoever wants quotes writes them."""
    path.write_bytes("".join(delimiter.join(row) + end for row in rows).encode())


def deliver(folder: Path, month: int) -> Path:
    """Write the good files of a month into its folder, and return that."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in rows_of(month).items():
        write(folder / f"{table}.csv", rows)
    return folder


@contextmanager
def loaded(server, name: str, template: str, folder: Path, as_of: str) -> Iterator[Database]:
    """A database made from another one, into which a good month is loaded; in the end it is dropped."""
    with pytest.MonkeyPatch.context() as patch:
        uri = embedded.uri(server, name, template=template, user="streamflow_ingest")
        patch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", uri)
        patch.setenv("AIRFLOW_CONN_STREAMFLOW_FS", f'{{"conn_type": "fs", "extra": {{"path": "{folder.parent}"}}}}')
        database = Database(uri)
        run = Run(database, as_of, folder)
        run.up_to_gate()
        run.finish()
        assert run.warnings == []  # so that a warning below is the broken file's
    yield database
    database.close()
    with psycopg.connect(embedded.uri(server, "postgres"), autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")


def edit(change: Callable[[list[list[str]]], None], **kwargs) -> Callable[[Path], None]:
    """Change a good file's cells; row 0 is the header."""

    def spoil(path: Path) -> None:
        rows = [line.split(",") for line in path.read_text().splitlines()]
        change(rows)
        write(path, rows, **kwargs)

    return spoil


def cell(column: str, written: str, line: int = 4) -> Callable[[Path], None]:
    """Write something else into one cell."""

    def change(rows: list[list[str]]) -> None:
        rows[line - 1][rows[0].index(column)] = written

    return edit(change)


def cells(column: str, *written: str) -> Callable[[Path], None]:
    """Write something else into a column's cells, from line 2 on."""

    def change(rows: list[list[str]]) -> None:
        for row, text in zip(rows[1:], written, strict=False):
            row[rows[0].index(column)] = text

    return edit(change)


def header(**names: str) -> Callable[[Path], None]:
    return edit(lambda rows: rows.__setitem__(0, [names.get(name, name) for name in rows[0]]))


def recode(encoding: str) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_text().replace("Female", "Féminin").encode(encoding))


def replace(old: bytes, new: bytes, count: int = -1) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes().replace(old, new, count))


def append(*lines: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(path.read_text() + "".join(f"{line}\n" for line in lines))


def keep(lines: int) -> Callable[[Path], None]:
    return lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))


def compressed(spoil: Callable[[Path], None], change: Callable[[bytes], bytes] = bytes) -> Callable[[Path], None]:
    """Deliver the spoiled file as ``.gz`` in the good one's place; ``change`` is for the compressed bytes."""

    def compress(path: Path) -> None:
        spoil(path)
        path.with_name(f"{path.name}.gz").write_bytes(change(gzip.compress(path.read_bytes())))
        path.unlink()

    return compress


def as_it_is(path: Path) -> None:
    """Leave a file alone."""


def turn_into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_out(path: Path) -> None:
    outside = path.parents[2] / "outside.csv"
    path.rename(outside)
    path.symlink_to(outside)


INTEGER, NUMERIC, BOOLEAN, DATE = (
    "a whole number of at most 2147483647",
    "a number (1234.5)",
    "true or false",
    "a date (YYYY-MM-DD)",
)
NO_VALUES, NO_NUMBERS = ("None", "NULL", "N/A"), ("NaN", "Infinity", "inf")


def deliver_anew(path: Path, content: bytes) -> None:
    """Put a file in the place of whatever is there."""
    path.with_name(f"{path.name}.gz").unlink(missing_ok=True)
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def try_month(run: Run) -> Refused:
    """Run the month up to the gate, and return how it failed."""
    with pytest.raises(Refused) as refused:
        run.up_to_gate()
    return refused.value
