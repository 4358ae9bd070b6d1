"""What several modules of unit tests need."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from streamflow.tables import TABLES_FOLDER
from support.loading import JANUARY, operator


@pytest.fixture
def load(database, deliveries):
    """Writes a file of month_000, stages it as the DAG does, and returns the load's XCom."""
    (deliveries / "month_000").mkdir()

    def load(table: str, content: str | bytes, retry: bool = False, ending: str = ".csv") -> dict:
        path = deliveries / "month_000" / f"{table}{ending}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if not retry:
            database.step("tasks/stage.sql", JANUARY, table)
        return operator(table).execute({})

    return load


@pytest.fixture
def folder(tmp_path) -> Path:
    """A copy of include/tables."""
    return shutil.copytree(TABLES_FOLDER, tmp_path / "tables")
