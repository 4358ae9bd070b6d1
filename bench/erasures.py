"""Measure an erasure: `.venv/bin/python bench/erasures.py`. It prints seconds, and what readers waited for meanwhile.

Environment: USERS (rows per snapshot, default 1000000), MONTHS (default 36). 36 months of 1,000,000 users need about
40 GB in .local/bench, and an hour to fill. The snapshots are filled by SQL: what the months are loaded with does not
matter here.
"""

from __future__ import annotations

import datetime as dt
import os
import statistics
import sys
import threading
import time
from typing import Any

import psycopg
from common import Server

from streamflow.tables import TABLES
from streamflow.templating import render

USERS = int(os.environ.get("USERS", 1_000_000))
MONTHS = int(os.environ.get("MONTHS", 36))
DATABASE = "bench_erase"
VALUES = {  # of a user's row, by the column's type; `i` is the user's number, `m` the month's
    "text": "'value ' || i % 7",
    "boolean": "(i + m) % 3 = 0",
    "integer": "(i + m) % 50",
    "bigint": "(i + m) % 50",
    "numeric": "((i + m) % 1000) / 10.0",
    "date": "date '2020-01-01' + (i % 1000)::integer",
}


def fill(connection: Any) -> None:
    """Seal the months, each with the same users and other values, and bring live to the newest one."""
    connection.execute(render("schema.sql"))
    previous = None
    for m in range(MONTHS):
        (as_of,) = connection.execute(
            "select (date '2021-02-01' + make_interval(months => %s))::date - 1", (m,)
        ).fetchone()
        for table in TABLES.values():
            partition = f"public.{table.snapshots}_{as_of:%Y%m%d}"
            values = ", ".join(VALUES[column.type] for column in table.fields)
            rows = f"'user-' || lpad(i::text, 9, '0'), {values}"
            connection.execute(f"create table {partition} (like public.{table.snapshots})")
            connection.execute(
                f"insert into {partition} (user_id, {', '.join(table.columns)}, as_of, source_as_of) "
                f"select {rows}, '{as_of}', '{as_of}' from generate_series(1, {USERS}) as i, (values ({m})) as v (m)"
            )
            connection.execute(f"alter table {partition} add primary key (user_id, as_of)")
            connection.execute(
                f"alter table public.{table.snapshots} attach partition {partition} for values in ('{as_of}')"
            )
            connection.execute(
                "insert into public.deliveries (as_of, table_name, revision, file_name, file_bytes, file_sha256, "
                "not_delivered, delivered, inserted, updated, unchanged, carried_forward, snapshot_rows, "
                "snapshot_checksum, columns, run_id) select %(as_of)s, %(table)s, 1, 'f', 1, 'f', '{}', delivered, "
                "inserted, updated, delivered - inserted - updated, carried_forward, delivered + carried_forward, "
                "snapshot_checksum, staging.columns_of(%(table)s), 'bench' "
                f"from staging.count_{table.name}(%(partition)s::regclass, %(as_of)s, %(previous)s, '{{}}')",
                {"as_of": as_of, "table": table.name, "partition": partition, "previous": previous},
            )
            if m == MONTHS - 1:
                connection.execute(
                    f"insert into public.{table.name} select user_id, {', '.join(table.columns)} from {partition}"
                )
        print(f"{as_of} is filled", flush=True)
        previous = as_of
    connection.execute("vacuum analyze")
    connection.execute("checkpoint")


class Readers(threading.Thread):
    """Reads snapshots, live, and the ledger all the time, and notes how long each read took."""

    def __init__(self, uri: str) -> None:
        super().__init__(daemon=True)
        self.uri = uri
        self.took: list[float] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        """Read until it is stopped."""
        reads = [
            f"select count(*) from public.{relation} where user_id = 'user-000000500'"
            for table in TABLES.values()
            for relation in (table.name, table.snapshots)
        ]
        with psycopg.connect(self.uri, autocommit=True) as connection:
            while not self.stopped.is_set():
                for read in (*reads, "select count(*) from public.deliveries"):
                    begun = time.monotonic()
                    connection.execute(read)
                    self.took.append(time.monotonic() - begun)

    def stop(self) -> list[float]:
        """Stop, and return the seconds of all reads."""
        self.stopped.set()
        self.join()
        return self.took


def measure(uri: str, what: str, users: list[str]) -> None:
    """Plan and erase users beside a reader, and print what it took."""
    from streamflow.approval import Approval
    from streamflow.erase import erase, plan

    readers = Readers(uri)
    readers.start()
    time.sleep(2)
    quiet = [*readers.took]
    begun = time.monotonic()
    planned = plan("streamflow_db", users)
    after_plan = time.monotonic()
    erased = erase("streamflow_db", users, Approval("bench", dt.datetime.now(dt.UTC), "bench"), "bench_erase")
    seconds = time.monotonic() - after_plan
    took = readers.stop()[len(quiet) :]
    print(
        f"{what}: plan {after_plan - begun:.2f} s; erase {seconds:.2f} s, {sum(erased.rows.values()):,} rows of "
        f"{len(planned.rows)} months ({seconds / max(len(erased.rows), 1) * 1000:.0f} ms per month)\n"
        f"    a reader's select: before median {statistics.median(quiet) * 1000:.1f} ms, longest "
        f"{max(quiet) * 1000:.0f} ms; meanwhile median {statistics.median(took) * 1000:.1f} ms, longest "
        f"{max(took) * 1000:.0f} ms",
        flush=True,
    )


def measure_load(connection: Any) -> None:
    """Print what leaving erased users out takes for one staged table of all users."""
    from streamflow.erased import leave_out

    table = TABLES["labels"] if "labels" in TABLES else next(iter(TABLES.values()))
    name = f"staging.{table.staged('2099-01-31')}"
    connection.execute(f"create table {name} (like public.{table.name})")
    connection.execute(f"insert into {name} select * from public.{table.name}")
    with connection.cursor() as cursor:
        begun = time.monotonic()
        leave_out(cursor, "2099-01-31", table, "file")
        print(f"leaving erased users out of {USERS:,} staged rows: {time.monotonic() - begun:.2f} s")
    connection.execute(f"drop table {name}")


def main() -> int:
    """Fill the database, erase, and drop it."""
    with Server() as server:
        server.create(DATABASE)
        uri = f"postgresql://postgres@/{DATABASE}?host={server.socket}"
        os.environ["AIRFLOW_CONN_STREAMFLOW_DB"] = uri
        os.environ["AIRFLOW_CONN_STREAMFLOW_ERASURE_KEY"] = '{"conn_type": "generic", "password": "' + "k" * 32 + '"}'
        try:
            with psycopg.connect(uri, autocommit=True) as connection:
                fill(connection)
                measure(uri, "1 user", [f"user-{USERS // 2:09d}"])
                measure(uri, "1,000 users", [f"user-{i:09d}" for i in range(1000, 2000)])
                measure_load(connection)
        finally:
            server.drop(DATABASE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
