"""Great Expectations is imported once, where tasks are forked from, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("component", "executor", "is_imported"),
    [
        ("scheduler", "LocalExecutor", True),
        ("scheduler", "CeleryExecutor", False),
        ("triggerer", "LocalExecutor", False),
        ("dag-processor", "LocalExecutor", False),
    ],
)
def test_great_expectations_is_imported_before_the_fork_and_nowhere_else(component, executor, is_imported):
    start = (
        "import sys; sys.argv = ['airflow', sys.argv[1]]\n"
        "from airflow.listeners.listener import get_listener_manager\n"
        "get_listener_manager().hook.on_starting(component=None)\n"
        "print('great_expectations' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", start, component],
        env=os.environ | {"AIRFLOW__CORE__EXECUTOR": executor},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == str(is_imported)
