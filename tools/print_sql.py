"""Print the SQL that a task of the month runs: `make sql TASK=snapshot TABLE=users MONTH=2024-01-31`.

Exits with 2 if there is no such task or table, or the month is not a month end.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from console import tables_told

with tables_told():
    from streamflow.tables import TABLES
    from streamflow.templating import SQL_FOLDER, render_task
from streamflow import settings
from streamflow.months import Month
from streamflow.refusal import Refusal

TASKS = sorted(path.stem for path in (SQL_FOLDER / "tasks").glob("*.sql"))
PER_TABLE = ("stage", "snapshot", "upsert")


def main(task: str, table: str, month: str, restate: str) -> int:
    """Print the statements, or what is wrong; return the exit code."""
    if task not in TASKS or (table not in TABLES if task in PER_TABLE else table and table not in TABLES):
        print(
            "usage: make sql TASK=snapshot TABLE=users MONTH=2024-01-31 [RESTATE=true]\n"
            f"TASK is one of {', '.join(TASKS)}; {', '.join(PER_TABLE)} need a TABLE.\n"
            f"TABLE is one of {', '.join(TABLES)}.",
            file=sys.stderr,
        )
        return 2
    try:
        folder = Month.parse(month).folder(settings.FIRST_MONTH, settings.month_folder())
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 2
    run: dict[str, Any] = {"run_id": "manual__by_make_sql", "restate": restate == "true", "folder": folder}
    print(render_task(f"tasks/{task}.sql", month, TABLES.get(table), **run))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
