"""What a newcomer does in Airflow's UI, in a real browser, from signing in to mending a broken month.

The tests share one running Airflow and one browser window and go on from each other's state, in the order they are
written in. `make screenshots` lets them take the pictures of docs/images.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from streamflow.tables import TABLES
from support import browser as chromium
from support.browser import DIALOG, Browser
from support.services import PATIENCE, Airflow, running

pytestmark = pytest.mark.skipif(
    not (chromium.CHROMIUM and chromium.DRIVER),
    reason="needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
)
DAG = "/dags/streamflow_monthly_ingest"
FEBRUARY, MARCH = "backfill__2024-02-29T00:00:00+00:00", "backfill__2024-03-31T00:00:00+00:00"
STATE = "//*[@data-testid='header-card']//*[@data-testid='state-badge']"
SUBMIT = "//*[@data-testid='trigger-dag-submit']"
LOG = "//*[@data-testid='virtualized-list']"


@pytest.fixture(scope="module")
def airflow(server, schema, migrated, tmp_path_factory) -> Iterator[Airflow]:
    """Three months; March's labels name a user twice."""
    folder = tmp_path_factory.mktemp("ui")
    with running(server, schema, migrated, folder, months=3) as airflow:
        labels = airflow.deliveries / "month_002" / "labels.csv"
        shutil.copy(labels, labels.with_suffix(".good"))
        with labels.open("a") as file:
            file.write(labels.read_text().splitlines(keepends=True)[-1])
        yield airflow


@pytest.fixture(scope="module")
def browser(airflow) -> Iterator[Browser]:
    browser = Browser(str(airflow.client.base_url).rstrip("/"))
    yield browser
    browser.close()


def cell(run: str, task: str) -> str:
    """A task's square in the grid."""
    return f"//a[@id='grid-{run}-{task}']"


def test_who_has_not_signed_in_sees_only_the_form(browser, airflow):
    browser.open(DAG)
    browser.read("//body", "Sign into Airflow")
    assert "streamflow" not in browser.text
    browser.type("//input[@name='username']", "admin")
    browser.type("//input[@name='password']", airflow.password)
    browser.click("//button[@type='submit']")
    browser.read("//*[@data-testid='header-card']", "streamflow_monthly_ingest", "monthly, after the month's last day")


def test_the_docs_and_the_deadline_are_where_people_look(browser):
    browser.click("//button[@data-testid='markdown-button']")
    said = browser.read(DIALOG, "A month, from files to sealed snapshots")
    assert "nothing reaches live or a snapshot unless all tables pass." in said
    browser.click(f"{DIALOG}//button[@aria-label='Close']")
    browser.click("//button[contains(., '1 deadline')]")
    browser.read("//body", "Must complete within 5 days of queue time")
    browser.click("//button[contains(., '1 deadline')]")


def test_the_graph_shows_a_group_a_table(browser):
    browser.click("//button[starts-with(@aria-label, 'Show Graph')]")
    browser.click("//button[@aria-label='Collapse Details Panel']")
    for table in TABLES:
        browser.read(f"//*[@data-id='{table}']", table, "Task Group", "+ 4 Tasks")
    browser.read("//*[@data-id='upsert']", "+ 6 Tasks")
    browser.click("//*[@data-id='labels']//button")
    for task in ("stage", "load", "validate"):
        browser.read(f"//*[@data-id='labels.{task}']", task)
    browser.click("//button[@aria-label='Fit View']")
    browser.take_picture("graph")
    browser.click("//button[@aria-label='Collapse all task groups']")


def test_the_form_says_what_the_params_mean_and_takes_no_wrong_date(browser):
    browser.click("//button[@data-testid='trigger-dag-button']")
    said = browser.read(DIALOG, "Month end", "Restate")
    assert "Last day of the month to load (2024-01-31). If empty, the data interval decides." in said
    assert "Allow changes to sealed months without asking a person" in said
    assert "Month end\n*" not in said  # it may stay empty
    assert browser.see(SUBMIT).is_enabled()
    browser.type("//*[@id='element_as_of']", "31.1.2024")
    browser.click(SUBMIT)
    browser.read(DIALOG, "does not match")
    browser.open(DAG)


def test_january_turns_green(browser, airflow):
    browser.click("//button[@data-testid='trigger-dag-button']")
    browser.pick_date("Logical Date", "2024/01/31")
    browser.take_picture("trigger")
    browser.click(SUBMIT)
    browser.until(lambda: "/runs/manual__" in browser.driver.current_url, "the run's page does not open")
    browser.read(STATE, "Success", patience=PATIENCE)
    run = unquote(browser.driver.current_url.partition("/runs/")[2])
    assert run.startswith("manual__2024-01-31__")
    assert set(airflow.tasks(run).values()) == {"success"}


def test_a_day_that_is_another_one_elsewhere_is_refused_and_its_run_named_after_no_month(browser, airflow):
    browser.move_to("Europe/Athens")
    browser.open(DAG)
    browser.click("//button[@data-testid='trigger-dag-button']")
    browser.pick_date("Logical Date", "2024/02/29")
    browser.click(SUBMIT)
    browser.until(lambda: "/runs/manual__" in browser.driver.current_url, "the run's page does not open")
    browser.read(STATE, "Failed", patience=PATIENCE)
    run = unquote(browser.driver.current_url.partition("/runs/")[2])
    assert "2024-0" not in run
    browser.open(f"{DAG}/runs/{run}/tasks/check_month")
    browser.read(LOG, "It means 2024-01-31 in one time zone and 2024-02-29 in another.", "as_of")
    assert airflow.client.delete(f"/api/v2{DAG}/dagRuns/{run}").is_success


def test_a_backfill_of_two_months_turns_green_where_the_delivery_is_valid(browser):
    browser.move_to("America/New_York")
    browser.open(DAG)
    browser.click("//button[@data-testid='trigger-dag-button']")
    browser.click(f"{DIALOG}//label[contains(., 'Run this Dag for a range of dates')]")
    browser.pick_date("From", "2024/02/01")
    browser.pick_date("To", "2024/03/31")
    browser.read(DIALOG, "2 runs will be triggered.")
    browser.click(f"{DIALOG}//button[normalize-space()='Run Backfill']")
    browser.read("//body", "Backfill generated")
    browser.move_to("UTC")
    browser.open(f"{DAG}/runs/{FEBRUARY}")
    browser.read(STATE, "Success", patience=PATIENCE)


def test_the_log_of_a_failing_validation_says_what_is_wrong(browser):
    browser.open(f"{DAG}/runs/{MARCH}")
    browser.read(STATE, "Failed", patience=PATIENCE)
    browser.click("//button[@data-testid='grid-view-button']")
    browser.click("//button[@data-testid='expand-all-button']")
    browser.click(cell(MARCH, "labels.validate"))
    said = browser.read(LOG, "labels of 2024-03-31: 1 of 6 rules failed.", "What to do: correct labels.csv, then run")
    assert "column user_id: values must be unique (" in said
    assert "2 of 51 rows" in said
    browser.take_picture("failing")


def test_clearing_its_tasks_completes_the_month(browser, airflow):
    labels = airflow.deliveries / "month_002" / "labels.csv"
    shutil.copy(labels.with_suffix(".good"), labels)
    browser.click(cell(MARCH, "labels.stage"))
    browser.read("//*[@data-testid='header-card']", "labels.stage")
    browser.click("//button[@aria-label='Press shift+c to clear']")
    browser.read(DIALOG, "Affected Tasks: 13")
    browser.click(f"{DIALOG}//button[normalize-space()='Confirm']")
    browser.until(lambda: not browser.all(DIALOG), "the dialog stays open")  # leaving sooner could lose the request
    browser.open(f"{DAG}/runs/{MARCH}")
    browser.read(STATE, "Success", patience=PATIENCE)
    browser.take_picture("runs")
    assert set(airflow.runs().values()) == {"success"}
    sealed = airflow.database.query("select as_of::text from public.sealed_months order by as_of")
    assert sealed == [("2024-01-31",), ("2024-02-29",), ("2024-03-31",)]
