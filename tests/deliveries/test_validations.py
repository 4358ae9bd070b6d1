"""The log of validations: what passed and what failed, with and without values, and who may write and read it."""

from __future__ import annotations

import datetime as dt

import psycopg
import pytest

import install_schema
from streamflow.tables import TABLES
from support.database import Database, as_csv
from support.run import Refused, Run

JANUARY = "2024-01-31"
LOG = (
    "select table_name, run_id, is_passed, delivered, result, delivered_values, facts "
    "from public.validations order by checked_at"
)


@pytest.fixture
def run(database, deliveries) -> Run:
    """A run for January, whose users are of interest."""
    (deliveries / "month_000").mkdir()
    run = Run(database, JANUARY, deliveries / "month_000", ["users"])
    run.execute("prepare")
    return run


def deliver(run: Run, *rows: dict) -> None:
    """Write users; what a row does not say is good."""
    good = {"signup_date": "2023-05-01", "user_gender": "Male"}
    content = as_csv([good | row for row in rows], ["user_id", *TABLES["users"].columns])
    (run.folder / "users.csv").write_bytes(content)


def validate(run: Run) -> list[dict]:
    """Stage, load and validate; return the log's rows."""
    try:
        run.stage("stage", "load", "validate")
    except Refused as refused:
        if refused.task_id != "users.validate":
            raise
    names = ("table", "run", "is_passed", "delivered", "result", "values", "facts")
    return [dict(zip(names, row, strict=True)) for row in run.database.query(LOG)]


def test_a_validation_that_passes_is_logged(run):
    deliver(run, {"user_id": "ann"}, {"user_id": "bob"})
    (logged,) = validate(run)
    assert (logged["table"], logged["run"], logged["is_passed"], logged["delivered"]) == (
        "users",
        run.database.run_id,
        True,
        2,
    )
    assert {rule["verdict"] for rule in logged["result"]} <= {"passed", "warning"}
    rows = next(rule for rule in logged["result"] if rule["rule"] == "expect_table_row_count_to_be_between")
    assert rows["measured"] == {"kind": "rows", "value": 2.0, "min": 1.0, "max": None}
    assert logged["facts"][0] == "0 of 16 rules failed; 0 warnings."


def test_one_that_fails_is_logged_too_and_changes_nothing_else(run):
    before = run.database.contents(ledger=True)
    deliver(run, {"user_id": "Zq7"}, {"user_id": "Zq7"})
    (logged,) = validate(run)
    assert logged["is_passed"] is False
    (position,) = [number for number, rule in enumerate(logged["result"]) if rule["verdict"] == "failed"]
    assert logged["result"][position]["examples"] == ["lines 2, 3"]
    assert "Zq7" not in str(logged["result"])
    assert logged["values"][str(position)]["examples"] == ["lines 2, 3: user_id 'Zq7'"]
    assert run.database.contents(ledger=True) == before


def test_no_value_is_kept_where_none_may_be_shown(run, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SHOW_VALUES", "false")
    deliver(run, {"user_id": "Zq7"}, {"user_id": "Zq7", "user_gender": "Xy9"})
    (logged,) = validate(run)
    assert logged["values"] == {}
    assert "Zq7" not in str(logged)
    assert "Xy9" not in str(logged)


def test_each_validation_adds_a_row(run):
    deliver(run, {"user_id": "ann"}, {"user_id": "ann"})
    validate(run)
    deliver(run, {"user_id": "ann"})
    assert [logged["is_passed"] for logged in validate(run)] == [False, True]


@pytest.mark.parametrize(
    "statement",
    [
        "update public.validations set is_passed = true",
        "delete from public.validations",
        "truncate public.validations",
        (
            "insert into public.validations (as_of, table_name, checked_at, run_id, file_name, file_bytes, "
            "file_sha256, delivered, is_passed, facts, result, delivered_values) "
            "values ('2024-01-31', 'users', '2020-01-01', '', '', 0, '', 0, true, '{}', '[]', '{}')"
        ),
    ],
)
def test_the_pipeline_can_neither_change_the_log_nor_antedate_a_row(database, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.run(statement)


def test_the_reader_reads_the_log_and_writes_nothing(run):
    deliver(run, {"user_id": "ann"})
    validate(run)
    install_schema.install(run.database.admin_uri)  # what roles may do in a database is not copied from its template
    reader = Database(run.database.uri.replace("streamflow_ingest@", "streamflow_reader@"))
    ((checked_at,),) = reader.query("select checked_at from public.validations")
    assert abs(dt.datetime.now(dt.UTC) - checked_at) < dt.timedelta(hours=1)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.run("insert into public.validations (run_id) values ('')")
    reader.close()
