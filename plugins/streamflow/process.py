"""What this process is, by its command line."""

from __future__ import annotations

import sys


def is_airflow(*command: str) -> bool:
    """Whether it was started as ``airflow COMMAND …``: ``is_airflow("dags", "test")``."""
    return tuple(sys.argv[1 : 1 + len(command)]) == command
