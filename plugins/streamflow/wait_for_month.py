"""Waits for a complete delivery, not only for its first file."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import logging
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowSensorTimeout
from airflow.triggers.base import BaseTrigger, TriggerEvent

from streamflow.delivery import Delivery, Look, delivery_at
from streamflow.manifest import NAME as MANIFEST
from streamflow.manifest import BadManifest, Entry
from streamflow.places import without_credentials
from streamflow.refusal import RUN_AGAIN, NotYet, Refusal, ends_task
from streamflow.tables import TABLES, files_of

log = logging.getLogger(__name__)

MISSING = "missing"
"""Key of the XCom that has what the last look has found missing, for the pages on months."""


def shortest_interval() -> float:
    """Return the shortest safe interval, in seconds, between two checks of a task that leaves its slot in between.

    The process that supervises a check outlives it by up to ``[workers] min_heartbeat_interval``. If the task is queued
    again by then, the scheduler mistakes the end of that process for the end of the second check, and fails the task.
    """
    return max(20, 4 * conf.getint("workers", "min_heartbeat_interval", fallback=5))


def still_missing(folder: str | Path, settle_seconds: float, files: Iterable[str]) -> list[str]:
    """Return which files a month folder still lacks, one sentence each; empty when the delivery is complete.

    A file counts when it exists, in one of its forms, is not empty, and was last written at least ``settle_seconds``
    ago. A file that is dated further in the future than that would never count. It is watched for ``settle_seconds``
    instead, and counts if it does not change. If there is a manifest, it decides: a file counts at once when it has the
    size that the manifest says. Whether it is that file, ``load`` sees.

    Args:
        folder: the month folder, or its URL.
        settle_seconds: how long a file must not have been modified.
        files: the files' names as CSV.

    Raises:
        Refusal: if the store can be reached and waiting would not help, such as without the right to read.
    """
    try:
        return _still_missing(str(folder), settle_seconds, files)
    except NotYet as trouble:  # it cannot be reached, or an object changes just now: waiting goes on
        return [" ".join(trouble.facts[1:-1] or trouble.facts[:1]).rstrip(".")]


def _still_missing(folder: str, settle_seconds: float, files: Iterable[str]) -> list[str]:
    delivery = delivery_at(folder)
    missing: list[str] = []
    ahead: dict[str, Look] = {}
    try:
        listed = delivery.manifest()
    except BadManifest as bad:
        return [f"{MANIFEST} {bad}"]
    for file in files:
        name, *others = delivery.names(file, listed) or [file]
        if others:
            missing.append(f"{name} and {others[0]} both exist (remove the wrong one)")
            continue
        if listed is not None and name not in listed:
            missing.append(f"{name} is not in {MANIFEST}")
            continue
        try:
            found = delivery.look(name)
        except FileNotFoundError:
            missing.append(f"{name} is missing")
            continue
        except OSError as error:  # the folder is a file, a link leads nowhere, no permission …
            missing.append(
                f"{name} is not a file"
                if error.errno == errno.EINVAL
                else f"{name} cannot be checked ({error.strerror or error})"
            )
            continue
        if sentence := _unlike(listed[name], name, found) if listed else _unsettled(name, found, settle_seconds):
            missing.append(sentence)
        elif not listed and settle_seconds and found.age < 0:
            ahead[name] = found
            log.warning(
                "%s/%s is dated %.0f s in the future: a clock is wrong, here or where it was written.",
                without_credentials(delivery.path),
                name,
                -found.age,
            )
    if ahead and not missing:  # if anything else is missing, there will be another check anyway
        log.info("Watching the files dated in the future for %.0f s: are they still being written?", settle_seconds)
        time.sleep(settle_seconds)
        again = delivery_at(folder)
        missing = [f"{name} was written while it was watched" for name in ahead if _has_changed(again, name, ahead)]
    return missing


def _unlike(entry: Entry, name: str, found: Look) -> str:
    """Return how a file differs from what the manifest says, as far as can be seen without reading it."""
    if found.bytes == entry.bytes:
        return ""
    return f"{name} has {found.bytes} bytes ({MANIFEST} says {entry.bytes})"


def _unsettled(name: str, found: Look, settle_seconds: float) -> str:
    """Return why a file does not count yet."""
    if found.bytes == 0:
        return f"{name} is empty"
    if settle_seconds and -settle_seconds <= found.age < 0:
        return f"{name} is dated {-found.age:.0f} s in the future (settles at {settle_seconds:.0f} s)"
    if settle_seconds and 0 <= found.age < settle_seconds:
        return f"{name} was written {found.age:.0f} s ago (settles at {settle_seconds:.0f} s)"
    return ""


def _has_changed(delivery: Delivery, name: str, before: dict[str, Look]) -> bool:
    try:
        return delivery.look(name).mark != before[name].mark
    except OSError:
        return True


def log_missing(log: Any, folder: str, missing: list[str]) -> None:
    """Log what a month folder still lacks, one line per file."""
    log.info("Still waiting for %s:", folder)
    for sentence in missing:
        log.info("  - %s", sentence)


def tell_missing(task_instance: Any, missing: list[str]) -> None:
    """Keep what a month folder lacks as an XCom of the waiting task; waiting goes on if that fails.

    Args:
        task_instance: the task's; None, as in a test of the sensor alone: it is not kept.
        missing: a sentence per file.
    """
    if not hasattr(task_instance, "run_id"):
        return
    from airflow.sdk.execution_time.xcom import XCom

    try:
        XCom.set(
            MISSING,
            missing,
            dag_id=task_instance.dag_id,
            task_id=task_instance.task_id,
            run_id=task_instance.run_id,
        )
    except Exception as error:
        log.warning("What is missing could not be kept as an XCom: %s: %s", type(error).__name__, error)


class MonthFolderTrigger(BaseTrigger):
    """Waits in the triggerer until a delivery is complete, or its deadline has passed.

    Fires once, with the list of what is still missing: empty when the delivery is complete. If the store refuses, it
    fires with what the refusal says, see ``_refused``.

    Args:
        folder: the month folder, or its URL.
        settle_seconds: how long a file must not have been modified.
        poke_interval: seconds between two checks, and before the first one, because the task has just checked.
        deadline: ISO time at which to give up.
        files: the expected files. None, from a trigger of an earlier version: those of all tables.
    """

    def __init__(
        self, folder: str, settle_seconds: float, poke_interval: float, deadline: str, files: list[str] | None = None
    ) -> None:
        super().__init__()
        self.folder = folder
        self.settle_seconds = settle_seconds
        self.poke_interval = poke_interval
        self.deadline = deadline
        self.files = [table.file_name for table in TABLES.values()] if files is None else files

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return (
            "streamflow.wait_for_month.MonthFolderTrigger",
            {
                "folder": self.folder,
                "settle_seconds": self.settle_seconds,
                "poke_interval": self.poke_interval,
                "deadline": self.deadline,
                "files": self.files,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep and check, until the delivery is complete or the deadline has passed."""
        deadline = dt.datetime.fromisoformat(self.deadline)
        told = None
        while True:
            left = (deadline - dt.datetime.now(dt.UTC)).total_seconds()
            await asyncio.sleep(max(0, min(self.poke_interval, left)))
            try:
                missing = await asyncio.to_thread(still_missing, self.folder, self.settle_seconds, self.files)
            except Refusal as refusal:
                yield TriggerEvent(_refused(refusal))
                return
            if not missing or dt.datetime.now(dt.UTC) >= deadline:
                break
            log_missing(self.log, without_credentials(self.folder), missing)
            if missing != told:
                told = missing
                await asyncio.to_thread(tell_missing, self.task_instance, missing)
        yield TriggerEvent(missing)


def _refused(refusal: Refusal) -> dict[str, Any]:
    """Return a refusal as the payload of an event."""
    return {"facts": list(refusal.facts)}


class MonthFolderSensor(FileSensor):
    """A FileSensor on a month folder that passes only when the files of all the month's tables exist and have settled.

    Args:
        as_of: the month (templated).
        settle_seconds: how long each file must not have been modified.
        kwargs: arguments of FileSensor; ``filepath`` is the month folder below the connection's path. Airflow's setting
            ``[operators] default_deferrable`` decides whether it waits in the triggerer. If it does, or in mode
            ``reschedule``, ``poke_interval`` is at least ``shortest_interval()``.

    Raises:
        TaskRefused: on timeout; says which files are missing. If the store of a URL refuses, so that waiting would not
            help.
    """

    template_fields: Sequence[str] = (*FileSensor.template_fields, "as_of")

    def __init__(self, *, as_of: str, settle_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.as_of = as_of
        self.settle_seconds = settle_seconds
        if self.deferrable or self.mode == "reschedule":
            self.poke_interval = max(self.poke_interval, shortest_interval())

    def poke(self, context: Any) -> bool:
        """Return whether the delivery is complete, and log what it still lacks."""
        if missing := self._missing():
            log_missing(self.log, self._shown, missing)
            tell_missing(context.get("ti"), missing)
            return False
        self._log_whole()
        return True

    @ends_task
    def execute(self, context: Any) -> None:
        """Wait here, or in the triggerer if deferrable."""
        if not self.deferrable:
            try:
                # only when not deferrable: FileSensor's own deferral passes as soon as any file exists
                return super().execute(context)
            except AirflowSensorTimeout:
                raise self._timed_out(self._missing()) from None
        if not self.poke(context):
            self.defer(
                trigger=MonthFolderTrigger(
                    folder=self.path,
                    settle_seconds=self.settle_seconds,
                    poke_interval=self.poke_interval,
                    deadline=(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.timeout)).isoformat(),
                    files=files_of(self.as_of),
                ),
                method_name="execute_complete",
            )
        return None

    @ends_task
    def execute_complete(self, context: Any, event: list[str] | dict[str, Any] | None = None) -> None:
        """Succeed or fail, as the trigger reports."""
        if isinstance(event, dict):
            raise Refusal(*event["facts"])
        if event:
            raise self._timed_out(event)
        self._log_whole()

    def _missing(self) -> list[str]:
        return still_missing(self.path, self.settle_seconds, files_of(self.as_of))

    @property
    def _shown(self) -> str:
        return without_credentials(self.path)

    def _log_whole(self) -> None:
        self.log.info("All %d files are in %s.", len(files_of(self.as_of)), self._shown)

    def _timed_out(self, missing: list[str]) -> Refusal:
        return Refusal(
            f"Waited {self.timeout:.0f} s for a delivery in {self._shown}.",
            *(f"{sentence}." for sentence in missing or ["It came too late"]),
            to_do=f"deliver the missing files, then {RUN_AGAIN}",
        )
