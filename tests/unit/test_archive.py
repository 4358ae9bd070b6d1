"""The archive: files with the rows that the ledger speaks of, which count once they were read back."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from pathlib import Path

import psycopg
import pytest
from pyarrow import dataset, parquet

from streamflow import archive as streamflow_archive
from streamflow import settings
from streamflow.archive import Archive, ArchiveOperator, archive
from streamflow.archive_files import MANIFEST
from streamflow.months import Month
from streamflow.parquet import write_parquet
from streamflow.refusal import Refusal, TaskRefused
from streamflow.tables import TABLES
from support.archives import file_of
from support.builders import FEBRUARY, JANUARY, delivery
from support.database import Database


def run(month: str | None = None) -> Archive:
    return archive("streamflow_db", "a run", month and Month.parse(month))


def recorded(database: Database) -> list[tuple]:
    return database.query(
        "select as_of::text, table_name, revision, count(*) from archives group by 1, 2, 3 order by 1, 2, 3"
    )


def test_each_snapshot_is_a_file_in_the_folders_of_its_partition(two_months, archive_folder):
    done = run()
    assert [(one.as_of, one.table, one.revision) for one in done.archived] == [
        (month, table, 1) for month in (JANUARY, FEBRUARY) for table in TABLES
    ]
    file = file_of(archive_folder, "labels", JANUARY)
    assert parquet.read_table(file, partitioning=None).to_pylist() == [
        {
            "user_id": user,
            "churn_label": True,
            "source_as_of": dt.date(2024, 1, 31),
            "event_timestamp": dt.datetime(2024, 1, 31, tzinfo=dt.UTC),
        }
        for user in ("ann", "bob")
    ]
    content = file.read_bytes()
    assert two_months.query(
        "select place, file_bytes, file_sha256, snapshot_rows::int, columns, run_id from archives "
        "where as_of = %s and table_name = 'labels'",
        JANUARY,
    ) == [(str(file), len(content), hashlib.sha256(content).hexdigest(), 2, ["user_id", "churn_label"], "a run")]
    assert sorted(path.name for path in file.parent.iterdir()) == [MANIFEST, "part-0.parquet"]


def test_the_manifest_says_what_the_ledger_says(two_months, archive_folder):
    run()
    file = file_of(archive_folder, "support_agg_90d", JANUARY)
    ((rows, checksum),) = two_months.query(
        "select snapshot_rows, snapshot_checksum::text from deliveries where as_of = %s and table_name = %s",
        JANUARY,
        "support_agg_90d",
    )
    manifest = json.loads((file.parent / MANIFEST).read_bytes())
    assert (manifest["rows"], manifest["checksum"]) == (rows, checksum)
    assert manifest["columns"] == {
        "user_id": "text",
        "support_tickets_90d": "integer",
        "ticket_avg_resolution_hrs_90d": "numeric",
        "ticket_avg_resolution_hrs_90d__exact": "text",
        "source_as_of": "date",
        "event_timestamp": "timestamptz",
    }
    assert [*manifest["columns"]] == parquet.read_schema(file).names
    assert (manifest["file_bytes"], manifest["sha256"]) == (
        file.stat().st_size,
        hashlib.sha256(file.read_bytes()).hexdigest(),
    )


def test_readers_of_hives_layout_get_as_of_and_revision_from_the_folders(two_months, archive_folder):
    run()
    folder = archive_folder / settings.database_folder("streamflow_db") / "users_snapshots"
    rows = dataset.dataset(folder, partitioning="hive").to_table().to_pylist()
    assert sorted((row["as_of"], row["revision"], row["user_id"]) for row in rows) == [
        (JANUARY, 1, "ann"),
        (JANUARY, 1, "bob"),
        (FEBRUARY, 1, "ann"),
        (FEBRUARY, 1, "bob"),
        (FEBRUARY, 1, "cid"),
    ]


def test_a_second_run_writes_and_records_nothing(two_months, archive_folder):
    run()
    before = {path: path.stat().st_mtime_ns for path in archive_folder.rglob("*") if path.is_file()}
    assert str(run()) == "Nothing to archive: all snapshots in the database are."
    assert {path: path.stat().st_mtime_ns for path in archive_folder.rglob("*") if path.is_file()} == before
    assert {row[3] for row in recorded(two_months)} == {1}


def test_one_month_can_be_archived(two_months, archive_folder):
    done = run(FEBRUARY)
    assert {one.as_of for one in done.archived} == {FEBRUARY}
    assert str(done).startswith("2024-02-29: 6 snapshots archived, 18 rows, ")
    with pytest.raises(Refusal, match="2024-03-31 is not sealed"):
        run("2024-03-31")


def test_a_restatement_is_another_file_and_the_old_one_stays(two_months, archive_folder):
    run()
    content = file_of(archive_folder, "payments_agg_90d", JANUARY).read_bytes()
    two_months.load_month(JANUARY, delivery("ann", "bob", failed_payments_90d=5), restate=True)
    done = run()
    assert [(one.as_of, one.table, one.revision) for one in done.archived][:1] == [(JANUARY, "payments_agg_90d", 2)]
    assert done.warnings == []
    assert file_of(archive_folder, "payments_agg_90d", JANUARY).read_bytes() == content
    new = parquet.read_table(file_of(archive_folder, "payments_agg_90d", JANUARY, 2), partitioning=None)
    assert new["failed_payments_90d"].to_pylist() == [5, 5]


def test_a_revision_that_was_restated_before_it_was_archived_is_named(two_months, archive_folder):
    two_months.load_month(JANUARY, delivery("ann", "bob", failed_payments_90d=5), restate=True)
    done = run(JANUARY)
    assert done.warnings == [
        "payments_agg_90d of 2024-01-31: revision 1 was restated before it was archived, and its rows are gone."
    ]
    assert ("payments_agg_90d", 2) in [(one.table, one.revision) for one in done.archived]


@pytest.mark.parametrize("value", ["7.0", "7", "0.1", "1e400", "NaN", "-Infinity", "123456789012345678901234567890.5"])
def test_numbers_are_doubles_for_readers_and_exact_beside_them(database, archive_folder, value):
    database.load_month(JANUARY, delivery("ann", monthly_fee=value))
    run()
    (row,) = parquet.read_table(file_of(archive_folder, "subscriptions", JANUARY), partitioning=None).to_pylist()
    exact = database.query("select monthly_fee::text from subscriptions")[0][0]
    assert row["monthly_fee__exact"] == exact
    assert repr(row["monthly_fee"]) == repr(float(exact))


def test_rows_that_are_not_the_ledgers_do_not_count(two_months, archive_folder):
    two_months.run_as_admin("update labels_snapshots set churn_label = false where as_of = '2024-02-29'")
    with pytest.raises(psycopg.errors.RaiseException, match="labels of 2024-02-29 are not those of revision 1"):
        run()
    assert {row[0] for row in recorded(two_months)} == {JANUARY}
    assert not (file_of(archive_folder, "labels", FEBRUARY).parent / MANIFEST).exists()


def test_what_is_read_back_is_the_file_and_not_what_was_to_be_written(two_months, archive_folder, monkeypatch):
    def spoiled(rows, to, columns):
        rows.read()
        return write_parquet(io.BytesIO(), to, columns)

    monkeypatch.setattr(streamflow_archive, "write_parquet", spoiled)
    with pytest.raises(psycopg.errors.RaiseException, match=r"users of 2024-01-31 .*\nExpected 2 rows.*\nFound 0 rows"):
        run()
    assert recorded(two_months) == []


@pytest.mark.parametrize("gone", [("part-0.parquet",), (MANIFEST,), (MANIFEST, "part-0.parquet")])
def test_a_file_that_is_gone_is_written_again(two_months, archive_folder, gone):
    run()
    file = file_of(archive_folder, "labels", JANUARY)
    content = file.read_bytes()
    for name in gone:
        (file.parent / name).unlink()
    two_months.run_as_admin("delete from archives where table_name = 'labels'")
    assert [(one.as_of, one.table) for one in run().archived] == [(JANUARY, "labels"), (FEBRUARY, "labels")]
    assert file.read_bytes() == content
    assert json.loads((file.parent / MANIFEST).read_bytes())["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-10]),
        lambda file: file.unlink(),
        lambda file: (file.parent / MANIFEST).unlink(),
        lambda file: (file.parent / MANIFEST).write_text("half of it"),
    ],
)
def test_a_damaged_file_is_written_again_and_its_record_stays(two_months, archive_folder, spoil):
    run()
    file = file_of(archive_folder, "labels", JANUARY)
    content = file.read_bytes()
    spoil(file)
    assert [(one.as_of, one.table) for one in run().archived] == [(JANUARY, "labels")]
    assert file.read_bytes() == content
    assert json.loads((file.parent / MANIFEST).read_bytes())["sha256"] == hashlib.sha256(content).hexdigest()
    assert (JANUARY, "labels", 1, 2) in recorded(two_months)


def test_another_snapshot_in_the_folder_is_left_as_it_is(two_months, archive_folder):
    run()
    manifest = file_of(archive_folder, "labels", JANUARY).parent / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"checksum": "17"}))
    two_months.run_as_admin("delete from archives")
    with pytest.raises(Refusal, match="there is another snapshot in this folder"):
        run()
    assert json.loads(manifest.read_text())["checksum"] == "17"


def test_an_archive_that_a_file_url_names_has_the_same_files(two_months, archive_folder, tmp_path, monkeypatch):
    run()
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__ARCHIVE", f"file://{tmp_path}/store/")
    two_months.run_as_admin("delete from archives")
    done = run()
    assert len(done.archived) == 12
    assert done.archived[0].place.startswith(f"file://{tmp_path}/store/streamflow_test-")

    def contents(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert contents(tmp_path / "store") == contents(archive_folder)


def test_a_column_that_came_later_is_not_in_the_files_of_before(two_months, archive_folder):
    two_months.run_as_admin(
        "update deliveries set columns = array_remove(columns, 'add_on_support') where table_name = 'subscriptions'"
    )
    checksums = "(select snapshot_checksum from staging.checksum_of('subscriptions_profile_snapshots', as_of, columns))"
    two_months.run_as_admin(f"update deliveries set snapshot_checksum = {checksums} where table_name = 'subscriptions'")
    run()
    assert "add_on_support" not in parquet.read_schema(file_of(archive_folder, "subscriptions", JANUARY)).names
    two_months.run_as_admin("update deliveries set columns = columns || 'gone'::text where table_name = 'users'")
    two_months.run_as_admin("delete from archives")
    assert run().warnings == [
        f"users of {month} cannot be archived. users does not have the 1 column gone any more."
        for month in (JANUARY, FEBRUARY)
    ]


# The task


def test_the_task_archives_what_is_not_archived_yet(two_months, archive_folder, capfd):
    task = ArchiveOperator(task_id="archive", conn_id="streamflow_db")
    assert len(task.execute({"run_id": "scheduled"})) == 12
    assert "2024-01-31: 6 snapshots archived, 12 rows" in capfd.readouterr().out
    assert task.execute({"run_id": "scheduled"}) == []


def test_the_task_ends_with_what_is_wrong(two_months, archive_folder):
    two_months.run_as_admin("update labels_snapshots set churn_label = false where as_of = '2024-01-31'")
    with pytest.raises(TaskRefused, match="the archived rows of labels of 2024-01-31 are not those of revision 1"):
        ArchiveOperator(task_id="archive", conn_id="streamflow_db").execute({"run_id": "scheduled"})
