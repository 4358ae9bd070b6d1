"""What the pages read from the data's database: read-only, and for a limited time."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from typing import Any

from streamflow.templating import render

log = logging.getLogger(__name__)

CONNECTIONS = ("streamflow_reader_db", "streamflow_db")  # the first that there is
CONNECT_TIMEOUT = 5  # seconds
STATEMENT_TIMEOUT = 15  # seconds

Row = dict[str, Any]
Query = Callable[..., list[Row]]
"""``query("sealed")``, ``query("revisions", as_of)``: the rows of a file of ``include/sql/pages/``."""


class UnavailableError(Exception):
    """The database cannot be read; the message may be shown, and says nothing of its address."""


class NothingLoadedError(Exception):
    """The database has no schema: nothing was ever loaded into it."""


@contextmanager
def reading() -> Iterator[Query]:
    """Open a connection for a page; what the page reads is one state of the database.

    Raises:
        UnavailableError: if the database cannot be reached, takes too long, or has another version's schema.
        NothingLoadedError: if it has no schema.
    """
    import psycopg
    from psycopg.rows import dict_row

    name, connection = _find_connection()
    try:
        with closing(_connect(connection)) as opened:
            opened.execute(
                "set default_transaction_read_only = on; set default_transaction_isolation = 'repeatable read'; "
                f"set statement_timeout = '{STATEMENT_TIMEOUT}s'; set lock_timeout = '{STATEMENT_TIMEOUT}s'"
            )
            opened.commit()

            def query(page: str, *parameters: Any) -> list[Row]:
                with psycopg.RawCursor(opened, row_factory=dict_row) as cursor:
                    return cursor.execute(render(f"pages/{page}.sql"), parameters).fetchall()

            (installed,) = query("installed")
            if not installed["has_ledger"]:
                raise NothingLoadedError
            yield query
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction):
        raise UnavailableError(
            "The database does not have the schema that this version of the package needs. Run a month, which "
            "installs it, or install it as the database's owner: make schema"
        ) from None
    except psycopg.errors.QueryCanceled:
        raise UnavailableError(f"The database took longer than {STATEMENT_TIMEOUT} s to answer.") from None
    except psycopg.errors.InsufficientPrivilege as error:
        log.error("Pages cannot be read with the connection %s: %s", name, error)
        raise UnavailableError(f"The user of the connection {name} may not read the ledger.") from None
    except psycopg.OperationalError as error:
        log.error("Pages cannot be read with the connection %s: %s", name, error)
        raise UnavailableError(f"The database of the connection {name} cannot be reached.") from None


def _find_connection() -> tuple[str, Any]:
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models.connection import Connection

    for name in CONNECTIONS:
        try:
            connection = Connection.get_connection_from_secrets(name)
        except AirflowNotFoundException:
            continue
        if connection.conn_type:  # compose passes an empty one on
            return name, connection
    raise UnavailableError(f"There is no connection {' or '.join(CONNECTIONS)}.")


def _connect(connection: Any) -> Any:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    patient = deepcopy(connection)
    patient.set_extra(json.dumps({"connect_timeout": CONNECT_TIMEOUT} | patient.extra_dejson))
    return PostgresHook(connection=patient).get_conn()
