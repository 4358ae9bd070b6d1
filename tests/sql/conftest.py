"""What an earlier version has left behind, and new databases for those that need many."""

from __future__ import annotations

import re

import pytest

import embedded
from support import servers
from support.database import Database
from support.environment import WORK
from support.paths import FIXTURES


@pytest.fixture(scope="session")
def without_roles():
    """A server that has none of the roles, as the embedded PostgreSQL of a checkout."""
    server = embedded.start(WORK / "without_roles", **servers.SETTINGS)
    yield server
    servers.stop(server)


@pytest.fixture(scope="session")
def restored() -> set[tuple[str, str]]:
    """Which editions have been restored, on which server: into a database of which each test gets a copy."""
    return set()


@pytest.fixture
def earlier(edition, upgrade, restored, request, monkeypatch):
    """The restored database, as the earlier version left it."""
    name, dump, user = f"streamflow_{edition}", (FIXTURES / f"{edition}.sql").read_text(), "streamflow_ingest"
    if upgrade == "prepare, without roles":
        server, user = request.getfixturevalue("without_roles"), "postgres"
        dump = re.sub(r"^(ALTER .* OWNER TO|GRANT|REVOKE) .*;$", "", dump, flags=re.MULTILINE)
    else:
        server = request.getfixturevalue("server")
        request.getfixturevalue("schema")  # which makes the roles
    if (edition, user) not in restored:
        embedded.uri(server, f"{name}_template")
        embedded.sql(server, dump, f"{name}_template")
        restored.add((edition, user))
    database = Database(servers.create(server, name, f"{name}_template", user), first_month="2024-01")
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", database.uri)
    yield database
    database.close()
    servers.drop(server, name)


@pytest.fixture
def fresh_database(server, schema):
    """Gives a new database at every call; one connection each."""
    made = []

    def make() -> Database:
        drop()
        made.append(Database(servers.create(server, "streamflow_property", schema)))
        return made[-1]

    def drop() -> None:
        while made:
            made.pop().close()
            servers.drop(server, "streamflow_property")

    yield make
    drop()
