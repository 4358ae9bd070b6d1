"""A real PostgreSQL for every test, an Airflow home of their own, and the month's SQL step by step."""

from __future__ import annotations

# isort: off
from support.environment import WORK  # before anything imports Airflow
# isort: on

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import embedded
import install_schema
from generate_deliveries import generate
from support import servers
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database
from support.deliveries import deliver, loaded
from support.sealing import seal_january
from support.training import seal_two_months

TESTS = Path(__file__).parent
if importlib.util.find_spec("s3fs") is None:  # `make test-extras` runs them, in the environment that has it
    collect_ignore = ["extras"]

hypothesis.settings.register_profile("untimed", deadline=None)  # the machine is shared: how long it takes says nothing
hypothesis.settings.load_profile("untimed")


# the longest first, so that no processor is left alone with one of them in the end
LONGEST_FIRST = (
    "system/test_web_ui.py",
    "system/test_tables_of_your_own.py",
    "system/test_scheduler.py",
    "system/test_ui.py",
    "system/test_make.py",
    "system/test_crashes.py",
    "system/test_waiting.py",
    "system/test_end_to_end.py",
    "system/test_training_dag.py",
    "system/test_examples.py",
    "sql/test_any_order.py",
    "sql/test_training_leaks.py",
)
# their tests share what they start, and keep their order
TOGETHER = (
    "test_archive_readers.py",
    "test_examples.py",
    "test_make.py",
    "test_scheduler.py",
    "test_training_dag.py",
    "test_ui.py",
    "test_web_ui.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give every processor the next test, and the tests of a file in TOGETHER to one of them.

    xdist 3.8 has marks for groups (loadgroup), but pytest 9.2 does not take over the ids that it gives them.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if Path(file).name in TOGETHER else nodeid

    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test as ``unit``, ``database``, or ``system``, by its folder and by the fixtures that it needs.

    Tests of ``deploy`` are left out unless they are asked for. What ``make test`` runs on several processors is sorted.
    """
    left_out = []
    for item in items:
        path = item.path.relative_to(TESTS)
        if path.parts[0] in ("system", "extras") or {"metadata", "migrated"} & {*item.fixturenames}:
            item.add_marker("system")
        elif path.parts[0] == "sql" or "server" in item.fixturenames:
            item.add_marker("database")
        else:
            item.add_marker("unit")
        if item.get_closest_marker("deploy") and "deploy" not in config.option.markexpr:
            left_out.append(item)
    config.hook.pytest_deselected(items=left_out)
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items[:] = [item for item in items if item not in left_out]
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: places.get(item.path.relative_to(TESTS).as_posix(), len(places)))


@pytest.fixture(scope="session")
def server():
    """The tests' own server; what it holds need not outlive a crash of the machine."""
    server = embedded.start(WORK / "postgres", **servers.SETTINGS)
    yield server
    servers.stop(server)


@pytest.fixture(scope="session")
def schema(server) -> str:
    """Name of a template database that has the roles and the schema."""
    install_schema.install(embedded.uri(server, "streamflow_template"))
    return "streamflow_template"


@pytest.fixture(scope="session")
def template(schema) -> str:
    """Name of the database that ``database`` is a copy of; a module may say another."""
    return schema


@pytest.fixture
def database(server, template, monkeypatch):
    """A fresh database with the schema, which AIRFLOW_CONN_STREAMFLOW_DB names, as streamflow_ingest; see
    ``support.database.Database``.
    """
    with servers.copied(server, "streamflow_test", template) as uri:
        monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", uri)
        database = Database(uri)
        yield database
        database.close()


@pytest.fixture
def deliveries(tmp_path, monkeypatch) -> Path:
    """An empty folder for month folders, which AIRFLOW_CONN_STREAMFLOW_FS names."""
    folder = tmp_path / "deliveries"
    folder.mkdir()
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_FS", f'{{"conn_type": "fs", "extra": {{"path": "{folder}"}}}}')
    return folder


@pytest.fixture(scope="session")
def migrated(server) -> str:
    """Name of a template database that Airflow's metadata can begin as."""
    uri = embedded.uri(server, "airflow_template", "+psycopg2")
    subprocess.run(
        ["airflow", "db", "migrate"],
        env=os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": uri},
        check=True,
        capture_output=True,
    )
    return "airflow_template"


@pytest.fixture(scope="session")
def metadata(server, migrated) -> None:
    """Airflow's metadata in a database of the tests' server."""
    uri = embedded.uri(server, "airflow", "+psycopg2", template=migrated)
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = uri


@pytest.fixture
def two_months(database):
    database.load_month(JANUARY, delivery("ann", "bob"))
    database.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=7))
    return database


@pytest.fixture
def january(database):
    """A database in which January is sealed."""
    return seal_january(database)


@pytest.fixture
def labelled(database):
    """January and February: one user has left, one stays, one's label is unknown, and one had left before."""
    return seal_two_months(database)


@pytest.fixture(scope="session")
def sealed_january(server, schema, tmp_path_factory) -> Iterator[str]:
    """Name of a template database in which January is sealed, as good files make it."""
    folder = deliver(tmp_path_factory.mktemp("good") / "month_000", 0)
    with loaded(server, "streamflow_january", schema, folder, JANUARY) as database:
        database.close()
        yield "streamflow_january"


@pytest.fixture(scope="session")
def completed(server, sealed_january, tmp_path_factory) -> dict[str, list[tuple]]:
    """What live and snapshots hold when February has come as it should."""
    folder = deliver(tmp_path_factory.mktemp("good") / "month_001", 1)
    with loaded(server, "streamflow_february", sealed_january, folder, FEBRUARY) as database:
        return database.contents()


@pytest.fixture
def archive_folder(tmp_path, monkeypatch) -> Path:
    """The folder of the archive, which AIRFLOW__STREAMFLOW__ARCHIVE names."""
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__ARCHIVE", str(tmp_path / "archive"))
    return tmp_path / "archive"


@pytest.fixture
def three_months(two_months):
    two_months.load_month(MARCH, delivery("ann", "dot", watch_hours_30d=9))
    return two_months


@pytest.fixture
def months(deliveries) -> list[Path]:
    """Three small months."""
    generate(deliveries, users=30, months=3, seed=4)
    return sorted(deliveries.iterdir())
