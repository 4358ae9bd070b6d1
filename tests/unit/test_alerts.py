"""What an alert says, where it goes, and what happens when it cannot.

That Airflow calls it is for test_scheduler.py and test_end_to_end.py to see.
"""

from __future__ import annotations

import datetime as dt
import html
import json
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DeadlineReference

from streamflow import settings
from streamflow.alerts import Notifier, is_sealed
from streamflow.months import Month
from support.builders import JANUARY, delivery
from support.database import Database
from support.receivers import MailServer, Webhook

RUN = "manual__2024-02-01T00:00:00+00:00"
LOG = f"http://airflow/dags/streamflow_monthly_ingest/runs/{RUN}/tasks/labels.validate?try_number=1"


def day(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    return DagBag().dags


@pytest.fixture
def webhook(monkeypatch):
    """A webhook that the connection names; the end of its path is a secret."""
    with Webhook() as webhook:
        connect(monkeypatch, conn_type="http", host=f"{webhook.url}/services/", password="a-secret-path")
        yield webhook


@pytest.fixture
def mail_server():
    with MailServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _address(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/")


def connect(monkeypatch, **connection: Any) -> None:
    """Let there be a connection streamflow_alerts."""
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_ALERTS", json.dumps(connection))


def failure(dag, as_of: str = "", **more: Any) -> dict[str, Any]:
    """What Airflow calls a DAG's failure callback with."""
    run = SimpleNamespace(
        conf={"as_of": as_of} if as_of else {},
        run_type="manual",
        logical_date=day("2024-02-01"),
        run_after=day("2024-02-01"),
        data_interval_end=day("2024-01-31"),
    )
    task = SimpleNamespace(task_id="labels.validate", log_url=LOG)
    return {"dag": dag, "run_id": RUN, "dag_run": run, "ti": task, "reason": "task_failure"} | more


def lateness(**run: Any) -> dict[str, Any]:
    """What Airflow calls a deadline's callback with."""
    return {
        "dag_run": {
            "dag_id": "streamflow_monthly_ingest",
            "dag_run_id": "scheduled__2024-02-01",
            "conf": {},
            "run_type": "scheduled",
            "state": "running",
            "logical_date": "2024-01-01T00:00:00Z",
            "run_after": "2024-02-01T00:00:00Z",
            "queued_at": "2024-02-01T00:00:07.5Z",
            "data_interval_end": "2024-01-31T00:00:00Z",
        }
        | run,
        "deadline": {"id": "1", "deadline_time": "2024-02-06T00:00:07.5Z"},
    }


def test_a_failed_run_says_what_failed_where_its_log_is_and_what_to_do(dags, webhook):
    Notifier()(failure(dags["streamflow_monthly_ingest"]))
    assert webhook.texts[0] == (
        "streamflow_monthly_ingest failed for 2024-01-31: task labels.validate\n"
        f"Run: {RUN}\n"
        f"Log: {LOG}\n"
        "All tasks: https://airflow.example.com/dags/streamflow_monthly_ingest/runs/"
        "manual__2024-02-01T00%3A00%3A00%2B00%3A00\n"
        "What to do: the end of the failed task's log says what was expected, what was found, and what to do.\n"
        "Then run the month again (clear the whole run, or trigger the month once more)."
    )
    own = [line for line in webhook.texts[0].splitlines() if "http" not in line]  # a link is not broken
    assert max(map(len, own)) <= 100


@pytest.mark.parametrize(
    ("context", "subject"),
    [
        ({"as_of": "2024-03-31"}, "streamflow_monthly_ingest failed for 2024-03-31: task labels.validate"),
        ({"as_of": "2024-03-15"}, "streamflow_monthly_ingest failed for no month: task labels.validate"),
        ({"ti": None}, "streamflow_monthly_ingest failed for 2024-01-31"),
        ({"ti": None, "dag_run": None}, "streamflow_monthly_ingest failed"),
    ],
)
def test_it_names_as_much_as_is_known(dags, webhook, context, subject):
    Notifier()(failure(dags["streamflow_monthly_ingest"], **context))
    assert webhook.texts[0].splitlines()[0] == subject


def test_a_failed_verification_is_about_no_month(dags, webhook):
    (notifier,) = dags["streamflow_verify"].on_failure_callback
    notifier(failure(dags["streamflow_verify"], ti=SimpleNamespace(task_id="verify", log_url=LOG)))
    said = webhook.texts[0].splitlines()
    assert (said[0], said[-1]) == ("streamflow_verify failed: task verify", "Then trigger the DAG again.")


def test_a_late_month_says_since_when_and_where_to_look(database, webhook):
    Notifier()(lateness())
    assert webhook.texts[0] == (
        "streamflow_monthly_ingest is late: 2024-01-31 is not sealed\n"
        "Run: scheduled__2024-02-01\n"
        "It was queued at 2024-02-01 00:00 UTC, was due by 2024-02-06 00:00 UTC, and is running\n"
        "Where to look: https://airflow.example.com/dags/streamflow_monthly_ingest/runs/scheduled__2024-02-01\n"
        "What to do: if wait_for_month is waiting, its log names the missing files.\n"
        "If a task has failed, the end of its log says what was found and what to do."
    )


def test_a_month_that_is_sealed_is_not_late(database, webhook):
    database.load_month(JANUARY, delivery("ann"))
    Notifier()(lateness())
    assert webhook.posts == []
    Notifier()(lateness(conf={"as_of": "2024-02-29"}))
    assert "2024-02-29 is not sealed" in webhook.texts[0]


def test_a_run_that_was_refused_for_naming_no_month_is_not_late(database, webhook):
    Notifier()(lateness(conf={"as_of": "2024-01-15"}))
    Notifier()(lateness(data_interval_end=None))
    assert webhook.posts == []


def test_without_the_database_a_month_is_late_all_the_same(server, webhook, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", "postgresql://nobody@127.0.0.1:1/nothing")
    Notifier()(lateness())
    assert "2024-01-31 is not sealed" in webhook.texts[0]


def test_the_secret_end_of_a_webhook_is_the_connections_password(dags, webhook):
    Notifier()(failure(dags["streamflow_monthly_ingest"]))
    assert [path for path, _ in webhook.posts] == ["/services/a-secret-path"]


def test_a_webhook_may_be_named_by_its_parts(dags, webhook, monkeypatch):
    port = webhook.server_address[1]
    connect(monkeypatch, conn_type="http", schema="http", host="127.0.0.1", port=port)
    Notifier()(failure(dags["streamflow_monthly_ingest"]))
    assert [path for path, _ in webhook.posts] == ["/"]


@pytest.mark.parametrize("recipients", ["data@example.com, ops@example.com", ["data@example.com", "ops@example.com"]])
def test_an_email_goes_to_the_recipients_of_the_connection(dags, mail_server, monkeypatch, recipients):
    extra = {"from_email": "airflow@example.com", "disable_ssl": True, "disable_tls": True, "recipients": recipients}
    connect(monkeypatch, conn_type="smtp", host="127.0.0.1", port=mail_server.port, extra=extra)
    Notifier()(failure(dags["streamflow_monthly_ingest"]))
    ((envelope, message),) = mail_server.mails
    assert envelope == ["data@example.com", "ops@example.com"]
    assert message["To"] == "data@example.com, ops@example.com"
    assert message["From"] == "airflow@example.com"
    assert message["Subject"] == "streamflow_monthly_ingest failed for 2024-01-31: task labels.validate"
    text = html.unescape(message.get_body().get_content())
    assert f"Log: {LOG}\n" in text


@pytest.mark.usefixtures("metadata")
def test_without_a_connection_the_alert_is_in_the_log_only(dags, capfd):
    Notifier()(failure(dags["streamflow_monthly_ingest"]))
    log = capfd.readouterr().out
    assert "streamflow_monthly_ingest failed for 2024-01-31: task labels.validate" in log
    assert "There is no connection streamflow_alerts: the alert is only in this log." in log
    assert "could not be sent" not in log


def test_a_webhook_that_refuses_is_logged_without_its_secret(dags, webhook, capfd):
    webhook.status = 404
    Notifier()(failure(dags["streamflow_monthly_ingest"]))
    log = capfd.readouterr().out
    assert "be sent through the connection streamflow_alerts: RuntimeError: the webhook answered 404 Not Found" in log
    assert "a-secret-path" not in log


@pytest.mark.parametrize(
    ("connection", "reason"),
    [
        ({"conn_type": "http", "host": "http://127.0.0.1:{port}"}, "ConnectError"),
        ({"conn_type": "http"}, "UnsupportedProtocol"),
        ({"conn_type": "smtp", "host": "127.0.0.1", "port": "{port}"}, "ValueError: its extra names no recipients"),
        (
            {"conn_type": "smtp", "host": "127.0.0.1", "port": "{port}", "extra": {"recipients": "a@example.com"}},
            "ConnectionRefusedError",
        ),
        ({"conn_type": "postgres"}, "ValueError: its type must be smtp or http; found 'postgres'"),
    ],
)
def test_what_goes_wrong_in_sending_is_logged_and_changes_nothing(dags, monkeypatch, capfd, connection, reason):
    with socket.socket() as nobody:  # bound but not listening: a connection is refused
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        text = json.dumps(connection).replace('"{port}"', str(port)).replace("{port}", str(port))
        connect(monkeypatch, **json.loads(text))
        Notifier()(failure(dags["streamflow_monthly_ingest"]))
    assert f"The alert could not be sent through the connection streamflow_alerts: {reason}" in capfd.readouterr().out


@pytest.mark.parametrize("shows_values", ["true", "false"])
def test_no_alert_carries_what_a_task_has_found(dags, webhook, capfd, monkeypatch, shows_values):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SHOW_VALUES", shows_values)
    found = ValueError("column user_id: 2 rows, for example 'SF-00000004'")
    Notifier()(failure(dags["streamflow_monthly_ingest"], exception=found))
    assert len(webhook.posts) == 1
    assert "SF-0" not in webhook.texts[0] + capfd.readouterr().out


def test_the_dag_alerts_on_failure(dags):
    dag = dags["streamflow_monthly_ingest"]
    assert [type(one) for one in dag.on_failure_callback] == [Notifier]
    assert dag.deadline is None  # with one, `airflow dags test` cannot end a run (apache/airflow#73428)


def test_the_dag_alerts_after_the_days_that_are_set(monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SEAL_WITHIN_DAYS", "5")
    (deadline,) = DagBag().dags["streamflow_monthly_ingest"].deadline
    assert deadline.interval == 5 * 24 * 3600
    assert deadline.reference == DeadlineReference.DAGRUN_QUEUED_AT
    assert deadline.callback.path == "streamflow.alerts.Notifier"


def test_the_days_may_be_a_fraction(monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SEAL_WITHIN_DAYS", "0.25")
    assert dt.timedelta(days=settings.seal_within_days()) == dt.timedelta(hours=6)


def test_a_month_is_sealed_or_not(database: Database):
    assert not is_sealed(Month.parse(JANUARY))
    database.load_month(JANUARY, delivery("ann"))
    assert is_sealed(Month.parse(JANUARY))
