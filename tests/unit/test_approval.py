"""A person's approval: what is asked, what an answer counts for, and what it leaves in the ledger."""

from __future__ import annotations

import datetime as dt

import psycopg
import pytest

import embedded
from streamflow.refusal import TaskRefused
from support.asking import ANN, BEN, Gate
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database


@pytest.fixture(scope="module")
def template(server, schema) -> str:
    """January and February are sealed, and January is built again from other files."""
    database = Database(embedded.uri(server, "streamflow_approval", template=schema, user="streamflow_ingest"))
    database.load_month(JANUARY, delivery("ann", "bob", watch_hours_30d=1))
    database.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=2))
    database.build_month(JANUARY, delivery("ann", "bob", watch_hours_30d=7))
    database.close()
    return "streamflow_approval"


@pytest.fixture
def gate(database, monkeypatch) -> Gate:
    """The gate of that run."""
    return Gate(database, monkeypatch)


@pytest.fixture
def sealed(database) -> Database:
    """The database, in tests that look at what is sealed in it."""
    return database


def approvals(database: Database) -> list[tuple]:
    """Return the approved revisions of the ledger."""
    return database.query(
        "select as_of::text, table_name, revision, approved_by, approved_at, approval_reason "
        "from public.deliveries where approved_by is not null order by as_of, table_name"
    )


# the question


def test_a_person_is_asked_if_sealed_months_would_change(sealed, gate):
    before = sealed.contents(ledger=True)
    assert gate.asks().timeout is None
    (asked,) = gate.asked
    assert asked["options"] == ["Approve", "Reject"]
    assert asked["subject"] == "2024-01-31: may this be published?"
    assert "Sealed snapshots would change: different files for 2024-01-31, which is sealed." in asked["body"]
    assert r"- 2024-01-31 usage\_agg\_30d: 2 rows changed" in asked["body"]
    assert r"- 2024-02-29 usage\_agg\_30d: 1 row changed" in asked["body"]
    assert "/streamflow/questions/2024-01-31?run=manual__it%27s%20a%20test)" in asked["body"]
    assert asked["params"]["why"]["schema"]["type"] == ["null", "string"]
    assert sealed.contents(ledger=True) == before


def test_what_a_person_is_asked_is_in_the_log_of_questions(sealed, gate):
    builds = gate.asks().kwargs["builds"]
    ((run_id, of, reason, details, cells),) = sealed.query(
        "select run_id, builds, reason, details, cells from public.questions"
    )
    assert (run_id, of) == (sealed.run_id, builds)
    assert reason == "Sealed snapshots would change: different files for 2024-01-31, which is sealed."
    assert details == ["2024-01-31 usage_agg_30d: 2 rows changed", "2024-02-29 usage_agg_30d: 1 row changed"]
    assert cells[0] == ["2024-01-31", "usage_agg_30d", "ann", "changed", "watch_hours_30d", "1", "7"]
    assert len(cells) == 3


def test_the_log_of_questions_keeps_a_limited_number_of_cells(database, gate):
    database.build_month(JANUARY, delivery(*(f"u{number}" for number in range(501))))
    gate.asks()
    assert database.query("select jsonb_array_length(cells) from public.questions") == [(500,)]


def test_no_value_is_kept_if_none_may_be_shown(sealed, gate, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__SHOW_VALUES", "false")
    gate.asks()
    assert sealed.query("select cells from public.questions") == [([],)]


def test_hostile_values_are_text(sealed, gate):
    users = b'user_id,signup_date,user_gender,user_is_senior,has_family,has_dependents\nann,2023-01-01,"\x1b[31m",,,\n'
    sealed.build_month(JANUARY, delivery("ann", watch_hours_30d=1) | {"users": users})
    gate.asks()
    assert sealed.query("select count(*) from public.questions where cells::text like '%u001b%'") == [(0,)]


def test_a_month_in_order_is_not_asked_about(database, gate):
    gate.as_of = MARCH
    database.build_month(MARCH, delivery("ann", "bob"))
    assert gate.execute()["month"] == "new"


def test_a_run_with_restate_is_not_asked_about(gate):
    gate.restate = True
    assert gate.execute()["month"] == "restated"
    assert gate.asked == []


@pytest.mark.parametrize("reason", ["dags test", "the setting"])
def test_it_fails_if_no_one_can_be_asked(sealed, gate, monkeypatch, reason):
    if reason == "dags test":
        gate.starter = "dag_test"
    else:
        monkeypatch.setenv("AIRFLOW__STREAMFLOW__ASK", "false")
    with pytest.raises(TaskRefused, match="run the month with the params as_of=2024-01-31 and restate=true"):
        gate.execute()
    assert gate.asked == []
    assert sealed.query("select count(*) from public.questions") == [(0,)]


# the answer


def test_what_is_approved_is_published_and_the_ledger_says_by_whom(sealed, gate):
    passed = gate.answer(gate.asks(), "Approve", why="the source was corrected")
    assert gate.seal(passed)["months_sealed"] == f"{JANUARY}, {FEBRUARY}"
    by = ("ben", dt.datetime(2024, 3, 1, tzinfo=dt.UTC), "the source was corrected")
    assert approvals(sealed) == [(JANUARY, "usage_agg_30d", 2, *by), (FEBRUARY, "usage_agg_30d", 2, *by)]
    rows = "select watch_hours_30d::text from usage_agg_30d_snapshots where as_of = %s and user_id = 'ann'"
    assert sealed.query(rows, JANUARY) == sealed.query(rows, FEBRUARY) == [("7",)]


def test_a_late_month_that_is_approved(sealed, gate):
    """All revisions of the run have the approval, also the late month's own."""
    gate.as_of = "2023-12-31"
    sealed.build_month("2023-12-31", delivery("ann", "zoe"))
    gate.seal(gate.answer(gate.asks(), "Approve"))
    assert {(as_of, by) for as_of, _, _, by, *_ in approvals(sealed)} == {
        ("2023-12-31", "ben"),
        ("2024-01-31", "ben"),
        ("2024-02-29", "ben"),
    }


@pytest.mark.parametrize(
    ("by", "why", "expected"),
    [(None, None, ("unknown", "")), ({"id": "7", "name": "a\x1b"}, "x\ny", ("a\\x1b", "x\\ny"))],
)
def test_names_and_reasons_are_plain_text(gate, by, why, expected):
    approval = gate.answer(gate.asks(), "Approve", why=why, by=by)["approval"]
    assert (approval["by"], approval["why"]) == expected


def test_what_is_rejected_fails_and_changes_nothing(sealed, gate):
    before = sealed.contents(ledger=True)
    with pytest.raises(TaskRefused, match="Rejected by ben: not in the middle of the audit"):
        gate.answer(gate.asks(), "Reject", why="not in the middle of the audit")
    assert sealed.contents(ledger=True) == before


def test_no_answer_in_time_fails_the_month(sealed, gate, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__APPROVAL_TIMEOUT", "60")
    waits = gate.asks()
    assert waits.timeout == dt.timedelta(seconds=60)
    with pytest.raises(TaskRefused, match="No one has answered in time"):
        gate.resume(waits, {"error": "The response timeout has passed", "error_type": "timeout"})


# what an approval is about


def test_files_that_changed_while_it_waited_are_asked_about_again(sealed, gate):
    before = sealed.contents(ledger=True)
    waits = gate.asks()
    sealed.build_month(JANUARY, delivery("ann", "bob", watch_hours_30d=8))
    again = gate.is_asked_again(waits)
    assert sealed.contents(ledger=True) == before
    gate.seal(gate.answer(again, "Approve"))
    assert sealed.query("select distinct watch_hours_30d from usage_agg_30d_snapshots where as_of = %s", JANUARY) == [
        (8,)
    ]


def test_a_month_that_was_sealed_while_it_waited_is_asked_about_again(sealed, gate):
    waits = gate.asks()
    other = sealed.another()
    other.load_month(MARCH, delivery("bob", watch_hours_30d=3))
    other.close()
    again = gate.is_asked_again(waits)
    assert (
        "2024-03-31 usage_agg_30d: 1 row changed"
        in sealed.query("select details from public.questions order by asked_at desc limit 1")[0][0]
    )
    gate.seal(gate.answer(again, "Approve"))
    for table in ("users", "usage_agg_30d"):
        sealed.upsert(JANUARY, table)
    assert sealed.verify() == []


def test_an_answer_comes_too_late_once_another_run_has_sealed_the_month(sealed, gate):
    waits = gate.asks()
    other = Database(sealed.uri, run_id="other")
    other.load_month(JANUARY, delivery("ann", "bob", watch_hours_30d=7), restate=True)
    other.close()
    with pytest.raises(TaskRefused, match="nothing is staged for 2024-01-31 any more"):
        gate.answer(waits, "Approve")


def test_the_database_publishes_no_builds_but_the_approved_ones(sealed, gate):
    passed = gate.answer(gate.asks(), "Approve")
    sealed.build_month(JANUARY, delivery("ann", "bob", watch_hours_30d=9))
    before = sealed.contents(ledger=True)
    with pytest.raises(psycopg.errors.SerializationFailure, match="built again after they passed the gate"):
        gate.seal(passed)
    assert sealed.contents(ledger=True) == before


def test_an_approval_does_not_count_for_what_seal_builds_again(sealed, gate):
    passed = gate.answer(gate.asks(), "Approve")
    other = sealed.another()
    other.load_month(MARCH, delivery("bob", watch_hours_30d=3))
    other.close()
    before = sealed.contents(ledger=True)
    task, context = gate.task("seal", passed)
    with pytest.raises(TaskRefused, match="The gate then asks a person") as refused:
        task.execute(context)
    assert "2024-03-31 usage_agg_30d: 1 row changed" in str(refused.value)
    assert sealed.contents(ledger=True) == before


# four eyes


@pytest.fixture
def four_eyes(monkeypatch):
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__FOUR_EYES", "true")


@pytest.mark.parametrize("restate", [False, True])
def test_who_started_the_run_cannot_approve_it(sealed, gate, four_eyes, restate):
    gate.restate = restate
    waits = gate.asks()
    assert "ann has started the run, so someone else has to approve it." in gate.asked[0]["body"]
    passed = gate.answer(gate.is_asked_again(waits, by=ANN), "Approve", by=BEN)
    assert gate.seal(passed)["months_sealed"] == f"{JANUARY}, {FEBRUARY}"
    assert {by for _, _, _, by, *_ in approvals(sealed)} == {"ben"}


def test_a_name_that_is_not_plain_text_is_the_same_person(gate, four_eyes):
    gate.starter = "ann\x1b"
    gate.is_asked_again(gate.asks(), by={"id": "1", "name": "ann\x1b"})


def test_who_started_the_run_can_reject_it(gate, four_eyes):
    with pytest.raises(TaskRefused, match="Rejected by ann"):
        gate.answer(gate.asks(), "Reject", by=ANN)


def test_a_scheduled_run_can_be_approved_by_anyone(gate, four_eyes):
    gate.starter = None
    assert gate.answer(gate.asks(), "Approve", by=ANN)["approval"]["by"] == "ann"


@pytest.mark.parametrize("reason", ["dags test", "the setting"])
def test_a_restatement_that_no_second_person_can_approve_fails(gate, four_eyes, monkeypatch, reason):
    gate.restate = True
    if reason == "dags test":
        gate.starter = "dag_test"
    else:
        monkeypatch.setenv("AIRFLOW__STREAMFLOW__ASK", "false")
    with pytest.raises(TaskRefused, match="a second person has to approve this"):
        gate.execute()


# rules that a person decides about

BROKEN = "column churn_label: proportion of non-null values must be … (expect_…): found 0.5"


@pytest.fixture
def march(database, gate) -> dict[str, bytes]:
    """March is built, in order, and its labels break a rule that is marked ``ask``; its files."""
    gate.as_of = MARCH
    files = delivery("bob", "cid")
    build_march(database, files)
    return files


def build_march(database: Database, files: dict[str, bytes]) -> None:
    database.build_month(MARCH, files)
    database.mark_validated(MARCH, "labels", files["labels"], asks=(BROKEN,))


def test_a_person_is_asked_about_a_broken_rule_that_is_marked(database, gate, march):
    passed = gate.answer(gate.asks(), "Approve", why="a campaign")
    assert "2024-03-31 breaks 1 rule that a person decides about." in gate.asked[0]["body"]
    assert database.query("select details, cells from public.questions") == [([f"labels: {BROKEN}"], [])]
    gate.seal(passed)
    assert {(as_of, revision, why) for as_of, _, revision, _, _, why in approvals(database)} == {
        (MARCH, 1, "a campaign")
    }


def test_a_sealed_month_with_such_a_rule_is_not_asked_about_again(database, gate, march):
    gate.seal(gate.answer(gate.asks(), "Approve"))
    build_march(database, march)
    assert gate.execute()["month"] == "already sealed and unchanged"


def test_a_run_with_restate_is_not_asked_about_such_a_rule(gate, march):
    gate.restate = True
    assert gate.execute()["month"] == "new"


def test_such_a_rule_fails_the_month_if_no_one_can_be_asked(gate, march):
    gate.starter = "dag_test"
    with pytest.raises(TaskRefused) as refused:
        gate.execute()
    assert str(refused.value).splitlines() == [
        "2024-03-31 breaks 1 rule that a person decides about.",
        f"  - labels: {BROKEN}",
        "Nothing was written.",
        "What to do: if this is intended, run the month with the params as_of=2024-03-31 and restate=true.",
    ]


def test_changes_and_broken_rules_are_one_question(sealed, gate):
    files = delivery("ann", "bob", watch_hours_30d=7, churn_label="False")
    sealed.build_month(JANUARY, files)
    sealed.mark_validated(JANUARY, "labels", files["labels"], asks=(BROKEN,))
    gate.asks()
    ((reason, details),) = sealed.query("select reason, details from public.questions")
    assert reason == (
        "Sealed snapshots would change: different files for 2024-01-31, which is sealed. "
        "2024-01-31 breaks 1 rule that a person decides about."
    )
    assert details[-1] == f"labels: {BROKEN}"
    assert len(details) == 5
