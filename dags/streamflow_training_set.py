"""A training set for each month that was sealed or changed: the one whose labels are of that month.

A month that was sealed late may complete two: its features may be of a set whose labels were sealed first.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Param, PartitionedAssetTimetable

from streamflow import __version__, docs, settings
from streamflow.alerts import Notifier
from streamflow.months import MAX_HORIZON
from streamflow.seal import SEALED_MONTH
from streamflow.training import TrainingSetOperator

with DAG(
    dag_id="streamflow_training_set",
    description="Features as of a month's end, and labels that were delivered later, in a Parquet file.",
    doc_md=docs.TRAINING_DAG,
    schedule=PartitionedAssetTimetable(assets=SEALED_MONTH),
    start_date=pendulum.datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,  # two runs for one month would record the same revision
    on_failure_callback=[Notifier()],
    default_args=settings.default_args(),
    tags=["streamflow", "monthly", "training", f"streamflow {__version__}"],
    params={
        "label_as_of": Param(
            "",
            type=["null", "string"],
            pattern=r"^(\d{4}-\d{2}-\d{2})?$",
            title="Month of the labels",
            description="Its last day (2024-02-29). Empty: the run's partition key, the month that was sealed.",
        ),
        "horizon": Param(
            settings.training_horizon(),
            type="integer",
            minimum=0,
            maximum=MAX_HORIZON,
            title="Horizon",
            description="Months from the features to the labels. 0: the same month, which predicts nothing.",
        ),
    },
):
    TrainingSetOperator(
        task_id="training_set",
        doc_md=docs.TRAINING_SET,
        label_as_of="{{ params.label_as_of or partition_key or '' }}",
        conn_id="streamflow_db",
        inlets=[SEALED_MONTH],
    )
