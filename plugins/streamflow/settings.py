"""What a deployment can set: section ``[streamflow]`` of Airflow's configuration, ``AIRFLOW__STREAMFLOW__…``."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from airflow.sdk import BaseHook, conf

from streamflow import month_folder as folder_names
from streamflow.plain import show
from streamflow.refusal import RUN_AGAIN, Refusal

SECTION = "streamflow"
FIRST_MONTH = "2024-01"  # unless the variable says otherwise
SAMPLES = 5  # values shown of each kind of finding


def first_month() -> str:
    """The first month that has a delivery, ``YYYY-MM``: the Airflow variable ``streamflow_first_month``.

    Its folder has the number 000.

    For a task, or a program that has said that it may read Airflow's metadata; never while a DAG is parsed.
    """
    from airflow.sdk import Variable

    return Variable.get("streamflow_first_month", default=FIRST_MONTH)


def month_folder() -> str:
    """How month folders are called: a name with ``{number}``, counted from the first month, or ``{month}`` in it.

    Raises:
        Refusal: if the setting is not such a name.
    """
    pattern = conf.get(SECTION, "month_folder", fallback=folder_names.DEFAULT)
    if not folder_names.is_pattern(pattern):
        raise Refusal(
            "The setting [streamflow] month_folder (AIRFLOW__STREAMFLOW__MONTH_FOLDER) does not name month folders.",
            f"Expected {folder_names.EXPECTED}.",
            f"Found {show(pattern)}.",
            to_do=f"set it, for example to {folder_names.DEFAULT} (month_000) or {{month}} (2024-01), then {RUN_AGAIN}",
        )
    return pattern


def retry_delay() -> int:
    """Seconds between two tries of a task."""
    return conf.getint(SECTION, "retry_delay", fallback=60)


def settle_seconds() -> int:
    """Seconds for which a delivered file must not have been modified."""
    return conf.getint(SECTION, "settle_seconds", fallback=60)


def poke_interval() -> int:
    """Seconds between two looks for a delivery."""
    return conf.getint(SECTION, "poke_interval", fallback=60)


def wait_timeout() -> int:
    """Seconds until a delivery that does not come fails its month."""
    return conf.getint(SECTION, "wait_timeout", fallback=14 * 24 * 3600)


def seal_within_days() -> float | None:
    """Days after which a month whose run was queued is late if it is not sealed; None, the default: it is never late.

    Where it is set, ``airflow dags test`` cannot end a run (apache/airflow#73428).
    """
    return conf.getfloat(SECTION, "seal_within_days", fallback=0.0) or None


def max_file_bytes() -> int:
    """Size from which on a delivered file is taken for a mistake and not read; about ten million users."""
    return conf.getint(SECTION, "max_file_bytes", fallback=2 * 1024**3)


def shows_values() -> bool:
    """Whether logs, XComs and reports may show a few of the delivered values."""
    return conf.getboolean(SECTION, "show_values", fallback=True)


def reports_folder() -> Path:
    """Folder of the Data Docs and of the lists of bad cells and of changes in sealed months.

    There is one page per database, month and table.
    """
    default = Path(conf.get("logging", "base_log_folder")).parent / "data_docs"
    return Path(conf.get(SECTION, "data_docs", fallback=None) or default)


def report_path(conn_id: str, as_of: str, name: str) -> Path:
    """Return the path of a month's report, in a folder for each database and month.

    The database's folder is its name and a short hash of its address, so that databases that share the folder of
    reports do not overwrite each other's. No name of a user and no password is in it.
    """
    connection = BaseHook.get_connection(conn_id)
    # as PostgresHook connects: the extra takes precedence
    said = {"host": connection.host, "port": connection.port, "dbname": connection.schema} | connection.extra_dejson
    database = said["dbname"] or connection.login or "postgres"
    address = f"{said['host'] or ''}:{said['port'] or 5432}/{database}"
    folder = f"{re.sub(r'[^A-Za-z0-9_-]', '_', database)}-{hashlib.sha256(address.encode()).hexdigest()[:8]}"
    return reports_folder() / folder / as_of / name


def remove_reports(conn_id: str, as_of: str, table: str) -> None:
    """Remove what earlier tries of a month have reported on a table: it would be taken for this try's."""
    for name in (f"{table}.html", f"{table}.bad_cells.csv"):
        report_path(conn_id, as_of, name).unlink(missing_ok=True)


def sample(values: list[str]) -> str:
    """Return ``, for example …`` with a few delivered values; nothing if there are none or they may not be shown."""
    return ", for example " + ", ".join(map(show, values[:SAMPLES])) if values and shows_values() else ""
