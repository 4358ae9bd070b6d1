"""The months that `make run` finds in a folder."""

from __future__ import annotations

import pytest

import embedded
from run_months import find_months
from streamflow import settings
from streamflow.refusal import Refusal
from support.builders import named

JANUARY, FEBRUARY, MARCH = "2024-01-31", "2024-02-29", "2024-03-31"


@pytest.mark.parametrize("pattern", ["month_{number}", "{month}", "month={month}", "delivery-{number}", "v2-{number}"])
def test_make_run_finds_the_folders_that_the_setting_names(months, monkeypatch, pattern):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MONTH_FOLDER", pattern)
    root = months[0].parent
    named_so = [named(folder, as_of).name for folder, as_of in zip(months, (JANUARY, FEBRUARY, MARCH), strict=True)]
    for other in ("2024-13", "month", "Month_000", "000x"):
        (root / other).mkdir()
    (root / "2024-05").touch()
    found = find_months(root, "2024-01", settings.month_folder())
    assert [(str(month), name) for month, name in found] == list(zip((JANUARY, FEBRUARY, MARCH), named_so, strict=True))
    embedded.check(None, root, "months")


@pytest.mark.parametrize(
    ("pattern", "examples"),
    [
        ("month_{number}", "month_000, month_001, …"),
        ("delivery-{number}", "delivery-000, delivery-001, …"),
        ("month={month}", "month=2024-01, month=2024-02, …"),
    ],
)
def test_make_run_says_which_folders_it_has_looked_for(tmp_path, monkeypatch, capsys, pattern, examples):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MONTH_FOLDER", pattern)
    (tmp_path / "January").mkdir()
    said = f"There are no month folders ({examples}) in {tmp_path}."
    with pytest.raises(Refusal) as refused:
        find_months(tmp_path, "2024-01", settings.month_folder())
    assert str(refused.value) == said
    with pytest.raises(SystemExit):
        embedded.check(None, tmp_path, "months")
    assert capsys.readouterr().err == f"{said}\n"
