"""Month ends, and the folders that are named after them."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.months import Month, MonthError, last_month_end, month_end


@pytest.mark.parametrize(
    ("as_of", "first_month", "folder"),
    [
        ("2024-01-31", "2024-01", "month_000"),
        ("2024-02-29", "2024-01", "month_001"),
        ("2024-12-31", "2024-01", "month_011"),
        ("2025-01-31", "2024-01", "month_012"),
        ("2024-01-31", "2023-12", "month_001"),
        ("2024-02-29", "2023-02", "month_012"),
        ("2107-04-30", "2024-01", "month_999"),
        ("2107-05-31", "2024-01", "month_1000"),
    ],
)
def test_a_month_has_a_folder_and_the_folder_names_the_month(as_of, first_month, folder):
    assert Month.parse(as_of).folder(first_month) == folder
    assert str(Month.of_folder(folder, first_month)) == as_of


@given(st.integers(0, 5000), st.dates(dt.date(1, 1, 1), dt.date(9000, 12, 1)))
def test_folders_and_months_correspond(number, first):
    first_month = first.isoformat()[:7]
    folder = f"month_{number:03d}"
    month = Month.of_folder(folder, first_month)
    assert month.as_of == month_end(month.as_of)
    assert month.folder(first_month) == folder


@pytest.mark.parametrize(
    "name", ["month_1", "month_01", "month_", "month_00a", "month_-01", "month_000 ", "month_000\n", "Month_000", "x"]
)
def test_other_folders_are_no_months(name):
    assert Month.of_folder(name, "2024-01") is None


@pytest.mark.parametrize("as_of", ["2024-01-31", "2024-02-29", "2023-02-28", "1999-12-31"])
def test_month_ends_are_read(as_of):
    month = Month.parse(as_of)
    assert str(month) == as_of
    assert month.suffix == as_of.replace("-", "")


@pytest.mark.parametrize(
    ("text", "use"),
    [("2024-01-30", "2024-01-31"), ("2024-02-28", "2024-02-29"), ("2100-02-01", "2100-02-28")],
)
def test_a_day_within_a_month_is_refused_and_the_month_end_named(text, use):
    with pytest.raises(MonthError, match=f"(?s)month's last day.*Found: {text}.* as_of {use}"):
        Month.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "January",
        "31.01.2024",
        "01/31/2024",
        "2024-01",
        "2024-1-31",
        "20240131",
        "2024-W05-3",
        "2023-02-29",
        "2024-13-31",
        "2024-01-31T00:00:00",
        " 2024-01-31",
        "2024-01-31\n",
        "２０２４-01-31",
        "2024-01-31'; drop table users; --",
    ],
)
def test_what_is_no_date_is_refused_with_the_form_that_is_expected(text):
    with pytest.raises(MonthError, match=r"(?s)written YYYY-MM-DD.*Found: .* for example 2024-01-31") as refused:
        Month.parse(text)
    assert repr(text) in str(refused.value)


def test_before_the_first_month_there_is_no_delivery():
    with pytest.raises(
        MonthError, match=r"(?s)2023-12-31 is before the first month, 2024-01:.* 2024-01-31 .*streamflow_first_month"
    ):
        Month.parse("2023-12-31").folder("2024-01")


@pytest.mark.parametrize("first_month", ["", "2024", "2024-13", "2024-01-01", "January 2024", "24-01"])
def test_a_first_month_that_is_none_names_the_variable(first_month):
    with pytest.raises(MonthError, match="streamflow_first_month must be a month, YYYY-MM; found") as refused:
        Month.parse("2024-01-31").folder(first_month)
    assert repr(first_month) in str(refused.value)


@given(st.dates(dt.date(1, 2, 1), dt.date(9999, 11, 30)))
def test_the_last_month_end_is_the_nearest_that_is_not_later(day):
    found = last_month_end(day)
    assert found == month_end(found)
    assert found <= day < month_end(found + dt.timedelta(days=1))
