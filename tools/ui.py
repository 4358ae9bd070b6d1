"""Run Airflow's API server, scheduler, dag-processor, and triggerer on localhost, until Ctrl-C; `make ui`.

Logs (``logs/ui-*.log``) and the password go to .local, or to the folder in the first argument.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(sys.argv[1]) if sys.argv[1:] else ROOT / ".local"
LOGS = Path(os.path.relpath(FOLDER / "logs"))  # as the messages name it
PASSWORDS = FOLDER / "ui-passwords.json"
PORT = os.environ.get("PORT", "8080")
SERVICES = {
    "api-server": ["api-server", "--host", "127.0.0.1", "--port", PORT],
    # logs are read from files; servers that serve them to other machines would listen on all addresses
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


def main() -> int:
    """Start the services, print where they are, and stop them at the end; return the exit code."""
    if wrong := what_is_wrong():
        print(wrong, file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    if not PASSWORDS.exists():
        PASSWORDS.touch(mode=0o600)
        PASSWORDS.write_text(json.dumps({"admin": secrets.token_urlsafe(12)}))
    os.environ |= {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(PASSWORDS),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{PORT}/execution/",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{PORT}",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    }
    # there is a triggerer, so a waiting month does not have to start a task for every check
    os.environ.setdefault("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "True")
    os.environ.setdefault("AIRFLOW__STREAMFLOW__SEAL_WITHIN_DAYS", "5")
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda *_: sys.exit(0))
    processes = {}
    try:
        for name, command in SERVICES.items():
            with (LOGS / f"ui-{name}.log").open("ab") as log:
                processes[name] = subprocess.Popen(
                    ["airflow", *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
                )
        print(f"Starting; logs in {LOGS}/ui-*.log …", flush=True)
        wait_until_up(processes)
        subprocess.run(
            ["airflow", "dags", "unpause", "streamflow_monthly_ingest", "--yes"], check=True, capture_output=True
        )
        password = json.loads(PASSWORDS.read_text())["admin"]
        print(f"http://127.0.0.1:{PORT}   user admin, password {password}   (Ctrl-C stops)", flush=True)
        while all(process.poll() is None for process in processes.values()):
            time.sleep(1)
        ended = [name for name, process in processes.items() if process.poll() is not None]
        print(f"{', '.join(ended)} ended unexpectedly: see {LOGS}/ui-{ended[0]}.log", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        stop(processes)


def what_is_wrong() -> str:
    """Return in one line what keeps the services from starting; empty if nothing does."""
    if len(sys.argv) > 2:
        return "usage: [PORT=8081] make ui"
    if not PORT.isdecimal() or not 0 < int(PORT) < 65536:
        return f"PORT must be a number from 1 to 65535; found {PORT!r}."
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
        try:
            one.bind(("127.0.0.1", int(PORT)))
        except OSError:
            return f"Port {PORT} is taken. Choose another: PORT={int(PORT) % 65535 + 1} make ui"
    return ""


def wait_until_up(processes: dict[str, subprocess.Popen]) -> None:
    """Wait until the API server answers and Airflow knows the DAG.

    Raises:
        SystemExit: if a service ends, or two minutes have passed.
    """
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for name, process in processes.items():
            if process.poll() is not None:
                sys.exit(f"{name} did not start: see {LOGS}/ui-{name}.log")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api/v2/version", timeout=5):
                known = subprocess.run(
                    ["airflow", "dags", "details", "streamflow_monthly_ingest"], capture_output=True, check=False
                )
                if known.returncode == 0:
                    return
        except OSError:
            pass
        time.sleep(1)
    sys.exit(f"not up after two minutes: see {LOGS}/ui-*.log")


def stop(processes: dict[str, subprocess.Popen]) -> None:
    """Stop the services and everything that they started: each has its own process group."""
    for signal_number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
        for process in processes.values():
            try:
                os.killpg(process.pid, signal_number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience
        for process in processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue


if __name__ == "__main__":
    sys.exit(main())
