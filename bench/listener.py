"""An Airflow plugin of the bench: writes what each task took to the file in BENCH_TASKS.

It writes one line of JSON per task when the task has ended: its seconds in and around `execute`, and the peak memory of
the process during the task (the kernel's mark is reset at its start). It also writes when Great Expectations was
imported and, if BENCH_SERVER is a connection, how long the database's statements had run when the task started.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from pathlib import Path

import pluggy
from airflow.plugins_manager import AirflowPlugin

hookimpl = pluggy.HookimplMarker("airflow")
ACTIVE = "select active_time / 1000 from pg_stat_database where datname = %s"


def peak_mb() -> float:
    """Return the peak memory of this process since the mark was reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024


class Watch:
    """The listener."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._active: float | None = None
        self._connection = None

    def _active_seconds(self) -> float | None:
        if "BENCH_SERVER" not in os.environ:
            return None
        if self._connection is None:
            import psycopg

            self._connection = psycopg.connect(os.environ["BENCH_SERVER"], autocommit=True)
        return self._connection.execute(ACTIVE, [os.environ["BENCH_DATABASE"]]).fetchone()[0]

    def _write(self, **what) -> None:
        with Path(os.environ["BENCH_TASKS"]).open("a") as file:
            file.write(json.dumps(what) + "\n")

    @hookimpl
    def on_task_instance_running(self, previous_state, task_instance) -> None:
        """Reset the mark."""
        if not self._began:
            self._write(what="start-up", at=time.time(), peak_mb=peak_mb())
        self._active = self._active_seconds()
        Path("/proc/self/clear_refs").write_text("5")
        self._began[task_instance.task_id] = time.time()

    @hookimpl
    def on_task_instance_success(self, previous_state, task_instance) -> None:
        """Write the task's line."""
        began = self._began[task_instance.task_id]
        self._write(
            what="task",
            run=task_instance.run_id,
            task=task_instance.task_id,
            at=began,
            seconds=time.time() - began,
            peak_mb=peak_mb(),
            active=self._active,
        )


class ImportTime(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Times the first import of a package, wherever it happens."""

    def __init__(self, package: str, write) -> None:
        self._package = package
        self._write = write

    def find_spec(self, fullname, path, target=None):
        """Find the package as usual, and wrap its loader."""
        if fullname != self._package:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec):
        """Create the module with the wrapped loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module) -> None:
        """Execute the module with the wrapped loader, and time it."""
        began = time.time()
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._write(what="import", package=self._package, at=began, seconds=time.time() - began)


if "BENCH_TASKS" in os.environ:
    _watch = Watch()
    sys.meta_path.insert(0, ImportTime("great_expectations", _watch._write))

    class BenchPlugin(AirflowPlugin):
        """Registers the listener."""

        name = "bench"
        listeners = [_watch]
