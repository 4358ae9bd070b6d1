"""A folder, or a URL of an object store: where deliveries lie, and where archives go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamflow.refusal import RUN_AGAIN, Refusal

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

PACKAGES = {
    "s3": "requirements-s3.txt",
    "s3a": "requirements-s3.txt",
    "gs": "Airflow's provider for Google and gcsfs",
    "abfs": "requirements-azure.txt",
    "abfss": "requirements-azure.txt",
}
"""What has the packages for URLs of a scheme."""
_FILE = "file://"


def is_url(text: str) -> bool:
    """Return whether a text is the URL of a store, ``s3://bucket/landing``, and not the path of a folder."""
    return "://" in text and not text.startswith(_FILE)


def below(root: str, name: str) -> str:
    """Return the path or URL of what is below a folder or a URL."""
    return f"{root.rstrip('/')}/{name}"


def without_credentials(text: str) -> str:
    """Return a URL as it may be shown: without what is before an ``@``, which some take for user and password."""
    scheme, mark, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}" if mark else text


def place_of(text: str) -> Path | ObjectStoragePath:
    """Return what a path or a URL names.

    Call it from a task: nothing of fsspec may be touched before a fork, as its thread would be missing afterwards.

    Args:
        text: a folder, or ``s3://connection@bucket/path`` as Airflow writes it; without a connection, the provider
            finds the credentials (``aws_default``, the environment, the machine's role).

    Raises:
        Refusal: if the packages for such URLs are not installed, or there is no such connection.
    """
    if not is_url(text):
        return Path(text.removeprefix(_FILE))
    from airflow.sdk import BaseHook, ObjectStoragePath
    from airflow.sdk.exceptions import AirflowNotFoundException

    scheme = text.partition("://")[0]
    try:
        place = ObjectStoragePath(text)
        if place.conn_id:  # Amazon's hook would only warn, and try without credentials
            BaseHook.get_connection(place.conn_id)
        _ = place.fs
    except AirflowNotFoundException:
        raise Refusal(
            f"{without_credentials(text)} cannot be reached.",
            "Expected the Airflow connection that the URL names before its @.",
            "Found no connection of that name.",
            to_do=f"add the connection, or correct the URL, then {RUN_AGAIN}",
        ) from None
    except (ImportError, ValueError) as error:
        packages = PACKAGES.get(scheme)
        raise Refusal(
            f"{without_credentials(text)} cannot be reached.",
            f"Expected a folder, or a URL that begins with {', '.join(f'{one}://' for one in PACKAGES)}.",
            f"Found one for which no packages are installed ({type(error).__name__}).",
            to_do=f"install {packages} where Airflow runs (docs/deployment.md), then {RUN_AGAIN}"
            if packages
            else f"correct the path of the connection streamflow_fs, then {RUN_AGAIN}",
        ) from None
    return place


def filesystem_of(place: Any) -> Any:
    """Return the fsspec file system of a URL, and forget what it remembers of listings.

    Otherwise it would not see objects that came after the last look.
    """
    place.fs.invalidate_cache()
    return place.fs
