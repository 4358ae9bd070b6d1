"""The pages on months: who may look, what they show, and what they do when the database is down.

The whole API server runs in this process, with the plugin mounted as Airflow mounts it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import APIRoute

import embedded
import install_schema
from streamflow.tables import TABLES
from streamflow.web import PREFIX
from streamflow.web import database as reads
from support.archives import archive_and_drop
from support.asking import Gate
from support.builders import FEBRUARY, JANUARY, delivery
from support.database import as_csv
from support.paths import ROOT
from support.run import Refused, Run

EXAMPLES = {"as_of": JANUARY, "table": "labels"}
SCRIPT = "<script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def airflow(metadata) -> Iterator[Any]:
    """Airflow's API server, without a socket; it knows of no run."""
    from airflow import settings
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import delete
    from starlette.testclient import TestClient

    settings.configure_vars()
    settings.configure_orm()
    with create_session() as session:
        session.execute(delete(DagRun))  # other tests' runs: they would be months on the pages
    client = TestClient(create_app(apps="core"), raise_server_exceptions=False, follow_redirects=False)
    yield client
    purge_cached_app()
    settings.dispose_orm(do_log=False)


class Visitor:
    """Who asks for pages.

    Args:
        client: asks the API server.
        role: of Airflow's simple auth manager; None: signed in, without any right; "": not signed in.
    """

    def __init__(self, client: Any, role: str | None) -> None:
        self.client = client
        self.headers = {}
        if role != "":
            from airflow.api_fastapi.app import get_auth_manager
            from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

            token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role=role))
            self.headers = {"Cookie": f"_token={token}"}

    def get(self, path: str) -> Any:
        """Return the response to a GET of an address below the pages'."""
        return self.client.get(PREFIX + path, headers=self.headers)

    def read(self, path: str, status: int = 200) -> str:
        """Return the page at an address."""
        response = self.get(path)
        assert response.status_code == status, response.text
        return response.text


@pytest.fixture
def viewer(airflow) -> Visitor:
    """Somebody who may read the DAG, and the logs of its tasks."""
    return Visitor(airflow, "VIEWER")


@pytest.fixture
def reader(airflow, monkeypatch) -> Visitor:
    """Somebody who may read the DAG, and not the logs of its tasks."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    may = SimpleAuthManager.is_authorized_dag

    def may_not_read_logs(self, **asked: Any) -> bool:
        return asked.get("access_entity") is not DagAccessEntity.TASK_LOGS and may(self, **asked)

    monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", may_not_read_logs)
    return Visitor(airflow, "VIEWER")


@pytest.fixture
def failed(database, deliveries) -> Run:
    """A run for January whose users break a rule with a value that is a script."""
    (deliveries / "month_000").mkdir()
    run = Run(database, JANUARY, deliveries / "month_000", ["users"])
    run.execute("prepare")
    good = {"signup_date": "2023-05-01", "user_gender": "Male"}
    rows = [good | {"user_id": SCRIPT}, good | {"user_id": SCRIPT}, good | {"user_id": "ann"}]
    (run.folder / "users.csv").write_bytes(as_csv(rows, ["user_id", *TABLES["users"].columns]))
    with pytest.raises(Refused):
        run.stage("stage", "load", "validate")
    return run


@pytest.fixture
def asked(january, monkeypatch) -> None:
    """Other files for January, with a script in them: a person is asked whether they may be published."""
    script = {"users": as_csv([{"user_id": "ann", "user_gender": SCRIPT}], ["user_id", *TABLES["users"].columns])}
    january.build_month(JANUARY, delivery("ann", watch_hours_30d=7) | script)
    Gate(january, monkeypatch).asks()


# who may look


def test_no_page_is_for_strangers(airflow, january):
    """Every route of the app is walked, so that a new one cannot be forgotten."""
    from streamflow.web.app import create_app

    routes = create_app().routes
    assert len(routes) >= 8
    for route in routes:
        assert isinstance(route, APIRoute), f"{route} is not covered by the app's dependencies"
        assert route.methods == {"GET"}
        address = route.path.format(**EXAMPLES)
        for visitor, status in ((Visitor(airflow, ""), 401), (Visitor(airflow, None), 403)):
            response = visitor.get(address)
            assert response.status_code == status, address
            assert "sealed" not in response.text
            assert "{" not in response.text or response.json().keys() == {"detail"}


def test_a_stranger_cannot_name_another_dag(airflow, january):
    stranger = Visitor(airflow, None)
    assert stranger.get("/?dag_id=streamflow_verify").status_code == 403
    assert stranger.get("/months.json?dag_id=~").status_code == 403


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/static/style.css", "/../months"])
def test_there_is_nothing_else(viewer, path):
    assert viewer.get(path).status_code == 404 or not viewer.get(path).url.path.startswith(PREFIX)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_sent(airflow, viewer, method):
    assert airflow.request(method, f"{PREFIX}/", headers=viewer.headers).status_code == 405


def test_every_answer_says_what_a_browser_may_do_with_it(airflow, january):
    for role in ("VIEWER", None, ""):
        for path in ("/", "/months.json", "/style.css", "/out.js", f"/months/{JANUARY}", "/months/x", "/none"):
            headers = Visitor(airflow, role).get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'self';")
            assert "script-src 'self';" in policy
            assert "unsafe-inline" not in policy


def test_pages_have_one_script_and_nothing_inline(viewer, failed):
    addresses = (f"/months/{JANUARY}", f"/validations/{JANUARY}/users", "/tables/users", "/users?user_id=ann")
    for path in ("/", *addresses):
        page = viewer.read(path)
        (script,) = re.findall("<script[^>]*>[^<]*<", page)
        assert re.fullmatch(r'<script src="[./]+/out\.js" defer><', script)
        assert " style=" not in page
        assert "<style" not in page


def test_an_inactive_window_is_asked_to_sign_in(airflow):
    said = Visitor(airflow, "").read("/", 401)
    assert "Sign in to Airflow" in said
    assert 'href="/auth/login?next=' in said


# values


def test_what_a_file_says_is_text(viewer, failed):
    page = viewer.read(f"/validations/{JANUARY}/users")
    assert "lines 2, 3: user_id &#34;&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;&#34;" in page


def test_values_need_the_right_to_read_logs(reader, failed):
    page = reader.read(f"/validations/{JANUARY}/users")
    assert "lines 2, 3" in page
    assert "owned" not in page
    assert "Delivered values are not shown" in page
    reader.read("/users?user_id=ann", 403)


def test_values_that_were_logged_are_not_shown_once_that_is_off(viewer, failed, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SHOW_VALUES", "false")
    assert "owned" not in viewer.read(f"/validations/{JANUARY}/users")
    viewer.read("/users?user_id=ann", 404)
    assert 'href="./users"' not in viewer.read("/")


def test_a_users_history(viewer, january):
    page = viewer.read("/users?user_id=ann")
    assert "appeared" in page
    assert f'href="./months/{JANUARY}"' in page
    assert "No sealed month has the user <code>zoe</code>" in viewer.read("/users?user_id=zoe")
    assert "No sealed month has the user" in viewer.read("/users?user_id=a%00b' or 1=1")


def test_a_month_that_is_only_in_the_archive_says_so(viewer, january, archive_folder):
    january.load_month(FEBRUARY, delivery("ann", "bob"))
    assert "only in the archive" not in viewer.read("/")
    archive_and_drop(1)
    assert viewer.read("/").count("only in the archive") == 1
    assert "This month is only in the archive" in viewer.read("/users?user_id=ann")


def test_warnings_that_may_quote_values_need_the_same_right(reader, viewer, january):
    january.run_as_admin("update public.deliveries set warnings = '{for example Zq7}' where table_name = 'labels'")
    assert "Zq7" not in reader.read(f"/months/{JANUARY}")
    assert "1, which may quote delivered values" in reader.read(f"/months/{JANUARY}")
    assert "⚠ 1 warning" in reader.read("/")


# what they show


def test_months_and_tables(viewer, january):
    page = viewer.read("/")
    assert f'href="./months/{JANUARY}"' in page
    assert page.count("2 rows") == 6
    (month,) = viewer.get("/months.json").json()["months"]
    assert (month["as_of"], month["state"], month["revision"]) == (JANUARY, "sealed", 1)
    assert month["tables"]["users"] == {
        "revision": 1,
        "rows": 2,
        "delivered": 2,
        "warnings": 0,
        "broken_rules": 0,
        "step": None,
    }


def test_a_restatement_stands_beside_what_was_before(viewer, january):
    january.load_month(JANUARY, delivery("ann", "bob", "cat"), restate=True)
    page = viewer.read(f"/months/{JANUARY}")
    assert "another file" in page
    assert "delivered rows: 2 → 3" in page
    assert "revision 2" in viewer.read("/")


def test_a_failed_validation_is_on_the_page_of_its_month(viewer, failed):
    assert "✕ 1 broken rule" in viewer.read("/")
    page = viewer.read(f"/months/{JANUARY}")
    assert "not sealed" in page
    assert "1 of 16 rules broken" in page
    assert "run=manual__it%27s%20a%20test" in page
    assert "2 of 3 rows" in viewer.read(f"/validations/{JANUARY}/users?run=manual__it%27s%20a%20test")
    viewer.read(f"/validations/{JANUARY}/users?run=another", 404)


def test_a_table_over_time(viewer, january, failed):
    page = viewer.read("/tables/users")
    assert "<title id=" in page
    assert "rows delivered, month by month" in page


@pytest.mark.parametrize(
    "path", ["/months/2024-13-01", "/months/2023-01-31", "/tables/none", f"/validations/{JANUARY}/none", "/months/x'y"]
)
def test_what_is_not_there_is_not_found(viewer, january, path):
    assert "Not found" in viewer.read(path, 404)


def test_links_are_relative_wherever_airflow_is_served(airflow, viewer, january):
    assert 'href="../../style.css"' in viewer.read(f"/validations/{JANUARY}/users", 404)
    assert 'href="../style.css"' in viewer.read(f"/months/{JANUARY}")
    assert 'href="./style.css"' in viewer.read("/")


def test_a_question_shows_what_would_change(viewer, asked):
    page = viewer.read(f"/questions/{JANUARY}")
    assert "may this be published?" in page
    assert "Sealed snapshots would change: different files for 2024-01-31, which is sealed." in page
    assert "2024-01-31 usage_agg_30d: 1 row changed" in page
    assert "<td>watch_hours_30d</td><td><code>1</code></td><td><code>7</code></td>" in page
    assert "&lt;script&gt;document.title" in page
    assert "<script>" not in page
    assert "This question is not open." in page  # this Airflow has no such run
    assert viewer.read(f"/questions/{JANUARY}?run=manual__it%27s%20a%20test") == page
    viewer.read(f"/questions/{JANUARY}?run=another", 404)
    viewer.read(f"/questions/{FEBRUARY}", 404)


def test_a_questions_values_need_the_right_to_read_logs(reader, asked):
    page = reader.read(f"/questions/{JANUARY}")
    assert "2024-01-31 usage_agg_30d: 1 row changed" in page
    assert "Users and values are not shown." in page
    assert "ann" not in page
    assert "owned" not in page


def test_a_month_says_who_approved_a_restatement(viewer, january):
    january.load_month(JANUARY, delivery("ann", "bob", "cat"), restate=True)
    january.run_as_admin(
        "update public.deliveries set approved_by = 'ben <b>', approved_at = '2024-03-01 12:00Z', "
        "approval_reason = 'the source was corrected' where revision = 2"
    )
    page = viewer.read(f"/months/{JANUARY}")
    assert "approved by ben &lt;b&gt;, 2024-03-01 12:00 UTC: the source was corrected" in page


# the database


def test_before_the_first_month(server, viewer, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", embedded.uri(server, "streamflow_without_schema"))
    assert "Nothing has been loaded into the database yet" in viewer.read("/")
    assert viewer.get("/months.json").json()["months"] == []
    viewer.read(f"/months/{JANUARY}", 404)
    assert "No month of it has been loaded yet" in viewer.read("/tables/labels")


@pytest.mark.parametrize("path", ["/", f"/months/{JANUARY}", f"/questions/{JANUARY}", "/tables/labels"])
def test_a_database_that_is_down_is_said(viewer, monkeypatch, path):
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", "postgresql://me:s3cret@127.0.0.1:1/streamflow")
    page = viewer.read(path, 503)
    assert "The database of the connection streamflow_db cannot be reached." in page
    assert "s3cret" not in page
    assert "127.0.0.1" not in page


def test_without_a_connection_that_is_said(viewer, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_STREAMFLOW_DB", raising=False)
    assert "There is no connection streamflow_reader_db or streamflow_db." in viewer.read("/", 503)


def test_a_schema_without_the_log_is_said(viewer, january):
    january.run_as_admin("drop table public.validations")
    assert "does not have the schema that this version" in viewer.read("/", 503)


def test_pages_are_read_as_the_reader_if_there_is_its_connection(viewer, january, monkeypatch):
    install_schema.install(january.admin_uri)  # what roles may do in a database is not copied from its template
    uri = january.uri.replace("streamflow_ingest@", "streamflow_reader@")
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_READER_DB", uri)
    for path in ("/", f"/months/{JANUARY}", "/tables/labels", "/users?user_id=ann"):
        viewer.read(path)
    viewer.read(f"/questions/{JANUARY}", 404)
    monkeypatch.setattr(reads, "render", lambda path: "select current_user as who, true as has_ledger")
    with reads.reading() as query:
        assert query("sealed")[0]["who"] == "streamflow_reader"


def test_nothing_can_be_written(airflow, january, monkeypatch):
    import psycopg

    before = january.contents(ledger=True)
    with reads.reading() as query:
        monkeypatch.setattr(reads, "render", lambda path: "update public.labels set churn_label = null")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            query("sealed")
    assert january.contents(ledger=True) == before


def test_a_query_that_takes_too_long_is_given_up(viewer, january, monkeypatch):
    monkeypatch.setattr(reads, "STATEMENT_TIMEOUT", 1)
    render = reads.render
    monkeypatch.setattr(reads, "render", lambda path: "select pg_sleep(30)" if "sealed" in path else render(path))
    assert "The database took longer than 1 s to answer." in viewer.read("/", 503)


# what it costs those who serve no pages


def test_who_serves_no_pages_imports_none_of_the_app():
    """Neither the plugin nor the DAG's operators do: a few small modules are all that other processes pay for."""
    code = (
        "import sys; import airflow.plugins_manager; before = set(sys.modules); import streamflow_plugin; "
        "plugin = set(sys.modules) - before; import streamflow.validate; "
        "print(*sorted(name for name in sys.modules if name.startswith('streamflow.web'))); print(*plugin)"
    )
    said, plugin = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT / "plugins"
    ).stdout.splitlines()[-2:]
    assert said.split() == ["streamflow.web", "streamflow.web.link"]
    assert not {"fastapi", "jinja2", "streamflow.alerts", "streamflow.tables"} & set(plugin.split())


def test_february(viewer, january):
    """Months are listed with the newest first."""
    january.load_month(FEBRUARY, delivery("ann", "bob"))
    names = [month["as_of"] for month in viewer.get("/months.json").json()["months"]]
    assert names == [FEBRUARY, JANUARY]
