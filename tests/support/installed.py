"""Programs in environments of their own, which do not install beside Airflow, or do not have to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT


def installed(name: str, *requirements: str | Path) -> Path:
    """The Python of the environment .local/<name>; it is made if it is not there.

    Args:
        name: of the environment.
        requirements: arguments of ``uv pip install``.
    """
    python = ROOT / ".local" / name / "bin" / "python"
    uv = ROOT / ".local" / "uv" / "bin" / "uv"
    try:
        if not python.exists():
            subprocess.run([uv, "venv", "-q", "--python", sys.executable, ROOT / ".local" / name], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, *requirements], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the environment .local/{name} could not be installed: {error}")
    return python


def run(*command: str | Path, **environment: str) -> str:
    """Run a command in an environment that knows nothing of Airflow; return what it printed."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    done = subprocess.run(command, env=settings | environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
