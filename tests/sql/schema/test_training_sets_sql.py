"""The record of training sets: what each was built from, and which of them a restatement has changed since."""

from __future__ import annotations

import psycopg
import pytest

from streamflow import __version__
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database
from support.sealing import assert_is_denied
from support.training import FEBRUARYS, JANUARYS, merged


def record(database: Database, as_of: str, horizon: int, **made: str | list[str]) -> None:
    """Record a set as the package does, when it has written the file."""
    made = {"columns": ["user_id"], "content": "c", "file": "f", "writer": "w"} | made
    database.query("select staging.record_training_set(%s, %s, %s, %s, %s, %s)", as_of, horizon, *made.values())


def sets(database: Database) -> list[tuple]:
    return database.query(
        "select as_of::text, horizon_months, revision, restated from training_sets_status order by 1, 2, 3"
    )


def test_the_database_itself_counts_and_names_the_sources(labelled):
    record(labelled, JANUARY, 1, columns=["user_id", "churn_label"])
    assert labelled.query(
        "select label_as_of::text, eligible, positive, negative, unknown, columns, "
        "content_sha256, file_sha256, file_writer, package_version from training_sets"
    ) == [(FEBRUARY, 3, 1, 1, 1, ["user_id", "churn_label"], "c", "f", "w", __version__)]
    sources = labelled.query(
        "select used.* from training_sets cross join jsonb_to_recordset(sources) "
        "as used (as_of text, table_name text, revision integer, checksum numeric)"
    )
    ledger = labelled.query(
        "select as_of::text, table_name, revision, snapshot_checksum from current_deliveries "
        "where as_of = %s or table_name = 'labels' order by as_of, table_name",
        JANUARY,
    )
    assert sources == ledger
    assert len(ledger) == 7


def test_the_same_set_is_recorded_once(labelled):
    record(labelled, JANUARY, 1)
    record(labelled, JANUARY, 1)
    assert sets(labelled) == [(JANUARY, 1, 1, [])]
    record(labelled, JANUARY, 1, file="another")
    assert sets(labelled) == [(JANUARY, 1, 1, []), (JANUARY, 1, 2, [])]


def test_a_restatement_marks_the_sets_that_were_built_on_what_it_changed(labelled):
    record(labelled, JANUARY, 1)
    record(labelled, JANUARY, 0)
    record(labelled, FEBRUARY, 0)
    labelled.load_month(FEBRUARY, merged(FEBRUARYS, delivery("cid")), restate=True)
    changed = "labels of 2024-02-29: revision 2, was 1"
    same_month, next_month, february = sets(labelled)
    assert same_month == (JANUARY, 0, 1, [])
    assert next_month == (JANUARY, 1, 1, [changed])
    assert changed in february[3]
    record(labelled, JANUARY, 1)
    assert sets(labelled)[1:3] == [(JANUARY, 1, 1, [changed]), (JANUARY, 1, 2, [])]


def test_neither_the_same_values_again_nor_a_later_month_marks_a_set(labelled):
    record(labelled, JANUARY, 1)
    files = JANUARYS | {"payments_agg_90d": JANUARYS["payments_agg_90d"].replace(b'"1"', b"1")}
    labelled.load_month(JANUARY, files, restate=True)
    labelled.load_month(MARCH, delivery("ann", "bob", "cid", "eve"))
    assert sets(labelled) == [(JANUARY, 1, 1, [])]


def test_a_set_of_a_month_that_is_not_sealed_is_not_recorded(labelled):
    with pytest.raises(psycopg.errors.RaiseException, match=r"not sealed: labels of 2024-03-31\."):
        record(labelled, JANUARY, 2)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into training_sets default values",
        "update training_sets set positive = 0",
        "delete from training_sets",
        "truncate training_sets",
        "drop table training_sets",
    ],
)
@pytest.mark.parametrize("role", ["streamflow_ingest", "streamflow_reader"])
def test_no_one_writes_to_the_record_by_hand(labelled, role, statement):
    database = Database(labelled.uri.replace("streamflow_ingest@", f"{role}@"))
    assert_is_denied(database, statement)
