"""The results, as text, JSON, and a plot."""

from __future__ import annotations

import json
from collections.abc import Iterable
from statistics import median
from typing import Any

from common import WORK

TITLES = {
    "floor": "psql floor, one connection",
    "floor_2": "psql floor, two connections, keys after 1st load",
    "package": "this package: airflow dags test, whole",
    "beside": "the package of BESIDE, whole",
    "database": "  its load + upsert + snapshot + seal, in tasks",
    "net": "  the same less that of empty tasks",
    "server": "  the same, the server's own seconds",
    "validate": "  its validation, import left out",
    "rules": "hand-written rules, one query per table",
    "baseline": "pandas script that it replaces",
    "dlt": "dlt: load and merge only",
    "dbt": "psql COPY, then dbt build",
    "empty": "as many empty SQL tasks, airflow dags test",
}


def write(found: dict[str, Any]) -> None:
    """Write everything to ``.local/bench/results.json``; keep existing results of other modes."""
    path = WORK / "results.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | found, indent=1) + "\n")


def seconds(result: dict[str, Any]) -> dict[str, float]:
    """Return the rows of a month's table: the contenders' seconds, and the parts of the package's."""
    found = {}
    for name in TITLES:
        if name in result:
            found[name] = result[name]["seconds"]
        if name == "package" and name in result:
            package = result[name]
            found |= {
                "database": package["database_seconds"],
                "net": package["database_seconds"] - package["database_tasks"] * result["empty"]["seconds_in_a_task"],
                "server": package["database_server_seconds"],
                "validate": package["validate_without_import_seconds"],
            }
    return found


def grid(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return aligned text: the first column left, the others right."""
    cells = [list(head), *([as_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def as_cell(value: Any) -> str:
    """Return a value as text: seconds with one or two decimals, None as empty."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def months_table(result: dict[str, Any]) -> str:
    """Return the table for one size and month."""
    rows = []
    took = seconds(result)
    for name, value in took.items():
        of = [value / took[base] if base in took else None for base in ("floor", "rules", "baseline")]
        measured = result.get(name, {})
        rows.append([TITLES[name], value, *of, *map(measured.get, ("peak_mb", "cpu_seconds", "server_seconds"))])
    head = ("", "seconds", "x floor", "x rules", "x script", "peak MB", "client CPU s", "server s")
    return f"{result['users']:,} users, month {result['month']}\n" + grid(head, rows)


def later_months_tables(results: list[dict[str, Any]]) -> list[str]:
    """Return a table for each size with more than two months: medians over the months after the first."""
    tables = []
    for users in dict.fromkeys(result["users"] for result in results):
        took = [seconds(result) for result in results if result["users"] == users][1:]
        if len(took) < 2 or "package" not in took[0]:
            continue
        rows = [
            [TITLES[name], median(one[name] for one in took), median(one["package"] / one[name] for one in took)]
            for name in took[0]
        ]
        title = f"{users:,} users, medians of months 2 to {len(took) + 1}; the package against each of the same month"
        tables.append(f"{title}\n{grid(('', 'seconds', 'package x'), rows)}")
    return tables


def steps_table(results: list[dict[str, Any]], name: str = "package") -> str:
    """Return the steps of this package, or of the one in BESIDE, with one column per size and month."""
    packages = [result[name] for result in results]
    steps = list(dict.fromkeys(step for package in packages for step in package["steps"]))
    rows = [["start-up", *(one["startup_seconds"] for one in packages)]]
    for step in steps:
        rows.append([step, *(one["steps"].get(step) for one in packages)])
        if step == "validate":
            rows.append(["  of which import of GX", *(one["gx_import_seconds"] for one in packages)])
            rows.append(["  at the server", *(one["server_steps"].get(step) for one in packages)])
    rows.append(["between tasks", *(one["between_tasks_seconds"] for one in packages)])
    rows.append(["shut-down", *(one["shutdown_seconds"] for one in packages)])
    rows.append(["whole", *(one["seconds"] for one in packages)])
    if name == "package":
        rows += empty_rows(results)
    head = ("seconds", *(f"{result['users']:,} / {result['month']}" for result in results))
    title = TITLES[name].partition(":")[0].partition(",")[0]
    title = title[0].upper() + title[1:]
    return f"{title}, each step summed over its tasks (users / month)\n" + grid(head, rows)


def empty_rows(results: list[dict[str, Any]]) -> list[list[Any]]:
    """Return the time of Airflow and Great Expectations by themselves, with one column per size and month."""
    rows = [["import of GX alone", *(result["import_gx_seconds"] for result in results)]]
    rows.append(["empty tasks: start-up", *(result["empty"]["startup_seconds"] for result in results)])
    rows.append(["empty tasks: shut-down", *(result["empty"]["shutdown_seconds"] for result in results)])
    rows.append(["empty tasks: whole", *(result["empty"]["seconds"] for result in results)])
    rows.append(["an empty task, inside", *(result["empty"]["seconds_in_a_task"] for result in results)])
    rows.append(["an empty task, start to start", *(result["empty"]["seconds_a_task"] for result in results)])
    return rows


def memory_table(results: list[dict[str, Any]]) -> str:
    """Return the peak memory of the package's tasks, with one column per size and month."""
    packages = [result["package"] for result in results]
    steps = list(dict.fromkeys(step for package in packages for step in package["peak_mb_steps"]))
    rows = [[step, *(one["peak_mb_steps"].get(step) for one in packages)] for step in steps]
    head = ("MB", *(f"{result['users']:,} / {result['month']}" for result in results))
    note = "Peak memory of the process while a task ran, including all earlier imports (users / month)\n"
    return note + grid(head, rows)


def rules_note(results: list[dict[str, Any]]) -> str:
    """Return how many rules the hand-written queries check, and where the suites have a different number."""
    from common import ROOT

    counts = results[0]["rules"]["rules"]
    other = []
    for table, count in counts.items():
        suite = json.loads((ROOT / "include" / "tables" / table / "expectations.json").read_text())
        if len(suite["expectations"]) != count:
            other.append(f"{table} {len(suite['expectations'])}, by hand {count}")
    note = f"The hand-written queries check {sum(counts.values())} rules"
    return note + (f"; NOT THE SUITES' NUMBER: {'; '.join(other)}." if other else ", as many as the suites.")


def text(found: dict[str, Any]) -> str:
    """Return everything that was measured in this run, as tables."""
    parts = []
    if results := found.get("results"):
        parts += [months_table(result) for result in results]
        parts += later_months_tables(results)
        if "package" in results[0]:
            parts += [steps_table(results), memory_table(results)]
        if "beside" in results[0]:
            parts.append(steps_table(results, "beside"))
        if "rules" in results[0]:
            parts.append(rules_note(results))
    if history := found.get("history"):
        parts.append(history_table(history))
    parts += [scheduler_table(found[name]) for name in ("scheduler", "scheduler_beside") if name in found]
    return "\n\n".join(["", *parts])


def history_table(history: dict[str, Any]) -> str:
    """Return the steps of chosen months: the first two, then every sixth, and the last."""
    months = history["months"]
    shown = [one for one in months if one["month"] <= 2 or one["month"] % 6 == 0 or one is months[-1]]
    steps = list(dict.fromkeys(step for one in months for step in one["steps"]))
    rows = [[step, *(one["steps"].get(step) for one in shown)] for step in steps]
    rows.append(["load + upsert + snapshot + seal", *(one["database_seconds"] for one in shown)])
    rows.append(["at the server", *(one["server_seconds"] for one in shown)])
    head = ("seconds", *(f"month {one['month']}" for one in shown))
    return f"{len(months)} months of {history['users']:,} users, in one process\n" + grid(head, rows)


def scheduler_table(scheduler: dict[str, Any]) -> str:
    """Return the runs under a real scheduler, the month's and the empty ones, and what the others took."""
    rows = [
        [f"{run['dag']}, {run['what']}", run["seconds"], run.get("in_tasks"), run.get("tasks"), run["peak_mb"]]
        for run in scheduler["runs"]
    ]
    head = ("real scheduler, LocalExecutor", "seconds", "sum in tasks", "tasks", "peak MB")
    month, empty = (
        median(run["seconds"] for run in scheduler["runs"] if run["dag"] == dag and run["what"].startswith("month"))
        for dag in ("streamflow_monthly_ingest", "empty_month")
    )
    return (
        f"{scheduler['users']:,} users, {scheduler['checkout']}\n{grid(head, rows)}\n"
        f"Medians: the month {month:.1f} s, empty tasks {empty:.1f} s, ratio {month / empty:.2f}"
    )


def plot(found: dict[str, Any]) -> None:
    """Plot seconds by size, with one panel per month, to ``.local/bench/results.png``."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    results = found["results"]
    sizes = sorted({result["users"] for result in results})
    months = sorted({result["month"] for result in results})
    colors = dict(zip(TITLES, mpl.colormaps["tab20"].colors, strict=False))  # the same in every panel
    figure, panels = plt.subplots(1, len(months) + 1, figsize=(6 * (len(months) + 1), 5), squeeze=False)
    for panel, month in zip(panels[0], months, strict=False):
        rows = {result["users"]: seconds(result) for result in results if result["month"] == month}
        for name in dict.fromkeys(name for row in rows.values() for name in row):
            dots = ":" if TITLES[name].startswith(" ") else "-"
            marks = {"linestyle": dots, "marker": ".", "color": colors[name]}
            panel.plot(sizes, [rows[size].get(name) for size in sizes], label=TITLES[name].strip(), **marks)
        panel.set(title=f"month {month}", xlabel="users", ylabel="seconds", xscale="log", yscale="log")
        panel.grid(visible=True, alpha=0.3)
    memory = panels[0][-1]
    for name in (name for name in TITLES if name in results[0]):
        peaks = [max(r[name]["peak_mb"] for r in results if r["users"] == size) for size in sizes]
        memory.plot(sizes, peaks, marker=".", color=colors[name])
    memory.set(title="peak memory of the client", xlabel="users", ylabel="MB", xscale="log", yscale="log")
    memory.grid(visible=True, alpha=0.3)
    figure.legend(*panels[0][0].get_legend_handles_labels(), fontsize=8, ncols=4, loc="lower center")
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    figure.savefig(WORK / "results.png", dpi=80)
