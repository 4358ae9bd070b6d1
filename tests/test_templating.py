"""The tasks' SQL: every file renders strictly, is short enough to be read in Airflow's UI, and runs as it is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import jinja2
import pytest

from conftest import ROOT
from months import render
from streamflow.tables import TABLES
from streamflow.templating import SQL_FOLDER, version_of
from streamflow.templating import render as render_once

MONTH = "2024-01-31"
TASKS = sorted(path.name for path in (SQL_FOLDER / "tasks").glob("*.sql"))
SHOWN = 16_384  # characters of a template that the UI shows: what env.sh and compose set


def test_each_sql_task_of_the_month_runs_the_file_of_its_name():
    from delivery import dag
    from streamflow.sql import SqlStepOperator

    ran = set()
    for task in dag().tasks:
        if isinstance(task, SqlStepOperator):
            group, _, name = task.task_id.rpartition(".")
            file = f"{'upsert' if group == 'upsert' else name}.sql"
            assert task.sql == (SQL_FOLDER / "tasks" / file).read_text(), task.task_id  # Airflow has read the file
            ran.add(file)
    assert ran == set(TASKS) - {"verify.sql"}


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
@pytest.mark.parametrize("file", TASKS)
def test_what_runs_can_be_read_in_the_ui_whole(file, table):
    rendered = render(f"tasks/{file}", MONTH, table)
    assert len(rendered) < SHOWN
    assert len(rendered.splitlines()) <= (300 if file == "verify.sql" else 120)
    assert not re.search(r"{[{%#]", rendered)


def test_templates_are_strict():
    from delivery import templates

    assert templates().undefined is jinja2.StrictUndefined
    with pytest.raises(jinja2.UndefinedError):
        render("tasks/stage.sql", MONTH, None)
    lax = [
        path.relative_to(ROOT)
        for folder in ("plugins", "tools", "tests", "bench")
        for path in (ROOT / folder).rglob("*.py")
        for found in re.findall(r"jinja2\.Environment\((.*?)\n\s*\)", path.read_text(), re.DOTALL)
        if "StrictUndefined" not in found
    ]
    assert lax == []


def test_a_comment_makes_no_new_version_of_the_schema_and_a_statement_does():
    assert version_of("select 1 -- one\n\n;") == version_of("-- another\nselect 1\n;")
    assert version_of("select '--1'") != version_of("select '--2'")
    assert version_of("select 1") != version_of("select 2")
    assert len(re.findall(r"'[0-9a-f]{64}'", render_once("schema.sql"))) == 1


def test_the_names_of_staged_and_built_tables_are_the_same_in_python_and_in_the_database(database):
    for table in TABLES.values():
        assert database.query_as_admin(
            "select staging.relation_name(%s, date '2024-01-31'), "
            "staging.relation_name(%s, date '2024-01-31', 'build'), "
            "staging.relation_name(%s, date '2024-01-31', 'changes')",
            *[table.name] * 3,
        ) == [(table.staged(MONTH), table.build(MONTH), table.changes(MONTH))]


def print_sql(*args: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "print_sql.py", *args],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_sql_prints_what_runs():
    done = print_sql("snapshot", "labels", MONTH, "")
    assert done.stdout == render("tasks/snapshot.sql", MONTH, TABLES["labels"], run_id="manual__by_make_sql") + "\n"


def test_make_sql_calls_the_folder_as_the_setting_says():
    done = print_sql("prepare", "", MONTH, "", AIRFLOW__STREAMFLOW__MONTH_FOLDER="month={month}")
    assert f"'month={MONTH[:7]}');" in done.stdout
    done = print_sql("prepare", "", MONTH, "", AIRFLOW__STREAMFLOW__MONTH_FOLDER="{day}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "month_folder (AIRFLOW__STREAMFLOW__MONTH_FOLDER)" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("", "", "", ""), "usage: make sql TASK=snapshot TABLE=users MONTH=2024-01-31"),
        (("snapshot", "", MONTH, ""), "snapshot, upsert need a TABLE"),
        (("snapshot", "devices", MONTH, ""), "TABLE is one of users, "),
        (("gate", "", "2024-01-30", ""), "as_of must be a month's last day."),
    ],
)
def test_make_sql_says_what_is_wrong(args, said):
    done = print_sql(*args)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
