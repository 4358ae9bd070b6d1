"""The examples, each in an environment of its own, as their READMEs say."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

import install_schema
from generate_deliveries import generate
from streamflow.tables import TABLES
from support import servers
from support.builders import FEBRUARY
from support.database import Database
from support.installed import installed, run
from support.paths import ROOT
from support.sealing import as_admin

EXAMPLES = ROOT / "examples"
MONTHS = ("2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31")


def python_of(name: str) -> Path:
    """The Python of an example's environment."""
    return installed(name, "-r", EXAMPLES / name / "requirements.txt")


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
    python = python_of("feast")
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
    said = run(python_of("churn"), EXAMPLES / "churn" / "train.py", reader)
    assert said.startswith(f"5 months. Test: features of {MONTHS[-2]}, labels of {MONTHS[-1]}.\n")
    scores = {
        name.split(":")[0].strip(): (float(seen), float(true))
        for name, seen, true in re.findall(r"^(label .*?)\s+(0\.\d+)\s+(0\.\d+)$", said, re.MULTILINE)
    }
    seen, right = scores["label of the next month"]
    assert seen == right > 0.65
    seen, true = scores["label of the same month"]
    assert seen > true + 0.2  # what it promises, and what it keeps
