"""Settings of a deployment: section ``[streamflow]`` of Airflow's configuration, ``AIRFLOW__STREAMFLOW__…``."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook, conf

from streamflow import month_folder as folder_names
from streamflow.plain import show
from streamflow.refusal import RETRY_POLICY, RUN_AGAIN, Refusal

SECTION = "streamflow"
FIRST_MONTH = "2024-01"  # if the variable is not set
SAMPLES = 5  # values shown per finding
LEAVE_OUT, REFUSE = "leave_out", "refuse"  # what happens to erased users who are delivered


def first_month() -> str:
    """The first month that has a delivery, ``YYYY-MM``: the Airflow variable ``streamflow_first_month``.

    Its folder has the number 000.

    Call it from a task, or from a program that may read Airflow's metadata; never while a DAG is parsed.
    """
    from airflow.sdk import Variable

    return Variable.get("streamflow_first_month", default=FIRST_MONTH)


def month_folder() -> str:
    """Naming pattern of month folders: a name with ``{number}``, counted from the first month, or ``{month}`` in it.

    Raises:
        Refusal: if the setting is not such a pattern.
    """
    pattern = conf.get(SECTION, "month_folder", fallback=folder_names.DEFAULT)
    if not folder_names.is_pattern(pattern):
        raise Refusal(
            "The setting [streamflow] month_folder (AIRFLOW__STREAMFLOW__MONTH_FOLDER) is not a valid pattern.",
            f"Expected {folder_names.EXPECTED}.",
            f"Found {show(pattern)}.",
            to_do=f"set it, for example to {folder_names.DEFAULT} (month_000) or {{month}} (2024-01), then {RUN_AGAIN}",
        )
    return pattern


def retry_delay() -> int:
    """Seconds between two attempts of a task."""
    return conf.getint(SECTION, "retry_delay", fallback=60)


def default_args() -> dict[str, Any]:
    """Return the ``default_args`` of every DAG: the owner, and how often, when, and after which failures to retry."""
    return {
        "owner": "streamflow",
        "retries": 2,
        "retry_delay": timedelta(seconds=retry_delay()),
        "retry_policy": RETRY_POLICY,
    }


def settle_seconds() -> int:
    """A delivered file must not have been modified for this many seconds."""
    return conf.getint(SECTION, "settle_seconds", fallback=60)


def poke_interval() -> int:
    """Seconds between two checks for a delivery."""
    return conf.getint(SECTION, "poke_interval", fallback=60)


def wait_timeout() -> int:
    """Seconds to wait for a delivery before the month fails."""
    return conf.getint(SECTION, "wait_timeout", fallback=14 * 24 * 3600)


def seal_within_days() -> float | None:
    """Days after its run was queued when an unsealed month counts as late; None, the default: never.

    If it is set, ``airflow dags test`` cannot end a run (apache/airflow#73428).
    """
    return conf.getfloat(SECTION, "seal_within_days", fallback=0.0) or None


def asks() -> bool:
    """Whether the gate asks a person if there is something to decide. If not, it fails."""
    return conf.getboolean(SECTION, "ask", fallback=True)


def four_eyes() -> bool:
    """Whether a second person has to approve a restatement: also with ``restate``, and not who started the run."""
    return conf.getboolean(SECTION, "four_eyes", fallback=False)


def approval_timeout() -> float | None:
    """Seconds to wait for a person's answer before the month fails; None, the default: it waits."""
    return conf.getfloat(SECTION, "approval_timeout", fallback=0.0) or None


def max_file_bytes() -> int:
    """Largest size of a delivered file, in bytes; the default is enough for about ten million users."""
    return conf.getint(SECTION, "max_file_bytes", fallback=2 * 1024**3)


def shows_values() -> bool:
    """Whether logs, XComs, and reports may show a few of the delivered values.

    Off by default: they are values of real people, seen by more people than the tables, and kept where an erasure
    cannot reach. ``env.sh``, for one person's machine, turns it on.
    """
    return conf.getboolean(SECTION, "show_values", fallback=False)


def erased_users() -> str:
    """What happens if a file has rows of erased users: ``leave_out`` (they are not loaded) or ``refuse`` (nothing is).

    Raises:
        Refusal: if the setting has another value.
    """
    said = conf.get(SECTION, "erased_users", fallback=LEAVE_OUT)
    if said not in (LEAVE_OUT, REFUSE):
        raise Refusal(
            "The setting [streamflow] erased_users (AIRFLOW__STREAMFLOW__ERASED_USERS) is not valid.",
            f"Expected {LEAVE_OUT} or {REFUSE}.",
            f"Found {show(said)}.",
            to_do=f"set it to one of them, then {RUN_AGAIN}",
        )
    return said


def reports_folder() -> Path:
    """Folder of the Data Docs, and of the lists of bad cells and of changes in sealed months.

    There is one page per database, month, and table.
    """
    default = Path(conf.get("logging", "base_log_folder")).parent / "data_docs"
    return Path(conf.get(SECTION, "data_docs", fallback=None) or default)


def training_sets_folder() -> Path:
    """Folder that the DAG ``streamflow_training_set`` writes its files to, one folder per database."""
    default = Path(conf.get("logging", "base_log_folder")).parent / "training_sets"
    return Path(conf.get(SECTION, "training_sets", fallback=None) or default)


def archive() -> str:
    """Where sealed snapshots are archived, one folder per database: a path, or ``s3://conn_id@bucket/archive``."""
    default = str(Path(conf.get("logging", "base_log_folder")).parent / "archive")
    said = conf.get(SECTION, "archive", fallback=None) or default
    return said.rstrip("/") if "://" in said else str(Path(said).absolute())


def keep_months() -> int | None:
    """How many of the newest sealed months stay in the database when they are archived; None, the default: all.

    Raises:
        Refusal: if it is negative.
    """
    said = conf.getint(SECTION, "keep_months", fallback=0)
    if said < 0:
        raise Refusal(
            "The setting [streamflow] keep_months (AIRFLOW__STREAMFLOW__KEEP_MONTHS) is not a number of months.",
            "Expected 1 or more, or 0 to keep all months in the database.",
            f"Found {said}.",
            to_do="correct it",
        )
    return said or None


def training_horizon() -> int:
    """Months from the features to the label, in the sets that the DAG ``streamflow_training_set`` builds."""
    return conf.getint(SECTION, "training_horizon", fallback=1)


def report_path(conn_id: str, as_of: str, name: str) -> Path:
    """Return the path of a month's report, in a folder for each database and month."""
    return reports_folder() / database_folder(conn_id) / as_of / name


def database_folder(conn_id: str) -> str:
    """Return the name of a database's own folder: its name and a short hash of its address.

    So databases that share the folder of reports or training sets do not overwrite each other's files. It contains no
    user name and no password.
    """
    connection = BaseHook.get_connection(conn_id)
    # like in PostgresHook, the extra takes precedence
    said = {"host": connection.host, "port": connection.port, "dbname": connection.schema} | connection.extra_dejson
    database = said["dbname"] or connection.login or "postgres"
    address = f"{said['host'] or ''}:{said['port'] or 5432}/{database}"
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', database)}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"


def remove_reports(conn_id: str, as_of: str, table: str) -> None:
    """Remove the reports of earlier attempts on a month's table, so that no one takes them for this attempt's."""
    for name in (f"{table}.html", f"{table}.bad_cells.csv"):
        report_path(conn_id, as_of, name).unlink(missing_ok=True)


def sample(values: list[str]) -> str:
    """Return ``, for example …`` with a few delivered values; empty if there are none or they must not be shown."""
    return ", for example " + ", ".join(map(show, values[:SAMPLES])) if values and shows_values() else ""
