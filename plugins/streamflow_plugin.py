"""Registers the timetable and the listener with Airflow."""

from airflow.plugins_manager import AirflowPlugin

from streamflow import preload, run_notes
from streamflow.timetable import MonthEndTimetable
from streamflow.web import EXTERNAL_VIEW, FASTAPI_APP


class StreamflowPlugin(AirflowPlugin):
    """The timetable, the pages on months, the notes of runs, and what a scheduler imports before its first task."""

    name = "streamflow"
    timetables = [MonthEndTimetable]
    listeners = [preload, run_notes]
    fastapi_apps = [FASTAPI_APP]
    external_views = [EXTERNAL_VIEW]
