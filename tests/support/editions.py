"""Databases that earlier versions have sealed months in, and the files of those months."""

from __future__ import annotations

import json

import install_schema
from support.database import Database
from support.paths import FIXTURES
from support.run import Run

RUNS = json.loads((FIXTURES / "runs.json").read_text())["runs"]
JANUARY, FEBRUARY, MARCH, APRIL = ("2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30")
FILES = {run["as_of"]: {name: text.encode() for name, text in run["delivery"].items()} for run in RUNS}  # the last ones


def load(database: Database, month: str, restate: bool = False) -> None:
    database.load_month(month, FILES[month], restate)


def install(database: Database, upgrade: str, tmp_path, monkeypatch) -> None:
    """Give it the schema that the tables have today."""
    if upgrade == "make schema":
        install_schema.install(database.admin_uri)
    else:
        monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", database.admin_uri)
        Run(database, MARCH, tmp_path / "month_002").execute("prepare")
        monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", database.uri)
