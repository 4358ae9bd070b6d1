"""Run the DAG for every month folder of a source, in month order, like `airflow dags test`; `make run`."""

from __future__ import annotations

import datetime as dt
import logging
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pluggy

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import lines_of
from streamflow import month_folder
from streamflow.months import Month
from streamflow.refusal import Refusal, wrap

hookimpl = pluggy.HookimplMarker("airflow")
LOG_FOLDER = ROOT / ".local" / "logs"
AGAIN = "Then `make run` again: months that were sealed with the same files stay as they are."
LEDGER = """
select as_of, table_name, delivered, inserted, updated, unchanged, snapshot_rows, revision, sealed_at
from public.current_deliveries
order by as_of, table_name
"""


WARNINGS = """
select as_of, table_name, unnest(warnings)
from public.current_deliveries
order by as_of, table_name
"""


def main(args: list[str]) -> int:
    """Run the months; return the exit code."""
    if args:
        print("usage: make run [DELIVERIES=folder]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has begun
    LOG_FOLDER.mkdir(parents=True, exist_ok=True)
    log = LOG_FOLDER / f"run-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}.log"
    progress = Progress(redirect_output(log))
    try:
        return run(progress, os.path.relpath(log))
    except Exception as error:
        logging.getLogger(__name__).exception("make run")
        progress.end_step()
        progress.lines("", *lines_of(error), f"All of it: the end of {os.path.relpath(log)}")
        return 1


def run(progress: Progress, log: str) -> int:
    """Run the months one after the other until one fails; return the exit code.

    Args:
        progress: shows what happens.
        log: path of the log.

    Raises:
        Exception: any error that keeps the months from running at all.
    """
    # Airflow's own servers set this, so that they can read variables from the metadata database
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    from airflow.dag_processing.dagbag import DagBag
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from airflow.providers.standard.hooks.filesystem import FSHook
    from airflow.sdk.listener import get_listener_manager

    from streamflow import settings
    from streamflow.places import below, place_of, without_credentials
    from streamflow.tables import files_of
    from streamflow.wait_for_month import still_missing

    folder = FSHook("streamflow_fs").get_path()
    months = find_months(place_of(folder), settings.first_month(), settings.month_folder())
    hook = PostgresHook("streamflow_db")
    before = ledger(hook)

    def interrupted(*_: object) -> None:
        progress.lines("", "Interrupted. What was sealed stays sealed; `make run` again completes the month.")
        os._exit(130)  # the server rolls back what was open

    signal.signal(signal.SIGINT, interrupted)
    where = without_credentials(folder)
    progress.lines(f"{len(months)} month{'s' if len(months) > 1 else ''} from {where}", f"Airflow's log: {log}")
    get_listener_manager().add_listener(progress)
    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    for path, error in bag.import_errors.items():
        progress.lines(f"{path} cannot be imported:", error)
        return 1
    dag = bag.dags["streamflow_monthly_ingest"]
    dag.deadline = None  # no alert for a late month here (see also settings.seal_within_days)
    for month, name in months:
        progress.lines("", f"{month}  {name}")
        if missing := still_missing(below(folder, name), settings.settle_seconds(), files_of(str(month))):
            progress.lines(f"  Waiting for files, for at most {settings.wait_timeout()} s:")
            progress.lines(*(f"    {one}" for one in missing))
        done = dag.test(logical_date=dt.datetime.combine(month.as_of, dt.time(), dt.UTC))
        progress.end_step()
        if done.state != "success":
            for task, reason in progress.failures.items():
                progress.lines("", f"{month} ({name}) failed at {task}:", *lines_of(reason))
            progress.lines("", AGAIN, f"Airflow's log: {log}")
            return 1
    after = ledger(hook)
    progress.lines("", as_table(after))
    for as_of, table, warning in hook.get_records(WARNINGS):
        progress.lines("", *wrap(f"Warning: {table} of {as_of}: {warning}"))
    if after == before:
        progress.lines("", "Nothing changed: every month was sealed with these files already.")
    progress.lines("", *next_steps(months[-1][0]))
    return 0


def next_steps(month: Month) -> list[str]:
    """Return the next steps with the months that were run, for the same folder, as lines."""
    from streamflow.tables import ROOT as root

    folder = os.environ.get("DELIVERIES")
    of_folder = f" DELIVERIES={shlex.quote(folder)}" if folder else ""
    return [
        "Next:",
        f"  make psql{of_folder}     a prompt on the data; try: select * from sealed_months;",
        f"  make ui{of_folder}       Airflow's UI on http://127.0.0.1:8080, until Ctrl-C",
        f"  make verify{of_folder}   compare snapshots with the ledger, and live with the newest snapshot",
        f"  make sql TASK=snapshot TABLE={root.name} MONTH={month}   print what a task runs",
    ]


def find_months(folder: Any, first_month: str, pattern: str) -> list[tuple[Month, str]]:
    """Return the months whose folders are in ``folder``, a path or a store's, and the folders' names, in month order.

    Raises:
        Refusal: if there are none, or their months cannot be determined.
    """
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    try:
        found = [(month, name) for name in names if (month := Month.of_folder(name, first_month, pattern))]
    except ValueError as error:
        raise Refusal(str(error)) from None
    if not found:
        raise Refusal(f"There are no month folders ({month_folder.examples(pattern)}) in {folder}.")
    return sorted(found, key=lambda one: one[0].as_of)


def redirect_output(log: Path) -> int:
    """Redirect everything that is printed to ``log``; return a file descriptor of the screen."""
    screen = os.dup(1)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(target, 1)
    os.dup2(target, 2)
    return screen


def ledger(hook: Any) -> list[tuple]:
    """Return the newest revision of every month and table; empty before the first run."""
    if hook.get_first("select to_regclass('public.deliveries')")[0] is None:
        return []
    return hook.get_records(LEDGER)


def as_table(rows: list[tuple]) -> str:
    """Return the ledger as aligned text, numbers to the right."""
    names = [
        "as_of",
        "table",
        "delivered",
        "inserted",
        "updated",
        "unchanged",
        "snapshot rows",
        "revision",
        "sealed at",
    ]
    cells = [[_as_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    aligned = [
        "  ".join(
            cell.rjust(width) if 2 <= place <= 7 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (names, ["-" * width for width in widths], *cells)
    ]
    return "\n".join(aligned)


def _as_cell(value: object) -> str:
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return f"{value:,}" if isinstance(value, int) else str(value)


class Progress:
    """Prints one line per step: its name, the tables as they complete it, and the seconds it took.

    It is an Airflow listener: Airflow calls it when a task starts or ends.

    Args:
        screen: file descriptor to print to.

    Attributes:
        failures: the exception of each failed task.
    """

    def __init__(self, screen: int) -> None:
        self._screen = screen
        self._step = ""
        self._since = 0.0
        self.failures: dict[str, object] = {}

    def _write(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def lines(self, *lines: str) -> None:
        """Print lines."""
        self._write("".join(f"{line}\n" for line in lines))

    def end_step(self) -> None:
        """Finish the line of the current step."""
        if self._step:
            self._write(f"  {time.monotonic() - self._since:.1f} s\n")
        self._step = ""

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """Begin the line of the task's step, unless it is the current one."""
        step, _ = self._place(task_instance)
        if step != self._step:
            self.end_step()
            self._step, self._since = step, time.monotonic()
            self._write(f"  {step:<14}")

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """Show the task as done."""
        self._write(f" {self._place(task_instance)[1]}")

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: object) -> None:
        """Show the task as failed and keep the reason."""
        self._write(f" FAILED {self._place(task_instance)[1]}")
        self.failures[task_instance.task_id] = error

    @staticmethod
    def _place(task_instance: Any) -> tuple[str, str]:
        """Return a task's step and table. Each table is a group of steps, except that the upserts are one group."""
        group, _, name = task_instance.task_id.rpartition(".")
        return (group, name) if group == "upsert" else (name, group)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
