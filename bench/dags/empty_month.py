"""The month's DAG with no work: the same tasks and edges, each task `select 1`. It shows Airflow's own time."""

import json
import os
from pathlib import Path

import pendulum
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG

SHAPE = json.loads(Path(os.environ["BENCH_SHAPE"]).read_text())  # task: its downstream tasks

with DAG("empty_month", schedule=None, start_date=pendulum.datetime(2024, 1, 1), catchup=False) as dag:
    tasks = {
        name: SQLExecuteQueryOperator(task_id=name.replace(".", "__"), conn_id="streamflow_db", sql="select 1")
        for name in SHAPE
    }
    for name, after in SHAPE.items():
        tasks[name] >> [tasks[one] for one in after]
