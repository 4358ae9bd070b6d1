"""docker-compose.yaml, brought up with two workers, put through a bad day, and taken down; `make deploy-check`.

A project, an .env, ports, volumes and deliveries of its own; nothing of a deployment beside it is touched. Every line
that is printed is a check that was made, each goes on from the one before, and the first that fails is the last.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import make_env
from generate_deliveries import generate
from ports import free_port
from streamflow.tables import ROOT as ROOT_TABLE
from streamflow.tables import TABLES
from support.paths import ROOT

pytestmark = pytest.mark.deploy
DAG = "/api/v2/dags/streamflow_monthly_ingest"
USERS = 250_000  # so that the load of the widest table takes long enough to be killed in its middle
MONTHS = 2
PATIENCE = 900  # seconds for a month on a busy machine
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")
WIDEST = max(TABLES.values(), key=lambda table: len(table.fields))
# waits for the COPY of the widest table's file to be under way, and says from which worker it comes; a wait within one
# statement, because psql's start alone is longer than many a load
CAUGHT = f"""
create function pg_temp.caught() returns table (relation text, worker text, rows bigint) as $$
begin
    for look in 1..60000 loop
        perform pg_stat_clear_snapshot();
        return query
            select copying.relid::regclass::text, host(active.client_addr), copying.tuples_processed
            from pg_stat_progress_copy as copying
            inner join pg_stat_activity as active using (pid)
            where
                copying.command = 'COPY FROM' and copying.tuples_processed > 5000
                and copying.relid::regclass::text like 'staging.{WIDEST.name}%';
        if found then return; end if;
        perform pg_sleep(0.01);
    end loop;
end
$$ language plpgsql
"""


class Failed(Exception):
    """A check that does not hold; says what was found."""


def expect(is_so: object, found: object) -> None:
    """Raise unless ``is_so``."""
    if not is_so:
        raise Failed(str(found))


class Stack:
    """The compose project, as its operator sees it: docker, the API, the databases.

    Args:
        folder: where its .env is written and its deliveries are dropped.
    """

    def __init__(self, folder: Path) -> None:
        self.project = f"streamflow-check-{secrets.token_hex(3)}"
        self.env_file = folder / ".env"
        self.deliveries = folder / "deliveries"
        self.deliveries.mkdir(mode=0o755)
        self.port, self.database_port = free_port(), free_port()
        self.token = ""
        template = make_env.TEMPLATE.read_text()
        self.secrets = re.findall(r"^([A-Z_]+)=$", template, re.MULTILINE)
        with contextlib.redirect_stdout(None):
            make_env.main([str(self.env_file)])
        with self.env_file.open("a") as file:
            file.write(
                f"DELIVERIES={self.deliveries}\nAIRFLOW_PORT={self.port}\nPOSTGRES_PORT={self.database_port}\n"
                "AIRFLOW_EXECUTOR=CeleryExecutor\nCOMPOSE_PROFILES=celery\nTASKS_A_WORKER=2\n"
                "STREAMFLOW_SETTLE_SECONDS=5\nSTREAMFLOW_POKE_INTERVAL=5\nSTREAMFLOW_RETRY_DELAY=5\nQUEUED_TIMEOUT=90\n"
            )
        self.values = dict(line.split("=", 1) for line in self.env_file.read_text().splitlines() if "=" in line)
        # compose prefers what the shell has set to the file
        documented = re.findall(r"^#?([A-Z_]+)=", template, re.MULTILINE)
        self.environment = {name: value for name, value in os.environ.items() if name not in documented}

    def compose(self, *args: str, env_file: Path | None = None, check: bool = True) -> subprocess.CompletedProcess:
        """Run `docker compose` on the project."""
        command = ["docker", "compose", "-p", self.project, "--env-file", env_file or self.env_file, *args]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if check and done.returncode:
            raise Failed(f"docker compose {' '.join(args)}: exit code {done.returncode}\n{done.stderr[-3000:]}")
        return done

    def containers(self, service: str = "") -> dict[str, dict[str, Any]]:
        """Return what `docker inspect` says of each container, ended ones included, by its short id."""
        ids = self.compose("ps", "-aq", *([service] if service else [])).stdout.split()
        found = json.loads(docker("inspect", *ids)) if ids else []
        return {one["Id"][:12]: one for one in found}

    def api(self, path: str, body: dict | None = None, anonymous: bool = False) -> Any:
        """Call Airflow's API; GET, or POST if there is a body."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"}
            | ({} if anonymous or not self.token else {"Authorization": f"Bearer {self.token}"}),
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def status(self, path: str, body: dict | None = None) -> int:
        """Return the status with which the API answers someone who has not signed in."""
        try:
            self.api(path, body, anonymous=True)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    def sign_in(self) -> None:
        """Get a token for the UI's user."""
        who = {"username": "admin", "password": self.values["AIRFLOW_UI_PASSWORD"]}
        self.token = self.api("/auth/token", who, anonymous=True)["access_token"]

    def trigger(self, as_of: str) -> str:
        """Start the month's run; return its id."""
        return self.api(f"{DAG}/dagRuns", {"logical_date": None, "conf": {"as_of": as_of}})["dag_run_id"]

    def tasks(self, run: str) -> dict[str, dict[str, Any]]:
        """Return the run's task instances by name."""
        found = self.api(f"{DAG}/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
        return {one["task_id"]: one for one in found}

    def tries(self, run: str) -> list[dict[str, Any]]:
        """Return every try of every task of the run."""
        return [
            one
            for task in self.tasks(run)
            for one in self.api(f"{DAG}/dagRuns/{run}/taskInstances/{task}/tries")["task_instances"]
        ]

    def wait_for_success(self, run: str) -> None:
        """Wait for the end of a run, which has to be a good one."""

        def state() -> str | None:
            found = self.api(f"{DAG}/dagRuns/{run}")["state"]
            return found if found in ("success", "failed") else None

        if wait_until(state, lambda: self.states(run)) == "failed":
            raise Failed(self.states(run))

    def states(self, run: str) -> str:
        """Return the states of a run's tasks, for people."""
        return ", ".join(f"{name} {task['state']}" for name, task in self.tasks(run).items())

    def connect(self, user: str, variable: str, database: str) -> psycopg.Connection:
        """Connect to a database as one of the roles, with its password in ``variable``."""
        where = {"host": "127.0.0.1", "port": self.database_port, "dbname": database}
        return psycopg.connect(**where, user=user, password=self.values[variable], autocommit=True)

    def in_worker(self, *command: str) -> subprocess.CompletedProcess:
        """Run a command where tasks run."""
        return self.compose("exec", "-T", "worker", *command, check=False)


def docker(*args: str) -> str:
    """Run docker and return what it prints, whichever way."""
    done = subprocess.run(
        ["docker", *args],
        text=True,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout


def wait_until(is_so: Callable[[], Any], what: Callable[[], str]) -> Any:
    """Return what ``is_so`` returns as soon as that is true; the API may be away for moments."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if found := is_so():
                return found
        except (OSError, urllib.error.URLError, psycopg.OperationalError):
            pass
        if time.monotonic() > deadline:
            raise Failed(f"not within {PATIENCE} s: {what()}")
        time.sleep(1)


# --- the checks, in their order; each returns what it found -----------------------------------------------------------


def refuses_to_start_without_secrets(stack: Stack, incoming: Path) -> str:
    """Compose stops at each secret that is not set."""
    lines = stack.env_file.read_text().splitlines(keepends=True)
    for name in stack.secrets:
        partial = incoming / "partial.env"
        partial.write_text("".join(line for line in lines if not line.startswith(f"{name}=")))
        done = stack.compose("config", "-q", env_file=partial, check=False)
        expect(done.returncode and "run make env" in done.stderr, f"{name}: {done.stderr}")
    return f"each of the {len(stack.secrets)} is asked for"


def comes_up_healthy(stack: Stack, incoming: Path) -> str:
    """All services, two workers among them."""
    stack.compose("build", "-q")
    stack.compose("up", "-d", "--wait", "--scale", "worker=2")
    states = [one["State"] for one in stack.containers().values()]
    healthy = sum(state.get("Health", {}).get("Status") == "healthy" for state in states)
    expect(healthy == len(states) - 1 == 8, stack.compose("ps", "-a").stdout)
    stack.sign_in()
    errors = stack.api("/api/v2/importErrors")["import_errors"]
    expect(not errors, errors)
    stack.compose("exec", "-T", "scheduler", "airflow", "dags", "unpause", "streamflow_monthly_ingest", "--yes")
    return f"{healthy} healthy containers, init has ended with 0"


def no_process_is_root(stack: Stack, incoming: Path) -> str:
    """Neither in Airflow's containers nor in those of the databases."""
    processes = 0
    for name, one in stack.containers().items():
        if one["State"]["Running"]:
            users = [line.split()[1] for line in docker("top", name, "-eo", "pid,uid,args").splitlines()[1:]]
            expect("0" not in users, f"{one['Name']}: {users}")
            processes += len(users)
    return f"{processes} processes"


def secrets_are_where_they_are_needed(stack: Stack, incoming: Path) -> str:
    """Not in the image, not in arguments; in the environment of those only who need them."""
    containers = stack.containers().values()
    image = next(one["Image"] for one in containers if "worker" in one["Name"])
    hidden = stack.in_worker("find", "/opt/airflow", "-name", ".env*", "-o", "-name", ".git", "-o", "-name", ".venv")
    expect(hidden.returncode == 0 and not hidden.stdout, hidden.stdout + hidden.stderr)
    texts = {"image": docker("history", "--no-trunc", image) + docker("image", "inspect", image)}
    holders: dict[str, set[str]] = {}
    for one in containers:
        service = one["Config"]["Labels"]["com.docker.compose.service"]
        environment = " ".join(one["Config"].pop("Env"))
        for name in stack.secrets:
            if stack.values[name] in environment:
                holders.setdefault(name, set()).add(service)
        texts[service] = texts.get(service, "") + json.dumps(one)
        if one["State"]["Running"]:
            texts[service] += docker("top", one["Id"], "-eo", "pid,uid,args")
    for where, text in texts.items():
        for name in stack.secrets:
            expect(stack.values[name] not in text, f"{name} in {where}")
    expect(holders["POSTGRES_PASSWORD"] == {"postgres", "init"}, holders)
    expect(holders["AIRFLOW_UI_PASSWORD"] == {"api-server"}, holders)
    expect(holders["STREAMFLOW_INGEST_PASSWORD"] == {"init", "scheduler", "triggerer", "worker"}, holders)
    expect(holders["STREAMFLOW_READER_PASSWORD"] == {"init", "api-server"}, holders)
    return "none in image, labels or arguments; the administrator's in postgres and init only"


def requests_without_a_token_are_refused(stack: Stack, incoming: Path) -> str:
    """By the API; and from other machines nothing is reachable at all."""
    expect(stack.status(DAG) == 401, "GET of the DAG")
    expect(stack.status(f"{DAG}/dagRuns", {"logical_date": None}) == 401, "POST of a run")
    expect(stack.status("/auth/token", {"username": "admin", "password": "admin"}) == 401, "a guessed password")
    bindings = {
        binding["HostIp"]
        for one in stack.containers().values()
        for published in (one["NetworkSettings"]["Ports"] or {}).values()
        for binding in published or []
    }
    expect(bindings == {"127.0.0.1"}, bindings)
    return "401; published on 127.0.0.1 only"


def databases_are_apart(stack: Stack, incoming: Path) -> str:
    """Each role gets into its own database, no other, and can do there what it is for."""
    ingest, reader = "STREAMFLOW_INGEST_PASSWORD", "STREAMFLOW_READER_PASSWORD"
    for user, variable, database in (
        ("airflow", "AIRFLOW_DB_PASSWORD", "streamflow"),
        ("streamflow_ingest", ingest, "airflow"),
        ("streamflow_reader", reader, "airflow"),
        ("streamflow_reader", reader, "postgres"),
    ):
        try:
            stack.connect(user, variable, database).close()
        except psycopg.OperationalError as error:
            expect("permission denied for database" in str(error), error)
        else:
            raise Failed(f"{user} gets into {database}")
    for user, variable, statement in (
        ("streamflow_reader", reader, "delete from public.deliveries"),
        ("streamflow_ingest", ingest, "update public.deliveries set delivered = 0"),
        ("streamflow_ingest", ingest, "create table public.mine ()"),
    ):
        with stack.connect(user, variable, "streamflow") as connection:
            connection.execute("select from public.deliveries")
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                continue
            raise Failed(f"{user} may {statement}")
    return "airflow, ingest and reader: each in its own only"


def deliveries_cannot_be_written(stack: Stack, incoming: Path) -> str:
    """By what runs in a task's container."""
    done = stack.in_worker("touch", "/opt/airflow/deliveries/mine")
    expect(done.returncode and "Read-only file system" in done.stderr, done.stderr)
    return "Read-only file system"


def waits_for_the_last_file_across_restarts(stack: Stack, incoming: Path) -> str:
    """January is dropped file by file; database, scheduler and triggerer are restarted while it is incomplete."""
    run = stack.trigger("2024-01-31")
    waiting = lambda: stack.tasks(run)["wait_for_month"]["state"] == "deferred"  # noqa: E731
    wait_until(waiting, lambda: stack.states(run))
    *first, last = sorted((incoming / "month_000").iterdir())
    drop(first[:3], stack.deliveries / "month_000", pause=2)
    stack.compose("restart", "postgres", "scheduler", "triggerer")
    drop(first[3:], stack.deliveries / "month_000", pause=2)
    stack.compose("up", "-d", "--wait", "--scale", "worker=2")
    time.sleep(20)  # some looks at all files but one
    wait_until(waiting, lambda: stack.states(run))
    with stack.connect("streamflow_reader", "STREAMFLOW_READER_PASSWORD", "streamflow") as reader:
        counted = reader.execute(f"select count(*) from public.{ROOT_TABLE.name}").fetchone()
        expect(counted == (0,), "rows before the month is whole")
    drop([last], stack.deliveries / "month_000", pause=0)
    stack.wait_for_success(run)
    workers = {one["hostname"] for one in stack.tries(run)} & set(stack.containers("worker"))
    expect(len(workers) == 2, f"tasks ran on {workers}")
    return f"{len(first)} of {len(TABLES)} files: deferred; the last: loaded, by {len(workers)} workers"


def month_survives_the_death_of_a_worker(stack: Stack, incoming: Path) -> str:
    """February: the worker that a COPY comes from is killed while it runs."""
    drop(sorted((incoming / "month_001").iterdir()), stack.deliveries / "month_001", pause=0)
    addresses = {
        network["IPAddress"]: name
        for name, one in stack.containers("worker").items()
        for network in one["NetworkSettings"]["Networks"].values()
    }
    with stack.connect("postgres", "POSTGRES_PASSWORD", "streamflow") as admin:
        admin.execute(CAUGHT)
        run = stack.trigger("2024-02-29")
        caught = admin.execute("select * from pg_temp.caught()").fetchone()
        expect(caught, f"no load was seen: {stack.states(run)}")
        relation, address, rows = caught
        docker("kill", "--signal", "KILL", addresses[address])
        started = time.monotonic()
        gone = "select count(*) = 0 from pg_stat_activity where client_addr = %s and datname = 'streamflow'"
        wait_until(lambda: admin.execute(gone, (address,)).fetchone()[0], lambda: "its connections stay")
        staged = admin.execute(f"select count(*) from {relation}").fetchone()[0]
    stack.wait_for_success(run)
    tries = stack.tries(run)
    again = sorted({one["task_id"] for one in tries if one["try_number"] > 1})
    expect(
        f"{WIDEST.name}.load" in again, f"killed too late, at {rows} rows of {relation}: only {again} were tried again"
    )
    expect(staged == 0, f"{staged} rows of {relation}: of the killed load, or its COPY ended before the kill")
    survivors = {one["hostname"] for one in tries if one["try_number"] > 1}
    expect(addresses[address] not in survivors, survivors)
    return (
        f"killed at {rows:,} rows of {WIDEST.name}; {len(again)} tasks tried again on the other worker, "
        f"sealed {time.monotonic() - started:.0f} s later"
    )


def nothing_is_lost_or_doubled(stack: Stack, incoming: Path) -> str:
    """Ledger, snapshots and live against the files themselves; and the package's own verify, in a container."""
    rows = 0
    with stack.connect("streamflow_reader", "STREAMFLOW_READER_PASSWORD", "streamflow") as reader:
        for name, table in TABLES.items():
            users: set[str] = set()
            for number, as_of in enumerate(("2024-01-31", "2024-02-29")):
                path = incoming / f"month_{number:03d}" / table.file_name
                with path.open(newline="") as file:
                    delivered = [row["user_id"] for row in csv.DictReader(file)]
                users |= set(delivered)
                rows += len(delivered)
                ledger = reader.execute(
                    "select revision, delivered, inserted + updated + unchanged, snapshot_rows, file_sha256 "
                    "from public.deliveries where as_of = %s and table_name = %s",
                    (as_of, name),
                ).fetchall()
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                expect(ledger == [(1, len(delivered), len(delivered), len(users), digest)], f"{name} {as_of}: {ledger}")
                counted = f"select count(*), count(distinct user_id) from public.{table.snapshots} where as_of = %s"
                found = reader.execute(counted, (as_of,)).fetchone()
                expect(found == (len(users), len(users)), f"{table.snapshots} {as_of}: {found}, not {len(users)}")
            live = reader.execute(f"select count(*), count(distinct user_id) from public.{name}").fetchone()
            expect(live == (len(users), len(users)), f"{name}: {live}, not {len(users)}")
    verified = stack.compose("exec", "-T", "scheduler", "python", "tools/verify.py")
    said = verified.stdout.strip().splitlines()[-2]
    return f"{rows:,} rows in {len(TABLES) * MONTHS} files = the ledger's; verify: {said}"


def everything_can_be_read_afterwards(stack: Stack, incoming: Path) -> str:
    """The logs of the dead worker's tasks and the Data Docs are no worker's own; neither has a secret."""
    pages = stack.compose("exec", "-T", "scheduler", "find", "data_docs", "-name", "*.html").stdout.split()
    expect(len(pages) == len(TABLES) * MONTHS, pages)
    dead = [name for name, one in stack.containers("worker").items() if not one["State"]["Running"]]
    for run in stack.api(f"{DAG}/dagRuns")["dag_runs"]:
        for one in stack.tries(run["dag_run_id"]):
            if one["hostname"] in dead:
                place = f"{DAG}/dagRuns/{one['dag_run_id']}/taskInstances/{one['task_id']}/logs/{one['try_number']}"
                expect(len(stack.api(f"{place}?full_content=true")["content"]) > 2, f"no log of {place}")
    # written out of sight: a pattern a line, on standard input
    patterns = "\n".join(stack.values[name] for name in stack.secrets)
    files = subprocess.run(
        ["docker", "exec", "-i", next(iter(stack.containers("scheduler"))), "grep", "-rlFf", "-", "logs", "data_docs"],
        input=patterns,
        capture_output=True,
        text=True,
        check=False,
    )
    expect(files.returncode == 1, files.stdout + files.stderr)
    printed = stack.compose("logs", "--no-log-prefix").stdout
    for name in stack.secrets:
        expect(stack.values[name] not in printed, f"{name} in `docker compose logs`")
    lines = f"{len(printed.splitlines()):,} lines of the services' logs"
    return f"{len(pages)} pages, the dead worker's logs; no secret in {lines}"


def leaves_nothing_behind(stack: Stack, incoming: Path) -> str:
    """After `down -v`."""
    stack.compose("down", "-v", "--remove-orphans", "-t", "5")
    label = f"label=com.docker.compose.project={stack.project}"
    for kind in (("ps", "-aq"), ("volume", "ls", "-q"), ("network", "ls", "-q")):
        left = docker(*kind, "--filter", label)
        expect(not left, left)
    return "no container, volume or network"


CHECKS = [
    refuses_to_start_without_secrets,
    comes_up_healthy,
    no_process_is_root,
    secrets_are_where_they_are_needed,
    requests_without_a_token_are_refused,
    databases_are_apart,
    deliveries_cannot_be_written,
    waits_for_the_last_file_across_restarts,
    month_survives_the_death_of_a_worker,
    nothing_is_lost_or_doubled,
    everything_can_be_read_afterwards,
    leaves_nothing_behind,
]


def drop(files: list[Path], folder: Path, pause: float) -> None:
    """Deliver files one after the other."""
    folder.mkdir(exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)
        time.sleep(pause)


@pytest.fixture(scope="module")
def incoming(tmp_path_factory) -> Path:
    """The months, before they are delivered."""
    folder = tmp_path_factory.mktemp("incoming")
    generate(folder, users=USERS, months=MONTHS, seed=7)
    return folder


@pytest.fixture(scope="module")
def stack(incoming) -> Iterator[Stack]:
    """The project; whatever happens, everything is taken down."""
    with tempfile.TemporaryDirectory(prefix="streamflow-check-") as folder:
        stack = Stack(Path(folder))
        print(f"{stack.project}: {MONTHS} months of {USERS:,} users", flush=True)
        yield stack
        stack.compose("down", "-v", "--remove-orphans", "-t", "5", check=False)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_compose(stack, incoming, check):
    name, started = check.__name__.replace("_", " "), time.monotonic()
    try:
        found = check(stack, incoming)
    except (Exception, KeyboardInterrupt) as error:
        print(f"FAILED    {name}: {type(error).__name__}: {error}", flush=True)
        print(stack.compose("logs", "--tail", "15", check=False).stdout, file=sys.stderr)
        raise
    print(f"ok {time.monotonic() - started:5.0f} s  {name}: {found}", flush=True)
