"""A weekly check that snapshots match the ledger, live the newest snapshot, and the archive its record."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from streamflow import __version__, docs, settings
from streamflow.alerts import Notifier
from streamflow.seal import asset_of
from streamflow.tables import TABLES
from streamflow.templating import FILTERS, MACROS, SQL_FOLDER
from streamflow.verify import VerifyOperator

with DAG(
    dag_id="streamflow_verify",
    description="Recomputes the counts and checksums of snapshots, and compares live with the newest one.",
    doc_md=docs.VERIFY_DAG,
    schedule="0 5 * * 0",  # Sundays at 05:00 UTC
    start_date=pendulum.datetime(2024, 1, 1),
    catchup=False,
    is_paused_upon_creation=False,  # it is read-only, and no one would notice if it stayed paused
    on_failure_callback=[Notifier()],
    default_args=settings.default_args(),
    tags=["streamflow", "weekly", "verify", f"streamflow {__version__}"],
    template_searchpath=str(SQL_FOLDER),
    user_defined_macros=MACROS,
    user_defined_filters=FILTERS,
):
    VerifyOperator(
        task_id="verify",
        doc_md=docs.VERIFY,
        sql="tasks/verify.sql",
        verified_sql="parts/verified.sql",
        archived_sql="parts/archived_files.sql",
        conn_id="streamflow_db",
        inlets=[asset_of(table) for table in TABLES.values()],
    )
