"""Files that look odd and are loaded: what is warned of, and what the database holds then."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from streamflow.tables import TABLES, tables_of
from support.deliveries import (
    FEBRUARY,
    JANUARY,
    USERS,
    append,
    as_it_is,
    cell,
    cells,
    compressed,
    deliver,
    edit,
    keep,
    write,
)


@pytest.fixture(scope="module")
def template(sealed_january) -> str:
    """Every database here begins with a sealed January: there is something to lose."""
    return sealed_january


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
