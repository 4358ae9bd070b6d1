"""Servers of object storage on this machine, each in an environment of its own, which `make extras` installs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from boto3.s3.transfer import TransferConfig

from ports import free_port
from support.paths import ROOT

PART = 5 << 20  # bytes of a part: the smallest that S3 takes
_PATIENCE = 60  # seconds until a server answers
_AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # as published
)


class _Served:
    """A server on a port of its own, from the beginning to the end of a ``with``.

    Args:
        folder: where it logs.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / f"{type(self).__name__}.log"
        self.process: subprocess.Popen | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """The command that starts the server; its program is what may be missing."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the server and wait until it answers; the test is skipped if it is not installed."""
        command = self.command()
        if not Path(command[0]).exists():
            pytest.skip(f"{command[0]} is not there (make extras; azurite needs npm)")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self.log.parent)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                httpx.get(self.endpoint, timeout=_PATIENCE)
                return
            except httpx.TransportError:
                waits = self.process.poll() is None and time.monotonic() < deadline
                assert waits, f"does not answer: {self.log.read_text()}"
                time.sleep(0.1)

    def kill(self) -> None:
        """End the server, as a machine that dies."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.kill()


class S3(_Served):
    """moto's server, and what the tests do there as the owner of everything."""

    def command(self) -> list[str]:
        return [str(ROOT / ".local" / "moto" / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]

    def _client(self, service: str) -> Any:
        owner = {"aws_access_key_id": "owner-of-all", "aws_secret_access_key": "owner-of-all"}
        return boto3.client(service, endpoint_url=self.endpoint, region_name="us-east-1", **owner)

    @cached_property
    def client(self) -> Any:
        return self._client("s3")

    def bucket(self, name: str, versioned: bool = True) -> Bucket:
        """Create a bucket."""
        self.client.create_bucket(Bucket=name)
        if versioned:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return Bucket(self, name)

    def connection(self, login: str = "owner-of-all", password: str = "owner-of-all", **extra: Any) -> str:
        """An Airflow connection, as the JSON that AIRFLOW_CONN_… takes."""
        extra = {"endpoint_url": self.endpoint, "region_name": "us-east-1"} | extra
        return json.dumps({"conn_type": "aws", "login": login, "password": password, "extra": extra})

    def user(self, name: str, *actions: str) -> str:
        """Create a user with the right to some actions, such as ``s3:GetObject``; return its connection."""
        iam = self._client("iam")
        iam.create_user(UserName=name)
        if actions:
            statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return self.connection(key["AccessKeyId"], key["SecretAccessKey"])

    @contextmanager
    def checking_rights(self) -> Iterator[None]:
        """As long as it lasts, the server asks who is asking; not even the owner has a right that no policy gives."""
        self._free_requests(0)
        try:
            yield
        finally:
            self._free_requests(1 << 60)

    def _free_requests(self, count: int) -> None:
        httpx.post(f"{self.endpoint}/moto-api/reset-auth", content=str(count)).raise_for_status()


class Bucket:
    """A bucket, and its objects by key."""

    def __init__(self, store: S3, name: str) -> None:
        self.store = store
        self.client = store.client
        self.name = name
        self.url = f"s3://streamflow_s3@{name}"  # as streamflow_fs may name it

    def put(self, key: str, content: bytes) -> None:
        """Write an object, or overwrite it."""
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def put_in_parts(self, key: str, path: Path) -> None:
        """Write an object from a file, in parts as large files are sent."""
        config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
        self.client.upload_file(str(path), self.name, key, Config=config)

    def deliver(self, folder: Path) -> None:
        """Write each file of a folder, and of those in it, under its path below that folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(path.relative_to(folder).as_posix(), path.read_bytes())

    def delete(self, key: str) -> None:
        """Delete an object; a versioned bucket keeps its versions."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def versions(self, key: str) -> list[str]:
        """The ids of an object's versions, the newest first."""
        found = self.client.list_object_versions(Bucket=self.name, Prefix=key).get("Versions", [])
        return [one["VersionId"] for one in found if one["Key"] == key]


class Azure(_Served):
    """azurite's blob service."""

    def command(self) -> list[str]:
        program = ROOT / ".local" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
        options = ["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        return [str(program), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), *options]

    def _connection_string(self, key: str) -> str:
        account = "devstoreaccount1"  # as published
        return (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
            f"BlobEndpoint={self.endpoint}/{account};"
        )

    @cached_property
    def client(self) -> BlobServiceClient:
        return BlobServiceClient.from_connection_string(self._connection_string(_AZURITE_KEY))

    def container(self, name: str) -> Container:
        """Create a container."""
        self.client.create_container(name)
        return Container(self, name)

    def connection(self, key: str = _AZURITE_KEY) -> str:
        """An Airflow connection, as the JSON that AIRFLOW_CONN_… takes."""
        return json.dumps({"conn_type": "wasb", "extra": {"connection_string": self._connection_string(key)}})


class Container:
    """A container, and its blobs by name."""

    def __init__(self, store: Azure, name: str) -> None:
        self.store = store
        self.client = store.client.get_container_client(name)
        self.name = name
        self.url = f"abfs://streamflow_azure@{name}"  # as streamflow_fs may name it

    def put(self, key: str, content: bytes) -> None:
        """Write a blob, or overwrite it."""
        self.client.upload_blob(key, content, overwrite=True)

    def deliver(self, folder: Path) -> None:
        """Write each file of a folder, and of those in it, under its path below that folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(path.relative_to(folder).as_posix(), path.read_bytes())

    def delete(self, key: str) -> None:
        """Delete a blob."""
        self.client.delete_blob(key)


def forget_clients() -> None:
    """Forget the clients that Airflow and fsspec keep for each connection, with what they have listed."""
    from airflow.sdk.io import store
    from fsspec import AbstractFileSystem

    store._STORE_CACHE.clear()
    for kind in AbstractFileSystem.__subclasses__():
        kind.clear_instance_cache()


def peak_memory() -> int:
    """The most memory, in bytes, that this process ever had."""
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10
