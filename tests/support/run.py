"""A folder of files and the month's own tasks, taken from the DAG, in order and without Airflow around them."""

from __future__ import annotations

import gzip
from collections.abc import Collection
from copy import copy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag

from streamflow.refusal import TaskEnded
from streamflow.tables import TABLES, tables_of
from support.database import Database


@cache
def dag():
    """The DAG of the month."""
    return DagBag().dags["streamflow_monthly_ingest"]


@cache
def templates():
    """The environment that its templates are rendered in; a worker makes one per task, which takes longer."""
    environment = dag().get_template_env()
    environment.from_string = cache(environment.from_string)
    return environment


class Refused(Exception):
    """A task failed.

    Attributes:
        task_id: the task.
        error: what it raised.
        message: what the error says.
    """

    def __init__(self, task_id: str, error: BaseException) -> None:
        super().__init__(f"{task_id}: {error}")
        self.task_id = task_id
        self.error = error
        self.message = str(error)


class Run:
    """A run of the DAG for one month.

    Args:
        database: where to; AIRFLOW_CONN_STREAMFLOW_DB names it.
        as_of: the month.
        folder: the month folder, with all files; AIRFLOW_CONN_STREAMFLOW_FS names the folder above.
        tables: those that the DAG's tasks load and validate. The harness stages the others, as valid: that is quicker.

    Attributes:
        xcoms: what each task has returned.
    """

    def __init__(self, database: Database, as_of: str, folder: Path, tables: Collection[str] = tuple(TABLES)) -> None:
        self.database = database
        self.as_of = as_of
        self.folder = folder
        self.tables = tables
        self.xcoms: dict[str, Any] = {"check_month": {"as_of": as_of, "folder": folder.name}}

    def execute(self, task_id: str) -> Any:
        """Run one task of the DAG, rendered as a worker does it; return its XCom.

        Raises:
            Refused: if it fails.
        """
        task = copy(dag().get_task(task_id))
        if task_id == "wait_for_month":
            # look once, now: what the scheduler does between two looks is not of interest here
            task.mode, task.poke_interval, task.timeout = "poke", 0.01, 0.01
        context = {
            "params": {"as_of": self.as_of, "restate": False},
            "run_id": self.database.run_id,
            "dag_run": SimpleNamespace(triggering_user_name="dag_test"),  # no one can be asked
            "task": task,
            "ti": SimpleNamespace(xcom_pull=self.xcoms.get),
        }
        try:
            task.render_template_fields(context, templates())
            self.xcoms[task_id] = task.execute(context)
        except (Exception, TaskEnded) as error:
            raise Refused(task_id, error) from error
        return self.xcoms[task_id]

    def begin(self) -> None:
        """Run what comes before the tables."""
        self.execute("prepare")
        self.execute("wait_for_month")

    def stage_others(self) -> None:
        """Let the harness stage the tables that are not of interest."""
        for table in tables_of(self.as_of):
            if table not in self.tables:
                path = self.folder / f"{table}.csv"
                packed = self.folder / f"{table}.csv.gz"
                content = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
                self.database.stage(self.as_of, table, content)
                self.database.build(self.as_of, table)

    def stage(self, *steps: str) -> None:
        """Run the tasks of the tables that are of interest, all of them unless ``steps`` names some."""
        for table in (name for name in tables_of(self.as_of) if name in self.tables):
            for step in steps or ("stage", "load", "validate", "snapshot"):
                self.execute(f"{table}.{step}")

    def up_to_gate(self) -> None:
        """Run all that comes before the first row is written outside staging."""
        self.begin()
        self.stage_others()
        self.stage()
        self.execute("gate")

    def finish(self) -> None:
        """Run what comes after the tables; behind the gate that is SQL alone."""
        self.database.seal(self.as_of, gate=self.execute("gate"))
        for table in TABLES:
            self.database.upsert(self.as_of, table)
        self.database.step("tasks/drop_staging.sql", self.as_of)

    @property
    def warnings(self) -> list[str]:
        """What the tasks have warned of."""
        return [one for found in self.xcoms.values() if found for one in found.get("warnings", [])]
