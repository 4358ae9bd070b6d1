"""A sealed January, and a run for February."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamflow import settings
from support.deliveries import FEBRUARY, JANUARY, deliver, loaded
from support.run import Run


@pytest.fixture(scope="session")
def sealed_january(server, schema, tmp_path_factory) -> Iterator[str]:
    """Name of a template database in which January is sealed."""
    folder = deliver(tmp_path_factory.mktemp("good") / "month_000", 0)
    with loaded(server, "streamflow_january", schema, folder, JANUARY) as database:
        database.close()
        yield "streamflow_january"


@pytest.fixture(scope="session")
def completed(server, sealed_january, tmp_path_factory) -> dict[str, list[tuple]]:
    """What live and snapshots hold when February has come as it should."""
    folder = deliver(tmp_path_factory.mktemp("good") / "month_001", 1)
    with loaded(server, "streamflow_february", sealed_january, folder, FEBRUARY) as database:
        return database.contents()


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
