"""The archive as other programs read it: the ledger's rows, with the months and revisions of the folders' names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from generate_deliveries import generate
from streamflow import settings
from streamflow.archive import archive
from streamflow.tables import TABLES
from support import servers
from support.builders import FEBRUARY, JANUARY
from support.database import Database
from support.installed import installed, run

MONTHS = (JANUARY, FEBRUARY)


@pytest.fixture(scope="module")
def database(server, schema, tmp_path_factory) -> Iterator[Database]:
    """Two months of the generator's, archived; the first was restated."""
    deliveries = tmp_path_factory.mktemp("deliveries")
    generate(deliveries, users=300, months=2, seed=1)
    with servers.copied(server, "streamflow_archived", schema) as uri, pytest.MonkeyPatch.context() as environment:
        database = Database(uri)
        environment.setenv("AIRFLOW_CONN_STREAMFLOW_DB", uri)
        environment.setenv("AIRFLOW__STREAMFLOW__ARCHIVE", str(tmp_path_factory.mktemp("archive")))
        for number, month in enumerate(MONTHS):
            folder = deliveries / f"month_{number:03d}"
            files = {name: (folder / table.file_name).read_bytes() for name, table in TABLES.items()}
            database.load_month(month, files)
            archive("streamflow_db", "a run")
            if month == JANUARY:
                header, first, *others = files["usage_agg_30d"].splitlines(keepends=True)
                user, _, *values = first.split(b",")
                changed = b"".join([header, b",".join([user, b"700.50", *values]), *others])
                database.load_month(month, files | {"usage_agg_30d": changed}, restate=True)
                archive("streamflow_db", "a run")
        yield database
        database.close()


@pytest.fixture(scope="module")
def base(database) -> Path:
    """The folder with a folder per snapshot table."""
    return Path(settings.archive()) / settings.database_folder("streamflow_db")


@pytest.fixture(scope="module")
def duckdb() -> Path:
    """The Python that has DuckDB."""
    return installed("duckdb", "duckdb==2.0.1")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("month", MONTHS)
def test_duckdb_reads_the_rows_of_the_ledger(database, base, duckdb, tmp_path, table, month):
    shape = TABLES[table]
    ((revision, rows, checksum),) = database.query(
        "select revision, snapshot_rows, snapshot_checksum from current_deliveries "
        "where as_of = %s and table_name = %s",
        month,
        table,
    )
    assert revision == (2 if (table, month) == ("usage_agg_30d", JANUARY) else 1)
    names = ", ".join(f"{name}__exact as {name}" if name in shape.numbers else name for name in shape.all_columns)
    found = tmp_path / "found.csv"
    run(
        duckdb,
        "-c",
        "import duckdb, sys; duckdb.sql(sys.argv[1])",
        f"copy (select {names}, as_of, source_as_of "
        f"from read_parquet('{base / shape.snapshots}/*/*/*.parquet', hive_partitioning = true) "
        f"where as_of = '{month}' and revision = {revision}) to '{found}' (header false, null '~null~', force_quote *)",
    )
    copied = [None if cell == "~null~" else cell for row in csv.reader(found.open()) for cell in row]
    width = len(shape.all_columns) + 2
    with psycopg.connect(database.admin_uri) as connection, connection.cursor() as cursor:
        cursor.execute(f"create table read_by_duckdb (like {table}, as_of date, source_as_of date)")
        with cursor.copy("copy read_by_duckdb from stdin") as copy:
            for start in range(0, len(copied), width):
                copy.write_row(copied[start : start + width])
        compared = cursor.execute(
            "select snapshot_rows, snapshot_checksum from staging.checksum_of('read_by_duckdb', %s, %s)",
            (month, list(shape.all_columns)),
        ).fetchone()
        connection.rollback()
    assert compared == (rows, checksum)
    assert rows > 100


def test_duckdb_sees_both_revisions_and_their_months(base, duckdb):
    query = (
        f"select as_of, revision, max(watch_hours_30d), max(event_timestamp)::date "
        f"from read_parquet('{base}/usage_agg_30d_snapshots/*/*/*.parquet', hive_partitioning = true) "
        "group by all order by all"
    )
    said = run(duckdb, "-c", "import duckdb, sys; [print(*row) for row in duckdb.sql(sys.argv[1]).fetchall()]", query)
    lines = [line.split() for line in io.StringIO(said)]
    assert [line[:2] for line in lines] == [[JANUARY, "1"], [JANUARY, "2"], [FEBRUARY, "1"]]
    assert lines[1][2] == "700.5"
    assert lines[0][2] != "700.5"
    assert [line[3] for line in lines] == [JANUARY, JANUARY, FEBRUARY]
