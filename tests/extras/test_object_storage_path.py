"""What the package relies on, and guards against, in Airflow's ObjectStoragePath and the clients that are pinned."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from airflow.sdk import ObjectStoragePath
from azure.core.exceptions import HttpResponseError
from botocore.exceptions import EndpointConnectionError
from s3fs.utils import FileExpired

from ports import free_port
from support.paths import ROOT

KEY = "month_000/users.csv"
BLOCK = 1 << 16
LONG = 20 * BLOCK
OLD, NEW = b"o" * LONG, b"n" * LONG


def path_of(bucket, key: str = KEY) -> ObjectStoragePath:
    return ObjectStoragePath(bucket.url) / key


def opened(path: ObjectStoragePath, block_size: int = BLOCK):
    return path.fs.open(path.path, "rb", block_size=block_size)


def rest_of(file) -> bytes:
    return b"".join(iter(lambda: file.read(BLOCK), b""))


def test_a_path_hides_neither_bucket_nor_connection(s3_bucket):
    path = path_of(s3_bucket)
    assert (str(path), path.path) == (f"{s3_bucket.url}/{KEY}", f"{s3_bucket.name}/{KEY}")
    assert (path.protocol, path.conn_id, path.bucket, path.key) == ("s3", "streamflow_s3", s3_bucket.name, KEY)


# --- What changes while it is read ------------------------------------------------------------------------------------


def test_s3_reads_one_version_or_says_that_it_is_gone(s3_bucket):
    s3_bucket.put(KEY, OLD)
    file = opened(path_of(s3_bucket))
    assert file.read(10) == OLD[:10]
    s3_bucket.put(KEY, NEW)
    with pytest.raises(FileExpired) as raised:
        rest_of(file)
    assert isinstance(raised.value, OSError)
    assert raised.value.filename is None


def test_s3_does_not_say_that_what_was_read_ahead_is_gone(s3_bucket):
    s3_bucket.put(KEY, OLD)
    path = path_of(s3_bucket)
    file = opened(path, block_size=LONG)
    assert file.read(10) == OLD[:10]
    s3_bucket.put(KEY, NEW)
    assert rest_of(file) == OLD[10:]
    now = path.fs.info(path.path, refresh=True)
    assert file.details["ETag"] != now["ETag"]
    assert [now["VersionId"], file.details["VersionId"]] == s3_bucket.versions(KEY)


def test_azure_mixes_versions_without_a_word(azure_container):
    azure_container.put(KEY, OLD)
    path = path_of(azure_container)
    file = opened(path)
    first = file.read(10)
    azure_container.put(KEY, NEW)
    content = first + rest_of(file)
    assert (len(content), {*content}) == (LONG, {*b"on"})
    assert file.details["etag"] != path.fs.info(path.path, refresh=True)["etag"]


def test_azure_counts_a_copy_of_the_same_bytes_as_new(azure_container):
    azure_container.put(KEY, OLD)
    path = path_of(azure_container)
    before = path.fs.info(path.path, refresh=True)["etag"]
    azure_container.put(KEY, OLD)
    assert before != path.fs.info(path.path, refresh=True)["etag"]


def test_s3_finds_no_file_when_it_vanishes(s3_bucket):
    s3_bucket.put(KEY, OLD)
    file = opened(path_of(s3_bucket))
    file.read(10)
    s3_bucket.delete(KEY)
    with pytest.raises(FileNotFoundError) as raised:
        rest_of(file)
    assert raised.value.filename is raised.value.strerror is None  # the message is all that there is


def test_the_etag_of_an_object_in_parts_is_no_checksum(s3_bucket, tmp_path):
    (tmp_path / "users.csv").write_bytes(b"1" * (6 << 20))
    s3_bucket.put_in_parts(KEY, tmp_path / "users.csv")
    path = path_of(s3_bucket)
    assert path.fs.info(path.path)["ETag"].endswith('-2"')
    assert rest_of(opened(path)) == b"1" * (6 << 20)


# --- What was listed --------------------------------------------------------------------------------------------------


def test_a_listing_hides_what_comes_after_it(bucket):
    bucket.put("month_000/labels.csv", b"user_id\n")
    path = path_of(bucket)
    path.fs.ls(path.parent.path)
    bucket.put(KEY, OLD)
    with pytest.raises(FileNotFoundError):
        path.fs.info(path.path)
    path.fs.invalidate_cache()
    assert path.fs.info(path.path)["size"] == LONG


def test_no_listing_is_kept_if_the_file_system_is_told(bucket):
    bucket.put("month_000/labels.csv", b"user_id\n")
    path = path_of(bucket)
    path.fs.dircache.use_listings_cache = False
    path.fs.ls(path.parent.path)
    bucket.put(KEY, OLD)
    assert path.fs.info(path.path)["size"] == LONG
    bucket.delete(KEY)
    assert not path.exists()


def test_storage_options_do_not_reach_the_file_system(s3_bucket):
    path = ObjectStoragePath(s3_bucket.url, use_listings_cache=False)
    assert path.fs.dircache.use_listings_cache


def test_only_the_store_says_when_it_was_written(bucket):
    bucket.put(KEY, OLD)
    path = path_of(bucket)
    info = path.fs.info(path.path)
    written = info.get("LastModified") or info.get("last_modified")
    assert written.tzinfo
    # Airflow's stat knows S3's name for it, not Azure's
    assert path.stat().st_mtime == (written.timestamp() if "LastModified" in info else 0)


# --- Memory -----------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_object(s3_bucket):
    s3_bucket.put(KEY, b"1" * (100 << 20))
    measure = (
        "import sys; from airflow.sdk import ObjectStoragePath; from support.stores import peak_memory\n"
        "path = ObjectStoragePath(sys.argv[1]); path.fs.info(path.path); before = peak_memory()\n"
        "file = path.fs.open(path.path, 'rb', block_size=8 << 20)\n"
        "print(sum(map(len, iter(lambda: file.read(1 << 16), b''))), peak_memory() - before)"
    )
    command = [sys.executable, "-c", measure, str(path_of(s3_bucket))]
    paths = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'tools'}"}
    said = subprocess.run(command, env=os.environ | paths, check=True, capture_output=True, text=True).stdout
    read, grown = map(int, said.splitlines()[-1].split())
    assert read == 100 << 20
    assert grown < 48 << 20


# --- What cannot be reached -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rights", [(), ("s3:ListBucket",)])
def test_without_the_right_to_read_s3_forbids(s3, s3_bucket, monkeypatch, rights):
    s3_bucket.put(KEY, OLD)
    monkeypatch.setenv("AIRFLOW_CONN_WITHOUT_RIGHT", s3.user(f"{s3_bucket.name}-{len(rights)}", *rights))
    path = ObjectStoragePath(f"s3://without_right@{s3_bucket.name}") / KEY
    with s3.checking_rights(), pytest.raises(PermissionError, match="Forbidden"):
        path.exists()


def test_without_the_right_to_list_s3_forbids_what_is_missing(s3, s3_bucket, monkeypatch):
    s3_bucket.put(KEY, OLD)
    monkeypatch.setenv("AIRFLOW_CONN_GETTER", s3.user(f"{s3_bucket.name}-getter", "s3:GetObject"))
    path = ObjectStoragePath(f"s3://getter@{s3_bucket.name}") / KEY
    with s3.checking_rights():
        assert opened(path).read() == OLD
        with pytest.raises(PermissionError, match="Access Denied"):
            path.with_name("labels.csv").exists()


def test_only_a_listing_says_why_s3_forbids(s3, s3_bucket, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WRONG_KEY", s3.connection(login="AKIAWRONGWRONGWRONG0"))
    path = ObjectStoragePath(f"s3://wrong_key@{s3_bucket.name}") / KEY
    with s3.checking_rights():
        with pytest.raises(PermissionError, match=r"^Forbidden$"):
            path.fs.info(path.path)
        with pytest.raises(PermissionError, match="The AWS Access Key Id you provided does not exist"):
            path.fs.ls(path.parent.path)


def test_azure_forbids_with_an_error_that_is_no_oserror(azure, azure_container, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WRONG_KEY", azure.connection(key="A" * 86 + "=="))
    path = ObjectStoragePath(f"abfs://wrong_key@{azure_container.name}") / KEY
    with pytest.raises(HttpResponseError) as raised:
        path.fs.info(path.path)
    assert (raised.value.status_code, isinstance(raised.value, OSError)) == (403, False)


def test_a_bucket_that_is_not_there_looks_like_a_missing_file(bucket):
    path = ObjectStoragePath(f"{bucket.url}-not-there") / KEY
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        path.fs.info(path.path)


def test_a_folder_has_no_content(bucket):
    bucket.put(KEY, OLD)
    folder = path_of(bucket).parent
    info = folder.fs.info(folder.path)
    assert (info["type"], bool(info["size"])) == ("directory", False)


def test_a_server_that_is_not_there_is_no_oserror(s3, monkeypatch):
    nowhere = f"http://127.0.0.1:{free_port()}"
    # as few tries as possible: the default takes 5 to 13 s
    monkeypatch.setenv(
        "AIRFLOW_CONN_NOWHERE",
        s3.connection(endpoint_url=nowhere, config_kwargs={"retries": {"total_max_attempts": 1}}),
    )
    path = ObjectStoragePath("s3://nowhere@landing") / KEY
    with pytest.raises(EndpointConnectionError) as raised:
        path.exists()
    assert not isinstance(raised.value, OSError)


def test_a_connection_that_is_not_there_is_anonymous_access_to_amazon():
    path = ObjectStoragePath("s3://not_there@landing") / KEY
    assert path.fs.anon
    assert path.fs.endpoint_url is None


def test_a_scheme_whose_provider_is_not_installed_is_a_valueerror():
    with pytest.raises(ValueError, match="No filesystem registered for scheme gs"):
        ObjectStoragePath("gs://not_there@landing").fs  # noqa: B018
