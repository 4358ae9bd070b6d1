"""Measure the month side by side, in one run, interleaved; `make bench`. It prints tables, and writes JSON and a plot.

Environment: USERS (sizes, default 7043 100000 1000000), MONTHS (of a size, default 2), PEERS=1 (also dlt and dbt),
ONLY (names of contenders), BESIDE (another checkout, whose package is also measured), HISTORY=36 (instead: that many
small months), SCHEDULER=1 (instead: a real scheduler against empty tasks; its USERS is one size, by default 7043).
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import sys
from pathlib import Path
from typing import Any

import report
from common import WORK, Delivery, Failed, Server, deliveries
from floor import Floor, FloorOfTwo, Rules
from package import Beside, Package
from peers import Baseline, Dbt, Dlt

SIZES = "7043 100000 1000000"
NAMES = ("floor", "floor_2", "package", "rules", "baseline")
PEERS = ("dlt", "dbt")
BESIDE_SCHEDULER = (Floor, FloorOfTwo, Dlt, Dbt)  # may take turns with it


def chosen() -> tuple[str, ...]:
    """Return the names of the contenders that the environment asks for.

    Raises:
        SystemExit: if a name is unknown.
    """
    names = tuple(os.environ.get("ONLY", "").split()) or NAMES + (PEERS if os.environ.get("PEERS") == "1" else ())
    if unknown := set(names) - {*NAMES, *PEERS}:
        sys.exit(f"ONLY={' '.join(unknown)}: expected some of {', '.join(NAMES + PEERS)}")
    return names


def contenders(server: Server, users: int, months: list[Delivery], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the contenders by name, each with its own empty database, in the order in which they take turns."""
    found = {}
    if "floor" in names or "rules" in names:
        found["floor"] = Floor(server, users)
    if "rules" in names:
        found["rules"] = Rules(found["floor"])
    if "package" in names:
        found["package"] = Package(server, users, months[0].folder.parent)
    if checkout := os.environ.get("BESIDE"):
        found["beside"] = Beside(server, users, months[0].folder.parent, Path(checkout).resolve())
    for kind in (FloorOfTwo, Baseline, Dlt, Dbt):
        if kind.name in names:
            found[kind.name] = kind(server, users)
    return found


def run_size(server: Server, users: int, number: int, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Run all contenders for a number of months, in turns; return one result per month."""
    months = deliveries(users, number)
    racing = contenders(server, users, months, names)
    results = []
    for delivery in months:
        previous = months[delivery.number - 1] if delivery.number else None
        result = {"users": users, "month": delivery.number + 1}
        for name, contender in racing.items():
            print(f"{users:>9,} users, month {delivery.number + 1}: {contender.title:<55}", end="", flush=True)
            result[name] = {"load_before": os.getloadavg()[0]} | contender.month(delivery, previous)
            print(f"{result[name]['seconds']:8.1f} s {result[name]['peak_mb']:7.0f} MB", flush=True)
            if database := getattr(contender, "database", None):
                server.a_month_passes(database)
        if "package" in racing:
            result["empty"] = racing["package"].empty_month(delivery)
            result["import_gx_seconds"] = racing["package"].import_seconds()
        results.append(result)
    for contender in racing.values():
        if database := getattr(contender, "database", None):
            server.drop(database)
        if isinstance(contender, Package):
            contender.close()
    return results


def machine() -> dict[str, Any]:
    """Return what it ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": model[0].partition(": ")[2] if model else platform.processor(),
        "memory_gb": round(memory),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_at_start": os.getloadavg()[0],
        "started": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
    }


def main() -> None:
    """Run what the environment asks for."""
    names = chosen()
    number = int(os.environ.get("MONTHS") or 0)
    WORK.mkdir(parents=True, exist_ok=True)
    with Server() as server:
        found = {"machine": machine(), "server": server.settings()}
        print("machine ", ", ".join(f"{name} {value}" for name, value in found["machine"].items()))
        print("server  ", ", ".join(f"{name} {value}" for name, value in found["server"].items()), "\n", flush=True)
        if os.environ.get("HISTORY"):
            from history import run_history

            found["history"] = run_history(server, int(os.environ["HISTORY"]))
        elif os.environ.get("SCHEDULER"):
            from scheduler import run_scheduler

            users = int(os.environ.get("USERS") or 7043)
            asked_for = names if os.environ.get("ONLY") else ()
            others = {kind.name: kind(server, users) for kind in BESIDE_SCHEDULER if kind.name in asked_for}
            found["scheduler"] = run_scheduler(server, users, number, others)
            for other in others.values():
                server.drop(other.database)
            if checkout := os.environ.get("BESIDE"):
                found["scheduler_beside"] = run_scheduler(server, users, number, {}, Path(checkout).resolve())
        else:
            found["results"] = []
            for users in map(int, (os.environ.get("USERS") or SIZES).split()):
                found["results"] += run_size(server, users, number or 2, names)
                report.write(found)  # keep the results so far, whatever the next size does
    report.write(found)
    if "results" in found:
        report.plot(found)
    print(report.text(found))
    print(f"\nAll figures: {WORK / 'results.json'}; logs beside it")


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"\n{error}")
