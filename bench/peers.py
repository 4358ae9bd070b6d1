"""Other tools that do the same work, or part of it: the script that the package replaces, dlt, and dbt."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import BENCH, ROOT, WORK, Delivery, Server, clean_environment, measure
from floor import Floor

from streamflow.tables import TABLES

UV = ROOT / ".local" / "uv" / "bin" / "uv"


def environment(name: str) -> Path:
    """Return the program folder of a peer's own virtual environment; create it if needed."""
    folder = WORK / f"venv-{name}"
    wanted = BENCH / "peers" / f"requirements-{name}.txt"
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted.read_text():
        print(f"Installing {name} ({folder.relative_to(ROOT)}) …", flush=True)
        subprocess.run([UV, "venv", "-q", "--allow-existing", "--python", sys.executable, folder], check=True)
        command = [UV, "pip", "install", "-q", "--compile-bytecode", "--python", folder / "bin" / "python"]
        subprocess.run([*command, "-r", wanted], check=True)
        shutil.copy(wanted, installed)
    return folder / "bin"


class Baseline(Floor):
    """The pandas script (``baseline.py``) on the floor's live tables and one unpartitioned snapshot table each."""

    name = "baseline"
    title = "pandas script"

    def __init__(self, server: Server, users: int) -> None:
        super().__init__(server, users)
        self.uri = f"postgresql+psycopg2://postgres@/{self.database}?host={server.socket}"
        for table in TABLES.values():
            server.sql(
                f"drop table {table.snapshots}; "
                f"create table {table.snapshots} (like {table.name}, as_of date, primary key (user_id, as_of));",
                self.database,
            )

    def month(self, delivery: Delivery, previous: Delivery | None) -> dict[str, Any]:
        """Run it for a month."""
        return measure(
            f"{self.database}-{delivery.number}",
            *(sys.executable, BENCH / "baseline.py", self.uri, delivery.folder, delivery.as_of),
            env=clean_environment(GX_ANALYTICS_ENABLED="false"),
        )


class Dlt:
    """dlt's load and merge, which neither validates nor takes snapshots."""

    name = "dlt"
    title = "dlt, load and merge only"

    def __init__(self, server: Server, users: int) -> None:
        self.programs = environment("dlt")
        self.database = f"bench_{self.name}_{users}"
        server.create(self.database)
        self.uri = f"postgresql://postgres:none@localhost/{self.database}?host={server.socket}"
        self.folder = WORK / "dlt" / str(users)
        shutil.rmtree(self.folder, ignore_errors=True)

    def month(self, delivery: Delivery, previous: Delivery | None) -> dict[str, Any]:
        """Run the pipeline for a month."""
        return measure(
            f"{self.database}-{delivery.number}",
            *(self.programs / "python", BENCH / "peers" / "dlt_month.py", self.uri, delivery.folder, self.folder),
            env=clean_environment(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="WARNING"),
        )


class Dbt(Floor):
    """psql's COPY into raw tables, then `dbt build`: merge models, tests, snapshots by comparison."""

    name = "dbt"
    title = "dbt build after psql's COPY"

    def __init__(self, server: Server, users: int) -> None:
        self.programs = environment("dbt")
        super().__init__(server, users)  # its live tables define the types of the raw ones
        server.sql("alter schema staging rename to raw;", self.database)
        self.project = WORK / "dbt" / str(users)
        shutil.rmtree(self.project, ignore_errors=True)
        shutil.copytree(BENCH / "peers" / "dbt", self.project)

    def month(self, delivery: Delivery, previous: Delivery | None) -> dict[str, Any]:
        """Copy the files and build."""
        load = self.sql("load", delivery, "", *TABLES).replace("staging.", "raw.")
        copied = self.script(f"{delivery.number}-copy", load, delivery)()
        built = measure(
            f"{self.database}-{delivery.number}",
            *(self.programs / "dbt", "build", "--project-dir", self.project, "--profiles-dir", self.project),
            env=clean_environment(
                BENCH_SOCKET=self.server.socket,
                BENCH_DATABASE=self.database,
                DBT_SEND_ANONYMOUS_USAGE_STATS="false",
            ),
        )
        return {
            "seconds": copied["seconds"] + built["seconds"],
            "peak_mb": max(copied["peak_mb"], built["peak_mb"]),
            "cpu_seconds": copied["cpu_seconds"] + built["cpu_seconds"],
            "steps": {"copy": copied["seconds"], "build": built["seconds"]},
        }
