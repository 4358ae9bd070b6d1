"""What an earlier version has left behind."""

from __future__ import annotations

import re

import pytest

import embedded
from support.database import Database
from support.environment import WORK
from support.paths import FIXTURES


@pytest.fixture(scope="module")
def without_roles():
    """A server that has none of the roles, as the embedded PostgreSQL of a checkout."""
    server = embedded.start(WORK / "without_roles", fsync="off", synchronous_commit="off", full_page_writes="off")
    yield server
    server.cleanup()


@pytest.fixture
def earlier(edition, upgrade, request, monkeypatch):
    """The restored database, as the earlier version left it."""
    name, dump, user = f"streamflow_{edition}", (FIXTURES / f"{edition}.sql").read_text(), "streamflow_ingest"
    if upgrade == "prepare, without roles":
        server, user = request.getfixturevalue("without_roles"), "postgres"
        dump = re.sub(r"^(ALTER .* OWNER TO|GRANT|REVOKE) .*;$", "", dump, flags=re.MULTILINE)
    else:
        server = request.getfixturevalue("server")
        request.getfixturevalue("schema")  # which makes the roles
    database = Database(embedded.uri(server, name, user=user), first_month="2024-01")
    embedded.sql(server, dump, name)
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", database.uri)
    yield database
    database.close()
    embedded.sql(server, f"drop database {name} with (force);")
