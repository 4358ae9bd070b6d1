"""Months whose files are compressed, or whose folders have other names, from the file to the ledger."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from streamflow.tables import TABLES
from support.builders import named
from support.run import Refused, Run

JANUARY, FEBRUARY, MARCH = "2024-01-31", "2024-02-29", "2024-03-31"


def compress(folder: Path, *tables: str) -> None:
    for table in tables:
        path = folder / f"{table}.csv"
        path.with_name(f"{table}.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def decompress(folder: Path) -> None:
    for path in folder.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()


def load(database, as_of: str, folder: Path, tables=tuple(TABLES)) -> Run:
    run = Run(database, as_of, folder, tables)
    run.up_to_gate()
    run.finish()
    return run


def files_of(database, as_of: str) -> set[tuple]:
    return set(
        database.query("select file_name, file_bytes, file_sha256, revision from deliveries where as_of = %s", as_of)
    )


def as_delivered(folder: Path) -> set[tuple]:
    return {
        (f"{folder.name}/{path.name}", path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest(), 1)
        for path in folder.iterdir()
    }


def test_plain_and_compressed_files_make_the_same_months(database, months):
    january, february, _ = months
    load(database, JANUARY, january)
    assert files_of(database, JANUARY) == as_delivered(january)
    sealed = database.contents(ledger=True)

    compress(january, *TABLES)  # the same files of a sealed month, only compressed
    run = load(database, JANUARY, january)
    assert run.xcoms["users.load"]["file"] == "month_000/users.csv.gz"
    assert run.warnings == []
    assert database.contents(ledger=True) == sealed

    compress(february, "users", "labels")
    load(database, FEBRUARY, february)
    assert files_of(database, FEBRUARY) == as_delivered(february)
    assert len({name for name, *_ in files_of(database, FEBRUARY) if name.endswith(".gz")}) == 2
    sealed = database.contents(ledger=True)
    decompress(february)
    compress(february, "subscriptions")
    load(database, FEBRUARY, february)
    assert database.contents(ledger=True) == sealed
    assert database.verify() == []


def test_another_content_in_a_sealed_months_compressed_file_is_seen(database, months):
    january = months[0]
    load(database, JANUARY, january, ["labels"])
    labels = january / "labels.csv"
    labels.write_bytes(labels.read_bytes().replace(b"True", b"False"))
    compress(january, "labels")
    with pytest.raises(Refused, match=r"gate: Sealed snapshots would change") as refused:
        Run(database, JANUARY, january, ["labels"]).up_to_gate()
    assert refused.value.task_id == "gate"


def test_a_second_file_that_comes_after_the_waiting_stops_the_load(database, months):
    run = Run(database, JANUARY, months[0], ["labels"])
    run.begin()
    run.stage_others()
    (months[0] / "labels.csv.gz").write_bytes(gzip.compress(b"user_id,churn_label\n"))
    with pytest.raises(Refused, match=r"labels.load: month_000: labels.csv and labels.csv.gz both exist"):
        run.stage()


def test_the_dag_waits_for_a_table_from_its_first_month_on(database, months, monkeypatch):
    visits = TABLES["labels"].model_copy(update={"name": "visits", "since": "2024-03"})
    monkeypatch.setitem(TABLES, "visits", visits)
    Run(database, FEBRUARY, months[1]).execute("wait_for_month")
    with pytest.raises(Refused, match=r"month_002\.\nvisits\.csv is missing\.\n"):
        Run(database, MARCH, months[2]).execute("wait_for_month")
    (months[2] / "visits.csv.gz").write_bytes(gzip.compress(b"user_id,churn_label\n"))
    Run(database, MARCH, months[2]).execute("wait_for_month")


def test_months_are_sealed_under_one_pattern_and_continued_under_another(database, months, monkeypatch):
    january, february, march = months
    load(database, JANUARY, january, ["labels"])
    for pattern, folder, as_of in (("month={month}", february, FEBRUARY), ("delivery-{number}", march, MARCH)):
        monkeypatch.setenv("AIRFLOW__STREAMFLOW__MONTH_FOLDER", pattern)
        load(database, as_of, named(folder, as_of), ["labels"])
    assert database.query("select file_name from deliveries where table_name = 'labels' order by as_of") == [
        ("month_000/labels.csv",),
        ("month=2024-02/labels.csv",),
        ("delivery-002/labels.csv",),
    ]
    sealed = database.contents(ledger=True)
    load(database, JANUARY, named(january, JANUARY), ["labels"])  # delivered again, by the name of today
    assert database.contents(ledger=True) == sealed
    # the first month is still held to
    folder = march.with_name("delivery-005")
    with pytest.raises(Refused, match=r"prepare: .*its folder would be delivery-005") as refused:
        Run(database, FEBRUARY, folder).begin()
    assert "Expected 2024-01: in the ledger, delivery-002 is sealed as 2024-03-31." in refused.value.message
