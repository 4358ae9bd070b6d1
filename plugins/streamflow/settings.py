"""What a deployment can set: section ``[streamflow]`` of Airflow's configuration, ``AIRFLOW__STREAMFLOW__…``."""

from __future__ import annotations

from pathlib import Path

from airflow.providers.common.compat.sdk import conf

SECTION = "streamflow"
SAMPLES = 5  # values shown of each kind of fault


def retry_delay() -> int:
    """Seconds between two tries of a task."""
    return conf.getint(SECTION, "retry_delay", fallback=60)


def settle_seconds() -> int:
    """Seconds for which a delivered file must have been left alone."""
    return conf.getint(SECTION, "settle_seconds", fallback=60)


def poke_interval() -> int:
    """Seconds between two looks for a delivery."""
    return conf.getint(SECTION, "poke_interval", fallback=60)


def wait_timeout() -> int:
    """Seconds until a delivery that does not come fails its month."""
    return conf.getint(SECTION, "wait_timeout", fallback=14 * 24 * 3600)


def seal_within_days() -> float:
    """Days after which a month whose run was queued is late if it is not sealed."""
    return conf.getfloat(SECTION, "seal_within_days", fallback=5.0)


def max_file_bytes() -> int:
    """Size from which on a delivered file is taken for a mistake and not read; about ten million users."""
    return conf.getint(SECTION, "max_file_bytes", fallback=2 * 1024**3)


def shows_values() -> bool:
    """Whether logs, XComs and reports may show a few of the delivered values."""
    return conf.getboolean(SECTION, "show_values", fallback=True)


def reports_folder() -> Path:
    """Folder of the Data Docs, one page per month and table, and of the lists of bad cells."""
    default = Path(conf.get("logging", "base_log_folder")).parent / "data_docs"
    return Path(conf.get(SECTION, "data_docs", fallback=None) or default)


def report_path(as_of: str, name: str) -> Path:
    """Return the path of a month's report, in a folder a month."""
    return reports_folder() / as_of / name


def sample(values: list[str]) -> str:
    """Return ``, for example …`` with a few of ``values``; nothing if there are none or they may not be shown."""
    return ", for example " + ", ".join(values[:SAMPLES]) if values and shows_values() else ""
