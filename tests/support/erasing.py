"""Users who are erased and readmitted, as `make erase` and `make readmit` do it, and a search for what is left."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from streamflow.approval import Approval
from streamflow.erase import Erased
from streamflow.erase import erase as erase_users
from streamflow.erase import readmit as readmit_users
from support.database import Database

KEY = "a key of the tests, which is long enough"
APPROVAL = Approval("officer", dt.datetime(2026, 11, 26, tzinfo=dt.UTC), "request 17")


def use(database: Database, monkeypatch: Any, key: str = KEY) -> Database:
    """Let the connections name this database and this key."""
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", database.uri)
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_ERASURE_KEY", f'{{"conn_type": "generic", "password": "{key}"}}')
    return database


def erase(*users: str, approval: Approval = APPROVAL) -> Erased:
    return erase_users("streamflow_db", [*users], approval, "erasure of a test")


def readmit(*users: str) -> tuple[int, str]:
    return readmit_users("streamflow_db", [*users], "officer", "a new contract")


def found_anywhere(database: Database, users: Iterable[str]) -> list[tuple[str, str]]:
    """Where in the database a user's id is: relation and user. It looks through all columns of all tables."""
    relations = database.query_as_admin(
        "select oid::regclass::text from pg_class where relkind in ('r', 'm') and relnamespace in "
        "('public'::regnamespace, 'staging'::regnamespace)"
    )
    each = " union all ".join(
        f"select '{relation}', row_text from {relation} as one cross join lateral (select one::text as row_text)"
        for (relation,) in relations
    )
    return database.query_as_admin(
        f"select distinct relation, user_id from ({each}) as held (relation, row_text) "
        "inner join unnest(%s::text[]) as user_id on strpos(row_text, user_id) > 0 order by 1, 2",
        [*users],
    )
