"""How tools print errors: as lines of text, never as a traceback."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator

from streamflow.refusal import Refusal, TaskEnded, raised_in_sql, wrap


@contextlib.contextmanager
def tables_told() -> Iterator[None]:
    """If the tables that are imported inside are not valid, print why and exit with 1."""
    try:
        yield
    except Refusal as error:
        print(*lines_of(error), sep="\n", file=sys.stderr)
        sys.exit(1)


def errors_told(main: Callable[[list[str]], int]) -> Callable[[list[str]], int]:
    """Decorate a tool's main function: an error that a user can act on is printed, and the exit code is 1."""

    @functools.wraps(main)
    def wrapper(args: list[str]) -> int:
        try:
            return main(args)
        except Exception as error:
            import psycopg
            from airflow.sdk.exceptions import AirflowException

            if not isinstance(error, Refusal | psycopg.Error | AirflowException | OSError):
                raise
            print(*lines_of(error), sep="\n", file=sys.stderr)
            return 1

    return wrapper


def lines_of(error: object) -> list[str]:
    """Return an error as lines that fit a screen; if the database cannot be reached, also what to do."""
    import psycopg

    if isinstance(error, TaskEnded):
        error = error.refusal
    elif isinstance(error, psycopg.errors.RaiseException):
        error = raised_in_sql(error)
    elif isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedFunction):
        error = Refusal(
            "The database does not have the schema that this version of the package needs.",
            to_do="run a month, which installs it or says why it cannot. If the pipeline does not own the database, "
            "its owner installs it: make schema",
        )
    elif isinstance(error, psycopg.OperationalError):
        said = str(error).strip() or type(error).__name__
        error = Refusal(
            "The connection streamflow_db cannot be used:",
            *(f"    {line.strip()}" for line in said.splitlines()),
            to_do="start the database, or correct the connection: AIRFLOW_CONN_STREAMFLOW_DB "
            "(docs/deployment.md, Settings)",
        )
    if isinstance(error, Refusal):
        return error.lines
    return wrap(f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error))
