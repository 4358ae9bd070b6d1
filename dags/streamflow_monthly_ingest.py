"""StreamFlow's month: wait for the delivery, stage it, validate it, upsert live, freeze the snapshots."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import (
    DAG,
    DeadlineAlert,
    DeadlineReference,
    Param,
    SyncCallback,
    TaskGroup,
)

from streamflow import docs, settings
from streamflow.alerts import Notifier
from streamflow.gate import GateOperator
from streamflow.guard import check_month
from streamflow.load import LoadCsvOperator
from streamflow.process import is_airflow
from streamflow.refusal import RETRY_POLICY
from streamflow.seal import SEALED, SealOperator
from streamflow.sensor import MonthFolderSensor
from streamflow.sql import SqlStepOperator
from streamflow.tables import TABLES
from streamflow.templating import AS_OF, FILTERS, MACROS, last_row, statement
from streamflow.timetable import MonthEndTimetable
from streamflow.validate import ValidateOperator

INCLUDE = Path(__file__).parents[1] / "include"
BOUNDS = INCLUDE / "expectations" / "bounds.json"
DB = {"conn_id": "streamflow_db"}
START = pendulum.datetime(2024, 1, 1)
FOLDER = "{{ ti.xcom_pull('check_month')['folder'] }}"
LATE = DeadlineAlert(  # a month's run is queued on the first of the next one
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    # in seconds: with a timedelta no run could be cleared (apache/airflow#70368)
    interval=settings.seal_within_days() * 24 * 3600,
    callback=SyncCallback(Notifier),
)

with DAG(
    dag_id="streamflow_monthly_ingest",
    description="Six CSV files a month into live tables and sealed point-in-time snapshots.",
    doc_md=docs.DAG,
    schedule=MonthEndTimetable(START),
    start_date=START,
    catchup=False,  # unpausing starts no run for a month of long ago; history is a backfill's
    # A month that is waited for holds up neither the next one nor a correction. Months side by side are safe: each has
    # staging tables of its own, what they share is written under locks, and the result does not depend on the order.
    max_active_runs=16,
    on_failure_callback=[Notifier()],
    # dags test cannot end a run that has a deadline (apache/airflow#73428)
    deadline=None if is_airflow("dags", "test") else LATE,
    default_args={
        "owner": "streamflow",
        "retries": 2,
        "retry_delay": timedelta(seconds=settings.retry_delay()),
        "retry_policy": RETRY_POLICY,
    },
    tags=["streamflow", "monthly", "ingest"],
    params={
        "as_of": Param(
            "",
            type=["null", "string"],  # the UI's forms take a field that may not be null for one that must be filled in
            pattern=r"^(\d{4}-\d{2}-\d{2})?$",
            title="Month end",
            description="The month to load, by its last day (2024-01-31). Empty: the data interval decides.",
        ),
        "restate": Param(
            False,
            type="boolean",
            title="Restate",
            description="Yes, change what is already sealed: needed when corrected or late files alter sealed months.",
        ),
    },
    template_searchpath=str(INCLUDE / "sql"),
    jinja_environment_kwargs={"cache_size": 50},  # Airflow's 0 compiles a file anew for each of the six tables
    user_defined_macros=MACROS | {"first_month": settings.first_month},
    user_defined_filters=FILTERS,
) as dag:
    guard = PythonOperator(
        task_id="check_month",
        doc_md=docs.CHECK_MONTH,
        python_callable=check_month,
        op_kwargs={"as_of": "{{ params.as_of or '' }}", "first_month": "{{ first_month() }}"},
    )
    prepare = SqlStepOperator(
        task_id="prepare",
        doc_md=docs.PREPARE,
        sql=[statement("schema.sql"), statement("staging/claim_month.sql")],
        do_xcom_push=False,
        **DB,
    )
    wait = MonthFolderSensor(
        task_id="wait_for_month",
        doc_md=docs.WAIT_FOR_MONTH,
        fs_conn_id="streamflow_fs",
        filepath=FOLDER,
        settle_seconds=settings.settle_seconds(),
        poke_interval=settings.poke_interval(),
        timeout=settings.wait_timeout(),
        mode="reschedule",
    )
    gate = GateOperator(
        task_id="gate",
        doc_md=docs.GATE,
        sql=statement("gate.sql"),
        changes_sql=statement("changed_rows.sql"),
        warn_sql=statement("staging/add_warnings.sql", TABLES["users"]),
        bounds=BOUNDS,
        as_of=AS_OF,
        restate="{{ params.restate | lower }}",
        **DB,
    )
    snapshot = SealOperator(
        task_id="snapshot",
        doc_md=docs.SNAPSHOT,
        sql=statement("snapshot.sql"),
        handler=last_row,
        outlets=[SEALED],
        **DB,
    )
    clean_up = SqlStepOperator(
        task_id="drop_staging",
        doc_md=docs.DROP_STAGING,
        sql=statement("staging/drop_tables.sql"),
        do_xcom_push=False,
        **DB,
    )

    for table in TABLES.values():
        with TaskGroup(table.name, tooltip=f"{table.file_name} into staging, and checked"):
            stage = SqlStepOperator(
                task_id="stage",
                doc_md=docs.STAGE,
                sql=statement("staging/create_table.sql", table),
                do_xcom_push=False,
                **DB,
            )
            load = LoadCsvOperator(
                task_id="load",
                doc_md=docs.LOAD,
                table=table,
                as_of=AS_OF,
                folder=FOLDER,
                fs_conn_id="streamflow_fs",
                record_sql=statement("staging/record_file.sql", table),
                **DB,
            )
            validate = ValidateOperator(
                task_id="validate",
                doc_md=docs.VALIDATE,
                table=table,
                as_of=AS_OF,
                suite=INCLUDE / "expectations" / f"{table.name}.json",
                bounds=BOUNDS,
                fs_conn_id="streamflow_fs",
                staged_sql=statement("staging/staged_file.sql", table),
                passed_sql=statement("staging/mark_validated.sql", table),
                **DB,
            )
        wait >> stage >> load >> validate >> gate

    with TaskGroup("upsert", tooltip="staged rows into live"):
        upserts = [
            SqlStepOperator(
                task_id=table.name,
                doc_md=docs.UPSERT,
                sql=statement("upsert.sql", table),
                handler=last_row,
                **DB,
            )
            for table in TABLES.values()
        ]
        upserts[0] >> upserts[1:]  # users first: the others refer to it

    guard >> prepare >> wait
    gate >> upserts[0]
    upserts >> snapshot >> clean_up

    # Airflow drops the tasks of a run before their start and calls it a success; here the guard is to refuse it
    for task in dag.tasks:
        task.start_date = pendulum.datetime(1970, 1, 1)
