"""Registers with Airflow what it must know by name."""

import gc

from airflow.plugins_manager import AirflowPlugin

from streamflow import preload
from streamflow.process import is_airflow
from streamflow.timetable import MonthEndTimetable

if is_airflow("dags", "test"):
    # a short process, much of it made to stay: looking for garbage every 700 objects takes an eighth of its time
    gc.set_threshold(50_000)


class StreamflowPlugin(AirflowPlugin):
    """The monthly timetable, and what a scheduler imports before it forks its first task."""

    name = "streamflow"
    timetables = [MonthEndTimetable]
    listeners = [preload]
