"""Install the roles and the schema, or their newest version, into a database; `make schema DATABASE=postgresql://…`.

The database must exist, and the user in the URI must be allowed to create roles (a superuser, or the administrator of a
managed server). Everything happens in one transaction.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import tables_told

with tables_told():
    from streamflow.templating import render
from streamflow.refusal import Refusal


def install(uri: str) -> None:
    """Run ``roles.sql``, and ``schema.sql`` as streamflow_owner.

    Raises:
        psycopg.Error: if the database cannot be reached, the user does not have the rights, or the existing tables
            cannot become those of include/tables; then nothing has changed.
        Refusal: if the migrations are not numbered without gaps.
    """
    with psycopg.connect(uri) as connection:
        connection.add_notice_handler(_print_warning)
        connection.execute("set local lock_timeout = '1min'")  # rather fail and retry than block every reader
        connection.execute(render("roles.sql"))
        connection.execute("set local role streamflow_owner")
        connection.execute(render("schema.sql"))


def _print_warning(notice: psycopg.errors.Diagnostic) -> None:
    """Print what the database warns of, such as a role that it could not change."""
    if notice.severity_nonlocalized == "WARNING":
        print(f"Warning: {notice.message_primary}\n{notice.message_hint or ''}".rstrip(), file=sys.stderr)


def main(args: list[str]) -> int:
    """Install, or print what is wrong; return the exit code."""
    if len(args) != 1 or not args[0].startswith("postgres"):
        print("usage: make schema DATABASE=postgresql://admin:password@host:5432/streamflow", file=sys.stderr)
        return 2
    try:
        install(args[0])
    except (psycopg.Error, Refusal) as error:
        print(f"Nothing was installed: {error}", file=sys.stderr)
        return 1
    print(
        "Installed. Give streamflow_ingest and streamflow_reader passwords (psql: \\password streamflow_ingest), and "
        "use streamflow_ingest in the connection streamflow_db."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
