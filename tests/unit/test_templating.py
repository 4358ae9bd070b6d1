"""The tasks' SQL: every file renders strictly, is short enough to be read in Airflow's UI, and runs as it is shown."""

from __future__ import annotations

import re

import jinja2
import pytest

from streamflow.tables import TABLES
from streamflow.templating import SQL_FOLDER, version_of
from streamflow.templating import render as render_once
from support.database import render
from support.paths import ROOT

MONTH = "2024-01-31"
TASKS = sorted(path.name for path in (SQL_FOLDER / "tasks").glob("*.sql"))
SHOWN = 16_384  # characters of a template that the UI shows: what env.sh and compose set


def test_each_sql_task_of_the_month_runs_the_file_of_its_name():
    from streamflow.sql import SqlStepOperator
    from support.run import dag

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
    from support.run import templates

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
