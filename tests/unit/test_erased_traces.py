"""What is kept of users in files."""

from __future__ import annotations

import gzip
import io
import logging

import pyarrow
import pytest
from airflow.sdk import conf
from pyarrow import parquet

from streamflow import settings
from streamflow.erased_traces import files_that_name, remove_traces, rows_of
from support.builders import delivery


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("user_id,a\nann,1\nanne,2\nbob,ann\n", 1),
        ('user_id,a\r\n"ann",1\r\nann,2', 2),
        ('a,user_id\n"x,y",ann\nann,bob\n', 1),
        ('user_id\nann\n"o\'b ""c"""\n', 2),
        ("user_id,a\nbob,1\n", 0),
    ],
)
def test_rows_of_users_are_counted_by_their_whole_id(content, rows):
    assert rows_of(io.BytesIO(content.encode()), ["ann", 'o\'b "c"']) == rows


def test_a_file_without_users_is_an_error():
    with pytest.raises(ValueError, match="user_id"):
        rows_of(io.BytesIO(b"a,b\n1,2\n"), ["ann"])


def test_reports_name_a_user_in_html_and_in_cells(tmp_path):
    files = {
        "page.html": "user_id &#39;ann&#39;",
        "list.csv": "line,user_id\n5,ann\n",
        "task.log": "for example 'ann'",
        "other.html": "anniversary &amp; 'anne'",
        "other.csv": "line,user_id\n5,anne\n",
        "image.png": "'ann'",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert {path.name for path in files_that_name(tmp_path, ["ann"])} == {"page.html", "list.csv", "task.log"}


def test_traces_are_deleted_where_the_package_may_and_listed_where_not(tmp_path, deliveries, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", "postgresql://me@nowhere/data")
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__DATA_DOCS", str(tmp_path / "docs"))
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__TRAINING_SETS", str(tmp_path / "sets"))
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path / "logs"))
    assert conf.get("logging", "base_log_folder") == str(tmp_path / "logs")
    database = settings.database_folder("streamflow_db")
    reports, sets = tmp_path / "docs" / database / "2024-01-31", tmp_path / "sets" / database
    of_ingest, of_others = (tmp_path / "logs" / f"dag_id={dag}" for dag in ("streamflow_monthly_ingest", "others"))
    for folder in (reports, sets, of_ingest, of_others, deliveries / "month_000", deliveries / "month_001"):
        folder.mkdir(parents=True)
    for user in ("ann", "bob"):
        (reports / f"{user}.html").write_text(f"user_id '{user}'")
        parquet.write_table(pyarrow.table({"user_id": ["x", user]}), sets / f"{user}.parquet")
        for folder in (of_ingest, of_others):
            (folder / f"{user}.log").write_text(f"user_id '{user}'")
    (deliveries / "month_000" / "labels.csv").write_bytes(delivery("ann", "bob")["labels"])
    (deliveries / "month_000" / "users.csv.gz").write_bytes(gzip.compress(delivery("ann", "ann")["users"]))
    (deliveries / "month_001" / "labels.csv").write_bytes(delivery("bob")["labels"])
    (deliveries / "month_001" / "users.csv.gz").write_text("no gzip")
    with caplog.at_level(logging.INFO):
        traces = remove_traces("streamflow_db", "streamflow_fs", ["ann"])
    assert sorted(path.name for path in (tmp_path / "docs").rglob("*.html")) == ["bob.html"]
    assert sorted(path.name for path in sets.iterdir()) == ["bob.parquet"]
    assert traces.logs == [str(of_ingest / "ann.log")]
    assert traces.delivered == {"month_000/users.csv.gz": 2, "month_000/labels.csv": 1, "month_001/users.csv.gz": -1}
    assert "  - month_000/labels.csv: 1 row" in traces.lines
    assert "  - month_001/users.csv.gz: could not be read" in traces.lines
    assert "ann" not in "\n".join(traces.lines).replace("ann.parquet", "").replace("ann.log", "") + caplog.text
