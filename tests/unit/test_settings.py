"""What a deployment can set, and where reports are kept."""

from __future__ import annotations

from datetime import timedelta

import pytest

from streamflow import settings
from streamflow.refusal import RETRY_POLICY, Refusal

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"


# what all DAGs have


def test_the_delay_between_retries_is_the_deployments(monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__RETRY_DELAY", "90")
    assert settings.default_args() == {
        "owner": "streamflow",
        "retries": 2,
        "retry_delay": timedelta(seconds=90),
        "retry_policy": RETRY_POLICY,
    }


# whose page it is


def test_databases_have_pages_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__DATA_DOCS", str(tmp_path))
    addresses = [
        "postgresql://me:s3cret@one:5432/streamflow",
        "postgresql://me:s3cret@two:5432/streamflow",
        "postgresql://me:s3cret@one:5433/streamflow",
        "postgresql://me:s3cret@one:5432/other",
        "postgresql://me:s3cret@/streamflow?host=%2Ftmp%2Fone",
        "postgresql://me:s3cret@/streamflow?host=%2Ftmp%2Ftwo",
    ]
    pages = []
    for address in addresses:
        monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", address)
        pages.append(settings.report_path("streamflow_db", JANUARY, "users.html"))
    assert len(set(pages)) == len(addresses)
    for page in pages:
        assert page.relative_to(tmp_path).parts[1:] == (JANUARY, "users.html")
        assert page.relative_to(tmp_path).parts[0].startswith(("streamflow-", "other-"))
        assert "s3cret" not in str(page)
    # who connects, and with which password, does not make it another database
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", "postgresql://you:changed@one/streamflow")
    assert settings.report_path("streamflow_db", JANUARY, "users.html") == pages[0]
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", "postgresql://me@one/..%2F..%2Fetc")
    page = settings.report_path("streamflow_db", JANUARY, "users.html")
    assert len(page.relative_to(tmp_path).parts) == 3
    assert ".." not in str(page)


# the archive


def test_the_archive_is_a_folder_or_an_address(monkeypatch, tmp_path):
    monkeypatch.delenv("AIRFLOW__STREAMFLOW__ARCHIVE", raising=False)
    assert settings.archive() == str(settings.training_sets_folder().with_name("archive"))
    monkeypatch.chdir(tmp_path)
    for said, expected in (
        ("here", str(tmp_path / "here")),
        ("/there/", "/there"),
        ("s3://store@bucket/archive/", "s3://store@bucket/archive"),
    ):
        monkeypatch.setenv("AIRFLOW__STREAMFLOW__ARCHIVE", said)
        assert settings.archive() == expected


def test_keep_months_is_a_number_of_months_or_none(monkeypatch):
    assert settings.keep_months() is None
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__KEEP_MONTHS", "12")
    assert settings.keep_months() == 12
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__KEEP_MONTHS", "-1")
    with pytest.raises(Refusal, match="KEEP_MONTHS"):
        settings.keep_months()
