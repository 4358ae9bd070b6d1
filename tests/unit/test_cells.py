"""Which spellings of a cell are read, and that the load and its list of bad cells agree on every one."""

from __future__ import annotations

import csv

import pytest

from streamflow import settings
from streamflow.cells import has_odd
from streamflow.refusal import TaskRefused
from support.loading import JANUARY, staged
from support.paths import ROOT

COLUMNS = {
    "boolean": ("labels", "churn_label"),
    "integer": ("payments_agg_90d", "failed_payments_90d"),
    "numeric": ("usage_agg_30d", "watch_hours_30d"),
    "date": ("users", "signup_date"),
}
READ = {
    "boolean": {
        **dict.fromkeys(["true", "t", "yes", "y", "on", "1", "TRUE", "True", "tRuE", "Y", " true ", "\tON"], True),
        **dict.fromkeys(["false", "f", "no", "n", "off", "0", "FALSE", "Off", "N", " 0 "], False),
    },
    "integer": {"5": 5, "+5": 5, "-5": -5, " 5 ": 5, "005": 5, "2147483647": 2147483647, "\t5": 5},
    "numeric": {
        **{"5": "5", "5.50": "5.50", ".5": "0.5", "5.": "5", "+5": "5", " -5 ": "-5", "1e3": "1000", "1.5E-1": "0.15"},
        **{"NaN": "NaN", "inf": "Infinity", "-Infinity": "-Infinity"},
    },
    "date": {"2024-01-31": "2024-01-31", "1999-12-01": "1999-12-01"},
}
NOT_READ = {
    "boolean": [
        "tr",
        "tru",
        "TRU",
        "fa",
        "fal",
        "fals",
        "ye",
        "of",
        " Tru ",
        "o",
        "truee",
        "2",
        "01",
        "wahr",
        "\u00a01",
    ],
    "integer": [
        "0x1F",
        "0X1f",
        "-0x1F",
        "0o17",
        "0b101",
        "1_000",
        " 1_0 ",
        "1e3",
        "5.0",
        "five",
        "+ 5",
        "٥",
        "2147483648",
    ],
    "numeric": ["0x1F", "+0x1F", "0o17", "0b101", "1_000", "1_000.5", "1.0_1", "1e1_0", "1,5", "1.2.3", "e3", ".", "٥"],
    "date": ["infinity", "-infinity", "epoch", "today", "44-03-15 BC", "0044-03-15 BC", "12024-01-31", "2024-1-31"],
}


def write(kind: str, cells: list[str]) -> tuple[str, str]:
    table, column = COLUMNS[kind]
    rows = [f'u{number:02d},"{cell}"' for number, cell in enumerate(cells)]
    return table, "\n".join([f"user_id,{column}", *rows, ""])


@pytest.mark.parametrize("kind", READ)
def test_every_documented_spelling_is_read(database, load, kind):
    table, content = write(kind, list(READ[kind]))
    load(table, content)
    column = COLUMNS[kind][1] + ("" if kind in ("boolean", "integer") else "::text")
    assert staged(database, table, f"user_id, {column}") == [
        (f"u{number:02d}", value) for number, value in enumerate(READ[kind].values())
    ]


@pytest.mark.parametrize(("kind", "cell"), [(kind, cell) for kind in NOT_READ for cell in NOT_READ[kind]])
def test_no_other_spelling_is_read_whatever_postgresql_makes_of_it(database, load, kind, cell):
    good = next(iter(READ[kind]))
    table, content = write(kind, [good, cell, good])
    with pytest.raises(TaskRefused) as refused:
        load(table, content)
    assert f"{table}.csv: 1 invalid cell or row.\n  - line 3, column {COLUMNS[kind][1]}: " in str(refused.value)
    assert staged(database, table) == []


@pytest.mark.parametrize("kind", READ)
def test_the_list_has_the_bad_cells_and_none_of_the_good(load, kind):
    table, content = write(kind, [*READ[kind], *NOT_READ[kind]])
    with pytest.raises(TaskRefused, match=f"{len(NOT_READ[kind])} invalid cells"):
        load(table, content)
    with settings.report_path("streamflow_db", JANUARY, f"{table}.bad_cells.csv").open(newline="") as file:
        lines = [int(row["line"]) for row in csv.DictReader(file)]
    assert lines == [len(READ[kind]) + number for number in range(2, len(NOT_READ[kind]) + 2)]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""], ids=["lf", "crlf", "end of file"])
@pytest.mark.parametrize("form", ["{}", '"{}"', " {} ", "{}\t"])
@pytest.mark.parametrize(
    ("kinds", "cells"),
    [
        (["boolean"], ["tr", "tru", "fa", "fal", "fals", "ye", "of", "TRU", "Fals", "Ye", "OF"]),
        (["smallint", "integer", "bigint"], ["0x1F", "0X1f", "-0x1", "+0x1", "0o17", "0b1", "0B1", "1_000", "-1_0"]),
        (["numeric", "numeric(10,2)", "real", "double precision"], ["0x1F", "0x_1F", "1_000", "1.5_5", "1e1_0"]),
    ],
)
def test_an_odd_spelling_is_seen_wherever_it_stands_and_only_in_its_column(kinds, cells, form, end):
    for kind in kinds:
        for written in map(form.format, cells):
            for line, columns in ((f"a,{written}", ["text", kind]), (f"{written},a", [kind, "text"])):
                for before in ("", "x,1\n" if kind == columns[1] else "1,x\n"):
                    assert has_odd(f"{before}{line}{end}".encode(), columns), line
                    assert not has_odd(f"{before}{line}{end}".encode(), ["text", "text"]), line
            assert not has_odd(f"{written},1{end}".encode(), ["text", kind]), written


def test_the_page_on_the_file_format_lists_the_spellings():
    values = (ROOT / "docs" / "file-format.md").read_text().partition("## Values")[2]
    rows = [line.split("|") for line in values.splitlines() if line.startswith("| ")]
    accepted, rejected = ("".join(row[place] for row in rows) for place in (2, 3))
    for spelling in ("`true`/`false`", "`t`/`f`", "`yes`/`no`", "`y`/`n`", "`on`/`off`", "`1`/`0`", "`+5`", "`1e3`"):
        assert spelling in accepted
    for spelling in ("`tru`", "`0x1F`", "`1_000`"):
        assert spelling in rejected
