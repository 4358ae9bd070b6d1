"""A run for February."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streamflow import settings
from support.deliveries import FEBRUARY, deliver
from support.run import Run


@pytest.fixture
def february(database, deliveries) -> Callable[..., Run]:
    """Gives a run for February, whose good files it delivers; the DAG's tasks load and validate ``tables`` of them."""

    def run(*tables: str) -> Run:
        return Run(database, FEBRUARY, deliver(deliveries / "month_001", 1), tables)

    return run


@pytest.fixture
def docs(database, tmp_path, monkeypatch) -> Path:
    """A folder of this test's own for Data Docs and lists of bad cells."""
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__DATA_DOCS", str(tmp_path / "docs"))
    return settings.report_path("streamflow_db", FEBRUARY, "any").parent
