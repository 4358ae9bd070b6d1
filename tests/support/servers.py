"""The tests' PostgreSQL, and databases on it that come and go by the hundred."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

# what the server holds need not outlive a crash, and nothing replicates it
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
_admins: dict[str, psycopg.Connection] = {}


def admin(server) -> psycopg.Connection:
    """The administrator's connection to a server, which is kept: to start psql takes longer than to make a database."""
    socket = str(server.get_postmaster_info().socket_dir)
    if socket not in _admins or _admins[socket].closed:
        _admins[socket] = psycopg.connect(f"postgresql://postgres@/postgres?host={socket}", autocommit=True)
    return _admins[socket]


def stop(server) -> None:
    """Stop a server."""
    if connection := _admins.pop(str(server.get_postmaster_info().socket_dir), None):
        connection.close()
    server.cleanup()


def create(server, name: str, template: str, user: str = "streamflow_ingest") -> str:
    """Create a database as a copy of another one; return its URI for ``user``."""
    connection = admin(server)
    connection.execute(f"create database {name} template {template}")
    return f"postgresql://{user}@/{name}?host={connection.info.host}"


def drop(server, name: str) -> None:
    """Drop a database, whoever is connected to it."""
    admin(server).execute(f"drop database if exists {name} with (force)")


@contextmanager
def copied(server, name: str, template: str, user: str = "streamflow_ingest") -> Iterator[str]:
    """A database as a copy of another one, as long as it is needed; its URI for ``user``."""
    yield create(server, name, template, user)
    drop(server, name)
