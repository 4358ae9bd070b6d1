"""Which month a run is for, and whether it may be."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from types import SimpleNamespace

import pytest

from streamflow.check_month import check_month
from streamflow.months import month_end
from streamflow.refusal import TaskRefused
from streamflow.timetable import interval_meant


def day(text: str | None) -> dt.datetime | None:
    """A UTC time."""
    time = text and dt.datetime.fromisoformat(text)
    return time and (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def check(
    as_of: str = "",
    *,
    first_month: str = "2024-01",
    run_type: str = "manual",
    logical_date: str | None = None,
    run_after: str = "2024-07-10T09:30:00",
    data_interval_end: str | None = None,
    run_id: str = "manual__2024-07-10T09:30:00+00:00",
) -> dict[str, str]:
    return check_month(
        as_of,
        first_month,
        dag_run=SimpleNamespace(
            run_type=run_type, run_id=run_id, logical_date=day(logical_date), run_after=day(run_after)
        ),
        data_interval_end=day(data_interval_end),
    )


@pytest.mark.parametrize(
    ("run", "as_of", "folder"),
    [
        ({"as_of": "2024-01-31"}, "2024-01-31", "month_000"),
        ({"as_of": "2024-03-31"}, "2024-03-31", "month_002"),
        ({"as_of": "2024-03-31", "first_month": "2023-03"}, "2024-03-31", "month_012"),
        ({"logical_date": "2024-01-31", "data_interval_end": "2024-01-31"}, "2024-01-31", "month_000"),
        ({"logical_date": "2024-02-15", "data_interval_end": "2024-01-31"}, "2024-01-31", "month_000"),
        # triggered in the UI without thinking of a date: the last month that is over
        ({"logical_date": "2024-07-10T09:30:00", "data_interval_end": "2024-06-30"}, "2024-06-30", "month_005"),
        # Airflow names a due run by its interval's start
        *(
            (
                {"run_type": kind, "logical_date": "2024-02-01", "data_interval_end": "2024-02-29"} | later,
                "2024-02-29",
                "month_001",
            )
            for kind in ("scheduled", "backfill")
            for later in ({}, {"run_after": "2024-03-01"})
        ),
    ],
)
def test_a_run_is_for_one_month(run, as_of, folder):
    assert check(**run) == {"as_of": as_of, "folder": folder}


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [("{month}", "2024-03"), ("month={month}", "month=2024-03"), ("delivery-{number}", "delivery-002")],
)
def test_the_folder_is_called_as_the_setting_says(monkeypatch, pattern, folder):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MONTH_FOLDER", pattern)
    assert check("2024-03-31")["folder"] == folder
    with pytest.raises(TaskRefused, match="2023-12-31 is before the first month, 2024-01"):
        check("2023-12-31")


def test_a_setting_that_names_no_folders_fails_the_run_at_once(monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MONTH_FOLDER", "{year}/{month}")
    with pytest.raises(
        TaskRefused, match=r"MONTH_FOLDER.*\nExpected .*\nFound '\{year\}/\{month\}'\.\nWhat to do: set it"
    ):
        check("2024-03-31")


@pytest.mark.parametrize("run_type", ["manual", "scheduled", "backfill"])
def test_the_param_wins_over_the_data_interval(run_type):
    run = {"run_type": run_type, "logical_date": "2024-05-31", "data_interval_end": "2024-05-31"}
    assert check("2024-02-29", **run) == {"as_of": "2024-02-29", "folder": "month_001"}


def test_the_param_needs_no_data_interval():
    assert check("2024-02-29", logical_date=None)["as_of"] == "2024-02-29"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"as_of": "2024-01-30"}, "month's last day.*Found: 2024-01-30.*as_of 2024-01-31"),
        ({"as_of": "31 January"}, "written YYYY-MM-DD.*Found: '31 January'"),
        ({"as_of": "2999-12-31"}, "2999-12-31 is in the future.*Today is"),
        ({"as_of": "2023-12-31"}, "2023-12-31 is before the first month, 2024-01:.*streamflow_first_month"),
        ({"as_of": "2024-01-31", "first_month": "soon"}, "streamflow_first_month must be a month.*found 'soon'"),
        ({}, "no data interval.*as_of.*2024-01-31"),
        ({"data_interval_end": "2024-05-15", "run_type": "scheduled"}, "month's last day.*Found: 2024-05-15"),
    ],
)
def test_a_run_for_no_month_fails_without_retry_and_says_what_to_do(run, words):
    with pytest.raises(TaskRefused, match=f"(?s){words}"):
        check(**run)


def test_the_month_that_is_not_over_lies_in_the_future():
    today = dt.datetime.now(dt.UTC).date()
    next_month = month_end(month_end(today) + dt.timedelta(days=1))
    with pytest.raises(TaskRefused, match=rf"{next_month} is in the future.\nToday is {today}"):
        check(next_month.isoformat())


@pytest.mark.parametrize("logical_date", ["2024-01-31", "2024-02-15", "2024-05-30"])
def test_an_interval_that_airflow_took_from_the_clock_is_refused(logical_date):
    with pytest.raises(TaskRefused, match=r"(?s)from the clock: it ends on 2024-06-30.*--conf .*as_of") as refused:
        check(logical_date=logical_date, data_interval_end="2024-06-30")
    assert f"logical date is {logical_date}" in str(refused.value)


@pytest.mark.parametrize(
    ("logical_date", "months"),
    [
        ("2024-02-29T00:00+02:00", ("2024-01-31", "2024-02-29")),  # Athens
        ("2024-01-30T20:00-05:00", ("2023-12-31", "2024-01-31")),  # clicked in New York in the evening
        ("2024-01-31T09:00", ("2023-12-31", "2024-01-31")),  # may be the evening of the 30th somewhere
    ],
)
def test_a_date_that_means_two_months_is_refused_with_both(logical_date, months):
    interval_end = interval_meant(day(logical_date)).end.isoformat()
    with pytest.raises(TaskRefused, match="time zone") as refused:
        check(logical_date=logical_date, data_interval_end=interval_end)
    assert "as_of, {} or {}".format(*months) in str(refused.value)
    assert check(months[1], logical_date=logical_date, data_interval_end=interval_end)["as_of"] == months[1]


def test_the_clocks_interval_is_refused_whichever_day_it_is():
    with pytest.raises(TaskRefused, match="from the clock: it ends on 2024-07-31"):
        check(
            logical_date="2024-02-29",
            run_after="2024-07-31T09:30:00",  # no month of its own
            data_interval_end="2024-07-31T09:30:00",
        )


def test_an_operators_run_is_checked_as_a_manual_one():
    with pytest.raises(TaskRefused, match="from the clock"):
        check(run_type="operator_triggered", logical_date="2024-01-31", data_interval_end="2024-06-30")


def test_the_param_decides_whatever_the_logical_date_says():
    run = {"run_id": "manual__2024-02-29__2024-07-10", "logical_date": "2024-02-29", "data_interval_end": "2024-02-29"}
    assert check("2024-01-31", **run)["as_of"] == "2024-01-31"


@pytest.mark.usefixtures("metadata")
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_the_commands_date_means_its_own_month_in_every_zone(zone):
    done = subprocess.run(
        ["airflow", "dags", "test", "streamflow_monthly_ingest", "2024-02-29"],
        # so that the run ends with its first task
        env=os.environ | {"AIRFLOW__CORE__DEFAULT_TIMEZONE": zone, "AIRFLOW_VAR_STREAMFLOW_FIRST_MONTH": "2024-03"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "as_of 2024-02-29 is before the first month, 2024-03" in done.stdout
