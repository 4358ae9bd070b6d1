"""Every cell that cannot be read is found, listed and written down, whatever the file has in it."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys

import pytest

from streamflow.refusal import RUN_AGAIN
from streamflow.tables import TABLES
from support.deliveries import INTEGER, NUMERIC
from support.paths import ROOT
from support.run import Refused, Run


@pytest.fixture(scope="module")
def template(sealed_january) -> str:
    """Every database here begins with a sealed January: there is something to lose."""
    return sealed_january


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
from support.run import Refused, Run
from support.database import Database

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
