"""Month folders with other names than month_000."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow import month_folder, settings
from streamflow.months import Month, MonthError, month_end
from streamflow.refusal import Refusal


@pytest.mark.parametrize(
    ("pattern", "folders"),
    [
        ("month_{number}", ("month_000", "month_013")),
        ("{number}", ("000", "013")),
        ("delivery-{number}", ("delivery-000", "delivery-013")),
        ("v2-{number}.d", ("v2-000.d", "v2-013.d")),
        ("s3 (50%) [{number}]", ("s3 (50%) [000]", "s3 (50%) [013]")),
        ("{month}", ("2024-01", "2025-02")),
        ("month={month}", ("month=2024-01", "month=2025-02")),
        ("2_{month}_000", ("2_2024-01_000", "2_2025-02_000")),
    ],
)
def test_folders_have_other_names_if_the_setting_says_so(monkeypatch, pattern, folders):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MONTH_FOLDER", pattern)
    assert settings.month_folder() == pattern
    for as_of, folder in zip(("2024-01-31", "2025-02-28"), folders, strict=True):
        assert Month.parse(as_of).folder("2024-01", pattern) == folder
        assert str(Month.of_folder(folder, "2024-01", pattern)) == as_of
        for other in (f"x{folder}", f"{folder}x", f"{folder}\n", folder.replace("0", "\u0660")):
            assert Month.of_folder(other, "2024-01", pattern) is None
    assert month_folder.examples(pattern).startswith(f"{folders[0]}, ")


@given(st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)), st.sampled_from(["{month}", "{number}", "a{month}.b"]))
def test_every_month_has_a_folder_under_every_pattern(day, pattern):
    month = Month(month_end(day))
    assert Month.of_folder(month.folder("0001-01", pattern), "0001-01", pattern) == month


@pytest.mark.parametrize("name", ["2024-13", "2024-00", "2024-1", "24-01", "0000-01", "2024-01-31", "month_000"])
def test_names_that_are_no_month_are_no_month_folders(name):
    assert Month.of_folder(name, "2024-01", "{month}") is None


def test_a_number_has_one_name():
    assert Month.of_folder("month_0001", "2024-01") is None  # it would be taken for month_001, and that be loaded


def test_before_the_first_month_there_is_no_delivery_whatever_its_folder_is_called():
    with pytest.raises(MonthError, match="2023-12-31 is before the first month, 2024-01"):
        Month.parse("2023-12-31").folder("2024-01", "{month}")


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "month", "{month", "month}", "{}", "{year}", "{number:03d}", "{Month}", "{ month }"),
        *(
            "{number}{number}",
            "{number}-{month}",
            "{{number}}",
            "{month}{",
            "{month}-{day}",
            "{{ params.as_of }}{month}",
        ),
        *("a/{month}", "/{month}", "{month}/", "../{number}", ".{month}", "..{number}"),
        *("{month}\n", "{month}\t", "{number}\x00", "\x1b[31m{month}", "\u202e{month}", "{month}\udcff"),
        *("2024{number}", "v2{number}", "{number}0", "2024-{number}", "{number}_365d"),
    ],
)
def test_a_setting_that_names_no_folders_is_refused(monkeypatch, pattern):
    monkeypatch.setattr(settings.conf, "get", lambda *args, **kwargs: pattern)  # some could be in no environment
    with pytest.raises(Refusal) as refused:
        settings.month_folder()
    setting, expected, found, to_do = refused.value.facts
    assert "[streamflow] month_folder (AIRFLOW__STREAMFLOW__MONTH_FOLDER)" in setting
    assert expected.startswith("Expected a name that contains either {number} or {month}, once")
    assert found == f"Found {pattern!r}."
    assert to_do.startswith("What to do: set it, for example to month_{number} (month_000) or {month} (2024-01)")


def test_an_empty_setting_is_no_default(monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MONTH_FOLDER", "")
    with pytest.raises(Refusal, match="Found ''"):
        settings.month_folder()
