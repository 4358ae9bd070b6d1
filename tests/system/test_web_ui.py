"""The pages on months in a real browser: from Airflow's navigation to a failing month, light and dark, wide and narrow.

The tests share one running Airflow and one browser window and go on from each other's state, in the order they are
written in. `SCREENSHOTS=docs/images` lets them take pictures.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator

import psycopg
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from support import axe
from support import browser as chromium
from support.browser import HEIGHT, WIDTH, Browser
from support.paths import ROOT
from support.services import DAG, PATIENCE, Airflow, running, wait_until

pytestmark = pytest.mark.skipif(
    not (chromium.CHROMIUM and chromium.DRIVER),
    reason="needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
)
PAGES = "/streamflow"
JANUARY, FEBRUARY, MARCH, APRIL = ("2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30")
SIZES = [(WIDTH, HEIGHT), (390, 800)]
ADDRESSES = [
    "/",
    f"/months/{JANUARY}",
    f"/months/{MARCH}",
    f"/validations/{MARCH}/labels",
    "/tables/usage_agg_30d",
    "/users?user_id=SF-00000004",
    "/months/1999-01-31",
]


@pytest.fixture(scope="module")
def airflow(server, schema, migrated, tmp_path_factory) -> Iterator[Airflow]:
    """Four months; March's labels name a user twice, April's have not come."""
    folder = tmp_path_factory.mktemp("web")
    users = {
        "AIRFLOW__CORE__AUTH_MANAGER": "support.narrow_auth_manager.NarrowAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,reader:viewer,stranger:viewer",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]),
    }
    with running(server, schema, migrated, folder, months=4, **users) as airflow:
        airflow.folder = folder
        labels = airflow.deliveries / "month_002" / "labels.csv"
        shutil.copy(labels, labels.with_suffix(".good"))
        with labels.open("a") as file:
            file.write(labels.read_text().splitlines(keepends=True)[-1])
        usage = airflow.deliveries / "month_001" / "usage_agg_30d.csv"
        _raise_column(usage, "watch_hours_30d", 1.6)
        late = airflow.deliveries / "month_003" / "labels.csv"
        late.rename(late.with_suffix(".late"))
        yield airflow


def _raise_column(path, column: str, factor: float) -> None:
    """Let a column drift."""
    import csv

    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row[column] = row[column] and f"{min(700, float(row[column]) * factor):.1f}"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def browser(airflow) -> Iterator[Browser]:
    browser = Browser(str(airflow.client.base_url).rstrip("/"), is_watched=True)
    yield browser
    browser.close()


def sign_in(browser: Browser, airflow: Airflow, name: str) -> None:
    """Sign in as one of the users."""
    passwords = json.loads((airflow.folder / "ui-passwords.json").read_text())
    browser.driver.delete_all_cookies()
    browser.open("/auth/login")
    browser.type("//input[@name='username']", name)
    browser.type("//input[@name='password']", passwords[name])
    browser.click("//button[@type='submit']")
    browser.see("//*[@data-testid='nav-sidebar']")


def resize(browser: Browser, width: int, height: int, is_dark: bool = False) -> None:
    """Show pages in a window of that size, in light or dark."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def test_who_has_not_signed_in_is_asked_to(browser, airflow):
    browser.open(f"{PAGES}/")
    browser.read("//h1", "Sign in")
    browser.click("//main//a[normalize-space()='Sign in']")
    browser.see("//input[@name='password']")


def test_months_are_run(browser, airflow):
    for as_of in (JANUARY, FEBRUARY):
        assert airflow.end_of(airflow.trigger(None, as_of=as_of)) == "success"
    assert airflow.end_of(airflow.trigger(None, as_of=MARCH)) == "failed"
    airflow.waiting = airflow.trigger(None, as_of=APRIL)
    wait_until(
        lambda: (airflow.tasks(airflow.waiting).get("wait_for_month") or "") in ("deferred", "up_for_reschedule"),
        lambda: str(airflow.tasks(airflow.waiting)),
    )


def test_a_run_is_named_after_its_month_by_its_note(airflow):
    runs = airflow.get(f"{DAG}/dagRuns", limit=10)["dag_runs"]
    assert {run["note"] for run in runs} == {f"Month {as_of}" for as_of in (JANUARY, FEBRUARY, MARCH, APRIL)}


def test_the_navigation_leads_to_the_months(browser, airflow):
    sign_in(browser, airflow, "admin")
    browser.click("//*[@data-testid='nav-sidebar']//*[@aria-label='StreamFlow']")
    browser.driver.switch_to.frame(browser.see("//iframe"))
    said = browser.read("//main", JANUARY, FEBRUARY, MARCH, APRIL)
    assert "waiting: labels.csv is missing" in said
    assert "failed at labels.validate" in said
    assert "1 broken rule" in said
    resize(browser, WIDTH, HEIGHT)
    browser.take_picture("months")


def test_links_between_the_pages_stay_in_the_frame(browser, airflow):
    browser.click(f"//main//a[normalize-space()='{JANUARY}']")
    browser.read("//h1", JANUARY)
    browser.driver.switch_to.default_content()
    browser.until(lambda: browser.driver.current_url.endswith(f"/months/{JANUARY}"), "the address is another one")
    browser.driver.switch_to.frame(browser.see("//iframe"))
    browser.click("//nav//a[normalize-space()='Months']")
    browser.read("//h1", "Months")


def test_a_link_out_of_the_pages_leads_to_the_run(browser, airflow):
    browser.click("//a[contains(., 'failed at labels.validate')]")
    browser.driver.switch_to.default_content()
    browser.read("//*[@data-testid='header-card']//*[@data-testid='state-badge']", "Failed")
    assert "/dags/streamflow_monthly_ingest/runs/manual__" in browser.driver.current_url
    assert not browser.driver.find_elements("xpath", "//iframe")


def test_a_failing_task_leads_to_what_its_validation_has_found(browser, airflow):
    run = next(run for run, state in airflow.runs().items() if state == "failed")
    links = airflow.get(f"{DAG}/dagRuns/{run}/taskInstances/labels.validate/links")["extra_links"]
    browser.open(f"/dags/streamflow_monthly_ingest/runs/{run}/tasks/labels.validate/details")
    link = browser.see("//a[contains(., 'Validation results')]")
    assert link.get_attribute("href") == links["Validation results"]
    browser.driver.get(link.get_attribute("href"))
    browser.read("//h1", "labels of 2024-03-31: failed")
    said = browser.read("//main", "2 of 51 rows", "values must be unique", "user_id 'SF-")
    assert "1 of 6 rules failed" in said


def test_a_month(browser, airflow):
    browser.open(f"{PAGES}/months/{FEBRUARY}")
    said = browser.read("//main", "Files", "Warnings", "Validations", "Revisions", "Runs")
    assert "column watch_hours_30d" in said
    assert "The month was never restated" in said


def test_drift_is_drawn_and_said(browser, airflow):
    browser.open(f"{PAGES}/tables/usage_agg_30d")
    said = browser.read("//main", "Numbers", "watch_hours_30d: mean", "2 outside")
    assert "above" in said
    assert "below" in said  # March, which is as it was before
    plot = browser.see("//*[name()='svg'][*[name()='title'][starts-with(., 'watch_hours_30d: mean')]]")
    assert f"{FEBRUARY} above its bound, {MARCH} below its bound" in plot.get_attribute("innerHTML")
    assert len(plot.find_elements("xpath", ".//*[@class='broken']")) == 2
    browser.take_picture("drift")


def test_a_user(browser, airflow):
    browser.open(f"{PAGES}/users")
    browser.type("//input[@name='user_id']", "SF-00000004")
    browser.click("//button")
    browser.read("//main", "appeared", JANUARY)


def test_all_of_it_is_reachable_by_keyboard(browser, airflow):
    browser.open(f"{PAGES}/")
    focused = "const one = document.activeElement; return one.getAttribute('href') || one.getAttribute('aria-label')"
    reached = []
    for _ in range(40):
        reached.append(browser.driver.execute_script(focused))
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
    assert reached[1] == "#content"
    for wanted in ("./tables/users", "Months and tables", f"./months/{MARCH}", f"./validations/{MARCH}/labels"):
        assert wanted in reached


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pages_have_no_serious_fault_and_fit(browser, airflow, width, height, is_dark):
    if axe.source() is None:
        pytest.skip("needs npm and its registry, for axe-core")
    resize(browser, width, height, is_dark)
    for address in ADDRESSES:
        browser.watched()
        browser.open(PAGES + address)
        browser.see("//h1")
        _, complaints = browser.watched()
        assert [one for one in complaints if "404 (Not Found)" not in one and "favicon" not in one] == []
        assert axe.faults(browser.driver) == [], address
        too_wide = browser.driver.execute_script(
            "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        assert not too_wide, f"{address} is wider than {width} pixels"


def test_a_reader_of_the_dag_who_may_not_read_logs_sees_no_values(browser, airflow):
    resize(browser, WIDTH, HEIGHT)
    sign_in(browser, airflow, "reader")
    browser.open(f"{PAGES}/validations/{MARCH}/labels")
    said = browser.read("//main", "2 of 51 rows", "Delivered values are not shown")
    assert "SF-" not in said
    browser.open(f"{PAGES}/users?user_id=SF-00000004")
    browser.read("//h1", "Not for you")


def test_who_may_not_read_the_dag_sees_nothing(browser, airflow):
    sign_in(browser, airflow, "stranger")
    for address in ADDRESSES:
        browser.open(PAGES + address)
        said = browser.read("//body", "Not for you")
        assert "sealed" not in said


def test_the_month_that_waited_is_sealed_when_its_file_comes(browser, airflow):
    late = airflow.deliveries / "month_003" / "labels.late"
    late.rename(late.with_suffix(".csv"))
    assert airflow.end_of(airflow.waiting) == "success"
    sign_in(browser, airflow, "admin")
    browser.open(f"{PAGES}/months/{APRIL}")
    browser.read("//main", "sealed", patience=PATIENCE)


# a person decides


def correct_january(airflow: Airflow) -> str:
    """Deliver another file for January, and trigger it; return the run, which waits for an answer."""
    _raise_column(airflow.deliveries / "month_000" / "usage_agg_30d.csv", "watch_hours_30d", 1.1)
    run = airflow.trigger(None, as_of=JANUARY)
    wait_for_question(airflow, run)
    return run


def wait_for_question(airflow: Airflow, run: str) -> None:
    """Wait until a run's gate waits for an answer, and until Airflow has put it down that it does.

    The supervisor of the task that asks lives on for up to ``[workers] min_heartbeat_interval`` (5 s). If the task goes
    on before that, the scheduler takes its end for a failure, and the gate asks again in another try.
    """
    wait_until(lambda: airflow.tasks(run).get("gate") == "awaiting_input", lambda: str(airflow.tasks(run)))
    time.sleep(10)


def answer(airflow: Airflow, run: str, option: str, why: str = "") -> None:
    """Answer a run's question as the UI does."""
    path = f"{DAG}/dagRuns/{run}/taskInstances/gate/-1/hitlDetails"
    body = {"chosen_options": [option], "params_input": {"why": why}}
    assert airflow.client.patch(path, json=body).is_success


def test_a_change_of_a_sealed_month_waits_for_a_person(browser, airflow):
    airflow.asking = correct_january(airflow)
    browser.open(f"{PAGES}/")
    browser.read("//main", "newest run waiting for approval")
    browser.open(f"{PAGES}/months/{JANUARY}")
    browser.click("//a[normalize-space()='See what would change, and decide']")
    said = browser.read("//main", "may this be published?", "2024-01-31 usage_agg_30d: ", "rows changed", "Would be")
    assert "watch_hours_30d" in said
    browser.take_picture("question")
    assert axe.source() is None or axe.faults(browser.driver) == []


def test_required_actions_lead_to_what_would_change(browser, airflow):
    browser.open("/required_actions?response_received=false")
    browser.click(f"//a[contains(., '{JANUARY}: may this be published?')]")
    browser.read("//body", "Sealed snapshots would change", "rows changed", "Approve", "Reject")
    link = browser.see("//a[normalize-space()='See what would change']").get_attribute("href")
    assert f"{PAGES}/questions/{JANUARY}?run=manual__" in link
    browser.driver.get(link)
    browser.read("//main", "may this be published?")


def test_what_is_approved_is_published_and_the_month_says_by_whom(browser, airflow):
    browser.click("//a[normalize-space()='Decide in Airflow']")
    browser.type("//*[@id='element_why']", "the source was corrected")
    browser.click("//button[@data-testid='hitl-option-Approve']")
    assert airflow.end_of(airflow.asking) == "success"
    browser.open(f"{PAGES}/months/{JANUARY}")
    browser.read("//main", "approved by admin", "the source was corrected", "mean of watch_hours_30d")
    browser.open(f"{PAGES}/questions/{JANUARY}")
    browser.read("//main", "This question is not open.")


def test_what_is_rejected_fails_once_and_changes_nothing(airflow):
    before = airflow.database.contents(ledger=True)
    run = correct_january(airflow)
    answer(airflow, run, "Reject", "not now")
    assert airflow.end_of(run) == "failed"
    assert airflow.reason(run, "gate").startswith("Rejected by admin: not now")
    assert airflow.database.contents(ledger=True) == before


def test_no_answer_in_time_fails_the_month_once(airflow):
    """The scheduler looks at the time that the setting has left to an answer; here it is over at once."""
    run = correct_january(airflow)
    with psycopg.connect(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")) as metadata:
        metadata.execute(
            "update task_instance set trigger_timeout = now() where run_id = %s and task_id = 'gate'", [run]
        )
    assert airflow.end_of(run) == "failed"
    assert airflow.reason(run, "gate").startswith("No one has answered in time")


def test_a_month_that_waits_for_an_answer_holds_up_no_other_and_is_asked_about_again(airflow):
    run = correct_january(airflow)
    _raise_column(airflow.deliveries / "month_001" / "usage_agg_30d.csv", "watch_hours_30d", 1.1)
    assert airflow.end_of(airflow.trigger(None, as_of=FEBRUARY, restate=True)) == "success"
    questions = "select count(*) from public.questions where run_id = %s"
    assert airflow.database.query(questions, run) == [(1,)]
    answer(airflow, run, "Approve")
    wait_until(lambda: airflow.database.query(questions, run) == [(2,)], lambda: str(airflow.tasks(run)))
    wait_for_question(airflow, run)
    answer(airflow, run, "Approve")
    assert airflow.end_of(run) == "success"
    assert airflow.database.verify() == []


def test_files_that_change_while_it_waits_need_an_answer_of_their_own(airflow):
    run = correct_january(airflow)
    other = correct_january(airflow)  # takes over the month
    answer(airflow, run, "Approve")
    assert airflow.end_of(run) == "failed"
    assert "has taken over the month 2024-01-31" in airflow.reason(run, "gate")
    answer(airflow, other, "Approve")
    assert airflow.end_of(other) == "success"
    assert airflow.database.verify() == []
