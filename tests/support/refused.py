"""Every way in which a file can come broken: which task says what."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from streamflow.tables import TABLES
from support.deliveries import (
    BOOLEAN,
    DATE,
    FEBRUARY,
    INTEGER,
    NO_NUMBERS,
    NO_VALUES,
    NUMERIC,
    append,
    as_it_is,
    cell,
    cells,
    compressed,
    edit,
    header,
    keep,
    link_out,
    recode,
    replace,
    turn_into_a_folder,
)


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
        "each column once.\nFound 'churn_label' twice.\n",
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
        ["month_001/labels.csv, line 1:\nExpected column names and a line feed.\nFound something else"],
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
