"""Registers with Airflow what it must know by name."""

from airflow.plugins_manager import AirflowPlugin

from streamflow import preload
from streamflow.timetable import MonthEndTimetable


class StreamflowPlugin(AirflowPlugin):
    """The monthly timetable, and what a scheduler imports before it forks its first task."""

    name = "streamflow"
    timetables = [MonthEndTimetable]
    listeners = [preload]
