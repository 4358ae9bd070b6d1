"""The DAG as Airflow sees it: its shape, its promises, and what it costs to parse."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from copy import deepcopy
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pendulum
import psycopg
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from streamflow import __version__
from streamflow.refusal import RETRY_POLICY, NotYet, Refusal, TaskNotYet, TaskRefused
from streamflow.tables import TABLES
from support.paths import ROOT

DAG_ID = "streamflow_monthly_ingest"


@pytest.fixture(scope="module")
def bag():
    return DagBag()


@pytest.fixture(scope="module")
def dag(bag):
    return bag.dags[DAG_ID]


@pytest.fixture(scope="module")
def stored(dag):
    """The DAG as the scheduler reads it from the database."""
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


@pytest.fixture(scope="module")
def fresh() -> dict:
    """What parsing the DAG folder and loading the plugins does in a new Python."""
    script = inspect.cleandoc(
        """
        import json, runpy, sys, time
        from pathlib import Path

        # Airflow's own, and that of the providers that any such DAG needs
        import airflow.sdk, airflow.timetables.base, airflow.triggers.base
        import airflow.providers.common.sql.operators.sql
        import airflow.providers.postgres.hooks.postgres
        import airflow.providers.standard.operators.python
        import airflow.providers.standard.sensors.filesystem

        started = time.process_time()  # not wall time: the machine has others to serve
        for file in Path(sys.argv[1]).glob("*.py"):
            runpy.run_path(file)
        seconds = time.process_time() - started
        parsed = set(sys.modules)

        from airflow import plugins_manager
        timetables = sorted(plugins_manager.get_timetables_plugins())
        (plugin,) = [one for one in plugins_manager._get_plugins()[0] if one.name == "streamflow"]
        own = {
            name: module.__file__ for name, module in list(sys.modules.items())
            if str(getattr(module, "__file__", None)).startswith(sys.argv[2])
        }
        print(json.dumps({
            "seconds": seconds,
            "modules": sorted({name.partition(".")[0] for name in parsed}),
            "timetables": timetables,
            "plugin": {
                name: [str(one) for one in getattr(plugin, name)] for name in dir(plugin)
                if isinstance(getattr(plugin, name), list) and getattr(plugin, name)
            },
            "errors": plugins_manager.get_import_errors(),
            "own": own,
        }))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, ROOT / "dags", ROOT / "plugins"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "plugins")},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_folder_is_read_without_import_error(bag):
    assert bag.import_errors == {}
    assert DAG_ID in bag.dags


def test_the_dag_is_described_and_a_month_that_waits_holds_up_no_other(dag):
    assert dag.doc_md.strip()
    assert dag.description
    assert dag.tags == {"streamflow", "monthly", "ingest", f"streamflow {__version__}"}
    assert dag.max_active_runs == 16
    assert dag.catchup is False
    assert dag.start_date == pendulum.datetime(2024, 1, 1)


def test_all_dags_show_the_packages_version(bag):
    for dag in bag.dags.values():
        assert f"streamflow {__version__}" in dag.tags
        assert f"package {__version__}" in dag.doc_md


def test_the_tasks_of_all_dags_have_one_owner_and_are_retried_alike(bag):
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    assert {(task.owner, task.retries, task.retry_delay, id(task.retry_policy)) for task in tasks} == {
        ("streamflow", 2, timedelta(seconds=1), id(RETRY_POLICY))  # the tests' delay
    }


def test_every_task_has_a_description(dag):
    assert len(dag.tasks) == 3 + 6 * 4 + 2 + 6 + 1
    for task in dag.tasks:
        assert len(task.doc_md.split()) > 5, task.task_id
        # a table is skipped in months before its first one
        assert task.trigger_rule == ("none_failed" if task.task_id == "gate" else "all_success"), task.task_id


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (psycopg.OperationalError("server closed the connection"), RetryAction.RETRY),
        (psycopg.errors.DeadlockDetected("deadlock"), RetryAction.RETRY),
        (psycopg.errors.AdminShutdown("terminating connection"), RetryAction.RETRY),
        (psycopg.errors.SyntaxError("at or near"), RetryAction.FAIL),
        (psycopg.errors.ForeignKeyViolation("no user"), RetryAction.FAIL),
        (psycopg.errors.RaiseException("only 5 of 6 tables"), RetryAction.FAIL),
        (TaskRefused(Refusal("line 3: no date")), RetryAction.FAIL),
        (TaskNotYet(NotYet("still being written")), RetryAction.RETRY),
        (RuntimeError("anything else"), RetryAction.DEFAULT),
    ],
)
def test_only_what_may_pass_next_time_is_tried_again(dag, error, action):
    for task in dag.tasks:
        assert task.retry_policy.evaluate(error, try_number=1, max_tries=2).action == action, task.task_id


@pytest.mark.parametrize("table", TABLES)
def test_each_table_is_staged_loaded_validated_and_built_before_the_gate(dag, table):
    steps = [f"{table}.{step}" for step in ("stage", "load", "validate", "snapshot")]
    for before, after in pairwise(["check_month", "prepare", "wait_for_month", *steps]):
        assert dag.get_task(after).upstream_task_ids == {before}
    assert dag.get_task(steps[-1]).downstream_task_ids == {"gate"}


def test_the_gate_waits_for_all_six_tables(dag):
    assert dag.get_task("gate").upstream_task_ids == {f"{table}.snapshot" for table in TABLES}


def test_live_follows_what_is_sealed_users_first(dag):
    others = {f"upsert.{table}" for table in TABLES if table != "users"}
    assert dag.get_task("seal").upstream_task_ids == {"gate"}
    assert dag.get_task("upsert.users").upstream_task_ids == {"seal"}
    for task in others:
        assert dag.get_task(task).upstream_task_ids == {"upsert.users"}
    assert dag.get_task("drop_staging").upstream_task_ids == {"upsert.users", *others}
    assert [task.task_id for task in dag.leaves] == ["drop_staging"]
    assert [task.task_id for task in dag.roots] == ["check_month"]


def test_the_snapshots_assets_are_known_to_airflow(dag, bag):
    """What is new of them the step seal tells; that the assets are there is due to the DAG that reads them."""
    assert [task.task_id for task in dag.tasks if task.outlets] == ["seal", "drop_staging"]
    (verify,) = bag.dags["streamflow_verify"].tasks
    assert {asset.name for asset in verify.inlets} == {
        "users_snapshots",
        "subscriptions_profile_snapshots",
        "usage_agg_30d_snapshots",
        "payments_agg_90d_snapshots",
        "support_agg_90d_snapshots",
        "labels_snapshots",
    }


@pytest.mark.parametrize(
    ("param", "value", "is_accepted"),
    [
        ("as_of", "", True),
        ("as_of", "2024-01-31", True),
        ("as_of", "31.01.2024", False),
        ("as_of", "2024-01-31'; drop table users; --", False),
        ("as_of", None, True),  # what the UI makes of an emptied field
        ("as_of", 20240131, False),
        ("restate", True, True),
        ("restate", "yes", False),
    ],
)
def test_the_form_accepts_only_what_a_run_can_use(dag, param, value, is_accepted):
    field = deepcopy(dag.params.get_param(param))  # a value that is accepted stays
    if is_accepted:
        assert field.resolve(value) == value
    else:
        with pytest.raises(ParamValidationError):
            field.resolve(value)


def test_without_params_the_interval_decides_and_nothing_sealed_changes(dag):
    assert dag.params.dump() == {"as_of": "", "restate": False}


def test_a_backfill_of_the_first_quarter_is_three_months(stored):
    infos = stored.iter_dagrun_infos_between(pendulum.datetime(2024, 1, 1), pendulum.datetime(2024, 3, 31))
    assert [info.data_interval.end.to_date_string() for info in infos] == ["2024-01-31", "2024-02-29", "2024-03-31"]


def test_the_scheduler_reads_the_same_schedule(stored):
    assert stored.timetable.summary == "monthly, after the month's last day"
    assert stored.timetable.description == (
        "At 00:00 UTC on the first of each month, for the month that has just ended"
    )
    assert (stored.max_active_runs, stored.catchup) == (16, False)


@pytest.mark.slow
def test_parsing_takes_less_than_a_second(fresh):
    assert fresh["seconds"] < 1


@pytest.mark.slow
def test_parsing_imports_nothing_heavy(fresh):
    heavy = {"great_expectations", "pandas", "numpy", "scipy", "altair", "matplotlib", "pyarrow", "sklearn"}
    assert "streamflow" in fresh["modules"]
    assert heavy.intersection(fresh["modules"]) == set()


@pytest.mark.slow
def test_the_plugin_registers_the_timetable_the_listeners_and_the_pages_and_nothing_else(fresh):
    assert fresh["errors"] == {}
    assert "streamflow.timetable.MonthEndTimetable" in fresh["timetables"]
    assert set(fresh["plugin"]) == {"timetables", "listeners", "fastapi_apps", "external_views"}
    assert fresh["plugin"]["timetables"] == ["<class 'streamflow.timetable.MonthEndTimetable'>"]
    preload, run_notes = fresh["plugin"]["listeners"]
    assert "streamflow/preload.py" in preload
    assert "streamflow/run_notes.py" in run_notes


@pytest.mark.slow
def test_no_file_of_the_package_is_imported_twice(fresh):
    assert all(name.startswith("streamflow.") or name in ("streamflow", "streamflow_plugin") for name in fresh["own"])
    assert len(set(fresh["own"].values())) == len(fresh["own"])
    assert {Path(file).name for file in fresh["own"].values()} >= {"streamflow_plugin.py", "timetable.py", "load.py"}
