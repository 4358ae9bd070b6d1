"""Registers the timetable and the listener with Airflow."""

from airflow.plugins_manager import AirflowPlugin

from streamflow import preload, run_notes
from streamflow.timetable import MonthEndTimetable


class StreamflowPlugin(AirflowPlugin):
    """The monthly timetable, the notes of runs, and what a scheduler imports before it forks its first task."""

    name = "streamflow"
    timetables = [MonthEndTimetable]
    listeners = [preload, run_notes]
