"""What an object store's errors mean, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from streamflow.places import without_credentials
from streamflow.plain import printable
from streamflow.refusal import RUN_AGAIN, NotYet, Refusal


class _Meaning(NamedTuple):
    """What a store means.

    Attributes:
        codes: its codes: S3's and Azure's words, and the HTTP status where that is all it says.
        found: what was found.
        to_do: what to do.
    """

    codes: frozenset[str]
    found: str
    to_do: str


_MEANINGS = (
    _Meaning(
        frozenset(("NoSuchBucket", "InvalidBucketName", "ContainerNotFound", "AccountNotFound")),
        "Found no such bucket.",
        "correct the URL, or create the bucket",
    ),
    _Meaning(
        frozenset(
            ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "RequestTimeTooSkewed")
        ),
        "Found that the credentials have expired, or that this machine's clock is wrong.",
        "renew the credentials in the Airflow connection that the URL names",
    ),
    _Meaning(
        frozenset(
            (
                *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthFailure", "UnrecognizedClient"),
                *("AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"),
                *("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "RefreshError"),
                *("ClientAuthenticationError", "CredentialUnavailableError", "401"),
            )
        ),
        "Found credentials that it does not accept, or none.",
        "correct the Airflow connection that the URL names (s3://connection@bucket/path)",
    ),
    _Meaning(
        frozenset(
            (
                *("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"),
                *("TemporaryRedirect", "Redirect", "301", "307"),
            )
        ),
        "Found that the bucket is in another region.",
        "give the Airflow connection that the URL names the bucket's region (region_name)",
    ),
    _Meaning(
        frozenset(
            (
                *("AccessDenied", "AllAccessDisabled", "InvalidObjectState", "PermissionError", "403"),
                *("AuthorizationPermissionMismatch", "AuthorizationFailure", "InsufficientAccountPermissions"),
            )
        ),
        "Found no right to do this.",
        "grant the user of the connection the right to list the bucket and to read its objects, and for an archive "
        "also to write and delete them",
    ),
)


@contextmanager
def storage_errors(place: Any) -> Iterator[None]:
    """Say what an error of an object store means; of a folder of this machine, an error stays what it is.

    Args:
        place: the URL or path that is read or written.

    Raises:
        Refusal: if the store does not let us: no such bucket, no right, another region, wrong or expired credentials.
        NotYet: if it cannot be reached, or has trouble of its own.
        FileNotFoundError: if there is no such object, which the caller expects.
    """
    where = without_credentials(str(place))
    try:
        yield
    except Refusal:
        raise
    except Exception as error:
        chain = list(_chain(error))
        if "://" not in where or not any(_is_the_stores(one) for one in chain):
            raise
        codes = [code for one in reversed(chain) for code in _codes(one) if code]  # the store's own come first
        for meaning in _MEANINGS:
            if code := next((one for one in codes if one in meaning.codes), None):
                raise Refusal(
                    f"{where}:",
                    "Expected to reach it.",
                    meaning.found,
                    f"The store says: {printable(code)}.",
                    to_do=f"{meaning.to_do}, then {RUN_AGAIN}",
                ) from None
        if isinstance(error, FileNotFoundError):
            raise
        raise NotYet(
            f"{where}:",
            "Expected to reach it.",
            f"Found trouble on the way, or in the store itself ({printable(next(iter(codes), type(error).__name__))}).",
        ) from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it: file systems wrap the store's own."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_the_stores(error: BaseException) -> bool:
    """Return whether an error can come from a store or from the way to it, and not from the code around."""
    package = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or package in (
        *("botocore", "aiobotocore", "s3fs", "boto3", "aiohttp", "gcsfs", "google", "adlfs", "azure", "asyncio"),
        *("fsspec", "requests", "urllib3"),
    )


def _codes(error: BaseException) -> Iterator[str]:
    """Yield what an error calls itself: the store's code, the HTTP status, the names of its classes."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        said = response.get("Error", {})
        yield str(said.get("Code", ""))
        yield str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    for name in ("error_code", "code", "status", "status_code"):
        value = getattr(error, name, None)
        if isinstance(value, str | int):
            yield str(value)
    yield from (kind.__name__ for kind in type(error).__mro__ if not issubclass(OSError, kind))
