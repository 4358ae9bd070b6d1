"""Deliveries in a bucket, on a real S3 server: the same months, the same messages, as from a folder."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from structlog.testing import capture_logs

import streamflow.bucket
import streamflow.load
from streamflow.manifest import NAME
from streamflow.refusal import NotYet, Refusal, TaskNotYet, TaskRefused
from streamflow.tables import TABLES, files_of
from streamflow.wait_for_month import MonthFolderSensor, MonthFolderTrigger, still_missing
from support import servers
from support.database import Database
from support.deliveries import FEBRUARY, JANUARY, deliver, deliver_anew, try_month
from support.loading import nothing_is_loaded, operator, staged
from support.paths import REAL_DELIVERIES as REAL
from support.paths import ROOT
from support.refused import REFUSED
from support.run import Run
from support.stores import Bucket, peak_memory

LABELS = b"user_id,churn_label\nann,True\nbob,False\n"


class Landing:
    """A bucket that is the deliveries' folder; AIRFLOW_CONN_STREAMFLOW_FS names it."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.url = f"{bucket.url}/landing"

    def put(self, name: str, content: bytes) -> None:
        self.bucket.put(f"landing/{name}", content)

    def remove(self, name: str) -> None:
        self.bucket.delete(f"landing/{name}")

    def copy(self, folder: Path) -> None:
        """Make the bucket hold the files of a month folder, and no others."""
        for name in [one.partition("/")[2] for one in self.keys() if one.startswith(f"landing/{folder.name}/")]:
            self.remove(name)
        for path in folder.iterdir():
            if path.is_file():
                self.put(f"{folder.name}/{path.name}", path.read_bytes())

    def keys(self) -> list[str]:
        listed = self.bucket.client.list_objects_v2(Bucket=self.bucket.name)
        return [one["Key"] for one in listed.get("Contents", [])]


@pytest.fixture
def landing(s3_bucket, monkeypatch) -> Landing:
    landing = Landing(s3_bucket)
    connection = {"conn_type": "fs", "extra": {"path": landing.url}}
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_FS", json.dumps(connection))
    return landing


class _Answers(http.server.BaseHTTPRequestHandler):
    """Answers every request with the error that its path names: /403/AccessDenied/…"""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        _, status, code, *_ = self.path.split("/")
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response(int(status))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_) -> None:
        pass


@pytest.fixture(scope="module")
def stub():
    """URL of a server that refuses everything: moto has neither expired credentials nor regions."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def missing(landing: Landing, settle_seconds: float = 0) -> list[str]:
    return still_missing(f"{landing.url}/month_000", settle_seconds, files_of(JANUARY))


@pytest.fixture
def january(landing, tmp_path) -> Path:
    """A good delivery, in the bucket and in a folder of this machine."""
    folder = deliver(tmp_path / "month_000", 0)
    landing.copy(folder)
    return folder


def load(landing: Landing, database, content: bytes, name: str = "labels.csv") -> dict:
    database.step("tasks/stage.sql", JANUARY, "labels")
    landing.put(f"month_000/{name}", content)
    return operator("labels").execute({})


# waiting


def test_a_file_that_comes_after_the_first_look_is_seen(landing, january):
    landing.remove("month_000/labels.csv")
    assert missing(landing) == ["labels.csv is missing"]
    landing.put("month_000/labels.csv", LABELS)
    assert missing(landing) == []


def test_an_empty_bucket_lacks_all_files(landing):
    assert missing(landing) == [f"{table.file_name} is missing" for table in TABLES.values()]


def test_files_settle_by_the_stores_clock(landing, january, monkeypatch):
    (sentence, *_) = missing(landing, 3600)
    assert sentence.startswith("users.csv was written ")
    assert sentence.endswith(" s ago (settles at 3600 s)")
    clock = type("Clock", (dt.datetime,), {"now": classmethod(lambda *_: dt.datetime(2099, 1, 1, tzinfo=dt.UTC))})
    monkeypatch.setattr(streamflow.bucket.dt, "datetime", clock)  # this machine's clock is wrong
    assert missing(landing, 3600)[0].startswith("users.csv was written ")


def test_the_sensor_and_its_trigger_see_the_same(landing, january):
    sensor = MonthFolderSensor(
        task_id="wait",
        as_of=JANUARY,
        fs_conn_id="streamflow_fs",
        filepath="month_000",
        settle_seconds=0,
        poke_interval=0.05,
        timeout=0.2,
        mode="poke",
        deferrable=False,
    )
    with capture_logs() as logs:
        assert sensor.poke({}) is True
    assert f"s3://{landing.bucket.name}/landing/month_000" in str(logs)
    landing.remove("month_000/labels.csv")
    assert sensor.poke({}) is False
    assert fire(f"{landing.url}/month_000") == [["labels.csv is missing"]]
    landing.put("month_000/labels.csv", LABELS)
    assert fire(f"{landing.url}/month_000") == [[]]


def fire(folder: str) -> list:
    """The payload of every event that the trigger fires, in an event loop as the triggerer has it."""

    async def collect():
        trigger = MonthFolderTrigger(folder, 0, 0.05, dt.datetime.now(dt.UTC).isoformat(), files_of(JANUARY))
        return [event.payload async for event in trigger.run()]

    return asyncio.run(asyncio.wait_for(collect(), timeout=60))


# the whole of it


@pytest.fixture(scope="module")
def template(sealed_january) -> str:
    """Every database here begins with a sealed January: there is something to lose."""
    return sealed_january


LOCAL = {"a folder", "a link out of the deliveries"}  # there are none in a bucket
BROKEN = [case for case in REFUSED if case.refused_by in ("wait_for_month", "load") and case.name not in LOCAL]


@pytest.mark.parametrize("case", BROKEN, ids=[case.name for case in BROKEN])
def test_broken_objects_are_refused_as_broken_files_are(database, landing, tmp_path, case):
    folder = deliver(tmp_path / "month_001", 1)
    path = folder / f"{case.table}.csv"
    good = path.read_bytes()
    case.spoil(path)
    landing.copy(folder)
    deliver_anew(path, good)  # the harness stages the other tables from here
    run = Run(database, FEBRUARY, folder, (case.table,))
    before = database.contents(ledger=True)
    refused = try_month(run)
    assert refused.task_id.removeprefix(f"{case.table}.") == case.refused_by
    for words in case.says:
        assert words in refused.message
    assert isinstance(refused.error, TaskRefused)
    assert database.contents(ledger=True) == before


def ledger(database) -> list[tuple]:
    return database.query(
        "select as_of, table_name, revision, file_name, file_bytes, file_sha256, delivered, inserted, updated, "
        "unchanged, carried_forward, snapshot_rows, snapshot_checksum from deliveries order by 1, 2, 3"
    )


def test_the_real_months_make_the_same_ledger_as_from_a_folder(server, landing, tmp_path, monkeypatch, schema):
    if not REAL.is_dir():
        pytest.skip("the real months are not there")
    found = {}
    for source in ("folder", "bucket"):
        with servers.copied(server, f"streamflow_{source}", schema) as uri, monkeypatch.context() as patch:
            patch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", uri)
            if source == "folder":
                patch.setenv(
                    "AIRFLOW_CONN_STREAMFLOW_FS", json.dumps({"conn_type": "fs", "extra": {"path": str(REAL)}})
                )
            database = Database(uri, first_month="2024-01")
            for as_of, name in ((JANUARY, "month_000"), (FEBRUARY, "month_001")):
                if source == "bucket":
                    landing.copy(REAL / name)
                run = Run(database, as_of, REAL / name)
                run.up_to_gate()
                run.finish()
            found[source] = ledger(database)
            assert database.verify() == []
            database.close()
    assert len(found["folder"]) == 2 * len(TABLES)
    assert found["bucket"] == found["folder"]


# while it is read


def read_meanwhile(monkeypatch, happens) -> None:
    """Let something happen when the load has read the first block, once."""
    left = [happens]
    blocks = streamflow.load._blocks

    def read(*args):
        for block in blocks(*args):
            yield block
            if left:
                left.pop()()

    monkeypatch.setattr(streamflow.load, "_blocks", read)


LARGE = b"user_id,churn_label\n" + b"".join(b"user-%09d,True\n" % number for number in range(1_200_000))


@pytest.mark.parametrize("happens", ["replaced", "replaced in the end", "removed"])
def test_an_object_that_changes_while_it_is_read_is_read_again(database, landing, monkeypatch, happens):
    def change() -> None:
        if happens == "removed":
            landing.remove("month_000/labels.csv")
        else:
            landing.put("month_000/labels.csv", LABELS)

    content = LARGE if happens != "replaced in the end" else LABELS.replace(b"True", b"False")
    read_meanwhile(monkeypatch, change)
    with pytest.raises(TaskNotYet) as refused:
        load(landing, database, content)
    what = "removed" if happens == "removed" else "replaced by another object"
    assert f"month_000/labels.csv was {what} while it was read." in str(refused.value)
    assert nothing_is_loaded(database)
    assert load(landing, database, LABELS)["rows"] == 2


def test_an_object_that_went_after_the_waiting_is_named(database, landing):
    database.step("tasks/stage.sql", JANUARY, "labels")
    with pytest.raises(TaskRefused, match=r"/landing/month_000/labels.csv cannot be read:\nThere is no such object\."):
        operator("labels").execute({})


# what it cannot reach


@pytest.mark.parametrize(
    ("connection", "place", "found", "to_do"),
    [
        ({}, "no-such-bucket/landing", "Found no such bucket.", "correct the URL, or create the bucket"),
        (None, "{bucket}/landing", "Found no connection of that name.", "add the connection, or correct the URL"),
        (
            {"extra": {"endpoint_url": "{stub}/403/AccessDenied"}},
            "{bucket}/landing",
            "Found no right to do this.\nThe store says: AccessDenied.",
            "grant the user of the connection the right to list the bucket",
        ),
        (
            {"extra": {"endpoint_url": "{stub}/400/ExpiredToken"}},
            "{bucket}/landing",
            "Found that the credentials have expired, or that this machine's clock is wrong.\n",
            "renew the credentials",
        ),
        (
            {"extra": {"endpoint_url": "{stub}/403/InvalidAccessKeyId"}},
            "{bucket}/landing",
            "Found credentials that it does not accept, or none.\nThe store says: InvalidAccessKeyId.",
            "correct the Airflow connection",
        ),
        (
            {"extra": {"endpoint_url": "{stub}/400/AuthorizationHeaderMalformed"}},
            "{bucket}/landing",
            "Found that the bucket is in another region.\n",
            "give the Airflow connection that the URL names the bucket's region",
        ),
    ],
    ids=["no bucket", "no connection", "no right", "expired", "wrong key", "another region"],
)
def test_each_reason_says_what_to_do(landing, stub, monkeypatch, caplog, connection, place, found, to_do):
    if connection is None:
        monkeypatch.delenv("AIRFLOW_CONN_STREAMFLOW_S3")
    else:
        said = json.loads(os.environ["AIRFLOW_CONN_STREAMFLOW_S3"])
        said["password"] = "a-secret-of-the-connection"
        said["extra"] |= {name: text.format(stub=stub) for name, text in connection.get("extra", {}).items()}
        monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_S3", json.dumps(said))
    url = f"s3://streamflow_s3@{place.format(bucket=landing.bucket.name)}"
    with pytest.raises(Refusal) as refused:
        still_missing(f"{url}/month_000", 0, files_of(JANUARY))
    message = str(refused.value)
    assert not isinstance(refused.value, NotYet)  # a retry would find the same
    assert message.startswith(url.replace("streamflow_s3@", ""))
    assert found in message
    assert f"What to do: {to_do}" in message
    assert "a-secret-of-the-connection" not in message + caplog.text
    (event,) = fire(f"{url}/month_000")
    assert event == {"facts": list(refused.value.facts)}


def test_a_store_that_cannot_be_reached_is_waited_for(landing, monkeypatch):
    said = json.loads(os.environ["AIRFLOW_CONN_STREAMFLOW_S3"])
    said["extra"] |= {"endpoint_url": "http://127.0.0.1:9", "config_kwargs": {"retries": {"max_attempts": 0}}}
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_S3", json.dumps(said))
    (sentence,) = missing(landing)
    assert sentence == (
        "Expected to reach it. Found trouble on the way, or in the store itself (ConnectionRefusedError)"
    )


# the tool, other forms, memory


def test_make_manifest_writes_into_a_bucket(landing, january):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "manifest.py", f"{landing.url}/month_000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"s3://{landing.bucket.name}/landing/month_000/{NAME}: {len(TABLES)} files.\n"
    assert missing(landing, 3600) == []  # no waiting
    landing.put("month_000/labels.csv", (january / "labels.csv").read_bytes()[:-1])
    assert missing(landing, 3600)[0].startswith("labels.csv has ")


@pytest.mark.parametrize("name", ["labels.csv.gz", "labels.parquet"])
def test_other_forms_are_read_from_a_bucket(database, landing, name):
    if name.endswith(".gz"):
        content = gzip.compress(LABELS)
    else:
        written = io.BytesIO()
        parquet.write_table(pa.table({"user_id": ["ann", "bob"], "churn_label": [True, False]}), written)
        content = written.getvalue()
    found = load(landing, database, content, name)
    assert (found["rows"], found["sha256"]) == (2, hashlib.sha256(content).hexdigest())
    assert staged(database, "labels") == [("ann", True), ("bob", False)]


def test_an_object_of_several_parts_is_streamed(database, landing, tmp_path):
    """Parts have ETags of their own; the ledger has the sha256 of the bytes."""
    database.step("tasks/stage.sql", JANUARY, "labels")
    (tmp_path / "large").write_bytes(LARGE)
    landing.bucket.put_in_parts("landing/month_000/labels.csv", tmp_path / "large")
    before = peak_memory()
    found = operator("labels").execute({})
    assert (found["rows"], found["sha256"]) == (1_200_000, hashlib.sha256(LARGE).hexdigest())
    assert peak_memory() - before < 100 << 20, "it is not streamed"


# Azure


@pytest.mark.parametrize("when", ["complete", "replaced", "removed"])
def test_a_container_of_azure_is_a_landing_too(database, azure_container, monkeypatch, when):
    url = f"{azure_container.url}/landing"
    connection = {"conn_type": "fs", "extra": {"path": url}}
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_FS", json.dumps(connection))
    assert len(still_missing(f"{url}/month_000", 0, files_of(JANUARY))) == len(TABLES)
    for table in TABLES.values():
        azure_container.put(f"landing/month_000/{table.file_name}", LABELS)
    assert still_missing(f"{url}/month_000", 0, files_of(JANUARY)) == []
    assert " s ago (settles at 3600 s)" in still_missing(f"{url}/month_000", 3600, files_of(JANUARY))[0]
    database.step("tasks/stage.sql", JANUARY, "labels")
    if when == "complete":
        assert operator("labels").execute({})["sha256"] == hashlib.sha256(LABELS).hexdigest()
        assert staged(database, "labels") == [("ann", True), ("bob", False)]
        return
    azure_container.put("landing/month_000/labels.csv", LARGE)

    def change() -> None:
        if when == "replaced":
            azure_container.put("landing/month_000/labels.csv", LARGE.replace(b"True", b"nope"))
        else:
            azure_container.delete("landing/month_000/labels.csv")

    read_meanwhile(monkeypatch, change)
    with pytest.raises((TaskNotYet, TaskRefused)) as refused:
        operator("labels").execute({})
    assert f"month_000/labels.csv was {when}" in str(refused.value)
    assert nothing_is_loaded(database)


def test_a_container_that_is_not_there_is_named(azure_container):
    url = f"{azure_container.url}-of-nobody/landing/month_000"
    with pytest.raises(Refusal, match=r"Found no such bucket\."):
        still_missing(url, 0, files_of(JANUARY))
