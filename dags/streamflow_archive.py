"""Sealed snapshots as Parquet files, for each month that was sealed or changed; older months leave the database."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, PartitionedAssetTimetable

from streamflow import __version__, docs, settings
from streamflow.alerts import Notifier
from streamflow.archive import ArchiveOperator
from streamflow.retention import RetentionOperator
from streamflow.seal import SEALED_MONTH

with DAG(
    dag_id="streamflow_archive",
    description="Archives sealed snapshots, and drops older months from the database if the settings say so.",
    doc_md=docs.ARCHIVE_DAG,
    schedule=PartitionedAssetTimetable(assets=SEALED_MONTH),
    start_date=pendulum.datetime(2024, 1, 1),
    catchup=False,
    max_active_runs=1,  # a second run would write the same files
    on_failure_callback=[Notifier()],
    default_args=settings.default_args(),
    tags=["streamflow", "monthly", "archive", f"streamflow {__version__}"],
):
    archive = ArchiveOperator(task_id="archive", doc_md=docs.ARCHIVE, conn_id="streamflow_db", inlets=[SEALED_MONTH])
    archive >> RetentionOperator(task_id="retention", doc_md=docs.RETENTION, conn_id="streamflow_db")
