"""The examples, each in an environment of its own, as their READMEs say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import install_schema
from generate_deliveries import generate
from streamflow.tables import TABLES
from support import servers
from support.builders import FEBRUARY
from support.database import Database
from support.paths import ROOT
from support.sealing import as_admin

EXAMPLES = ROOT / "examples"
MONTHS = ("2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31")


def installed(name: str) -> Path:
    """The Python of an example's environment, in .local/<name>; it is made if it is not there."""
    python = ROOT / ".local" / name / "bin" / "python"
    uv = ROOT / ".local" / "uv" / "bin" / "uv"
    try:
        if not python.exists():
            subprocess.run([uv, "venv", "-q", "--python", sys.executable, ROOT / ".local" / name], check=True)
        requirements = EXAMPLES / name / "requirements.txt"
        subprocess.run([uv, "pip", "install", "-q", "--python", python, "-r", requirements], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the environment of examples/{name} could not be installed: {error}")
    return python


def run(*command: str | Path, **environment: str) -> str:
    """Run a command as streamflow_reader's user would; return what it printed."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    done = subprocess.run(command, env=settings | environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def reader(server, schema, tmp_path_factory) -> str:
    """The URI, for its reader, of a database with five months that have a signal, on a server west of UTC."""
    deliveries = tmp_path_factory.mktemp("deliveries")
    generate(deliveries, users=3000, months=5, seed=1, signal=True)
    with servers.copied(server, "streamflow_examples", schema) as uri:
        install_schema.install(as_admin(uri))  # the roles' time zone is not copied from the template
        database = Database(uri)
        database.run_as_admin("alter database streamflow_examples set timezone to 'America/New_York'")
        for number, month in enumerate(MONTHS):
            folder = deliveries / f"month_{number:03d}"
            database.load_month(
                month, {name: (folder / table.file_name).read_bytes() for name, table in TABLES.items()}
            )
        database.close()
        yield uri.replace("streamflow_ingest@", "streamflow_reader@")


def test_feast_joins_the_rows_of_training_set(reader, tmp_path):
    python = installed("feast")
    connected = psycopg.conninfo.conninfo_to_dict(reader)
    environment = {
        "STREAMFLOW_HOST": connected["host"],
        "STREAMFLOW_DATABASE": connected["dbname"],
        "STREAMFLOW_READER_PASSWORD": "none-is-needed-on-a-socket",
        "STREAMFLOW_FEAST_REGISTRY": str(tmp_path / "registry.db"),
        "STREAMFLOW_FEAST_ONLINE": str(tmp_path / "online.db"),
        "FEAST_USAGE": "False",
    }
    run(python.with_name("feast"), "-c", EXAMPLES / "feast" / "feature_repo", "apply", **environment)
    with psycopg.connect(reader) as connection:
        (rows,) = connection.execute("select count(*) from training_set(%s, 1)", [FEBRUARY]).fetchone()
    compared = run(python, EXAMPLES / "feast" / "compare.py", FEBRUARY, **environment)
    assert compared == f"{rows:,} rows of 26 columns: the same.\n"
    assert rows > 1000


def test_a_leak_promises_more_than_the_model_keeps(reader):
    said = run(installed("churn"), EXAMPLES / "churn" / "train.py", reader)
    assert said.startswith(f"5 months. Test: features of {MONTHS[-2]}, labels of {MONTHS[-1]}.\n")
    scores = {
        name.split(":")[0].strip(): (float(seen), float(true))
        for name, seen, true in re.findall(r"^(label .*?)\s+(0\.\d+)\s+(0\.\d+)$", said, re.MULTILINE)
    }
    seen, right = scores["label of the next month"]
    assert seen == right > 0.65
    seen, true = scores["label of the same month"]
    assert seen > true + 0.2  # what it promises, and what it keeps
