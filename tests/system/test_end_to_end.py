"""The whole DAG, as `make run` and `airflow dags test` run it, on sample, real and broken deliveries."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys

import psycopg
import pytest

from streamflow import settings
from streamflow.refusal import RUN_AGAIN, wrap
from streamflow.tables import TABLES
from support.paths import REAL_DELIVERIES, ROOT

pytestmark = pytest.mark.usefixtures("metadata")


AS_JSON, AS_URI = '{{"conn_type": "fs", "extra": {{"path": "{}"}}}}', "fs://?path={}"


def run_months(folder, connection: str = AS_JSON) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "tools" / "run_months.py"],
        env=os.environ | {"AIRFLOW_CONN_STREAMFLOW_FS": connection.format(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def dags_test(date: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["timeout", "-k", "5", "200", "airflow", "dags", "test", "streamflow_monthly_ingest", date, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def assert_live_is_the_newest_snapshot(database) -> None:
    for table in TABLES.values():
        columns = ", ".join(("user_id", *table.columns))
        snapshot = f"select {columns} from {table.snapshots} where as_of = (select max(as_of) from deliveries)"
        assert database.query(f"(select {columns} from {table.name} except {snapshot}) limit 3") == []
        assert database.query(f"({snapshot} except select {columns} from {table.name}) limit 3") == []


def test_sample_months_then_again(database):
    first = run_months(ROOT / "include" / "data")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2024-03-31  month_002" in first.stdout
    assert "Nothing changed" not in first.stdout
    assert_live_is_the_newest_snapshot(database)
    assert database.query(
        "select as_of::text, sum(delivered)::int, sum(inserted)::int from deliveries group by 1 order by 1"
    ) == [("2024-01-31", 6000, 6000), ("2024-02-29", 6000, 120), ("2024-03-31", 6000, 120)]
    # what was staged is gone
    assert database.query("select tablename::text from pg_tables where schemaname = 'staging' order by 1") == [
        ("builds",),
        ("files",),
        ("publish_lock",),
        ("runs",),
    ]
    before = database.contents(ledger=True)
    again = run_months(ROOT / "include" / "data", AS_URI)
    assert again.returncode == 0
    assert "Nothing changed: every month was sealed with these files already." in again.stdout
    assert database.contents(ledger=True) == before


def test_compressed_files_in_folders_of_other_names(database, deliveries, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MONTH_FOLDER", "month={month}")
    shutil.copytree(ROOT / "include" / "data" / "month_000", deliveries / "month=2024-01")
    for path in (deliveries / "month=2024-01").iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    done = run_months(deliveries)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2024-01-31  month=2024-01\n" in done.stdout
    assert_live_is_the_newest_snapshot(database)
    assert database.query("select file_name, delivered from deliveries where as_of = '2024-01-31' order by 1") == [
        (f"month=2024-01/{table}.csv.gz", 1000) for table in sorted(TABLES)
    ]


@pytest.mark.skipif(not REAL_DELIVERIES.exists(), reason="the real deliveries are not beside this checkout")
def test_real_months(database):
    done = run_months(REAL_DELIVERIES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_live_is_the_newest_snapshot(database)
    assert {(one.name, database.query(f"select count(*) from {one.name}")[0][0]) for one in TABLES.values()} == {
        (name, 7043) for name in TABLES
    }

    def by_month(what: str, table: str) -> list:
        rows = database.query(f"select {what} from {TABLES[table].snapshots} group by as_of order by as_of")
        return [row[0] for row in rows]

    for table in TABLES:
        assert by_month("count(*)", table) == [7043, 7043]
    assert by_month("count(*) filter (where plan_stream_tv is null)", "subscriptions") == [1526, 1526]
    assert by_month("sum(monthly_fee)::text", "subscriptions") == ["456116.60", "456116.60"]
    assert by_month("sum(failed_payments_90d)", "payments_agg_90d") == [1132, 1334]
    assert by_month("sum(support_tickets_90d)", "support_agg_90d") == [2137, 2497]
    assert by_month("sum(rebuffer_events_7d)", "usage_agg_30d") == [16269, 18390]
    assert by_month("count(*) filter (where churn_label)", "labels") == [1869, 1701]
    assert dict(database.query("select table_name, updated from deliveries where as_of = '2024-02-29'")) == {
        "users": 0,
        "subscriptions": 0,
        "usage_agg_30d": 7043,
        "payments_agg_90d": 202,
        "support_agg_90d": 360,
        "labels": 2652,
    }


def last_words(stdout: str, task: str) -> str:
    """What a task's log ends with: what the refusal says, each line of it behind Airflow's time and level."""
    log = stdout.partition(f"[DAG TEST] starting task_id={task} ")[2].partition(f"[DAG TEST] end task task_id={task} ")[
        0
    ]
    assert "Traceback" not in log
    said = log.partition(" Task exited")[0]
    lines = re.findall(r"^\S+ \[error *\] (.*?) *\[streamflow\.refusal\]", said, re.MULTILINE)
    assert lines
    assert max(map(len, lines)) <= 100 or "/" in max(lines, key=len)  # a path is not broken
    return "\n".join(lines)


def test_broken_delivery_fails_and_leaves_no_trace_and_the_next_try_completes_it(database, deliveries):
    shutil.copytree(ROOT / "include" / "data" / "month_000", deliveries / "month_000")
    labels, users = deliveries / "month_000" / "labels.csv", deliveries / "month_000" / "users.csv"
    good = {path: path.read_text() for path in (labels, users)}
    labels.write_text(good[labels].replace("True", "perhaps", 1))
    users.write_text(good[users].replace("SF-00000001,", "SF-00000000,"))
    failed = dags_test("2024-01-31")
    assert failed.returncode == 1
    docs = settings.report_path("streamflow_db", "2024-01-31", "any").parent
    line = good[labels].partition("True")[0].count("\n") + 1
    assert last_words(failed.stdout, "labels.load").splitlines() == [
        "month_000/labels.csv: 1 invalid cell or row.",
        f"  - line {line}, column churn_label: expected true or false, found 'perhaps'",
        "All of them are listed in",
        f"  {docs}/labels.bad_cells.csv",
        "Nothing was loaded.",
        *wrap(f"What to do: correct the file, then {RUN_AGAIN}"),
    ]
    said = last_words(failed.stdout, "users.validate")
    assert re.match(r"users of 2024-01-31: 1 of \d+ rules failed\.\n", said)
    rule = "expect_column_proportion_of_unique_values_to_be_between"
    assert f"column user_id: values must be unique ({rule}): 2 of 1000 rows" in " ".join(said.split())
    assert re.search(r"^      lines \d+, \d+: user_id 'SF-00000000'$", said, re.MULTILINE)
    assert f"All results: {docs}/users.html" in said.replace("\n    /", " /")
    assert "The rows are in staging.users_20240131. Live and snapshots are untouched." in said
    assert not any(database.contents(ledger=True).values())
    assert database.query("select count(*) from staging.users_20240131") == [(1000,)]
    for path, content in good.items():
        path.write_text(content)
    repaired = dags_test("2024-01-31")
    assert repaired.returncode == 0, repaired.stdout[-3000:]
    assert_live_is_the_newest_snapshot(database)


def asset_events() -> list[tuple]:
    """Name, extra, and partition key of each event."""
    with psycopg.connect(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")) as metadata:
        return metadata.execute(
            "select asset.name, event.extra::jsonb - 'from_rest_api', event.partition_key from asset_event as event "
            "inner join asset on asset.id = event.asset_id order by event.id"
        ).fetchall()


def test_other_dags_hear_of_what_was_sealed_and_of_nothing_else(database, deliveries):
    def run(month: str, **conf: bool) -> tuple[list[tuple], list[str]]:
        """Name and extra of the events of snapshots, and the months that sealed_month names."""
        before = len(asset_events())
        done = dags_test(month, "--conf", json.dumps(conf))
        assert done.returncode == 0, done.stdout[-3000:]
        added = asset_events()[before:]
        return (
            [(name, extra) for name, extra, key in added if key is None],
            sorted(key for name, _, key in added if name == "sealed_month"),
        )

    shutil.copytree(ROOT / "include" / "data", deliveries, dirs_exist_ok=True)
    first, months = run("2024-01-31")
    assert months == ["2024-01-31"]
    assert sorted(name for name, _ in first) == sorted(table.snapshots for table in TABLES.values())
    counts = {"delivered": 1000, "inserted": 1000, "updated": 0, "unchanged": 0, "carried_forward": 0}
    assert [extra for _, extra in first] == [{"as_of": "2024-01-31", "revision": 1, "snapshot_rows": 1000} | counts] * 6
    assert run("2024-02-29")[1] == ["2024-02-29"]
    assert run("2024-01-31") == ([], [])
    # one label of a user whom February does not deliver: both months' labels change, and no other table
    labels = deliveries / "month_000" / "labels.csv"
    ((user,),) = database.query(
        "select min(user_id) from labels_snapshots where as_of = '2024-02-29' and source_as_of = '2024-01-31'"
    )
    swap = {"True": "False", "False": "True"}
    labels.write_text(re.sub(f"(?<={user},)(True|False)", lambda cell: swap[cell[0]], labels.read_text()))
    restated, months = run("2024-01-31", restate=True)
    assert [(name, extra["as_of"], extra["revision"]) for name, extra in restated] == [
        ("labels_snapshots", "2024-01-31", 2),
        ("labels_snapshots", "2024-02-29", 2),
    ]
    assert months == ["2024-01-31", "2024-02-29"]


def test_missing_file_times_out_and_says_which(database, deliveries):
    shutil.copytree(ROOT / "include" / "data" / "month_000", deliveries / "month_000")
    (deliveries / "month_000" / "labels.csv").unlink()
    failed = dags_test("2024-01-31")
    assert failed.returncode == 1
    # it was rescheduled: only the last of its logs has the reason
    said = re.findall(r"\[error *\] (.*?) *\[streamflow\.refusal\]", failed.stdout)
    assert "labels.csv is missing" in " ".join(" ".join(said).split())
    assert "What to do: deliver the missing files" in failed.stdout


def test_run_for_a_month_before_the_first_is_refused(database):
    failed = dags_test("2023-12-31")
    assert failed.returncode == 1
    assert "streamflow_monthly_ingest failed for 2023-12-31: task check_month" in failed.stdout  # the alert
    assert "as_of 2023-12-31 is before the first month, 2024-01" in failed.stdout
