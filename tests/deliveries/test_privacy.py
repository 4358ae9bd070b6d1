"""Delivered values are shown only where they may be, and nothing leaves the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.deliveries import FEBRUARY, append, cell, edit, try_month
from support.paths import ROOT


@pytest.fixture(scope="module")
def template(sealed_january) -> str:
    """Every database here begins with a sealed January: there is something to lose."""
    return sealed_january


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

from support.run import Run
from support.database import Database
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
