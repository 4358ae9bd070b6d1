"""Months that are only in the archive."""

from __future__ import annotations

from pathlib import Path

from streamflow import settings
from streamflow.archive import archive
from streamflow.retention import Retention, apply_retention
from streamflow.tables import TABLES
from support.database import Database


def archive_and_drop(keep_months: int) -> Retention:
    """Archive what the connection's database holds, and keep so many months in it."""
    archive("streamflow_db", "a run")
    return apply_retention("streamflow_db", "a run", keep_months)


def file_of(archive_folder: Path, table: str, as_of: str, revision: int = 1) -> Path:
    """The file of a snapshot."""
    base = archive_folder / settings.database_folder("streamflow_db") / TABLES[table].snapshots
    return base / f"as_of={as_of}" / f"revision={revision}" / "part-0.parquet"


def places(database: Database) -> dict[str, str]:
    """Where each sealed month is."""
    return dict(database.query("select as_of::text, place from sealed_months order by 1"))


def partitions(database: Database) -> list[str]:
    """The months that are in the database, oldest first: those of which all tables are there."""
    found = database.query(
        "select right(inhrelid::regclass::text, 8) from pg_inherits where inhparent in (select to_regclass(snapshots) "
        "from staging.tables()) group by 1 having count(*) = %s order by 1",
        len(TABLES),
    )
    return [f"{day[:4]}-{day[4:6]}-{day[6:]}" for (day,) in found]
