"""Registers with Airflow what it must know by name."""

from airflow.plugins_manager import AirflowPlugin

from streamflow.timetable import MonthEndTimetable


class StreamflowPlugin(AirflowPlugin):
    """The monthly timetable."""

    name = "streamflow"
    timetables = [MonthEndTimetable]
