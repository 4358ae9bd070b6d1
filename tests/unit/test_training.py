"""Training sets as files: the same bytes again, or the reason why not."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from pyarrow import parquet

import install_schema
from streamflow import settings, training
from streamflow.features import FEATURES
from streamflow.months import Month
from streamflow.parquet import write_parquet
from streamflow.refusal import NotYet, Refusal, TaskRefused
from streamflow.tables import TABLES
from streamflow.training import TrainingSet, TrainingSetOperator
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database
from support.training import FEBRUARYS, JANUARYS, STAYS, merged


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "sets" / "january.parquet"


def build(conn_id: str, as_of: str, horizon: int, out: Path) -> TrainingSet:
    return training.build(conn_id, Month.parse(as_of), horizon, out.parent, out.name)


def sets(database: Database) -> list[tuple]:
    return database.query(
        "select as_of::text, horizon_months, revision, restated from training_sets_status order by 1, 2, 3"
    )


def test_a_set_is_a_file_sorted_by_user(labelled, out):
    built = build("streamflow_db", JANUARY, 1, out)
    table = parquet.read_table(out)
    assert table.column_names == ["user_id", *(one.name for one in FEATURES), "churn_label"]
    assert table.select(["user_id", "churn_label"]).to_pylist() == [
        {"user_id": "ann", "churn_label": True},
        {"user_id": "bob", "churn_label": False},
    ]
    assert built.file_sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert str(built) == (
        "Features of 2024-01-31: 3 eligible users.\n"
        "Labels of 2024-02-29, horizon 1: 1 true, 1 false, 1 unknown (left out).\n"
        "Recorded as revision 1.\n"
        f"{out}: 2 rows, SHA-256 {built.file_sha256}"
    )
    assert list(out.parent.iterdir()) == [out]


def test_values_come_through_as_they_are(database, out):
    odd = delivery("ann", **STAYS, user_gender='a "b",\nc', contract_type="", monthly_fee="7.0", net_service=None)
    database.load_month(JANUARY, merged(odd, delivery("Ännä", **STAYS, watch_hours_30d="0.1")))
    database.load_month(FEBRUARY, delivery("ann", "Ännä", **STAYS))
    build("streamflow_db", JANUARY, 1, out)
    ann, other = parquet.read_table(out).to_pylist()
    assert (ann["user_gender"], ann["contract_type"], ann["monthly_fee"]) == ('a "b",\nc', "", 7.0)
    assert (ann["net_service"], ann["plan_stream_tv"]) == (None, None)
    assert (other["user_id"], other["watch_hours_30d"]) == ("Ännä", 0.1)


def test_again_gives_the_same_bytes_in_any_session_and_records_nothing(labelled, out):
    first = build("streamflow_db", JANUARY, 1, out)
    content = out.read_bytes()
    labelled.run_as_admin(
        "alter role streamflow_ingest in database streamflow_test set datestyle = 'German';"
        "alter role streamflow_ingest in database streamflow_test set client_encoding = 'LATIN1';"
        "alter role streamflow_ingest in database streamflow_test set timezone = 'America/New_York'"
    )
    again = build("streamflow_db", JANUARY, 1, out.with_name("again.parquet"))
    assert Path(again.path).read_bytes() == content
    assert (again.revision, again.file_sha256) == (1, first.file_sha256)
    assert len(again.news) == 1
    assert again.news[0].startswith("The same bytes as revision 1, built on 20")
    assert sets(labelled) == [(JANUARY, 1, 1, [])]


def test_two_who_build_one_file_at_once_do_not_mix_their_bytes(labelled, out):
    def repeatedly(horizon: int) -> list[TrainingSet]:
        return [build("streamflow_db", JANUARY, horizon, out) for _ in range(5)]

    with ThreadPoolExecutor(2) as pool:
        built = [one for several in pool.map(repeatedly, [0, 1]) for one in several]
    assert hashlib.sha256(out.read_bytes()).hexdigest() in {one.file_sha256 for one in built}
    assert [one[:3] for one in sets(labelled)] == [(JANUARY, 0, 1), (JANUARY, 1, 1)]
    assert list(out.parent.iterdir()) == [out]


def test_of_two_who_record_one_set_at_once_the_second_is_told_to_try_again(labelled, out, monkeypatch):
    def overtaken(rows, path, columns):
        monkeypatch.undo()
        monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", labelled.uri)
        build("streamflow_db", JANUARY, 1, out.with_name("other.parquet"))
        return write_parquet(rows, path, columns)

    monkeypatch.setattr(training, "write_parquet", overtaken)
    with pytest.raises(NotYet, match=r"Another build of the set as of 2024-01-31, horizon 1, has recorded it"):
        build("streamflow_db", JANUARY, 1, out)
    assert [path.name for path in out.parent.iterdir()] == ["other.parquet"]
    assert build("streamflow_db", JANUARY, 1, out).news[0].startswith("The same bytes as revision 1")


@pytest.mark.parametrize("folder", [".", "sets"])
def test_a_folder_in_place_of_the_file_is_refused_before_anything_is_done(labelled, tmp_path, folder):
    (tmp_path / "sets").mkdir()
    with pytest.raises(Refusal, match="Expected a file, found the folder"):
        training.build("streamflow_db", Month.parse(JANUARY), 1, tmp_path, folder)
    assert sets(labelled) == []


def test_a_file_that_cannot_be_written_leaves_no_record(labelled, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        build("streamflow_db", JANUARY, 1, tmp_path / "file" / "january.parquet")
    assert sets(labelled) == []


def test_a_later_month_changes_nothing(labelled, out):
    build("streamflow_db", JANUARY, 1, out)
    content = out.read_bytes()
    labelled.load_month(MARCH, delivery("ann", "bob", "cid", "eve"))
    assert build("streamflow_db", JANUARY, 1, out).news[0].startswith("The same bytes")
    assert out.read_bytes() == content


def test_a_restatement_of_labels_is_named(labelled, out):
    build("streamflow_db", JANUARY, 1, out)
    labelled.load_month(FEBRUARY, merged(delivery("ann", "cid"), delivery("bob", **STAYS)), restate=True)
    again = build("streamflow_db", JANUARY, 1, out)
    assert again.news[0].startswith("Restated since revision 1, built on 20")
    assert again.news[0].endswith(": labels of 2024-02-29: revision 2, was 1.")
    assert again.news[1:] == ("Recorded as revision 2.",)
    assert (again.positive, again.unknown) == (2, 0)


def test_a_restatement_of_features_is_named(labelled, out):
    build("streamflow_db", JANUARY, 1, out)
    files = JANUARYS | {"usage_agg_30d": delivery("ann", "bob", "cid", "dan", skips_7d=9)["usage_agg_30d"]}
    labelled.load_month(JANUARY, files, restate=True)
    assert build("streamflow_db", JANUARY, 1, out).news[0].endswith(": usage_agg_30d of 2024-01-31: revision 2, was 1.")


def test_a_restatement_with_the_same_values_gives_the_same_bytes(labelled, out):
    first = build("streamflow_db", JANUARY, 1, out)
    files = JANUARYS | {"payments_agg_90d": JANUARYS["payments_agg_90d"].replace(b'"1"', b"1")}
    labelled.load_month(JANUARY, files, restate=True)
    assert sets(labelled) == [(JANUARY, 1, 1, [])]
    again = build("streamflow_db", JANUARY, 1, out)
    assert again.file_sha256 == first.file_sha256
    assert again.news[0].startswith("The same bytes as revision 1")
    assert again.news[1:] == ("Recorded as revision 2.",)  # with the ledger's revisions of today


def test_other_rows_without_a_restatement_are_refused(labelled, out):
    build("streamflow_db", JANUARY, 1, out)
    content = out.read_bytes()
    labelled.run_as_admin("update labels_snapshots set churn_label = true where as_of = '2024-02-29'")
    with pytest.raises(Refusal, match=r"Other rows than revision 1, built on .*, although none") as refused:
        build("streamflow_db", JANUARY, 1, out)
    assert "What to do: make verify, which names the differences" in refused.value.facts
    assert out.read_bytes() == content
    assert list(out.parent.iterdir()) == [out]
    assert sets(labelled) == [(JANUARY, 1, 1, [])]


def test_another_version_of_the_package_explains_other_rows(labelled, out, monkeypatch):
    build("streamflow_db", JANUARY, 1, out)
    labelled.run_as_admin("update labels_snapshots set churn_label = true where as_of = '2024-02-29'")
    monkeypatch.setattr(training, "__version__", "another")
    assert build("streamflow_db", JANUARY, 1, out).news[0].startswith("Other rows than revision 1, built on 20")


def test_horizon_0_is_named_for_what_it_is(labelled, out):
    built = build("streamflow_db", JANUARY, 0, out)
    assert parquet.read_schema(out).names[-1] == "churn_label_same_month"
    assert "Horizon 0: the labels are of the same month as the features. Nothing is predicted." in str(built)


def test_a_set_without_rows_is_a_file_without_rows(database, out):
    database.load_month(JANUARY, delivery("ann"))
    database.load_month(FEBRUARY, delivery("ann"))
    built = build("streamflow_db", JANUARY, 1, out)
    assert (built.eligible, parquet.read_table(out).num_rows) == (0, 0)
    assert len(parquet.read_schema(out)) == 2 + len(FEATURES)


def test_the_reader_writes_the_same_file_and_records_nothing(labelled, out, monkeypatch):
    first = build("streamflow_db", JANUARY, 1, out)
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", labelled.uri.replace("streamflow_ingest@", "streamflow_reader@"))
    again = build("streamflow_db", JANUARY, 1, out.with_name("again.parquet"))
    assert again.file_sha256 == first.file_sha256
    assert again.news[0].startswith("The same bytes as revision 1")
    assert (again.revision, again.news[1:]) == (None, ("Not recorded: the database user may only read.",))
    assert sets(labelled) == [(JANUARY, 1, 1, [])]


# The task


def run(label_as_of: str, horizon: int = 1) -> list[str]:
    """Run the task; return the names of the files."""
    task = TrainingSetOperator(task_id="training_set", label_as_of=label_as_of, conn_id="streamflow_db")
    return [Path(one["path"]).name for one in task.execute({"params": {"horizon": horizon}})]


@pytest.fixture
def folder(database, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__TRAINING_SETS", str(tmp_path / "sets"))
    return tmp_path / "sets" / settings.database_folder("streamflow_db")


def test_a_restatement_does_not_replace_the_file_that_a_model_was_trained_on(labelled, folder):
    names = [f"2024-01-31_horizon_1_revision_{revision}.parquet" for revision in (1, 2)]
    assert run(FEBRUARY) == names[:1]
    content = (folder / names[0]).read_bytes()
    labelled.load_month(FEBRUARY, merged(FEBRUARYS, delivery("cid")), restate=True)
    assert run(FEBRUARY) == names[1:]
    assert (folder / names[0]).read_bytes() == content
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_month_that_was_sealed_after_its_labels_completes_its_set(database, folder):
    database.load_month(FEBRUARY, FEBRUARYS)
    with pytest.raises(AirflowSkipException, match="features of 2024-01-31 or labels of 2024-02-29 are not sealed"):
        run(FEBRUARY)
    database.load_month(JANUARY, JANUARYS, restate=True)
    assert run(JANUARY) == ["2024-01-31_horizon_1_revision_1.parquet"]
    with pytest.raises(AirflowSkipException):  # it is there, and whether to build it again is a person's choice
        run(JANUARY)
    assert sets(database) == [(JANUARY, 1, 1, [])]


def test_a_month_between_two_sealed_ones_completes_two_sets(labelled, folder):
    labelled.load_month("2024-04-30", merged(delivery("ann"), delivery("bob", **STAYS)))
    labelled.load_month(MARCH, merged(delivery("ann"), delivery("bob", **STAYS)))
    assert run(MARCH) == ["2024-02-29_horizon_1_revision_1.parquet", "2024-03-31_horizon_1_revision_1.parquet"]


def test_a_month_before_the_labels_first_one_is_skipped(database, folder, monkeypatch):
    monkeypatch.setitem(TABLES, "labels", TABLES["labels"].model_copy(update={"since": "2024-03"}))
    install_schema.install(database.admin_uri)
    for month in (JANUARY, FEBRUARY):
        database.load_month(month, FEBRUARYS)
    for month, horizon in ((JANUARY, 1), (FEBRUARY, 1), (FEBRUARY, 0)):
        with pytest.raises(AirflowSkipException, match=f"labels of {month}"):
            run(month, horizon)
    database.load_month(MARCH, FEBRUARYS)
    assert run(MARCH) == ["2024-02-29_horizon_1_revision_1.parquet"]
    assert run(MARCH, 0) == ["2024-03-31_horizon_0_revision_1.parquet"]


def test_without_a_label_there_is_no_set_to_skip(folder, monkeypatch):
    monkeypatch.setattr(training, "LABEL", None)
    with pytest.raises(TaskRefused, match="no table of include/tables has a label"):
        run(FEBRUARY)


def test_with_horizon_0_a_month_has_one_set(labelled, folder):
    assert run(JANUARY, 0) == ["2024-01-31_horizon_0_revision_1.parquet"]


def test_a_day_that_is_no_month_end_is_refused_by_the_params_name(folder):
    with pytest.raises(TaskRefused, match="label_as_of must be a month's last day"):
        run("2024-02-28")


def test_a_run_for_no_month_is_refused(folder):
    with pytest.raises(TaskRefused, match="This run is for no month"):
        run("")
