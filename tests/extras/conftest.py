"""Servers of object storage, and a bucket for each test that wants one."""

from __future__ import annotations

import logging
import uuid

import pytest

from support.environment import WORK
from support.stores import S3, Azure, Bucket, Container, forget_clients


@pytest.fixture(autouse=True)
def new_clients(monkeypatch):
    """Each test begins with no client that Airflow has kept, and none asks this machine's cloud who it is."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    forget_clients()


@pytest.fixture(scope="session")
def s3():
    with S3(WORK) as store:
        yield store


@pytest.fixture(scope="session")
def azure():
    with Azure(WORK) as store:
        logging.getLogger("azure").setLevel(logging.WARNING)  # it tells each request
        yield store


def _name() -> str:
    return f"landing-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def s3_bucket(s3, monkeypatch) -> Bucket:
    """An empty, versioned bucket; AIRFLOW_CONN_STREAMFLOW_S3 is its owner's connection."""
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_S3", s3.connection())
    return s3.bucket(_name())


@pytest.fixture
def azure_container(azure, monkeypatch) -> Container:
    """An empty container; AIRFLOW_CONN_STREAMFLOW_AZURE is its owner's connection."""
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_AZURE", azure.connection())
    return azure.container(_name())


@pytest.fixture(params=["s3", "azure"])
def bucket(request) -> Bucket | Container:
    """A bucket of either."""
    return request.getfixturevalue({"s3": "s3_bucket", "azure": "azure_container"}[request.param])
