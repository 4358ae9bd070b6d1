"""Who is erased: a keyed hash of each user, and the rows of erased users that a delivery still has."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from streamflow import settings
from streamflow.refusal import RUN_AGAIN, Refusal, count
from streamflow.tables import Table
from streamflow.templating import render

CONN_ID = "streamflow_erasure_key"
_SHORTEST = 32  # characters of a key

_BUCKET = 4  # hex digits

_IN_BUCKETS = """
select user_id from {}
where substring(encode(sha256(%s::bytea || convert_to(user_id, 'UTF8')), 'hex') for %s) = any(%s)
"""


class Key:
    """The secret with which users are hashed. It never reaches the database.

    Args:
        secret: the key as text.
    """

    def __init__(self, secret: str) -> None:
        self._begun = hmac.new(secret.encode(), digestmod=hashlib.sha256)
        self.fingerprint = self.hash("streamflow: fingerprint of the key").hex()[:16]
        """Tells this key from others, and nothing about it."""
        self.salt = self.hash("streamflow: salt of the buckets")
        """What the buckets are made with. The database sees it; the key cannot be computed from it."""

    def hash(self, user: str) -> bytes:
        """Return a user's HMAC-SHA256."""
        begun = self._begun.copy()
        begun.update(user.encode())
        return begun.digest()

    def bucket(self, user: str) -> str:
        """Return one of 65,536 buckets, which the database can compute faster than Python can hash all users."""
        return hashlib.sha256(self.salt + user.encode()).hexdigest()[:_BUCKET]

    def hash_of_list(self, users: Iterable[str]) -> str:
        """Return the hash of a list of users, whatever their order: tells whether it is the same list."""
        begun = self._begun.copy()
        for user in sorted({*users}):
            begun.update(self.hash(user))
        return begun.hexdigest()

    def __repr__(self) -> str:
        return f"Key({self.fingerprint})"


def read_key() -> Key:
    """Return the key: the password of the connection ``streamflow_erasure_key``.

    Raises:
        Refusal: if there is none, or if it is too short.
    """
    try:
        secret = BaseHook.get_connection(CONN_ID).password or ""
    except AirflowNotFoundException:
        secret = ""
    if len(secret) < _SHORTEST:
        raise Refusal(
            f"The connection {CONN_ID} has no key.",
            f"Expected a secret of at least {_SHORTEST} characters as its password.",
            f"Found {f'one of {len(secret)}' if secret else 'none'}.",
            to_do=f"set AIRFLOW_CONN_{CONN_ID.upper()} to the key that users were erased with, or to a new secret if "
            "no one was erased yet (docs/erasure.md, The key)",
        )
    return Key(secret)


def leave_out(cursor: Any, as_of: str, table: Table, name: str) -> int:
    """Remove the rows of erased users from a staged table; return how many there were.

    Without erased users this is one query. With some, the database finds the users in their buckets, and only those are
    hashed, here: so the key never reaches the database, nor its logs.

    Args:
        cursor: of the load's transaction, after the file was recorded.
        as_of: the month.
        table: the table.
        name: the file, for messages.

    Raises:
        Refusal: if there is no key or another one, so that someone could come back unnoticed; or if the setting
            ``erased_users`` is ``refuse`` and the file has erased users.
    """
    from psycopg import sql

    erased = cursor.execute(render("parts/erased_users.sql"), {"month": as_of}).fetchall()
    if not erased:
        return 0
    key = read_key()
    assert_same_key(key, {fingerprint for *_, fingerprint in erased})
    hashes, buckets = {bytes(user_hash) for user_hash, *_ in erased}, sorted({bucket for _, bucket, _ in erased})
    candidates = sql.SQL(_IN_BUCKETS).format(sql.Identifier("staging", table.staged(as_of)))
    found = cursor.execute(candidates, (key.salt, _BUCKET, buckets)).fetchall()
    users = [user for (user,) in found if key.hash(user) in hashes]
    if users and settings.erased_users() == settings.REFUSE:
        raise Refusal(
            f"{name} has {count(len(users), 'row')} of erased users.",
            "Expected none (AIRFLOW__STREAMFLOW__ERASED_USERS is refuse).",
            "Nothing was loaded.",
            to_do=f"deliver the file without them (make erase lists the files that have them), then {RUN_AGAIN}",
        )
    if not users:
        return 0
    (suppressed,) = cursor.execute("select staging.suppress(%s, %s, %s)", (as_of, table.name, users)).fetchone()
    return suppressed


def assert_same_key(key: Key, fingerprints: Collection[str]) -> None:
    """Raise a Refusal if users were erased with another key."""
    if {*fingerprints} - {key.fingerprint}:
        raise Refusal(
            f"The connection {CONN_ID} has another key than the one that users were erased with.",
            f"Expected the key with the fingerprint {', '.join(sorted(fingerprints))}.",
            f"Found {key.fingerprint}.",
            "With it, no erased user would be recognized.",
            to_do=f"set AIRFLOW_CONN_{CONN_ID.upper()} to that key (docs/erasure.md, The key)",
        )
