"""One line is one row: wherever stray quotes are, no row is swallowed by another, and each is named with its place."""

from __future__ import annotations

import csv
import itertools
import random
import re

import psycopg
import pytest

import embedded
from streamflow.lines import find_misquoted, has_misquoted
from streamflow.refusal import TaskRefused
from support.loading import USERS, staged

ROWS = [[f"SF-{number}", f"2023-05-0{number}", "Female", "True", "False", "True"] for number in range(1, 9)]
SPOIL = {
    "start": lambda cell: '"' + cell,
    "middle": lambda cell: cell[:2] + '"' + cell[2:],
    "end": lambda cell: cell + '"',
    "after the closing quote": lambda cell: f'"{cell}"x',
    "doubled in the middle": lambda cell: cell[:2] + '""' + cell[2:],
}


def as_text(rows: list[list[str]]) -> str:
    return "".join(",".join(row) + "\n" for row in [USERS, *rows])


@pytest.mark.parametrize("second", [2, 7], ids=["neighbors", "far rows"])
@pytest.mark.parametrize("column", USERS)
@pytest.mark.parametrize(("before", "after"), itertools.product(SPOIL, SPOIL))
def test_no_pair_of_stray_quotes_swallows_a_row(before, after, column, second):
    place = USERS.index(column)
    rows = [list(row) for row in ROWS]
    for row, how in ((1, before), (second, after)):
        rows[row][place] = SPOIL[how](rows[row][place])
    text = as_text(rows)
    assert has_misquoted(text.encode())
    found = [find_misquoted(line) for line in text.splitlines()]
    assert [number for number, one in enumerate(found, start=1) if one] == [3, second + 2]
    assert {one.cell for one in found if one} == {place}


@pytest.mark.parametrize("column", ["user_id", "user_gender", "has_dependents"])
@pytest.mark.parametrize(("before", "after"), [("middle", "middle"), ("start", "end"), ("end", "start")])
def test_two_stray_quotes_are_refused_with_their_places(database, load, column, before, after):
    rows = [list(row) for row in ROWS]
    place = USERS.index(column)
    rows[1][place], rows[2][place] = SPOIL[before](rows[1][place]), SPOIL[after](rows[2][place])
    with pytest.raises(TaskRefused) as refused:
        load("users", as_text(rows))
    message = str(refused.value)
    assert message.startswith("month_000/users.csv: 2 invalid cells or rows.\n")
    assert re.findall(r"  - line (\d), column (\w+): expected .* found .*", message) == [("3", column), ("4", column)]
    assert "quotes around the whole cell, and doubled quotes inside it" in message
    assert staged(database, "users") == []


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_line_break_in_quotes_is_refused(load, end):
    with pytest.raises(TaskRefused, match=r"line 2, column user_gender: expected a closing quote on the same line"):
        load("users", f'user_id,user_gender{end}ann,"a{end}b"{end}')


def test_a_carriage_return_in_quotes_is_refused(load):
    with pytest.raises(TaskRefused, match=r"line 2, column user_gender: expected no line break in a cell, found"):
        load("users", 'user_id,user_gender\nann,"a\rb"\n')


def test_a_row_that_no_page_can_hold_is_no_missing_quote(load):
    names = [f"c{number}" for number in range(900)]
    with pytest.raises(TaskRefused, match=r"line \d: .* a value that PostgreSQL rejects \(row is too big\), here or"):
        load("users", "\n".join([",".join(["user_id", *names]), ",".join(["ann", *["some text of length"] * 900]), ""]))


def test_copy_reads_a_line_as_a_row_exactly_where_quotes_are_in_place(server):
    """PostgreSQL itself is asked, of thousands of random lines: none that is let through is read otherwise by it."""
    chance = random.Random(4)
    lines = {"".join(chance.choices('",a \r', [4, 3, 3, 1, 0.3], k=chance.randrange(1, 9))) for _ in range(9000)}
    accepted = 0
    with psycopg.connect(embedded.uri(server, "postgres")) as connection, connection.cursor() as cursor:
        for line in sorted(lines):
            is_misquoted = find_misquoted(line.removesuffix("\r")) is not None
            text = f"{line}\n".encode()
            # what a quote may be beside, a carriage return at a line's end included, is the same for both searches
            if "\r" not in line:
                assert has_misquoted(text) == is_misquoted, line
            assert has_misquoted(b"x\n" + text + b'"y"') == has_misquoted(text)
            if is_misquoted or "\r" in line or not line.strip('" ,'):
                continue
            cells = next(csv.reader([line]))
            names = ", ".join(f"c{number} text" for number in range(len(cells)))
            cursor.execute(f"create temporary table if not exists t{len(cells)} ({names})")
            cursor.execute(f"truncate t{len(cells)}")
            with cursor.copy(f"copy t{len(cells)} from stdin (format csv, null 'none')") as copy:
                copy.write(text * 2)
            cursor.execute(f"select * from t{len(cells)}")
            assert cursor.fetchall() == [tuple(cells)] * 2, line
            accepted += 1
    assert accepted > 500
