"""An archive in a bucket, on real servers: written, read back, dropped from the database, restored."""

from __future__ import annotations

import json

import pytest

from streamflow.archive import archive
from streamflow.manifest import NAME
from streamflow.months import Month
from streamflow.refusal import Refusal
from streamflow.restore import restore
from streamflow.retention import apply_retention
from streamflow.tables import TABLES
from streamflow.templating import render
from streamflow.verify import Verified, verify
from support.archives import partitions, places
from support.builders import FEBRUARY, JANUARY


def check() -> Verified:
    return verify(
        "streamflow_db",
        *(render(path) for path in ("tasks/verify.sql", "parts/verified.sql", "parts/archived_files.sql")),
    )


def test_a_month_leaves_the_database_and_comes_back(two_months, bucket, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__ARCHIVE", f"{bucket.url}/archive")
    before = two_months.contents(ledger=True)
    done = archive("streamflow_db", "a run")
    assert len(done.archived) == 2 * len(TABLES)
    assert done.archived[0].place.startswith(f"{bucket.url}/archive/")
    assert archive("streamflow_db", "another run").archived == []

    assert apply_retention("streamflow_db", "a run", 1).dropped == [JANUARY]
    assert places(two_months)[FEBRUARY] == "database"
    assert places(two_months)[JANUARY].startswith(f"{bucket.url}/archive/")
    verified = check()
    assert (verified.only_archived, verified.archived) == (len(TABLES), len(TABLES))

    key = done.archived[0].place.removeprefix(f"{bucket.url}/")
    assert done.archived[0].as_of == JANUARY
    content = read(bucket, key)
    bucket.put(key, content[:-1] + b"?")  # as many bytes
    with pytest.raises(Refusal, match="which is only there"):
        check()
    with pytest.raises(Refusal, match=r"Nothing was restored\."):
        restore("streamflow_db", Month.parse(JANUARY))
    bucket.put(key, content)
    assert len(restore("streamflow_db", Month.parse(JANUARY))) == len(TABLES)
    assert partitions(two_months) == [JANUARY, FEBRUARY]
    assert two_months.contents(ledger=True) == before
    check()


def read(bucket, key: str) -> bytes:
    if hasattr(bucket, "versions"):
        return bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    return bucket.client.download_blob(key).readall()


def test_an_attempt_that_ended_before_its_manifest_is_finished_by_the_next_one(january, s3_bucket, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__ARCHIVE", f"{s3_bucket.url}/archive")
    first = archive("streamflow_db", "a run").archived[0]
    key = first.place.removeprefix(f"{s3_bucket.url}/")
    s3_bucket.delete(key.replace("part-0.parquet", NAME))
    with pytest.raises(Refusal, match=f"no {NAME} beside it"):
        check()
    assert [one.place for one in archive("streamflow_db", "another run").archived] == [first.place]
    manifest = json.loads(read(s3_bucket, key.replace("part-0.parquet", NAME)))
    assert (manifest["sha256"], manifest["file_bytes"]) == (first.file_sha256, first.file_bytes)
    check()


def test_a_bucket_that_is_not_there_is_named_and_nothing_is_recorded(january, s3_bucket, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__ARCHIVE", f"{s3_bucket.url}-of-nobody/archive")
    with pytest.raises(Refusal, match=r"Found no such bucket\."):
        archive("streamflow_db", "a run")
    assert january.query("select from archives") == []
