"""Every way in which a file can come broken: which task says what, that nothing was touched, and that correcting the
file completes the month.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

import embedded
import streamflow.load
import streamflow.validate
from delivery import Refused, Run
from months import ROOT, Database
from streamflow import settings
from streamflow.refusal import RUN_AGAIN, TaskNotYet, TaskRefused
from streamflow.tables import TABLES, tables_of

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


@pytest.fixture(scope="module")
def schema(server, schema, tmp_path_factory) -> Iterator[str]:
    """Every database here begins with a sealed January: there is something to lose."""
    folder = deliver(tmp_path_factory.mktemp("good") / "month_000", 0)
    with loaded(server, "streamflow_january", schema, folder, JANUARY) as database:
        database.close()
        yield "streamflow_january"


@pytest.fixture(scope="module")
def completed(server, schema, tmp_path_factory) -> dict[str, list[tuple]]:
    """What live and snapshots hold when February has come as it should."""
    folder = deliver(tmp_path_factory.mktemp("good") / "month_001", 1)
    with loaded(server, "streamflow_february", schema, folder, FEBRUARY) as database:
        return database.contents()


@pytest.fixture
def february(database, deliveries) -> Callable[..., Run]:
    """Gives a run for February, whose good files it delivers; the DAG's tasks load and validate ``tables`` of them."""

    def run(*tables: str) -> Run:
        return Run(database, FEBRUARY, deliver(deliveries / "month_001", 1), tables)

    return run


class Case(NamedTuple):
    """A file that comes broken.

    Attributes:
        name: what is wrong with it.
        table: the table.
        spoil: what is done to the good file.
        refused_by: the task that refuses it; of those that are let through, empty.
        says: what the message says, word by word; of those that are let through, the warnings.
    """

    name: str
    table: str
    spoil: Callable[[Path], None]
    refused_by: str
    says: list[str]


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


def bad_cells(column: str, expected: str, *written: str) -> Case:
    """Cells that their column cannot take, from line 2 on; what is quoted in the file is shown without the quotes."""
    table = next(table.name for table in TABLES.values() if column in table.columns)
    values = [text.strip('"') for text in written]
    listed = [
        f"  - line {line}, column {column}: expected {expected}, found {value!r}\n"
        for line, value in enumerate(values, start=2)
    ]
    says = [
        f"month_001/{table}.csv: {len(written)} invalid cells or rows.\n{''.join(listed)}All of them are listed in\n",
        f"/{FEBRUARY}/{table}.bad_cells.csv\nNothing was loaded.",
    ]
    return Case(f"no {expected.split(' ')[1]} in {column}", table, cells(column, *written), "load", says)


def bad_row(name: str, table: str, spoil: Callable[[Path], None], line: int, found: str) -> Case:
    """A row that has not the header's cells."""
    says = [f"month_001/{table}.csv: 1 invalid cell or row.", f"  - line {line}: expected {found}"]
    return Case(name, table, spoil, "load", says)


def bad_file(name: str, table: str, spoil: Callable[[Path], None], place: str, *says: str) -> Case:
    """A file that is no CSV of the table."""
    return Case(name, table, spoil, "load", [f"month_001/{table}.csv{place}:\nExpected ", *says])


def bad_value(name: str, column: str, written: str, *says: str, table: str = "", line: int = 4) -> Case:
    """A cell that breaks a rule of the suite."""
    table = table or next(table.name for table in TABLES.values() if column in table.columns)
    return Case(name, table, cell(column, written, line), "validate", [f"  - column {column}: ", *says])


INTEGER, NUMERIC, BOOLEAN, DATE = (
    "a whole number of at most 2147483647",
    "a number (1234.5)",
    "true or false",
    "a date (YYYY-MM-DD)",
)
NO_VALUES, NO_NUMBERS = ("None", "NULL", "N/A"), ("NaN", "Infinity", "inf")

REFUSED = [
    # the file
    Case("missing", "labels", Path.unlink, "wait_for_month", ["labels.csv is missing.", "deliver the missing files"]),
    Case("empty", "labels", keep(0), "wait_for_month", ["labels.csv is empty.", "deliver the missing files"]),
    Case(
        "a folder",
        "users",
        turn_into_a_folder,
        "wait_for_month",
        ["users.csv is not a file.", "deliver the missing files"],
    ),
    Case(
        "a link out of the deliveries",
        "labels",
        link_out,
        "load",
        ["/labels.csv is not in the deliveries' folder.\nExpected a file below ", "/outside.csv\nNothing was read.\n"],
    ),
    # compressed
    Case(
        "plain and compressed",
        "labels",
        lambda path: path.with_name("labels.csv.gz").write_bytes(gzip.compress(path.read_bytes())),
        "wait_for_month",
        ["labels.csv and labels.csv.gz both exist (remove the wrong one)."],
    ),
    Case(
        "compressed and cut off",
        "labels",
        compressed(as_it_is, lambda content: content[:-9]),
        "load",
        ["month_001/labels.csv.gz cannot be decompressed.\nExpected a complete gzip file.\nFound a truncated one.\n"],
    ),
    Case(
        "called compressed",
        "labels",
        lambda path: path.rename(path.with_name("labels.csv.gz")),
        "load",
        [
            "month_001/labels.csv.gz cannot be decompressed.\nExpected a gzip file.\n",
            "or, if it is CSV, rename it labels.csv",
        ],
    ),
    Case(
        "compressed, with bad cells",
        "labels",
        compressed(cell("churn_label", "maybe")),
        "load",
        [
            "month_001/labels.csv.gz: 1 invalid cell or row.\n",
            "  - line 4, column churn_label: expected true or false, found 'maybe'\n",
        ],
    ),
    Case(
        "compressed, with a user twice",
        "labels",
        compressed(append("SF-03,False")),
        "validate",
        [": 2 of 11 rows\n", "lines 4, 12: user_id 'SF-03'\n", "What to do: correct labels.csv.gz, then run"],
    ),
    # its header
    Case(
        "a header alone",
        "labels",
        keep(1),
        "validate",
        [
            "equal to 8 rows (expect_table_row_count_to_be_between): found 0\n",
            "The month before, 2024-01-31, had 10 rows.",
        ],
    ),
    bad_file(
        "no header",
        "labels",
        edit(lambda rows: rows.pop(0)),
        ", line 1",
        "column names (user_id, churn_label).\nFound none of them in 'SF-01,True'.\n",
        "add the header as the first line",
    ),
    Case(
        "a column missing",
        "payments_agg_90d",
        edit(lambda rows: [row.pop() for row in rows]),
        "validate",
        ["1 of 7 rules failed", "missing column failed_payments_90d\n"],
    ),
    Case(
        "a column more",
        "labels",
        edit(lambda rows: [row.append("score") for row in rows]),
        "validate",
        ["1 of 6 rules failed", "unexpected column score\n"],
    ),
    bad_file(
        "a column twice",
        "labels",
        edit(lambda rows: [row.append(row[1]) for row in rows]),
        ", line 1, column 3",
        "each column once.\nFound 'churn_label' again.\n",
        "correct the header",
    ),
    bad_file(
        "a header in capitals",
        "labels",
        header(user_id="USER_ID", churn_label="CHURN_LABEL"),
        ", line 1, column 1",
        "'user_id'.\nFound 'USER_ID'.\n",
    ),
    bad_file(
        "a header with spaces",
        "labels",
        header(churn_label=" churn_label "),
        ", line 1, column 2",
        "'churn_label'.\nFound ' churn_label '.\n",
    ),
    *(
        bad_file(
            f"separated by {name}",
            "labels",
            edit(lambda rows: None, delimiter=delimiter),
            ", line 1",
            f"column names separated by commas.\nFound names separated by {name}.\n",
            "export the file with commas",
        )
        for name, delimiter in (("semicolons", ";"), ("tabs", "\t"), ("bars", "|"))
    ),
    # its bytes
    bad_file("UTF-16", "users", recode("utf-16"), ", line 1", "UTF-8 text.\nFound byte 0xff (UTF-16?).", "export"),
    *(
        bad_file(name, "users", recode(name), ", line 1", "UTF-8 text.\nFound a NUL byte (UTF-16?).")
        for name in ("UTF-16-LE", "UTF-16-BE")
    ),
    bad_file("Latin-1", "users", recode("latin-1"), ", line 2", "UTF-8 text.\nFound 0xe9", "export the file as UTF-8"),
    bad_file("a NUL", "users", replace(b"Male", b"Ma\0e", 1), ", line 3", "UTF-8 text.\nFound a NUL byte"),
    bad_file(
        "an endless line",
        "labels",
        cell("user_id", "x" * (1 << 21)),
        ", line 4",
        "a row of at most 1048576 bytes.\nFound a longer one.",
    ),
    bad_file(
        "an endless first line",
        "labels",
        lambda path: path.write_text("user_id" * (1 << 18)),
        ", line 1",
        "a header of less than 65536 bytes.\nFound a longer one.",
    ),
    Case(
        "lines that end in CR",
        "labels",
        replace(b"\n", b"\r"),
        "load",
        ["month_001/labels.csv, line 1:\nExpected column names and a line feed.\nFound another file"],
    ),
    # its rows
    bad_row("a row too short", "labels", replace(b"SF-03,True", b"SF-03"), 4, "2 cells, found 1"),
    bad_row("a row too long", "labels", replace(b"SF-03,True", b"SF-03,True,1"), 4, "2 cells, found 3"),
    bad_row("a decimal comma", "usage_agg_30d", cell("watch_hours_30d", "1,5"), 4, "6 cells, found 7"),
    bad_row("an empty line", "labels", append(""), 12, "2 cells, found an empty line"),
    bad_row("a file cut off in a row", "labels", replace(b"0,False\n", b""), 11, "2 cells, found 1"),
    # cells
    bad_cells("months_active", INTEGER, *NO_VALUES, *NO_NUMBERS, '"1,5"', '""'),
    bad_cells("failed_payments_90d", INTEGER, "1e3", "5.0", "1 000", "2147483648", "-2147483649", "9" * 30),
    bad_cells("watch_hours_30d", NUMERIC, *NO_VALUES, '"1,5"', '""', "1.2.3", "12h", "ten"),
    bad_cells("churn_label", BOOLEAN, *NO_VALUES, *NO_NUMBERS, "2", "-1", "1.0", "maybe"),
    bad_cells(
        "signup_date", DATE, "31/01/2024", "2024-02-30", "0000-00-00", "1.2.2024", "2024-13-01", *NO_VALUES, '""'
    ),
    Case(
        "no number in watch_hours_30d, though PostgreSQL has them",
        "usage_agg_30d",
        cells("watch_hours_30d", "NaN", "Infinity", "inf", "-inf"),
        "validate",
        [
            "column watch_hours_30d: ",
            ": 4 of 10 rows\n",
            *(f", watch_hours_30d {value}\n" for value in ("NaN", "Infinity", "-Infinity")),
        ],
    ),
    bad_value("a negative number", "failed_payments_90d", "-1", "equal to 0.0", "1 of 10 rows\n", "_90d -1\n"),
    bad_value("too large a number", "watch_hours_30d", "720.1", "equal to 720.0", "1 of 10 rows\n", "_30d 720.1\n"),
    bad_value("no label", "churn_label", "", "(expect_column_values_to_not_be_null): 1 of 10 rows\n"),
    bad_value(
        "a date in the future",
        "signup_date",
        "2024-03-01",
        "equal to 2024-02-29 (",
        "): 1 of 10 rows\n",
        "_date 2024-03-01\n",
    ),
    bad_value(
        "a date long ago", "signup_date", "1923-05-01", "equal to 2000-01-01", "): 1 of 10 rows\n", "_date 1923-05-01\n"
    ),
    # keys
    *(
        Case(
            f"{name} rows of a user",
            "labels",
            append(row),
            "validate",
            [
                "(expect_column_proportion_of_unique_values_to_be_between): 2 of 11 rows\n",
                ", 12: user_id 'SF-03'\n",
            ],
        )
        for name, row in (("identical", "SF-03,True"), ("conflicting", "SF-03,False"))
    ),
    *(
        bad_value(f"no user_id in {table}", "user_id", "", "to_not_be_null): 1 of 10 rows\n", table=table)
        for table in ("users", "labels")
    ),
    *(
        bad_value(f"{name} in users", "user_id", written, *says, table="users")
        for name, written, says in (
            (
                "a user_id of nothing",
                '""',
                ["expect_column_value_lengths_to_be_between", "1 of 10 rows\n", ": user_id ''\n"],
            ),
            (
                "a user_id of blanks",
                "  ",
                ["expect_column_values_to_not_match_regex", "1 of 10 rows\n", ": user_id '  '\n"],
            ),
            ("a user_id with a blank after it", "SF-03 ", ["1 of 10 rows\n", ": user_id 'SF-03 '\n"]),
        )
    ),
    *(
        Case(
            f"{name} in labels",
            "labels",
            cell("user_id", written),
            "gate",
            [
                "Rows without a user:",
                f"  - labels of 2024-02-29: 1 row, for example {found}\n",
                "the same case and without white",
            ],
        )
        for name, written, found in (
            ("a user_id of nothing", '""', "''"),
            ("a user_id of blanks", "  ", "'  '"),
            ("a user_id with a blank after it", "SF-03 ", "'SF-03 '"),
            ("a user_id in another case", "sf-03", "'sf-03'"),
        )
    ),
    Case(
        "an orphan",
        "labels",
        cell("user_id", "SF-99"),
        "gate",
        [
            "  - labels of 2024-02-29: 1 row, for example 'SF-99'\n",
            "Nothing was written.\nWhat to do: correct the files",
        ],
    ),
    # the whole of it
    Case(
        "a truncated export",
        "labels",
        keep(8),
        "validate",
        [
            "equal to 8 rows (expect_table_row_count_to_be_between): found 7\n",
            "The month before, 2024-01-31, had 10 rows.",
        ],
    ),
]


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


@pytest.mark.parametrize("case", REFUSED, ids=[case.name for case in REFUSED])
def test_a_broken_file_is_refused_and_the_corrected_one_completes_the_month(database, february, completed, case):
    run = february(case.table)
    path = run.folder / f"{case.table}.csv"
    good = path.read_bytes()
    before = database.contents(ledger=True)
    case.spoil(path)

    refused = try_month(run)
    assert refused.task_id.removeprefix(f"{case.table}.") == case.refused_by
    for words in case.says:
        assert words in refused.message
    assert isinstance(refused.error, TaskRefused)  # which is never tried again
    if case.refused_by in ("load", "validate"):
        assert not database.query("select from staging.files where table_name = %s and is_validated", case.table)
    assert re.search(r"(clear this task\.|trigger the month once more\)\.?)$", refused.message)
    assert database.contents(ledger=True) == before

    deliver_anew(path, good)
    if case.refused_by == "wait_for_month":
        run.up_to_gate()
    elif case.refused_by == "load":
        run.stage("stage", "load")
        database.mark_validated(FEBRUARY, case.table, good)  # the good file has passed once, which is enough
        run.stage("snapshot")
    elif case.refused_by == "validate":
        run.stage()
    else:
        database.stage(FEBRUARY, case.table, good)
        run.stage("snapshot")
    run.finish()
    assert database.contents() == completed


def test_orphans_of_all_tables_are_told_together(database, february):
    run = february()
    others = [name for name in TABLES if name != "users"]
    for number, name in enumerate(others):
        path = run.folder / f"{name}.csv"
        path.write_text(path.read_text().replace("SF-03", f"SF-{90 + number}"))
    before = database.contents(ledger=True)
    refused = try_month(run)
    assert refused.task_id == "gate"
    assert refused.message.splitlines()[: 1 + len(others)] == [
        "Rows without a user:",
        *(f"  - {name} of 2024-02-29: 1 row, for example 'SF-{90 + others.index(name)}'" for name in sorted(others)),
    ]
    assert database.contents(ledger=True) == before


class Accepted(NamedTuple):
    """A file that looks odd and is let through.

    Attributes:
        name: what is odd about it.
        table: the table.
        spoil: what is done to the good file.
        warnings: what is reported, a pattern each.
        holds: what live and the snapshot hold then: a query with {table} in it, and its rows as text. Without it, they
            hold what the good file says.
    """

    name: str
    table: str
    spoil: Callable[[Path], None]
    warnings: tuple[str, ...] = ()
    holds: tuple[str, str] | None = None


def quote_everything(rows: list[list[str]]) -> None:
    rows[:] = [[f'"{one}"' if one else one for one in row] for row in rows]


ACCEPTED = [
    Accepted("columns in another order", "users", edit(lambda rows: [row.reverse() for row in rows])),
    Accepted("a byte order mark", "labels", lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())),
    Accepted("CRLF", "labels", edit(lambda rows: None, end="\r\n")),
    Accepted("a byte order mark, quotes and CRLF", "users", lambda path: as_excel_writes(path)),
    Accepted("compressed", "users", compressed(as_it_is)),
    Accepted(
        "compressed, of several members", "labels", compressed(as_it_is, lambda content: content + gzip.compress(b""))
    ),
    Accepted("compressed, as Excel writes it", "users", compressed(lambda path: as_excel_writes(path))),
    Accepted("no line feed at the end", "labels", lambda path: path.write_bytes(path.read_bytes().rstrip())),
    Accepted("everything in quotes", "subscriptions", edit(quote_everything)),
    # one meaning, and only one: a sign, blanks around a number, an exponent where there may be a fraction
    Accepted("other whole numbers", "subscriptions", cells("months_active", "+1", " 2 ", "003")),
    Accepted("other numbers", "subscriptions", cells("total_paid", "1.025e1", "+20.25", " 30.25 ", "040.25")),
    # PostgreSQL's own spellings of a boolean, which are true and false by turns in the good file
    Accepted(
        "other booleans",
        "labels",
        cells("churn_label", "1", "0", "yes", "no", "TRUE", "FALSE", "t", "f", "on", " off "),
    ),
    Accepted(
        "a comma and quotes in quotes",
        "users",
        cell("user_gender", '"x,y ""z"""'),
        (r"column user_gender: .*to_be_in_set\): 1 of 10 rows, for example line \d+: .*'x,y \"z\"'",),
        ("select user_gender from {table} where user_id = 'SF-03'", 'x,y "z"'),
    ),
    Accepted(
        "a user_id in two cases",
        "users",
        append("sf-03,2023-05-03,Female,True,False,True"),
        ("column user_id: no two differ in case only .*: 1 row, for example lines .*: user_id '(sf|SF)-03', other_.*",),
        ("select string_agg(user_id, ' ' order by user_id) from {table} where user_id ilike 'sf-03'", "SF-03 sf-03"),
    ),
    Accepted(
        "a gender that is new",
        "users",
        cell("user_gender", "Diverse"),
        (r"column user_gender: .*to_be_in_set\): 1 of 10 rows, for example line \d+: .*'Diverse'",),
        ("select user_gender from {table} where user_id = 'SF-03'", "Diverse"),
    ),
    Accepted(
        "users gone",
        "users",
        keep(9),
        (r"2 of the 10 users delivered for 2024-01-31 are not in this delivery \(users_gone_at_most=0.1\): .*",),
        ("select count(*) from {table}", "10"),
    ),
    Accepted(
        "minutes instead of hours",
        "usage_agg_30d",
        edit(lambda rows: [row.__setitem__(1, str(float(row[1]) * 60)) for row in rows[1:]]),
        (r"column watch_hours_30d: mean must be .* to 4.1.* to 6.8.* \(\w+_mean_to_be_between\): found 345.0",),
        ("select sum(watch_hours_30d)::int from {table}", "3450"),
    ),
    Accepted(
        "a broken join",
        "payments_agg_90d",
        edit(lambda rows: [row.__setitem__(1, "") for row in rows[1:4]]),
        (r"column failed_payments_90d: proportion of non-null .* to 0.95 .* to 1.0 \(\w+_non_null_\w+\): found 0.7",),
        ("select count(*) from {table} where failed_payments_90d is null", "3"),
    ),
]


def as_excel_writes(path: Path) -> None:
    edit(quote_everything, end="\r\n")(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


@pytest.mark.parametrize("case", ACCEPTED, ids=[case.name for case in ACCEPTED])
def test_a_file_that_only_looks_odd_is_loaded(database, february, completed, case):
    run = february(case.table)
    january = january_of(database)
    case.spoil(run.folder / f"{case.table}.csv")
    run.up_to_gate()
    run.finish()
    assert len(run.warnings) == len(case.warnings), run.warnings
    for pattern, found in zip(case.warnings, run.warnings, strict=True):
        assert re.fullmatch(pattern, found), found
    assert january_of(database) == january
    # what was warned of stays on record
    assert database.query(
        "select table_name, warnings from deliveries where as_of = %s and warnings <> '{}'", FEBRUARY
    ) == ([(case.table, run.warnings)] if run.warnings else [])
    if case.holds is None:
        assert database.contents() == completed
    else:
        query, held = case.holds
        snapshot = f"(select * from {TABLES[case.table].snapshots} where as_of = '{FEBRUARY}') as snapshot"
        for table in (case.table, snapshot):
            ((found,),) = database.query(query.format(table=table))
            assert str(found) == held


def january_of(database) -> dict[str, list[tuple]]:
    """What is sealed of January."""
    return {
        name: database.query(f"select held::text from {name} as held where as_of = %s order by 1", JANUARY)
        for name in [*(table.snapshots for table in TABLES.values()), "deliveries"]
    }


def test_last_months_files_under_this_months_name_are_reported(database, february):
    run = february("labels")
    deliver(run.folder, 0)
    run.up_to_gate()
    run.finish()
    # a folder that has a new table in it is not the month before's
    assert run.warnings == [
        "All files are identical to those of 2024-01-31: does this month's folder hold another month's files?"
    ] * (tables_of(JANUARY) == tables_of(FEBRUARY))
    assert database.query("select warnings from deliveries where as_of = %s and table_name = 'users'", FEBRUARY) == [
        (run.warnings,)
    ]


HOSTILE = [
    "'; drop table users; --",
    '"; drop table users; --',
    "=cmd()",
    '=HYPERLINK("http://x","y")',
    "{{ 7*7 }}",
    "{% raw %}",
    "$$",
    "$1",
    "%(file_sha256)s",
    "%s",
    "`id`",
    "$(id)",
    "\\N",
    "NULL",
    "../../etc/passwd",
    "<script>alert(1)</script>",
]


def test_a_hostile_value_is_only_a_value(database, february, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__DATA_DOCS", str(tmp_path / "docs"))
    run = february("users", "labels")
    for table in TABLES.values():
        path = run.folder / table.file_name
        rows = [line.split(",") for line in path.read_text().splitlines()]
        quoted = [user.replace('"', '""') for user in HOSTILE]
        write(path, [*rows, *([f'"{user}"', *rows[3][1:]] for user in quoted)])
    run.up_to_gate()
    run.finish()
    (warning,) = run.warnings
    assert warning.startswith("column user_id: values must match this regular expression: ")
    assert f"{len(HOSTILE) - 1} of {len(HOSTILE) + 10} rows, for example " in warning  # NULL is a usual form
    for table in TABLES.values():
        snapshot = f"(select * from {table.snapshots} where as_of = '{FEBRUARY}' and source_as_of = as_of) as snapshot"
        for held in (table.name, snapshot):
            found = {user for (user,) in database.query(f"select user_id from {held}")}
            assert found == {*USERS, *HOSTILE}
    # what the page makes of such values is seen in a browser: test_pages.py


# what happens to a file while it is looked at


def read_meanwhile(monkeypatch, happens: Callable[[], None]) -> None:
    """Let something happen when the load has read the file's last block, once."""
    blocks, left = streamflow.load._blocks, [happens]

    def read(*args):
        yield from blocks(*args)
        if left:
            left.pop()()

    monkeypatch.setattr(streamflow.load, "_blocks", read)


@pytest.mark.parametrize("is_replaced", [False, True], ids=["written to", "replaced"])
def test_a_file_that_changes_while_it_is_read_is_read_again(database, february, completed, monkeypatch, is_replaced):
    run = february("labels")
    path = run.folder / "labels.csv"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"SF-03,True", b"SF-03,False"))

    def change() -> None:
        if is_replaced:
            (run.folder / "labels.new").write_bytes(good)
            (run.folder / "labels.new").replace(path)
        else:
            path.write_bytes(good + b"")
            os.utime(path, (1, 1))  # the file system's clock may not have moved

    read_meanwhile(monkeypatch, change)
    before = database.contents(ledger=True)
    refused = try_month(run)
    assert refused.task_id == "labels.load"
    assert isinstance(refused.error, TaskNotYet)  # so Airflow tries the load again
    how = (
        "was replaced by another file while it was read."
        if is_replaced
        else "was written to while it was read.\nIt had "
    )
    assert f"month_001/labels.csv {how}" in refused.message
    assert database.query("select count(*) from staging.labels_20240229") == [(0,)]
    assert database.contents(ledger=True) == before
    run.stage("load", "validate", "snapshot")
    run.finish()
    assert database.contents() == completed


def test_a_file_that_is_replaced_after_it_was_loaded_is_not_the_months(database, february, completed):
    """The fingerprint is taken of the very bytes that are loaded."""
    run = february("labels")
    path = run.folder / "labels.csv"
    good = path.read_bytes()
    run.begin()
    run.stage_others()
    run.stage("stage", "load")
    path.write_bytes(b"something else")
    run.stage("validate", "snapshot")
    run.finish()
    assert database.contents() == completed
    assert database.query(
        "select file_sha256, file_bytes from deliveries where as_of = %s and table_name = 'labels'", FEBRUARY
    ) == [(hashlib.sha256(good).hexdigest(), len(good))]


def test_a_file_that_is_loaded_anew_while_it_is_validated_does_not_pass_unseen(database, february, monkeypatch):
    run = february("labels")
    run.begin()
    run.stage_others()
    run.stage("stage", "load")
    checked = streamflow.validate.run_suite

    def load_another_meanwhile(*args):
        results = checked(*args)
        path = run.folder / "labels.csv"
        path.write_bytes(path.read_bytes().replace(b"True", b"False"))
        run.stage("load")
        return results

    monkeypatch.setattr(streamflow.validate, "run_suite", load_another_meanwhile)
    before = database.contents(ledger=True)
    with pytest.raises(Refused, match=r"staging\.labels_20240229 was loaded again while it was validated\.\n.*: run"):
        run.stage("validate")
    all_but_one = f"only {len(TABLES) - 1} of {len(TABLES)} tables of 2024-02-29"
    with pytest.raises(Refused, match=f"{all_but_one} are staged, validated and built"):
        run.execute("gate")
    assert database.contents(ledger=True) == before


@pytest.mark.parametrize("step", ["stage", "load", "validate", "snapshot"])
def test_a_step_of_a_run_whose_month_another_run_has_taken_ends_readably(database, february, step):
    run = february("labels")
    run.begin()
    for done in ("stage", "load", "validate", "snapshot"):
        if done == step:
            break
        run.stage(done)
    other = february("labels")
    other.database = Database(database.uri, run_id="somebody else", first_month="2024-01")
    other.begin()
    with pytest.raises(Refused, match=r"run somebody else has taken over the month 2024-02-29,\n") as refused:
        run.stage(step)
    assert isinstance(refused.value.error, TaskRefused)
    assert "What to do: wait for that run to finish, or run the month again" in refused.value.message


@pytest.mark.parametrize("step", ["load", "validate"])
def test_reports_that_cannot_be_written_are_not_the_deliverys_fault(database, february, monkeypatch, step):
    run = february("labels")
    run.begin()
    run.stage_others()
    run.stage("stage", *(["load"] if step == "validate" else []))
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__DATA_DOCS", "/dev/null/docs")
    before = database.contents(ledger=True)
    with pytest.raises(Refused, match=r"^labels\.\w+: /dev/null/docs.*: Not a directory\.\nThe cause") as refused:
        run.stage(step)
    assert isinstance(refused.value.error, TaskNotYet)  # someone may mount it meanwhile
    assert database.contents(ledger=True) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else, and root may read everything")
def test_a_file_that_may_not_be_read_is_named(database, february, completed, docs):
    run = february("labels")
    path = run.folder / "labels.csv"
    path.chmod(0o600)
    for folder in list(path.parents)[:-2]:  # pytest's own are root's alone
        folder.chmod(0o755)
    run.begin()
    run.stage_others()
    run.execute("labels.stage")
    before = database.contents(ledger=True)
    os.seteuid(65534)
    try:
        with pytest.raises(Refused) as refused:
            run.execute("labels.load")
    finally:
        os.seteuid(0)
    assert refused.value.message == (
        f"{path} cannot be read:\nPermission denied.\nWhat to do: deliver the file itself, then {RUN_AGAIN}"
    )
    assert isinstance(refused.value.error, TaskRefused)
    assert database.contents(ledger=True) == before
    path.chmod(0o644)
    run.stage()
    run.finish()
    assert database.contents() == completed


def test_a_file_too_large_is_refused_before_it_is_read(database, february, completed):
    run = february("labels")
    path = run.folder / "labels.csv"
    good = path.read_bytes()
    run.begin()
    run.stage_others()
    os.truncate(path, 5 << 30)  # sparse: it takes no room, but would take minutes to read
    before = database.contents(ledger=True)
    started = time.monotonic()
    with pytest.raises(Refused) as refused:
        run.stage()
    assert time.monotonic() - started < 3
    assert refused.value.message == (
        "month_001/labels.csv is too large.\n"
        "Expected at most 2147483648 bytes (AIRFLOW__STREAMFLOW__MAX_FILE_BYTES).\n"
        "Found 5368709120 bytes.\n"
        "Nothing was read.\n"
        f"What to do: deliver the right file, or raise the limit, then {RUN_AGAIN}"
    )
    assert database.contents(ledger=True) == before
    deliver_anew(path, good)
    run.stage()
    run.finish()
    assert database.contents() == completed


def test_the_largest_file_is_a_setting(february, monkeypatch):
    run = february("labels")
    run.begin()
    run.execute("labels.stage")
    size = (run.folder / "labels.csv").stat().st_size
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MAX_FILE_BYTES", str(size - 1))
    with pytest.raises(Refused, match=f"Expected at most {size - 1} bytes .*\nFound {size} bytes"):
        run.execute("labels.load")
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MAX_FILE_BYTES", str(size))
    assert run.execute("labels.load")["bytes"] == size


# every bad cell


@pytest.fixture
def docs(database, tmp_path, monkeypatch) -> Path:
    """A folder of this test's own for Data Docs and lists of bad cells."""
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__DATA_DOCS", str(tmp_path / "docs"))
    return settings.report_path("streamflow_db", FEBRUARY, "any").parent


def load_refused(run: Run, table: str, content: str) -> str:
    (run.folder / f"{table}.csv").write_text(content)
    with pytest.raises(Refused) as refused:
        run.stage("stage", "load")
    return refused.value.message


def test_twenty_bad_cells_are_listed_and_all_of_them_written_down(february, docs):
    run = february("usage_agg_30d")
    run.execute("prepare")
    names = ",".join(("user_id", *TABLES["usage_agg_30d"].columns))
    message = load_refused(
        run, "usage_agg_30d", "\n".join([names, *(f"u{line},ok,{line},1,1.5,2" for line in range(2, 27)), ""])
    )
    lines = message.splitlines()
    assert lines[0] == "month_001/usage_agg_30d.csv: 50 invalid cells or rows."
    listed = [
        f"  - line {line}, column {column}: expected {expected}, found {found!r}"
        for line in range(2, 12)
        for column, expected, found in (("watch_hours_30d", NUMERIC, "ok"), ("skips_7d", INTEGER, "1.5"))
    ]
    assert lines[1:21] == listed
    report = docs / "usage_agg_30d.bad_cells.csv"
    assert lines[21:] == [
        "  … and 30 more.",
        "All of them are listed in",
        f"  {report}",
        "Nothing was loaded.",
        f"What to do: correct the file, then {RUN_AGAIN}",
    ]
    with report.open(newline="") as file:
        found = list(csv.reader(file))
    assert found == [
        ["line", "column", "value", "expected"],
        *(
            [str(line), *cell]
            for line in range(2, 27)
            for cell in (["watch_hours_30d", "ok", NUMERIC], ["skips_7d", "1.5", INTEGER])
        ),
    ]


def test_a_cell_with_line_breaks_is_told_line_by_line(february, docs):
    run = february("users")
    run.execute("prepare")
    lines = [
        "user_id,signup_date,user_gender,user_is_senior,has_family,has_dependents",
        "a,soon,x,True,True,True",
        'b,2024-01-01,"x',
        "",
        'y",True,True,True',
        'c,"",Male,True,True,True',
    ]
    message = load_refused(run, "users", "\n".join(lines))
    assert re.findall(r"line (\d+)(?:, column (\w+))?: .*found (.*)", message) == [
        ("2", "signup_date", "'soon'"),
        ("3", "user_gender", "'\"x'"),
        ("4", "", "an empty line"),
        ("5", "user_id", "'y\"'"),
        ("6", "signup_date", "''"),
    ]


def test_every_empty_string_in_quotes_is_listed(february, docs):
    """Exports that quote everything write "" for nothing at all: an empty cell for csv, and for COPY none."""
    run = february("labels")
    run.execute("prepare")
    rows = ["user_id,churn_label", 'a,""', "b,", '"c"",""",""', '"d"","",""e",""', '"f""",True', '"",True', 'g,""']
    message = load_refused(run, "labels", "\n".join(rows) + "\n")
    assert message.startswith("month_001/labels.csv: 4 invalid cells or rows.\n")
    assert re.findall(r"line (\d+), column churn_label: expected true or false, found ''", message) == [
        "2",
        "4",
        "5",
        "8",
    ]


def test_a_long_cell_does_not_end_the_search(february, docs):
    run = february("users")
    run.execute("prepare")
    message = load_refused(run, "users", f"user_id,signup_date\n{'x' * 500_000},soon\nann,later\n")
    assert message.startswith("month_001/users.csv: 2 invalid cells or rows.")


def test_a_line_without_end_ends_the_search_and_is_said(february, docs):
    run = february("users")
    run.execute("prepare")
    message = load_refused(run, "users", f"user_id,user_is_senior\nann,tru\nbob,{'x' * (1 << 21)}\ncid,later\n")
    assert "line 2, column user_is_senior: expected true or false, found 'tru'" in message
    assert "line 3: expected a row of at most 1048576 bytes, found a longer one; the rest of the file" in message
    assert "later" not in message


def test_a_shown_value_is_cut(february, docs):
    run = february("users")
    run.execute("prepare")
    message = load_refused(run, "users", f"user_id,signup_date\nann,{'x' * 100_000}\n")
    assert f"found '{'x' * 80}'... (100000 characters)\n" in message


def test_the_list_of_an_earlier_try_is_gone_when_the_file_is_loaded(february, docs):
    run = february("labels")
    run.execute("prepare")
    good = (run.folder / "labels.csv").read_text()
    load_refused(run, "labels", "user_id,churn_label\nann,maybe\n")
    assert [one.name for one in docs.iterdir()] == ["labels.bad_cells.csv"]
    (run.folder / "labels.csv").write_text(good)
    run.stage("stage", "load")
    assert list(docs.iterdir()) == []


def test_a_folder_for_the_list_that_cannot_be_made_is_not_the_files_fault(february, tmp_path, monkeypatch):
    (tmp_path / "in the way").touch()
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__DATA_DOCS", str(tmp_path / "in the way"))
    run = february("labels")
    run.execute("prepare")
    message = load_refused(run, "labels", "user_id,churn_label\nann,maybe\n")
    assert str(tmp_path / "in the way") in message
    assert "labels.csv" not in message


@pytest.mark.parametrize(
    "value",
    [
        '=HYPERLINK("http://x","y")',
        *("+1+1", "-5", "@SUM(1)", "＝1+1", "＋1", "－1", "＠x", "\t=1+1", "  =1+1", "x;=1+1", "x,=1+1", "x|@y"),
    ],
)
def test_no_listed_value_is_a_formula(february, docs, value):
    run = february("users")
    run.execute("prepare")
    quoted = value.replace('"', '""')
    message = load_refused(run, "users", f'user_id,signup_date\nann,"{quoted}"\n')
    assert f"expected a date (YYYY-MM-DD), found {value!r}" in message
    with (docs / "users.bad_cells.csv").open(newline="") as file:
        _, (_, column, listed, _) = csv.reader(file)
    assert column == "signup_date"
    assert not re.search("(^|[;,|\t]) *[=+\\-@＝＋－＠\t\r]", listed)
    assert listed.replace("'", "").replace("\\t", "\t") == value.replace("'", "")


def test_no_listed_column_is_a_formula(february, docs):
    run = february("users")
    run.execute("prepare")
    load_refused(run, "users", 'user_id,=1+1,signup_date\nann,a"b,2024-01-01\n')
    with (docs / "users.bad_cells.csv").open(newline="") as file:
        _, (_, column, listed, _) = csv.reader(file)
    assert (column, listed) == ("'=1+1", 'a"b')


@pytest.mark.parametrize(
    ("value", "listed"),
    [
        ("\x1b[31mred\x1b]0;x\x07", "\\x1b[31mred\\x1b]0;x\\x07"),
        ("\u202e10-10-4202", "\\u202e10-10-4202"),
        ("a\u2028b\u0085c\x0bd", "a\\u2028b\\x85c\\x0bd"),
        ("\u2066\u200b\ufeff\x00"[:3], "\\u2066\\u200b\\ufeff"),
        ("x" * 81, "x" * 80 + "… (81 characters)"),
    ],
    ids=["ANSI escapes", "right to left", "line ends", "invisible", "long"],
)
def test_a_hostile_value_is_shown_in_one_line_of_printable_characters(february, docs, capsys, value, listed):
    run = february("users")
    run.execute("prepare")
    message = load_refused(run, "users", f"user_id,signup_date\nann,{value}\n")
    assert f"line 2, column signup_date: expected a date (YYYY-MM-DD), found '{listed[:80]}" in message
    report = (docs / "users.bad_cells.csv").read_bytes().decode()
    assert f",{listed}," in report
    for text in (message, report.replace("\r\n", "\n"), str(capsys.readouterr())):
        assert all(line.isprintable() for line in text.split("\n")), text


MEASURE = """
import resource, sys
from pathlib import Path
from delivery import Refused, Run
from months import Database

few, many, odd, even = map(int, sys.argv[3:])
run = Run(Database(sys.argv[1]), "2024-02-29", Path(sys.argv[2]))
run.execute("payments_agg_90d.stage")
for rows in (few, many):
    with (run.folder / "payments_agg_90d.csv").open("w") as file:
        file.write("user_id,failed_payments_90d\\n")
        file.writelines(f"SF-{number},{'x' * (odd if number % 2 else even)}{number}\\n" for number in range(rows))
    try:
        run.execute("payments_agg_90d.load")
    except Refused as refused:
        print(refused.message.splitlines()[0], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def searched(database, run, *sizes: int) -> tuple[tuple[int, int], int]:
    """Load a file with few rows and one with many, in a process of its own.

    Args:
        database: where to.
        run: a run for February.
        sizes: rows of the first file and of the second, and how many letters too many the odd and even rows have.

    Returns:
        How many invalid cells were found in each, and by how many KiB the second has raised the memory's peak.
    """
    run.execute("prepare")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, database.uri, run.folder, *map(str, sizes)],
        env=os.environ | {"PYTHONPATH": ":".join(str(ROOT / one) for one in ("plugins", "tests", "tools"))},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"(\d+) invalid cells or rows. (\d+)", done.stdout)
    (few, before), (many, after) = [(int(count), int(kibibytes)) for count, kibibytes in found]
    return (few, many), after - before


def test_a_large_file_full_of_bad_cells_is_searched_in_bounded_memory(database, february, docs):
    found, grown = searched(database, february(), 100, 300_000, len("some "), 0)
    assert found == (50, 150_000)
    assert (docs / "payments_agg_90d.bad_cells.csv").read_text().count("\n") == 150_001
    assert grown < 60 * 1024  # the cells alone, as Python keeps them, would take more


def test_rows_of_a_megabyte_are_searched_in_bounded_memory(database, february, docs):
    """200 of them in a file of 200 MB: it is the bytes that bound a block, not the rows."""
    found, grown = searched(database, february(), 2, 200, 999_000, 999_000)
    assert found == (2, 200)
    assert (docs / "payments_agg_90d.bad_cells.csv").stat().st_size < 100_000
    assert grown < 60 * 1024


# personal data

SECRET = "Zq7"  # whatever has it was delivered


def plan_without_service(rows: list[list[str]]) -> None:
    rows[3][0] = SECRET
    rows[3][rows[0].index("plan_stream_tv")] = ""


@pytest.mark.parametrize("is_shown", [True, False], ids=["shown", "not shown"])
@pytest.mark.parametrize(
    ("table", "spoil", "refused_by"),
    [
        ("users", cell("signup_date", SECRET), "users.load"),
        ("labels", edit(lambda rows: rows.__setitem__(0, [SECRET, "True"])), "labels.load"),
        ("labels", append(*[f"{SECRET},True"] * 2), "labels.validate"),
        ("subscriptions", edit(plan_without_service), "subscriptions.validate"),
        ("labels", cell("user_id", SECRET), "gate"),
        ("users", append(*(f"{one},2023-05-03,{one},True,False,True" for one in (SECRET, SECRET.lower()))), ""),
    ],
    ids=["bad cell", "no header", "rule", "query", "gate", "warnings"],
)
def test_delivered_values_are_shown_only_where_they_may_be(
    database, february, docs, monkeypatch, capsys, table, spoil, refused_by, is_shown
):
    """The cases that show them are there to prove that the others would."""
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SHOW_VALUES", str(is_shown))
    run = february(table)
    spoil(run.folder / f"{table}.csv")
    if refused_by:
        refused = try_month(run)
        assert refused.task_id == refused_by
        told = [refused.message]
    else:
        run.up_to_gate()
        run.finish()
        assert len(run.warnings) == 2  # the key in two cases, and the gender
        told = database.query("select warnings from deliveries where as_of = %s", FEBRUARY)
    told += [run.xcoms, database.query("select warnings from staging.files")]
    told += [path.read_text() for path in docs.glob("*")]
    told += [capsys.readouterr()]  # the log
    shown = [one for one in told if SECRET in str(one)]
    assert bool(shown) is is_shown, shown


# Data Docs


def test_each_table_has_a_page_a_month(february, docs):
    run = february("payments_agg_90d", "labels")
    labels = run.folder / "labels.csv"
    good = labels.read_text()
    labels.write_text(good + "SF-03,True\n")
    refused = try_month(run)
    page = docs / "labels.html"
    assert f"\nAll results: {page}\n" in refused.message
    assert page.stat().st_mode & 0o777 == 0o644
    broken = page.read_text()
    assert broken.startswith("<!DOCTYPE html>")
    assert "values must be unique" in broken
    assert "<title>labels of 2024-02-29: failed</title>" in broken
    assert "SF-03" in broken  # a few of the values
    labels.write_text(good)
    run.stage()
    assert sorted(one.name for one in docs.iterdir()) == ["labels.html", "payments_agg_90d.html"]
    assert run.xcoms["labels.validate"]["report"] == str(page)
    assert "<title>labels of 2024-02-29: passed</title>" in page.read_text()


OFFLINE = """
import os, socket, sys
from pathlib import Path

def refuse(self, address, *rest):
    if self.family != socket.AF_UNIX:
        print("CALL", address)
        raise OSError("offline")
    return connect(self, address, *rest)

def look_up(*asked, **more):
    print("CALL", asked)
    raise OSError("offline")

connect, socket.socket.connect, socket.socket.connect_ex = socket.socket.connect, refuse, refuse
socket.getaddrinfo = socket.gethostbyname = look_up

from delivery import Run
from months import Database
from streamflow.refusal import RUN_AGAIN, TaskNotYet, TaskRefused

run = Run(Database(sys.argv[1]), "2024-02-29", Path(sys.argv[2]), ["labels"])
run.up_to_gate()

print("rules:", run.xcoms["labels.validate"]["rules"], "analytics:", os.environ["GX_ANALYTICS_ENABLED"])
"""


def test_nothing_leaves_the_machine(database, february, docs):
    """In a process of its own, whose environment says nothing of analytics, where any call is seen and fails."""
    run = february("labels")
    told = {name: value for name, value in os.environ.items() if not name.startswith("GX_")}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, database.uri, run.folder],
        env=told | {"PYTHONPATH": ":".join(str(ROOT / one) for one in ("plugins", "tests", "tools"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "CALL" not in done.stdout
    assert done.stdout.endswith("\nrules: 6 analytics: false\n"), done.stderr
