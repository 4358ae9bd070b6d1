"""The page of a validation, in a real browser without a network: what a file says is text there, whatever it says."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamflow import settings
from streamflow.tables import TABLES
from support import browser as chromium
from support.browser import Browser
from support.database import as_csv
from support.run import Refused, Run, dag

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
SCRIPTS = [
    "<script>document.title='owned'</script>",
    "<svg/onload=document.title='owned'>",
    "<img src=x onerror=document.title='owned'>",
    "</style></title></td></textarea><script>document.title='owned'</script>",
    "'\"><body onpageshow=document.title='owned'>",
]
TEMPLATES = ["$column", "${column}", "$$", "{{ 7 * 7 }}", "{% raw %}", "&lt;b&gt;", "%(value)s"]
COLUMN = "<svg/onload=document.title='owned'>"
needs_chromium = pytest.mark.skipif(
    not (chromium.CHROMIUM and chromium.DRIVER),
    reason="needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
)

UNIQUE = "expect_column_proportion_of_unique_values_to_be_between"


@pytest.fixture
def run(database, deliveries, tmp_path, monkeypatch) -> Run:
    """A run for January, whose users are of interest; the folder of the pages is this test's own."""
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__DATA_DOCS", str(tmp_path / "docs"))
    (deliveries / "month_000").mkdir()
    run = Run(database, JANUARY, deliveries / "month_000", ["users"])
    run.execute("prepare")
    return run


def deliver(run: Run, rows: list[dict], more: tuple[str, ...] = (), table: str = "users") -> None:
    """Write a file; what a row does not say is good."""
    good = {"signup_date": "2023-05-01", "user_gender": "Male", "churn_label": "True"}
    columns = ["user_id", *TABLES[table].columns, *more]
    (run.folder / f"{table}.csv").write_bytes(as_csv([good | row for row in rows], columns))


def validated(run: Run) -> Path:
    """Stage, load and validate; return the page."""
    try:
        run.stage()
    except Refused as refused:
        if not refused.task_id.endswith("validate"):
            raise
    (page,) = Path(os.environ["AIRFLOW__STREAMFLOW__DATA_DOCS"]).rglob("users.html")
    return page


def add_rules(monkeypatch, tmp_path: Path, *rules: dict) -> None:
    """Add rules to the suite of users."""
    task = dag().get_task("users.validate")
    suite = json.loads(Path(task.suite).read_text())
    suite["expectations"] += rules
    (tmp_path / "users.json").write_text(json.dumps(suite))
    monkeypatch.setattr(task, "suite", str(tmp_path / "users.json"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser("file://", patience=10, is_watched=True)
    yield browser
    browser.close()


def opened(browser: Browser, page: Path) -> str:
    """Open a page, wait until all of it had its chance to run, and return its text.

    Nothing of it may run, ask for anything but itself, or complain.
    """
    browser.watched()
    browser.open(str(page))
    browser.driver.execute_async_script("setTimeout(arguments[arguments.length - 1], 500)")
    requests, complaints = browser.watched()
    assert browser.driver.title != "owned"
    assert requests == [f"file://{page}"]
    assert complaints == []
    return browser.text


# every way in which a result holds what was delivered
CARRIES = {
    "values": [{"user_gender": one} for one in SCRIPTS + TEMPLATES],
    "rows of a query": [{"user_id": one} for text in SCRIPTS for one in (text, text.upper())],
    "keys": [{"user_id": one, "signup_date": "2024-02-01"} for one in SCRIPTS + TEMPLATES],
    "repeated keys": [{"user_id": one} for one in SCRIPTS * 2],
}


@needs_chromium
@pytest.mark.parametrize("kind", CARRIES)
def test_a_hostile_value_is_text_on_the_page(run, browser, kind, monkeypatch):
    monkeypatch.setattr(settings, "SAMPLES", 50)
    rows = CARRIES[kind]
    deliver(run, [{"user_id": f"user-{number}"} | row for number, row in enumerate(rows)])
    said = opened(browser, validated(run))
    for row in rows:
        for text in (row.get("user_id"), row.get("user_gender")):
            if text and text == text.lower():
                assert repr(text) in said


@needs_chromium
@pytest.mark.parametrize("is_shown", [True, False], ids=["values shown", "values not shown"])
def test_a_hostile_column_name_is_text_on_the_page(run, browser, monkeypatch, is_shown):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SHOW_VALUES", str(is_shown))
    deliver(run, [{"user_id": "ann", COLUMN: "x"}], more=(COLUMN, "$column"))
    said = opened(browser, validated(run))
    assert f"unexpected columns '$column', {COLUMN!r}" in said


@needs_chromium
def test_a_hostile_observed_value_and_error_are_text_on_the_page(run, browser, monkeypatch, tmp_path):
    add_rules(
        monkeypatch,
        tmp_path,
        {
            "type": "expect_column_distinct_values_to_be_in_set",
            "kwargs": {"column": "user_gender", "value_set": ["Female", "Male"]},
        },
        {
            "type": "expect_column_most_common_value_to_be_in_set",
            "kwargs": {"column": "user_gender", "value_set": ["Female", "Male"]},
        },
        {
            "type": "unexpected_rows_expectation",
            "kwargs": {"unexpected_rows_query": "select user_gender::integer as user_gender from {batch}"},
        },
    )
    deliver(run, [{"user_id": "ann", "user_gender": SCRIPTS[0]}])
    said = opened(browser, validated(run))
    assert f"found [{SCRIPTS[0]!r}]" in said
    assert "1 of the distinct values" in said
    error = "could not be checked: (psycopg.errors.InvalidTextRepresentation) invalid input syntax for type integer"
    assert f'{error}: "{SCRIPTS[0]}"' in said


@needs_chromium
def test_a_page_can_be_read_without_a_network(run, browser):
    deliver(run, [{"user_id": "ann"}, {"user_id": "bob", "signup_date": None}])
    said = opened(browser, validated(run))
    assert "users of 2024-01-31" in said
    assert "1 of 16 rules" in said
    heading = "return getComputedStyle(document.querySelector('tr.failed')).backgroundColor"
    assert browser.driver.execute_script(heading) == "rgb(253, 238, 238)"


@needs_chromium
def test_what_would_get_into_a_page_as_markup_does_not_run_either(run, browser):
    deliver(run, [{"user_id": "ann"}])
    page = validated(run)
    page.write_text(page.read_text().replace("</table>", "</table>" + "".join(SCRIPTS)))
    browser.open(str(page))
    browser.driver.execute_async_script("setTimeout(arguments[arguments.length - 1], 500)")
    assert browser.driver.title == "users of 2024-01-31: passed"
    browser.watched()


@pytest.mark.parametrize("spoil", ["user_id,signup_date\nann,soon\n", ""], ids=["bad cell", "no file"])
def test_the_page_of_an_earlier_try_goes_when_the_table_is_loaded_again(run, spoil):
    deliver(run, [{"user_id": "ann"}])
    page = validated(run)
    if spoil:
        (run.folder / "users.csv").write_text(spoil)
    else:
        (run.folder / "users.csv").unlink()
    with pytest.raises(Refused):
        run.stage("stage", "load")
    assert not page.exists()
    assert page.with_name("users.bad_cells.csv").exists() == bool(spoil)


# which row it is


def facts(run: Run) -> list[str]:
    """Stage and load the users, validate them, and return what the refusal says, fact by fact."""
    run.stage("stage", "load")
    return refusal(run)


def refusal(run: Run) -> list[str]:
    with pytest.raises(Refused) as refused:
        run.execute("users.validate")
    assert max(len(line) for line in refused.value.error.refusal.lines if "/" not in line) <= 100
    return list(refused.value.error.refusal.facts)


def good(number: int) -> list[dict]:
    return [{"user_id": f"user-{one}"} for one in range(number)]


def test_a_broken_row_is_named_by_line_user_and_value(run):
    rows = [*good(3), {"user_id": 'a,"b"'}, {"user_id": "ann", "signup_date": "2024-02-01"}, {"user_id": "bob"}]
    deliver(run, [*rows, {"user_id": "bob", "user_gender": "x"}, {"user_id": None}, {"user_id": None}])
    said = facts(run)
    page = settings.report_path("streamflow_db", JANUARY, "users.html")
    between = "values must be greater than or equal to 2000-01-01 and less than or equal to 2024-01-31"
    assert said == [
        "users of 2024-01-31: 3 of 16 rules failed.",
        "  - column user_id: values must never be null (expect_column_values_to_not_be_null): 2 of 9 rows",
        "      lines 9, 10: user_id NULL",
        f"  - column user_id: values must be unique ({UNIQUE}): 2 of 9 rows",
        "      lines 7, 8: user_id 'bob'",
        f"  - column signup_date: {between} (expect_column_values_to_be_between): 1 of 9 rows",
        "      line 6: user_id 'ann', signup_date 2024-02-01",
        f"All results: {page}",
        "The rows are in staging.users_20240131. Live and snapshots are untouched.",
        "What to do: correct users.csv, then run the month again (clear the whole run, or trigger the month once more)",
    ]
    assert "lines 7, 8: user_id &#39;bob&#39;" in page.read_text()


def test_an_empty_string_is_not_null(run):
    deliver(run, [*good(2), {"user_id": ""}, {"user_id": None}])
    said = facts(run)
    assert "      line 5: user_id NULL" in said
    assert "      line 4: user_id ''" in said


def test_five_rows_are_named_of_many(run):
    deliver(run, [{"user_id": f"user-{number}", "signup_date": "2024-02-01"} for number in range(50)])
    assert [one for one in facts(run) if one.startswith("      ")] == [
        f"      line {number + 2}: user_id 'user-{number}', signup_date 2024-02-01" for number in range(5)
    ]


def test_lines_are_named_where_values_may_not_be_shown(run, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SHOW_VALUES", "false")
    deliver(run, [*good(2), {"user_id": "Zq7", "signup_date": "2024-02-01"}, {"user_id": "Zq7"}])
    said = facts(run)
    assert [one for one in said if one.startswith("      ")] == ["      lines 4, 5"] * 2
    page = settings.report_path("streamflow_db", JANUARY, "users.html").read_text()
    assert "lines 4, 5" in page
    assert "Zq7" not in str(said) + page


def test_both_users_of_a_pair_are_found(run):
    deliver(run, [*good(2), {"user_id": "zoe"}, {"user_id": "Zoe"}])
    run.stage()
    (warning,) = run.xcoms["users.validate"]["warnings"]
    assert re.fullmatch(
        "column user_id: no two differ in case only .*: 1 row, "
        "for example lines 4, 5: user_id '(zoe|Zoe)', other_user_id '(zoe|Zoe)'",
        warning,
    )


# the file is another one by now


def test_a_file_that_has_changed_since_is_said_and_its_lines_are_not(run):
    deliver(run, [*good(2), {"user_id": "ann", "signup_date": "2024-02-01"}])
    run.stage("stage", "load")
    deliver(run, [*good(2), {"user_id": "ann", "signup_date": "2024-01-31"}])  # as many bytes
    said = refusal(run)
    assert "      user_id 'ann', signup_date 2024-02-01" in said
    changed = "month_000/users.csv has changed since it was staged: the rules were checked on the file as it was then."
    assert changed in said
    assert said[-1].startswith("What to do: run the month again (")
    assert changed in settings.report_path("streamflow_db", JANUARY, "users.html").read_text()


def test_a_file_that_has_gone_since_is_said(run):
    deliver(run, [*good(2), {"user_id": "ann", "signup_date": "2024-02-01"}])
    run.stage("stage", "load")
    (run.folder / "users.csv").unlink()
    assert "month_000/users.csv can no longer be read, so line numbers are missing." in refusal(run)


@pytest.mark.parametrize("kind", ["a link out of the folder", "a pipe"])
def test_what_is_put_in_the_files_place_is_not_read(run, tmp_path_factory, kind):
    deliver(run, [*good(2), {"user_id": "ann", "signup_date": "2024-02-01"}])
    run.stage("stage", "load")
    file = run.folder / "users.csv"
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "users.csv"
    file.rename(elsewhere)
    if kind == "a pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(elsewhere)
    assert "month_000/users.csv can no longer be read, so line numbers are missing." in refusal(run)


def test_a_file_that_has_changed_since_is_warned_of_when_what_is_staged_passes(run, database):
    """What is staged is whole and on record; that the folder has another file by now is for people to know."""
    deliver(run, good(2))
    run.stage("stage", "load")
    deliver(run, good(3))
    run.execute("users.validate")
    (warning,) = run.xcoms["users.validate"]["warnings"]
    assert warning.startswith("month_000/users.csv has changed since it was staged")
    assert warning.endswith("To load the file as it is now, run the month again.")
    assert database.query("select is_validated, warnings from staging.files") == [(True, [warning])]


# hostile text where there is no browser

ACTING = ["\x1b[2J\x1b[31mred", "two\ttabs", "\u202egnp.exe", "a\x0bb", "\x07", "\u2028", "\x9b31m", "x" * 5000]


def test_nothing_that_is_shown_does_something_to_who_reads_it(run, database, capsys, caplog):
    deliver(run, [{"user_id": f"user-{number}", "user_gender": one} for number, one in enumerate(ACTING[:5])])
    run.stage()
    (warning,) = run.xcoms["users.validate"]["warnings"]
    assert all(repr(one) in warning for one in ACTING[:5])
    deliver(run, [{"user_id": f"user-{number}", "user_gender": one} for number, one in enumerate(ACTING[5:])])
    run.stage()
    (warning,) = run.xcoms["users.validate"]["warnings"]
    assert f"{'x' * 80!r}... (5000 characters)" in warning
    deliver(run, [*good(1), {"user_id": "\x1b[2J", "signup_date": "2024-02-01"}])
    said = facts(run)
    assert "      line 3: user_id '\\x1b[2J', signup_date 2024-02-01" in said
    page = settings.report_path("streamflow_db", JANUARY, "users.html").read_text()
    told = [warning, *said, *page.splitlines(), *(line for one in caplog.messages for line in one.splitlines())]
    assert [one for one in told if not one.isprintable()] == []
