"""What all contenders share: the deliveries, the bench's server, and measuring a command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"
WORK = ROOT / ".local" / "bench"
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "plugins")]

import embedded
from streamflow.months import Month

FIRST_MONTH = "2024-01"


class Failed(Exception):
    """A measured command failed; the message says which, and where its output is."""


@dataclass(frozen=True)
class Delivery:
    """A month folder of the bench.

    Attributes:
        number: 0 for the first month.
        folder: where its files are.
    """

    number: int
    folder: Path

    @property
    def month(self) -> Month:
        """The month that it is for."""
        return Month.of_folder(self.folder.name, FIRST_MONTH)

    @property
    def as_of(self) -> str:
        """Its last day."""
        return str(self.month)

    def header(self, table: str) -> list[str]:
        """The columns of a table's file."""
        with (self.folder / f"{table}.csv").open() as file:
            return file.readline().strip().split(",")


def deliveries(users: int, months: int, first: str = FIRST_MONTH) -> list[Delivery]:
    """Return the months' deliveries; if they do not exist, generate them in a separate process."""
    folder = WORK / f"deliveries-{users}x{months}-{first}"
    found = [Delivery(number, folder / f"month_{number:03d}") for number in range(months)]
    if not (found[-1].folder / "labels.csv").exists():
        print(f"Generating {months} months of {users:,} users …", flush=True)
        command = [sys.executable, ROOT / "tools" / "generate_deliveries.py", folder]
        subprocess.run([*command, "--users", str(users), "--months", str(months), "--first", first], check=True)
    return found


def measure(name: str, *command: Any, env: dict[str, str] | None = None, cwd: Path | None = None) -> dict[str, float]:
    """Run a command to its end and return its wall seconds, CPU seconds and peak memory.

    Args:
        name: of the log that takes its output, and its result, in ``.local/bench/logs``.
        command: program and arguments.
        env: its whole environment; by default that of this process.
        cwd: its working directory.

    Raises:
        Failed: if it exits with anything but 0.
    """
    return start(name, *command, env=env, cwd=cwd)()


def start(name: str, *command: Any, env: dict[str, str] | None = None, cwd: Path | None = None):
    """Start a command like ``measure``; return a function that waits for its end and returns the figures."""
    logs = WORK / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    result, log = logs / f"{name}.json", logs / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", BENCH / "measure.py", result, *map(str, command)],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    def finish() -> dict[str, float]:
        if process.wait():
            raise Failed(f"{name} failed; the end of {log}:\n{log.read_text()[-2000:]}")
        return json.loads(result.read_text())

    return finish


class Server:
    """The bench's PostgreSQL, in ``.local/bench/postgres``, with the same settings as that of `make run`."""

    def __init__(self) -> None:
        self.postgres = embedded.start(WORK / "postgres")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: Any) -> None:
        self.postgres.cleanup()

    @property
    def psql(self) -> Path:
        """The program psql."""
        return self.postgres.bin_path / "psql"

    @property
    def socket(self) -> str:
        """The folder of its socket."""
        return str(self.postgres.get_postmaster_info().socket_dir)

    def settings(self) -> dict[str, str]:
        """All settings that differ from PostgreSQL's defaults, and its version."""
        rows = self.sql(
            "select name, current_setting(name) from pg_settings "
            "where source in ('configuration file', 'command line') order by name;"
        )
        found = dict(row.split("|", 1) for row in rows.splitlines())
        return {"version": self.sql("show server_version;").strip()} | found

    def sql(self, text: str, database: str = "postgres") -> str:
        """Run statements with psql and return what they print."""
        return embedded.sql(self.postgres, text, database)

    def create(self, database: str, template: str = "", driver: str = "") -> str:
        """Create a database, replacing an old one, and return its URI."""
        self.drop(database)
        return embedded.uri(self.postgres, database, driver, template)

    def drop(self, database: str) -> None:
        """Drop a database if it exists."""
        self.sql(f"drop database if exists {database} with (force);")

    def a_month_passes(self, database: str) -> None:
        """Do what the server does by itself in the weeks between two months, so that it does not do it in the next."""
        self.sql("vacuum analyze;", database)
        self.sql("checkpoint;")

    def active_seconds(self, database: str) -> float:
        """Return for how many seconds statements have run in a database since it was created."""
        return float(self.sql(f"select active_time / 1000 from pg_stat_database where datname = '{database}';"))


def clean_environment(**extra: Any) -> dict[str, str]:
    """Return this environment without variables that affect results, with the checkout's programs first, and more."""
    not_kept = ("AIRFLOW", "PG", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(not_kept)}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    return kept | {"PATH": path} | {name: str(value) for name, value in extra.items()}
