"""Prepare the databases of docker-compose.yaml, or bring them up to date; the service `init`.

There are two databases on one server: `airflow` for Airflow's metadata, owned by the role of that name, and
`streamflow` for the data, with the roles of include/sql/roles.sql. Each role can connect only to its own database. It
runs as the server's administrator (PGHOST, PGUSER, PGPASSWORD), at every start. So after a change of passwords in .env,
or of the schema's version, `docker compose up` is enough.
"""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
from psycopg import sql

import install_schema

PASSWORDS = {
    "airflow": "AIRFLOW_DB_PASSWORD",
    "streamflow_ingest": "STREAMFLOW_INGEST_PASSWORD",
    "streamflow_reader": "STREAMFLOW_READER_PASSWORD",
}


def make_databases(admin: psycopg.Connection) -> None:
    """Create the databases and the role that do not exist yet, and let only the owners connect."""
    if admin.execute("select to_regrole('airflow')").fetchone() == (None,):
        admin.execute("create role airflow login")
    found = {name for (name,) in admin.execute("select datname from pg_database")}
    if "airflow" not in found:
        admin.execute("create database airflow owner airflow")
    if "streamflow" not in found:
        # PostgreSQL's own sort order for text: keys are faster, and a new image's C library cannot change the order
        admin.execute("create database streamflow template template0 locale_provider builtin locale 'C.UTF-8'")
    for database in ("airflow", "postgres", "template1"):
        admin.execute(sql.SQL("revoke connect on database {} from public").format(sql.Identifier(database)))


def set_password(admin: psycopg.Connection, role: str, password: str) -> None:
    """Set it like psql's own command does: the server and its logs see only the verifier, not the password."""
    verifier = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    admin.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), verifier.decode()))


def main(args: list[str]) -> int:
    """Prepare both databases; return the exit code."""
    missing = [variable for variable in PASSWORDS.values() if not os.environ.get(variable)]
    if args or missing:
        print("usage: init_stack.py" if args else f"Not set: {', '.join(missing)}.", file=sys.stderr)
        return 2
    try:
        with psycopg.connect("dbname=postgres", autocommit=True) as admin:
            make_databases(admin)
            install_schema.install("dbname=streamflow")
            for role, variable in PASSWORDS.items():
                set_password(admin, role, os.environ[variable])
    except psycopg.Error as error:
        print(f"The databases could not be prepared: {error}", file=sys.stderr)
        return 1
    print("Databases, roles and StreamFlow's schema are up to date; Airflow's metadata:", flush=True)
    return subprocess.run(["airflow", "db", "migrate"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
