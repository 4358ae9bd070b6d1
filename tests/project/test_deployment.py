"""The files of a deployment agree with each other and hold no secret. That they run is for `make deploy-check`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from streamflow import settings
from support.paths import ROOT

COMPOSE = (ROOT / "docker-compose.yaml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
SECRETS = re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.MULTILINE)
OPTIONS = dict(re.findall(r"^#([A-Z_]+)=(\S*)$", EXAMPLE, re.MULTILINE))
ONE_SHOT = {"init"}
PASSED_ON = set(re.findall(r"^  ([A-Z_]+):$", COMPOSE, re.MULTILINE))  # under their own names
RUNS_TASKS = {"scheduler", "triggerer", "worker"}
EXTRAS = [path.stem.removeprefix("requirements") for path in ROOT.glob("requirements-*.lock")]  # "-s3" …


@pytest.fixture(scope="module")
def services() -> dict:
    return yaml.safe_load(COMPOSE)["services"]


@pytest.fixture(scope="module")
def astro() -> dict:
    return yaml.safe_load((ROOT / "airflow_settings.yaml").read_text())["airflow"]


def without_secrets(value: str) -> str:
    return re.sub(r"\$\{\w+:\?[^}]*\}", "", value)


def test_env_example_documents_exactly_what_compose_reads():
    documented = {*SECRETS, *OPTIONS}
    # compose's own: which services there are
    assert documented - {"COMPOSE_PROFILES"} == PASSED_ON | set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE))


def test_each_variable_is_documented_in_words():
    lines = EXAMPLE.splitlines()
    for name in SECRETS:
        assert lines[lines.index(f"{name}=") - 1].startswith("# "), name


def test_no_secret_has_a_default_and_compose_does_not_start_without():
    for name in SECRETS:
        assert set(re.findall(rf"\$\{{{name}(\W+[^}}]*)\}}", COMPOSE)) == {":?run make env"}, name


def test_defaults_are_those_that_env_example_shows():
    found = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE))
    found |= {"AIRFLOW__STREAMFLOW__MONTH_FOLDER": settings.month_folder()}  # the package's own
    assert found == {name: value for name, value in OPTIONS.items() if name != "COMPOSE_PROFILES"} | {
        "AIRFLOW_EXECUTOR": "LocalExecutor"
    }


def test_no_value_in_compose_looks_like_a_secret():
    for line in COMPOSE.splitlines():
        if re.search(r"(?i)(password|secret|fernet|jwt)\w*[\"']?: *[\"']?\w", line):
            assert "PASSWORDS_FILE" in line, line


def test_each_secret_goes_only_where_it_is_needed(services):
    def holders(name: str) -> set[str]:
        return {service for service, content in services.items() if f"${{{name}:?" in json.dumps(content)}

    airflow = {"init", "api-server", "scheduler", "dag-processor", "triggerer", "worker"}
    assert holders("POSTGRES_PASSWORD") == {"postgres", "init"}
    assert holders("AIRFLOW_UI_PASSWORD") == {"api-server"}
    assert holders("STREAMFLOW_READER_PASSWORD") == {"init", "api-server"}  # which shows the pages on months
    assert holders("STREAMFLOW_INGEST_PASSWORD") == RUNS_TASKS | {"init"}
    assert holders("STREAMFLOW_ERASURE_KEY") == RUNS_TASKS
    assert holders("REDIS_PASSWORD") == airflow | {"redis"}
    for name in ("AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_API_SECRET", "AIRFLOW_DB_PASSWORD"):
        assert holders(name) == airflow


def test_alerts_are_sent_by_whoever_calls_back(services):
    holders = {name for name, one in services.items() if "AIRFLOW_CONN_STREAMFLOW_ALERTS" in one.get("environment", {})}
    assert holders == RUNS_TASKS | {"dag-processor"}


def test_ports_are_published_on_localhost_only(services):
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(re.match(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+$", port) for port in ports)


def test_deliveries_are_read_only_for_whoever_runs_tasks(services, astro):
    for name, service in services.items():
        mounts = [volume for volume in service.get("volumes", []) if "deliveries" in volume]
        assert mounts == (["${DELIVERIES:-./include/data}:/opt/airflow/deliveries:ro"] if name in RUNS_TASKS else [])


def test_logs_and_all_that_tasks_write_are_in_volumes_that_all_tasks_share(services):
    for name in RUNS_TASKS:
        for folder in ("logs", "data_docs", "training_sets", "archive"):
            assert f"{folder}:/opt/airflow/{folder}" in services[name]["volumes"]
        for folder in ("data_docs", "training_sets"):
            assert services[name]["environment"][f"AIRFLOW__STREAMFLOW__{folder.upper()}"] == f"/opt/airflow/{folder}"
        assert services[name]["environment"]["AIRFLOW__STREAMFLOW__ARCHIVE"].endswith(":-/opt/airflow/archive}")


def test_every_service_has_a_health_check_and_all_wait_for_init(services):
    for name, service in services.items():
        assert ("healthcheck" in service) == (name not in ONE_SHOT), name
        if "build" in service and name not in ONE_SHOT:
            assert service["depends_on"]["init"] == {"condition": "service_completed_successfully"}
            assert "init" not in services["init"]["depends_on"]
    assert services["postgres"]["healthcheck"]["test"][:4] == ["CMD", "pg_isready", "-h", "127.0.0.1"]


def test_no_container_runs_as_root_or_may_become_it(services):
    for name, service in services.items():
        assert service["user"] in {"50000:0", "postgres", "redis"}, name
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert "privileged" not in service


def test_workers_and_their_queue_come_with_the_profile_only(services):
    assert {name for name, service in services.items() if "profiles" in service} == {"redis", "worker"}
    assert "container_name" not in COMPOSE  # more than one worker


def test_connections_and_variables_are_those_of_astro(services, astro):
    environment = services["worker"]["environment"]
    assert {name for name in environment if name.startswith(("AIRFLOW_CONN_", "AIRFLOW_VAR_"))} == {
        "AIRFLOW_CONN_STREAMFLOW_ALERTS",  # who wants one adds it
        *(f"AIRFLOW_CONN_{connection['conn_id'].upper()}" for connection in astro["connections"]),
        *(f"AIRFLOW_VAR_{variable['variable_name'].upper()}" for variable in astro["variables"]),
    }
    for connection in astro["connections"]:
        compose = json.loads(without_secrets(environment[f"AIRFLOW_CONN_{connection['conn_id'].upper()}"]))
        assert compose.get("conn_type") == connection["conn_type"]
        for field in ("host", "schema", "login", "password", "port"):
            assert (compose.get(field) or None) == (connection[f"conn_{field}"] or None), field
        # the same folder in each one's home
        extra = json.loads(json.dumps(connection["conn_extra"] or {}).replace("include/data", "deliveries"))
        assert compose.get("extra", {}) == json.loads(json.dumps(extra).replace("/usr/local", "/opt"))
    for variable in astro["variables"]:
        value = environment[f"AIRFLOW_VAR_{variable['variable_name'].upper()}"]
        assert re.fullmatch(r"\$\{\w+:-(.*)\}", value)[1] == variable["variable_value"]


def test_astro_settings_have_the_keys_that_its_cli_reads(astro):
    assert set(astro) == {"connections", "pools", "variables"}
    fields = ("id", "type", "host", "schema", "login", "password", "port", "uri", "extra")
    for connection in astro["connections"]:
        assert set(connection) == {f"conn_{field}" for field in fields}
        assert not connection["conn_password"]
    for variable in astro["variables"]:
        assert set(variable) == {"variable_name", "variable_value"}
    assert all(set(pool) == {"pool_name", "pool_slot", "pool_description"} for pool in astro["pools"])


def test_what_the_dag_asks_for_is_configured(astro):
    asks = (ROOT / "dags" / "streamflow_monthly_ingest.py", ROOT / "plugins" / "streamflow" / "erased.py")
    code = "".join(path.read_text() for path in asks)
    for connection in astro["connections"]:
        assert f'"{connection["conn_id"]}"' in code
    assert astro["variables"] == [{"variable_name": "streamflow_first_month", "variable_value": settings.FIRST_MONTH}]


def test_whatever_a_deployment_can_set_reaches_what_runs_tasks(services, monkeypatch):
    """Each name in section [streamflow], as the package reads it."""
    monkeypatch.delenv("AIRFLOW__STREAMFLOW__SHOW_VALUES")  # which the tests turn on
    read = re.findall(r'\(SECTION, "(\w+)"', (ROOT / "plugins" / "streamflow" / "settings.py").read_text())
    assert len(read) > 7
    for name in RUNS_TASKS:
        environment = services[name]["environment"]
        assert {f"AIRFLOW__STREAMFLOW__{one.upper()}" for one in read} == {
            one for one in environment if one.startswith("AIRFLOW__STREAMFLOW__")
        }
    for found, expected in (("max_file_bytes", settings.max_file_bytes()), ("show_values", settings.shows_values())):
        assert json.loads(OPTIONS[f"STREAMFLOW_{found.upper()}"]) == expected


def test_the_image_has_no_test_tools():
    assert "\npytest==" in (ROOT / "requirements-dev.txt").read_text()  # what `make test` installs
    lock = (ROOT / "requirements.lock").read_text()
    (who_asks,) = re.findall(r"^pytest==.*\n(?:    --hash.*\n)+    # via(.*(?:\n    #  .*)*)", lock, re.MULTILINE)
    assert set(re.findall(r"[\w.-]*pytest[\w.-]*|-r \S+", who_asks)) == {"-r requirements-dev.txt", "pytest-xdist"}


def test_the_image_is_of_the_version_that_is_required_and_by_the_lock():
    dockerfile = (ROOT / "Dockerfile").read_text()
    requirements = (ROOT / "requirements.txt").read_text()
    version = re.search(r"^apache-airflow==(\S+)$", requirements, re.MULTILINE)[1]
    assert f"=apache/airflow:{version}\n" in dockerfile
    assert f"image: streamflow-airflow:{version}\n" in COMPOSE
    assert "--require-hashes -r requirements.txt -c requirements.lock" in dockerfile
    lock = (ROOT / "requirements.lock").read_text()
    for name, pin in re.findall(r"^([a-z-]+)(?:\[.*\])?==(\S+)", requirements, re.MULTILINE):
        assert f"\n{name}=={pin} " in f"\n{lock}", name
    assert "apache-airflow-providers-celery==" in requirements


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_pins_what_it_requires_beside_the_same_packages(extra):
    def pins(name: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for package, pin in re.findall(
            r"^([a-z0-9._-]+)(?:\[.*\])?==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE
        ):
            found.setdefault(package, set()).add(pin)
        return found

    lock = pins(f"requirements{extra}.lock")
    assert pins(f"requirements{extra}.txt").items() <= lock.items()
    for other in ("", *EXTRAS):  # they are installed together
        others = pins(f"requirements{other}.lock")
        assert {name: lock[name] for name in lock.keys() & others} == {
            name: others[name] for name in lock.keys() & others
        }
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"requirements{extra}.txt" in dockerfile
    assert f"requirements{extra}.lock" in dockerfile


@pytest.mark.slow
def test_the_locked_celery_is_one_that_its_provider_can_import():
    command = [sys.executable, "-c", "import airflow.providers.celery.executors.celery_executor"]
    subprocess.run(command, check=True, capture_output=True)


def test_the_image_takes_nothing_but_what_it_copies():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    pinned = {f"requirements{extra}.{ending}" for extra in ("", *EXTRAS) for ending in ("txt", "lock")}
    assert allowed == pinned | {"packages.txt", "dags", "plugins", "include", "tools"}
    assert "include/data" in ignored


def test_astro_project_has_its_files():
    config = yaml.safe_load((ROOT / ".astro" / "config.yaml").read_text())
    assert config == {"project": {"name": "streamflow"}, "postgres": {"tag": "17"}}
    assert "image: postgres:17\n" in COMPOSE
    for name in ("packages.txt", "requirements.txt", "dags", "plugins", "include", "airflow_settings.yaml"):
        assert (ROOT / name).exists(), name
    assert Path(ROOT / "packages.txt").read_text().strip() == ""
