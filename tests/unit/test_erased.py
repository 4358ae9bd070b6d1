"""The key with which users are hashed."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from streamflow.erased import Key, assert_same_key, read_key
from streamflow.refusal import Refusal

SECRET = "0123456789abcdef" * 2


def test_a_hash_is_what_anyone_with_the_key_computes():
    key = Key(SECRET)
    for user in ("ann", "Ännä", ""):
        assert key.hash(user) == hmac.new(SECRET.encode(), user.encode(), hashlib.sha256).digest()


def test_a_bucket_is_what_the_database_computes(database):
    key = Key(SECRET)
    computes = "select substring(encode(sha256(%s || convert_to(%s, 'UTF8')), 'hex') for 4)"
    for user in ("ann", "Ännä", "a\\b"):
        assert database.query(computes, key.salt, user) == [(key.bucket(user),)]


def test_a_list_is_the_same_in_any_order_and_with_repetitions():
    key = Key(SECRET)
    assert key.hash_of_list(["ann", "bob"]) == key.hash_of_list(["bob", "ann", "bob"])
    assert key.hash_of_list(["ann", "bob"]) != key.hash_of_list(["ann", "bo", "b"])
    assert key.hash_of_list(["ann"]) != Key(SECRET + "0").hash_of_list(["ann"])


def test_keys_are_told_apart_and_not_shown():
    key, other = Key(SECRET), Key(SECRET + "0")
    assert SECRET not in repr(key)
    assert_same_key(key, {key.fingerprint})
    assert_same_key(key, [])
    with pytest.raises(Refusal, match=f"Found {key.fingerprint}"):
        assert_same_key(key, {key.fingerprint, other.fingerprint})


def test_the_key_is_the_connections_password(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_ERASURE_KEY", f'{{"conn_type": "generic", "password": "{SECRET}"}}')
    assert read_key().fingerprint == Key(SECRET).fingerprint


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_short_key_is_none(monkeypatch, secret):
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_ERASURE_KEY", f'{{"conn_type": "generic", "password": "{secret}"}}')
    with pytest.raises(Refusal, match="has no key") as refused:
        read_key()
    assert "short" not in str(refused.value).replace("at least", "")
