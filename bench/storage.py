"""Measure object storage: `make extras`, then `.local/extras/bin/python bench/storage.py`.

Loads a month's files from a folder and from an S3 server on this machine (moto), in turns; then archives a sealed
month, beside COPY of the same rows to the client. It prints seconds, ratios, and the peak memory.

Environment: USERS (default 1000000), TURNS (default 3).
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "tools"), str(ROOT / "plugins")]
os.environ["MONTHS"] = "1"

import psycopg
from common import Server
from erasures import USERS, fill

from generate_deliveries import generate
from streamflow.tables import TABLES
from streamflow.templating import render
from support.database import Database
from support.loading import JANUARY, operator
from support.stores import S3, peak_memory

TURNS = int(os.environ.get("TURNS", 3))


def load_all(database: Database, path: str) -> float:
    """Load all files of January from a folder or URL; return the seconds of the loads alone."""
    os.environ["AIRFLOW_CONN_STREAMFLOW_FS"] = json.dumps({"conn_type": "fs", "extra": {"path": path}})
    seconds = 0.0
    for table in TABLES:
        database.step("tasks/stage.sql", JANUARY, table)
        begun = time.monotonic()
        operator(table).execute({})
        seconds += time.monotonic() - begun
    return seconds


def measure_loads(uri: str, work: Path) -> None:
    """Print what loads from a folder and from S3 take."""
    generate(work / "deliveries", users=USERS, months=1, seed=1)
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(render("schema.sql"))
    database = Database(uri, first_month="2024-01")
    with S3(work) as store:
        bucket = store.bucket("landing")
        os.environ["AIRFLOW_CONN_STREAMFLOW_S3"] = store.connection()
        for path in (work / "deliveries" / "month_000").iterdir():
            bucket.put_in_parts(f"month_000/{path.name}", path)
        size = sum(path.stat().st_size for path in (work / "deliveries" / "month_000").iterdir())
        took: dict[str, list[float]] = {"folder": [], "S3": []}
        for _ in range(TURNS):
            took["folder"].append(load_all(database, str(work / "deliveries")))
            before = peak_memory()
            took["S3"].append(load_all(database, bucket.url))
        folder, s3 = (statistics.median(took[name]) for name in took)
        print(
            f"load of {USERS:,} users, {size >> 20} MB in {len(TABLES)} files: folder {folder:.1f} s, S3 {s3:.1f} s "
            f"({s3 / folder:.2f} x); peak memory {before >> 20} MB, {peak_memory() >> 20} MB with S3",
            flush=True,
        )
    database.close()


def measure_archive(uri: str, work: Path) -> None:
    """Print what archiving a sealed month takes, and COPY of the same rows."""
    from streamflow.archive import archive

    os.environ["AIRFLOW__STREAMFLOW__ARCHIVE"] = str(work / "archive")
    with psycopg.connect(uri, autocommit=True) as connection:
        fill(connection)
        begun = time.monotonic()
        size = sum(_copy(connection, table.snapshots) for table in TABLES.values())
        copied = time.monotonic() - begun
    begun = time.monotonic()
    done = archive("streamflow_db", "bench")
    seconds = time.monotonic() - begun
    files = sum(one.file_bytes for one in done.archived)
    print(
        f"archive of a month of {USERS:,} users: {seconds:.1f} s, {files >> 20} MB in {len(done.archived)} files; COPY "
        f"of the same rows: {copied:.1f} s, {size >> 20} MB ({seconds / copied:.1f} x); peak memory "
        f"{peak_memory() >> 20} MB",
        flush=True,
    )


def _copy(connection: Any, relation: str) -> int:
    """Copy a relation to the client; return the bytes."""
    size = 0
    with (
        connection.cursor() as cursor,
        cursor.copy(f"copy (select * from public.{relation}) to stdout (format csv)") as rows,
    ):
        for block in rows:
            size += len(block)
    return size


def main() -> int:
    """Measure in two databases of the bench's server, and drop them."""
    with Server() as server, tempfile.TemporaryDirectory(dir=ROOT / ".local") as folder:
        for name, measure in (("bench_loads", measure_loads), ("bench_archive", measure_archive)):
            server.create(name)
            uri = f"postgresql://postgres@/{name}?host={server.socket}"
            os.environ["AIRFLOW_CONN_STREAMFLOW_DB"] = uri
            try:
                measure(uri, Path(folder))
            finally:
                server.drop(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
