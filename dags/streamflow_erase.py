"""Erases users from live, every sealed month, staging, and what the package has written, after a person's approval."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param

from streamflow import __version__, docs, settings
from streamflow.alerts import Notifier
from streamflow.erase_steps import ApproveErasureOperator, EraseOperator, PlanErasureOperator
from streamflow.seal import SEALED_MONTH

CONNECTIONS = {"conn_id": "streamflow_db", "fs_conn_id": "streamflow_fs"}

with DAG(
    dag_id="streamflow_erase",
    description="Erases users from live, snapshots, and reports, after a person's approval.",
    doc_md=docs.ERASE_DAG,
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1),
    catchup=False,
    is_paused_upon_creation=False,  # it runs only when a person starts it, and asks before it writes
    max_active_runs=1,
    on_failure_callback=[Notifier()],
    default_args=settings.default_args(),
    tags=["streamflow", "erase", f"streamflow {__version__}"],
    params={
        "user_ids": Param(
            "",
            type=["null", "string", "array"],
            title="Users",
            description="A file in the deliveries' folder with one user_id per line, or a list of user_ids.",
        ),
        "reason": Param(
            "",
            type=["null", "string"],
            title="Reason",
            description="Kept in the ledger, so it must name no user: the number of the request, for example.",
        ),
    },
):
    plan = PlanErasureOperator(task_id="plan", doc_md=docs.ERASE_PLAN, **CONNECTIONS)
    approve = ApproveErasureOperator(
        task_id="approve",
        doc_md=docs.ERASE_APPROVE,
        subject="May these users be erased?",
        body="{{ ti.xcom_pull('plan')['text'] }}\n\nReason: {{ params.reason }}\n\n"
        "**Approve** erases them. It cannot be undone. **Reject** fails the run, and nothing is erased.",
        response_timeout=timedelta(seconds=timeout) if (timeout := settings.approval_timeout()) else None,
    )
    erase = EraseOperator(task_id="erase", doc_md=docs.ERASE, outlets=[SEALED_MONTH], **CONNECTIONS)

    plan >> approve >> erase
