"""The DAG of the archive as Airflow sees it."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag


@pytest.fixture(scope="module")
def dag():
    return DagBag().dags["streamflow_archive"]


def test_what_is_dropped_was_archived_before_and_one_run_at_a_time_does_it(dag):
    assert dag.max_active_runs == 1
    assert dag.get_task("retention").upstream_task_ids == {"archive"}
    assert dag.get_task("retention").trigger_rule == "all_success"


def test_it_is_described_and_tries_again(dag):
    assert dag.description
    for task in dag.tasks:
        assert len(task.doc_md.split()) > 5
        assert (task.owner, task.retries, task.conn_id) == ("streamflow", 2, "streamflow_db")
        assert task.retry_policy is not None
