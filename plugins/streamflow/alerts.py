"""Alerts when a run fails, or when a month is not sealed in time."""

from __future__ import annotations

import datetime as dt
import html
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote

from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk import (  # type: ignore[attr-defined]  # airflow.sdk's stub of 3.3.2 has forgotten these
    BaseHook,
    BaseNotifier,
    DeadlineAlert,
    DeadlineReference,
    SyncCallback,
    conf,
)
from airflow.sdk.exceptions import AirflowNotFoundException

from streamflow import settings
from streamflow.check_month import month_of
from streamflow.months import Month, MonthError
from streamflow.refusal import RUN_AGAIN

CONNECTION = "streamflow_alerts"
TIMEOUT = 20  # seconds for a webhook; the dag-processor allows 50 for all callbacks of a file


class Alert(NamedTuple):
    """The text of an alert: names, dates, and links, never a delivered value.

    Attributes:
        subject: what happened, in one line.
        body: where to look and what to do.
    """

    subject: str
    body: str

    def __str__(self) -> str:
        return f"{self.subject}\n{self.body}"


class Notifier(BaseNotifier):
    """Logs an alert, and sends it through the connection ``streamflow_alerts`` if there is one.

    A connection of type ``smtp`` sends it as an email to the ``recipients`` in its extra. One of type ``http`` posts
    ``{"text": …}`` to its URL. An error while sending is logged and has no other effect.

    It is a DAG's ``on_failure_callback``, and the callback of a DeadlineAlert, which only passes the run's record.
    """

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Do nothing: there is nothing to render, and the DAG that `airflow dags test` passes could not render it."""

    def notify(self, context: Any) -> None:
        """Compose the alert for the context, log it, and send it."""
        alert = self._late_month(context) if "deadline" in context else failed_run(context)
        if alert is None:
            return
        self.log.error("%s", alert)
        try:
            send(alert)
        except AirflowNotFoundException:
            self.log.info("There is no connection %s: the alert is only in this log.", CONNECTION)
        except Exception as error:
            self.log.error(
                "The alert could not be sent through the connection %s: %s: %s", CONNECTION, type(error).__name__, error
            )

    def _late_month(self, context: Any) -> Alert | None:
        """Return the alert for a deadline that has passed; None if no month is late."""
        run = SimpleNamespace(**context["dag_run"])
        for name in ("queued_at", "run_after", "logical_date", "data_interval_end"):
            setattr(run, name, _time(getattr(run, name)))
        try:
            month = run_month(run)
        except MonthError as error:  # check_month has rejected the run, and there was an alert for that
            self.log.info("Nothing is late: %s", error)
            return None
        try:
            if is_sealed(month):  # by another run, or before this run, which restates it
                self.log.info("Nothing is late: %s is sealed.", month)
                return None
        except Exception as error:
            self.log.warning("Could not check whether %s is sealed: %s", month, error)
        deadline = _time(context["deadline"]["deadline_time"])
        return Alert(
            f"{run.dag_id} is late: {month} is not sealed",
            f"Run: {run.dag_run_id}\n"
            f"It was queued at {_minute(run.queued_at)}, was due by {_minute(deadline)}, and is {run.state}\n"
            f"Where to look: {run_url(run.dag_id, run.dag_run_id)}\n"
            "What to do: if wait_for_month is waiting, its log names the missing files.\n"
            "If a task has failed, the end of its log says what was found and what to do.",
        )


def seal_deadline() -> DeadlineAlert | None:
    """Return the deadline of a month's run, which is queued on the first of the next month; None if not set."""
    days = settings.seal_within_days()
    if not days:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=days * 24 * 3600,  # in seconds: with a timedelta no run could be cleared (apache/airflow#70368)
        callback=SyncCallback(Notifier),
    )


def failed_run(context: Any) -> Alert:
    """Return the alert for a run that has failed.

    Args:
        context: that of the task that failed last; without a task (such as in a deadlock), only ``dag`` and ``run_id``.
    """
    dag, run_id, task = context["dag"], context["run_id"], context.get("ti")
    subject = f"{dag.dag_id} failed"
    if "as_of" in dag.params and (run := context.get("dag_run")):
        try:
            subject += f" for {run_month(run)}"
        except MonthError:
            subject += " for no month"
    if task:
        subject += f": task {task.task_id}"
    log = f"Log: {task.log_url}\n" if task else ""
    return Alert(
        subject,
        f"Run: {run_id}\n"
        f"{log}"
        f"All tasks: {run_url(dag.dag_id, run_id)}\n"
        "What to do: the end of the failed task's log says what was expected, what was found, and what to do.\n"
        f"Then {RUN_AGAIN if 'as_of' in dag.params else 'trigger the DAG again'}.",
    )


def run_month(run: Any) -> Month:
    """Return the month that a run is for, from its record.

    Raises:
        MonthError: if it names no valid month.
    """
    return month_of((run.conf or {}).get("as_of"), run, run.data_interval_end)


def is_sealed(month: Month) -> bool:
    """Return whether a month is sealed, in any revision."""
    found = PostgresHook("streamflow_db").get_first(
        "select exists (select from public.sealed_months where as_of = %s)", parameters=(month.as_of,)
    )
    return found[0]


def run_url(dag_id: str, run_id: str) -> str:
    """Return the address of a run's page."""
    base = conf.get("api", "base_url", fallback=None) or "http://localhost:8080"
    return f"{base.rstrip('/')}/dags/{dag_id}/runs/{quote(run_id)}"


def send(alert: Alert) -> None:
    """Send an alert through the connection.

    Raises:
        AirflowNotFoundException: if there is no connection.
        Exception: any error while sending.
    """
    connection = BaseHook.get_connection(CONNECTION)
    if connection.conn_type == "smtp":
        send_email(alert, connection)
    elif connection.conn_type == "http":
        post(alert, connection)
    else:
        raise ValueError(f"its type must be smtp or http; found {connection.conn_type!r}.")


def send_email(alert: Alert, connection: Any) -> None:
    """Send an alert as an email."""
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    if not (recipients := connection.extra_dejson.get("recipients")):
        raise ValueError('its extra names no recipients: {"recipients": "data@example.com, …"}.')
    with SmtpHook(CONNECTION) as smtp:
        smtp.send_email_smtp(to=recipients, subject=alert.subject, html_content=f"<pre>{html.escape(str(alert))}</pre>")


def post(alert: Alert, connection: Any) -> None:
    """Post an alert to a webhook: the connection's host plus, if it has one, its password as the secret last part."""
    import httpx

    url = connection.host or ""
    if "://" not in url:
        url = f"{connection.schema or 'https'}://{url}" + (f":{connection.port}" if connection.port else "")
    if connection.password:
        url = f"{url.rstrip('/')}/{connection.password}"
    answer = httpx.post(url, json={"text": str(alert)}, timeout=TIMEOUT)
    if not answer.is_success:  # raise_for_status would name the URL, which may be a secret
        raise RuntimeError(f"the webhook answered {answer.status_code} {answer.reason_phrase}.")


def _time(value: Any) -> dt.datetime | Any:
    """Return a time that may have been converted to JSON."""
    return dt.datetime.fromisoformat(value) if isinstance(value, str) else value


def _minute(time: dt.datetime) -> str:
    return f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
