"""Registers the timetable and the listener with Airflow."""

from airflow.plugins_manager import AirflowPlugin

from streamflow import preload
from streamflow.timetable import MonthEndTimetable


class StreamflowPlugin(AirflowPlugin):
    """The monthly timetable, and the listener that imports Great Expectations before the scheduler forks a task."""

    name = "streamflow"
    timetables = [MonthEndTimetable]
    listeners = [preload]
