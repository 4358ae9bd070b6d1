"""StreamFlow's monthly ingestion: wait for the delivery, stage and validate it, seal its snapshots, update live."""

from __future__ import annotations

import pendulum
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Param, TaskGroup

from streamflow import __version__, docs, settings
from streamflow.alerts import Notifier, seal_deadline
from streamflow.check_month import check_month
from streamflow.drop_staging import DropStagingOperator
from streamflow.gate import GateOperator
from streamflow.load import LoadCsvOperator
from streamflow.seal import SEALED, SEALED_MONTH, SealOperator
from streamflow.sql import PrepareOperator, SqlStepOperator, StageOperator
from streamflow.tables import TABLES
from streamflow.templating import AS_OF, FILTERS, MACROS, SQL_FOLDER
from streamflow.timetable import MonthEndTimetable
from streamflow.validate import ValidateOperator
from streamflow.wait_for_month import MonthFolderSensor

START = pendulum.datetime(2024, 1, 1)
FOLDER = "{{ ti.xcom_pull('check_month')['folder'] }}"

with DAG(
    dag_id="streamflow_monthly_ingest",
    description="Loads a month's CSV files into live tables and sealed point-in-time snapshots.",
    doc_md=docs.DAG,
    schedule=MonthEndTimetable(START),
    start_date=START,
    catchup=False,  # unpausing does not run old months; backfill those
    # A month that waits for its files must not hold up the next month or a correction. Parallel months are safe: each
    # has its own staging tables, shared tables are written under locks, and the result does not depend on the order.
    max_active_runs=16,
    on_failure_callback=[Notifier()],
    deadline=seal_deadline(),
    default_args=settings.default_args() | {"conn_id": "streamflow_db", "fs_conn_id": "streamflow_fs"},
    tags=["streamflow", "monthly", "ingest", f"streamflow {__version__}"],
    params={
        "as_of": Param(
            "",
            type=["null", "string"],  # without "null", the UI's form would require a value
            pattern=r"^(\d{4}-\d{2}-\d{2})?$",
            title="Month end",
            description="Last day of the month to load (2024-01-31). If empty, the data interval decides.",
        ),
        "restate": Param(
            False,
            type="boolean",
            title="Restate",
            description="Allow changes to sealed months without asking a person.",
        ),
    },
    template_searchpath=str(SQL_FOLDER),
    user_defined_macros=MACROS | {"first_month": settings.first_month},
    user_defined_filters=FILTERS,
) as dag:
    check = PythonOperator(
        task_id="check_month",
        doc_md=docs.CHECK_MONTH,
        python_callable=check_month,
        op_kwargs={"as_of": "{{ params.as_of or '' }}", "first_month": "{{ first_month() }}"},
    )
    prepare = PrepareOperator(task_id="prepare", doc_md=docs.PREPARE, sql="tasks/prepare.sql")
    wait = MonthFolderSensor(
        task_id="wait_for_month",
        doc_md=docs.WAIT_FOR_MONTH,
        as_of=AS_OF,
        filepath=FOLDER,
        settle_seconds=settings.settle_seconds(),
        poke_interval=settings.poke_interval(),
        timeout=settings.wait_timeout(),
        mode="reschedule",
    )
    gate = GateOperator(
        task_id="gate",
        doc_md=docs.GATE,
        sql="tasks/gate.sql",
        changes_sql="parts/changed_cells.sql",
        question_sql="parts/record_question.sql",
        trigger_rule="none_failed",  # a table is skipped in months before its first one
    )
    seal = SealOperator(task_id="seal", doc_md=docs.SEAL, sql="tasks/seal.sql", as_of=AS_OF, outlets=[SEALED])
    clean_up = DropStagingOperator(
        task_id="drop_staging",
        doc_md=docs.DROP_STAGING,
        sql="tasks/drop_staging.sql",
        outlets=[SEALED_MONTH],
    )

    for table in TABLES.values():
        with TaskGroup(table.name, tooltip=f"stage, load, and validate {table.file_name}, and build its snapshot"):
            stage = StageOperator(task_id="stage", doc_md=docs.STAGE, sql="tasks/stage.sql", table=table, as_of=AS_OF)
            load = LoadCsvOperator(
                task_id="load",
                doc_md=docs.LOAD,
                table=table,
                as_of=AS_OF,
                folder=FOLDER,
                record_sql="parts/record_file.sql",
            )
            validate = ValidateOperator(
                task_id="validate",
                doc_md=docs.VALIDATE,
                table=table,
                as_of=AS_OF,
                suite=table.suite,
                staged_sql="parts/staged_file.sql",
                log_sql="parts/record_validation.sql",
                passed_sql="parts/mark_validated.sql",
            )
            snapshot = SqlStepOperator(task_id="snapshot", doc_md=docs.SNAPSHOT, sql="tasks/snapshot.sql", table=table)
        wait >> stage >> load >> validate >> snapshot >> gate

    with TaskGroup("upsert", tooltip="bring live to the newest sealed snapshot"):
        upserts = {
            table.name: SqlStepOperator(task_id=table.name, doc_md=docs.UPSERT, sql="tasks/upsert.sql", table=table)
            for table in TABLES.values()
        }
        for table in TABLES.values():
            (upserts[table.refers_to] if table.refers_to else seal) >> upserts[table.name]

    check >> prepare >> wait
    gate >> seal
    list(upserts.values()) >> clean_up

    # In a run before the start date, Airflow would drop all tasks and report success. check_month rejects it instead.
    for task in dag.tasks:
        task.start_date = pendulum.datetime(1970, 1, 1)
