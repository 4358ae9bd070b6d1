"""The DAGs streamflow_training_set and streamflow_archive, and the one of docs/training.md, under a real scheduler:
months that were sealed or changed wake them, and nothing else does.

The tests share one running Airflow and go on from each other's state, in the order they are written in.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from support.builders import FEBRUARY, JANUARY, MARCH
from support.paths import ROOT
from support.services import Airflow, running, wait_until

TRAINING, COUNT = "/api/v2/dags/streamflow_training_set", "/api/v2/dags/count_churned"
ARCHIVE = "/api/v2/dags/streamflow_archive"


def example() -> str:
    """The DAG that docs/training.md shows."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), re.DOTALL)
    return code


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def airflow(server, schema, migrated, folder) -> Iterator[Airflow]:
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    (dags / "count_churned.py").write_text(example())
    environment = {
        "AIRFLOW__CORE__DAGS_FOLDER": dags,
        "AIRFLOW__STREAMFLOW__TRAINING_SETS": folder / "sets",
        "AIRFLOW__STREAMFLOW__ARCHIVE": folder / "archive",
    }
    with running(server, schema, migrated, folder, months=3, **environment) as airflow:
        for dag in (TRAINING, COUNT, ARCHIVE):
            wait_until(lambda dag=dag: airflow.client.get(dag).is_success, lambda: "the DAG is not there")
            assert airflow.get(dag)["is_paused"]
            airflow.client.patch(dag, json={"is_paused": False}).raise_for_status()
        yield airflow


def runs(airflow: Airflow, dag: str) -> list[dict[str, Any]]:
    """The DAG's runs, in the order in which they were made."""
    return airflow.get(f"{dag}/dagRuns", limit=100, order_by="run_after")["dag_runs"]


def keys(airflow: Airflow, dag: str, number: int) -> list[str]:
    """Wait until the DAG has had so many runs; return their partition keys."""

    def ended() -> bool:
        return len(runs(airflow, dag)) >= number and all(
            run["state"] in ("success", "failed") for run in runs(airflow, dag)
        )

    wait_until(ended, lambda: f"{runs(airflow, dag)}")
    assert {run["state"] for run in runs(airflow, dag)} == {"success"}
    return [run["partition_key"] for run in runs(airflow, dag)]


def events(airflow: Airflow) -> list[str | None]:
    """The keys of the asset's events."""
    (asset,) = airflow.get("/api/v2/assets", name_pattern="sealed_month")["assets"]
    found = airflow.get("/api/v2/assets/events", asset_id=asset["id"], limit=100)["asset_events"]
    return sorted(event["partition_key"] for event in found)


def load(airflow: Airflow, month: str, **params: Any) -> None:
    assert airflow.end_of(airflow.trigger(None, as_of=month, **params)) == "success"


def test_the_first_month_has_no_features_before_it_and_the_set_is_skipped(airflow):
    load(airflow, JANUARY)
    assert keys(airflow, COUNT, 1) == keys(airflow, TRAINING, 1) == [JANUARY]
    (run,) = runs(airflow, TRAINING)
    assert airflow.tasks(run["dag_run_id"], TRAINING) == {"training_set": "skipped"}


def test_the_set_whose_labels_were_sealed_is_built(airflow, folder):
    load(airflow, FEBRUARY)
    assert keys(airflow, COUNT, 2) == keys(airflow, TRAINING, 2) == [JANUARY, FEBRUARY]
    (file,) = (folder / "sets").rglob("*.parquet")
    assert file.name == "2024-01-31_horizon_1_revision_1.parquet"
    assert airflow.database.query(
        "select as_of::text, label_as_of::text, revision, positive + negative from training_sets"
    ) == [(JANUARY, FEBRUARY, 1, parquet.read_metadata(file).num_rows)]


def test_the_partition_key_reaches_the_sql_of_a_dag_of_ones_own(airflow):
    run = runs(airflow, COUNT)[-1]["dag_run_id"]
    found = airflow.get(f"{COUNT}/dagRuns/{run}/taskInstances/count/xcomEntries/return_value")["value"]
    ((count,),) = airflow.database.query(
        "select count(*) from labels_snapshots where as_of = %s and churn_label", FEBRUARY
    )
    assert count > 0
    assert str(count) in str(found)


def test_a_run_that_changes_nothing_wakes_no_one(airflow):
    before = events(airflow)
    assert before == [JANUARY, FEBRUARY]
    load(airflow, FEBRUARY)
    time.sleep(10)  # some turns of the scheduler
    assert events(airflow) == before
    assert len(runs(airflow, TRAINING)) == len(runs(airflow, COUNT)) == 2


def test_a_restatement_is_told_and_marks_the_set(airflow):
    usage = airflow.deliveries / "month_000" / "usage_agg_30d.csv"
    header, first, *others = usage.read_text().splitlines(keepends=True)
    user, *values = first.split(",")
    usage.write_text("".join([header, ",".join([user, "700", *values[1:]]), *others]))
    load(airflow, JANUARY, restate=True)
    assert keys(airflow, TRAINING, 3)[2:] == [JANUARY]
    assert airflow.database.query("select restated from training_sets_status") == [
        (["usage_agg_30d of 2024-01-31: revision 2, was 1"],)
    ]
    run = runs(airflow, TRAINING)[-1]["dag_run_id"]
    log = airflow.get(f"{TRAINING}/dagRuns/{run}/taskInstances/training_set/logs/1", full_content=True)["content"]
    said = "The set as of 2024-01-31, horizon 1, is out of date: usage_agg_30d of 2024-01-31: revision 2, was 1."
    assert said in [line["event"] for line in log]


def test_a_set_can_be_built_by_hand(airflow):
    run = airflow.trigger(None, TRAINING, label_as_of=FEBRUARY)
    assert airflow.end_of(run, TRAINING) == "success"
    assert airflow.database.query("select revision, restated from training_sets_status order by 1") == [
        (1, ["usage_agg_30d of 2024-01-31: revision 2, was 1"]),
        (2, []),
    ]


def test_a_run_for_no_month_is_refused(airflow):
    run = airflow.trigger(None, TRAINING)
    assert airflow.end_of(run, TRAINING) == "failed"


def test_a_late_month_is_told_with_the_months_that_it_changes(airflow):
    before = len(events(airflow))
    load(airflow, MARCH)
    assert events(airflow)[before:] == [MARCH]


def test_the_archive_has_each_month_and_the_restatement(airflow, folder):
    assert keys(airflow, ARCHIVE, 4) == [JANUARY, FEBRUARY, JANUARY, MARCH]
    for run in runs(airflow, ARCHIVE):
        assert airflow.tasks(run["dag_run_id"], ARCHIVE) == {"archive": "success", "retention": "skipped"}
    found = airflow.database.query(
        "select as_of::text, max(revision), count(*), bool_and(place like %s) from archives group by 1 order by 1",
        f"{folder}/archive/%",
    )
    assert [row for row in found if row[0] == MARCH] == [(MARCH, 1, 6, True)]
    (january,) = [row for row in found if row[0] == JANUARY]
    assert (january[1], january[3]) == (2, True)
