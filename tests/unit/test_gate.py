"""What the gate lets through, and what it says when sealed months would change: who, where, from what to what."""

from __future__ import annotations

import csv

import psycopg
import pytest

from streamflow import settings
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database
from support.run import Refused, Run

pytestmark = pytest.mark.fast


def report():
    return settings.report_path("streamflow_db", JANUARY, "changes.csv")


def gate_of_january(database, tmp_path, files: dict[str, bytes]) -> Refused:
    """Build January, which is sealed, from other files, and return what the gate says."""
    database.build_month(JANUARY, files)
    with pytest.raises(Refused) as refused:
        Run(database, JANUARY, tmp_path / "month_000").execute("gate")
    return refused.value


@pytest.fixture
def sealed(database):
    database.load_month(JANUARY, delivery("ann", "bob", watch_hours_30d=1))
    database.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=2))
    return database


def test_what_would_change_is_shown_cell_by_cell_and_all_of_it_is_in_a_file(sealed, tmp_path):
    before = sealed.contents(ledger=True)
    refused = gate_of_january(sealed, tmp_path, delivery("ann", "bob", watch_hours_30d="7.0"))
    assert refused.message.splitlines() == [
        "Sealed snapshots would change: different files for 2024-01-31, which is sealed.",
        "  - 2024-01-31 usage_agg_30d: 2 rows changed",
        "  - 2024-02-29 usage_agg_30d: 1 row changed",
        "For example:",
        "  - 2024-01-31 usage_agg_30d, user_id 'ann', watch_hours_30d: was '1', would be '7.0'",
        "  - 2024-01-31 usage_agg_30d, user_id 'bob', watch_hours_30d: was '1', would be '7.0'",
        "  - 2024-02-29 usage_agg_30d, user_id 'ann', watch_hours_30d: was '1', would be '7.0'",
        f"All of them: {report()}",
        "Nothing was written.",
        "What to do: if this is intended, run the month with the params as_of=2024-01-31 and restate=true.",
    ]
    with report().open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["as_of", "table", "user_id", "what", "column", "was", "would_be"],
            ["2024-01-31", "usage_agg_30d", "ann", "changed", "watch_hours_30d", "1", "7.0"],
            ["2024-01-31", "usage_agg_30d", "bob", "changed", "watch_hours_30d", "1", "7.0"],
            ["2024-02-29", "usage_agg_30d", "ann", "changed", "watch_hours_30d", "1", "7.0"],
        ]
    assert sealed.contents(ledger=True) == before


def test_rows_that_come_and_go_are_shown_too(sealed, tmp_path):
    labels = {"labels": b"user_id,churn_label\nann,\n"}
    refused = gate_of_january(sealed, tmp_path, delivery("ann", "bob", watch_hours_30d=1) | labels)
    assert "  - 2024-01-31 labels: 1 row removed" in refused.message
    assert "  - 2024-01-31 labels, user_id 'bob', churn_label: was 'true', would be NULL" in refused.message
    assert "  - 2024-01-31 labels, user_id 'ann', churn_label: was 'true', would be NULL" in refused.message


def test_five_users_are_shown_of_many(database, tmp_path):
    users = [f"u{number:03}" for number in range(300)]
    database.load_month(JANUARY, delivery(*users, watch_hours_30d=1))
    refused = gate_of_january(database, tmp_path, delivery(*users, watch_hours_30d=2))
    assert refused.message.count("user_id 'u") == settings.SAMPLES
    with report().open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 300


def test_hostile_values_are_text_in_log_and_file(sealed, tmp_path):
    users = (
        b'user_id,signup_date,user_gender,user_is_senior,has_family,has_dependents\n=1+1,2023-01-01,"\x1b[31m=2",,,\n'
    )
    files = {name: content.replace(b"ann", b"=1+1") for name, content in delivery("ann").items()}
    refused = gate_of_january(sealed, tmp_path, files | {"users": users})
    assert "user_id '=1+1', churn_label: was NULL, would be 'true'" in refused.message
    assert "\x1b" not in refused.message
    text = report().read_text().replace("\r", "")
    assert "\x1b" not in text
    assert ",=" not in text
    assert ",'=1+1,added,user_gender,,\\x1b[31m=2\n" in text


def test_without_values_there_are_counts_and_no_file(sealed, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SHOW_VALUES", "False")
    refused = gate_of_january(sealed, tmp_path, delivery("ann", "bob", watch_hours_30d=7))
    assert "  - 2024-01-31 usage_agg_30d: 2 rows changed" in refused.message
    assert "ann" not in refused.message
    assert "Users and values are not shown" in refused.message
    assert not report().exists()


@pytest.mark.parametrize(
    ("month", "files", "kind", "previous"),
    [
        ("2024-04-30", delivery("bob", "cid", watch_hours_30d=3), "new", FEBRUARY),
        ("2023-12-31", delivery("ann", "bob", watch_hours_30d=0), "late", None),
        (JANUARY, delivery("ann", "bob", watch_hours_30d=1), "already sealed and unchanged", None),
    ],
)
def test_the_gate_says_where_the_month_stands(sealed, tmp_path, month, files, kind, previous):
    sealed.build_month(month, files)
    before = sealed.contents(ledger=True)
    found = Run(sealed, month, tmp_path / "month_000").execute("gate")
    (builds,) = sealed.query("select staging.builds_of(%s)", month)[0]
    assert found == {"as_of": month, "month": kind, "previous": previous, "warnings": [], "builds": builds}
    assert len(set(builds.split())) == len(TABLES)
    assert sealed.contents(ledger=True) == before


def test_builds_that_another_run_has_overtaken_are_built_again(sealed, tmp_path):
    sealed.build_month("2024-04-30", delivery("bob", "cid", watch_hours_30d=3))
    outdated = sealed.gate("2024-04-30")
    other = sealed.another()
    other.load_month(MARCH, delivery("bob", "cid", "dot"))
    other.close()
    found = Run(sealed, "2024-04-30", tmp_path / "month_003").execute("gate")
    assert (outdated["previous"], found["previous"]) == (FEBRUARY, MARCH)
    assert found["builds"] != outdated["builds"]
    sealed.seal("2024-04-30", gate=found)
    rows = "select user_id from users_snapshots where as_of = '2024-04-30' order by 1"
    assert sealed.query(rows) == [("ann",), ("bob",), ("cid",), ("dot",)]


def test_the_gate_writes_nothing(sealed):
    sealed.build_month(JANUARY, delivery("ann", "bob", watch_hours_30d=7))
    read_only = Database(f"{sealed.uri}&options=-c%20default_transaction_read_only%3Don")
    assert read_only.gate(JANUARY)["sealed_changes"] == sealed.gate(JANUARY)["sealed_changes"] != []
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        read_only.seal(JANUARY, restate=True)
    read_only.close()


def test_what_was_staged_after_it_was_built_is_not_let_through(sealed, tmp_path):
    sealed.build_month(MARCH, delivery("bob"))
    sealed.stage(MARCH, "labels", delivery("bob", churn_label="False")["labels"])
    before = sealed.contents(ledger=True)
    with pytest.raises(Refused, match="only 5 of 6 tables of 2024-03-31 are staged, validated, and built"):
        Run(sealed, MARCH, tmp_path / "month_002").execute("gate")
    with pytest.raises(psycopg.errors.RaiseException, match="only 5 of 6 tables of 2024-03-31"):
        sealed.seal(MARCH)
    assert sealed.contents(ledger=True) == before


def test_what_another_run_has_built_is_not_let_through(sealed, tmp_path):
    sealed.build_month(MARCH, delivery("bob"))
    sealed.run_id = "another"
    sealed.stage_month(MARCH, delivery("bob"))
    with pytest.raises(Refused, match="only 0 of 6 tables of 2024-03-31 are staged, validated, and built"):
        Run(sealed, MARCH, tmp_path / "month_002").execute("gate")


def test_a_change_without_restate_is_stopped_by_the_seal_too(sealed):
    sealed.build_month(JANUARY, delivery("ann", "bob", watch_hours_30d=7))
    before = sealed.contents(ledger=True)
    with pytest.raises(psycopg.errors.RaiseException, match="sealed snapshots would change"):
        sealed.seal(JANUARY)
    assert sealed.contents(ledger=True) == before
