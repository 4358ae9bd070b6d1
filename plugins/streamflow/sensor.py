"""Waiting for a whole delivery, not for the first of its files."""

from __future__ import annotations

import asyncio
import datetime as dt
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSensorTimeout
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.triggers.base import BaseTrigger, TriggerEvent

from streamflow.tables import TABLES


def still_missing(folder: str | Path, settle_seconds: float) -> list[str]:
    """Say what a month folder still lacks, a sentence a file; empty when the delivery is whole.

    A file counts when it is there, not empty, and was last written ``settle_seconds`` ago or earlier.
    """
    missing = []
    for table in TABLES.values():
        path = Path(folder) / table.file_name
        try:
            found = path.stat()
        except FileNotFoundError:
            missing.append(f"{table.file_name} is not there")
            continue
        except OSError as error:  # the folder is a file, a link leads nowhere, no permission …
            missing.append(f"{table.file_name} cannot be looked at ({error.strerror})")
            continue
        age = time.time() - found.st_mtime
        if not stat.S_ISREG(found.st_mode):
            missing.append(f"{table.file_name} is not a file")
        elif found.st_size == 0:
            missing.append(f"{table.file_name} is empty")
        elif settle_seconds and age < settle_seconds:
            missing.append(f"{table.file_name} was written {age:.0f} s ago (settles at {settle_seconds:.0f} s)")
    return missing


class MonthFolderTrigger(BaseTrigger):
    """Waits in the triggerer until a month folder is whole, or its time is up.

    Fires once, with the list of what is still missing: empty when the delivery is whole.

    Args:
        folder: the month folder.
        settle_seconds: how long a file must have been left alone.
        poke_interval: seconds between two looks.
        deadline: ISO time at which to give up.
    """

    def __init__(self, folder: str, settle_seconds: float, poke_interval: float, deadline: str) -> None:
        super().__init__()
        self.folder = folder
        self.settle_seconds = settle_seconds
        self.poke_interval = poke_interval
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return (
            "streamflow.sensor.MonthFolderTrigger",
            {
                "folder": self.folder,
                "settle_seconds": self.settle_seconds,
                "poke_interval": self.poke_interval,
                "deadline": self.deadline,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, sleep, and look again."""
        deadline = dt.datetime.fromisoformat(self.deadline)
        while missing := await asyncio.to_thread(still_missing, self.folder, self.settle_seconds):
            if dt.datetime.now(dt.UTC) >= deadline:
                break
            self.log.info("Still waiting for %s: %s.", self.folder, "; ".join(missing))
            await asyncio.sleep(self.poke_interval)
        yield TriggerEvent(missing)


class MonthFolderSensor(FileSensor):
    """A FileSensor on a month folder that passes only when all six files are there and settled.

    Args:
        settle_seconds: how long each file must have been left alone.
        kwargs: FileSensor's; ``filepath`` is the month folder below the connection's path. Airflow's setting
            ``[operators] default_deferrable`` decides whether it waits in the triggerer.

    Raises:
        AirflowSensorTimeout: when the time is up; says which files are missing.
    """

    def __init__(self, *, settle_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settle_seconds = settle_seconds

    def poke(self, context: Any) -> bool:
        """Return whether the delivery is whole, and log what it still lacks."""
        if missing := still_missing(self.path, self.settle_seconds):
            self.log.info("Still waiting for %s: %s.", self.path, "; ".join(missing))
            return False
        self.log.info("All %d files are in %s.", len(TABLES), self.path)
        return True

    def execute(self, context: Any) -> None:
        """Wait here, or in the triggerer if deferrable."""
        if not self.deferrable:
            try:
                # not FileSensor's own, whose deferral passes as soon as any file is there
                return super().execute(context)
            except AirflowSensorTimeout:
                raise self._timed_out(still_missing(self.path, self.settle_seconds)) from None
        if not self.poke(context):
            self.defer(
                trigger=MonthFolderTrigger(
                    folder=self.path,
                    settle_seconds=self.settle_seconds,
                    poke_interval=self.poke_interval,
                    deadline=(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.timeout)).isoformat(),
                ),
                method_name="execute_complete",
            )
        return None

    def execute_complete(self, context: Any, event: list[str] | None = None) -> None:
        """Take the trigger's word."""
        if event:
            raise self._timed_out(event)
        self.log.info("All %d files are in %s.", len(TABLES), self.path)

    def _timed_out(self, missing: list[str]) -> AirflowSensorTimeout:
        return AirflowSensorTimeout(
            f"Waited {self.timeout:.0f} s for a delivery in {self.path}: {'; '.join(missing) or 'it came too late'}. "
            "Deliver the missing files and clear this task."
        )
