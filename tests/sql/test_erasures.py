"""Erasures and readmissions among deliveries in any order, killed anywhere: no one is left, nothing else changes."""

from __future__ import annotations

import hashlib

import pandas as pd
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from streamflow import erase as erasures
from streamflow.refusal import Refusal
from streamflow.tables import TABLES
from support import oracle
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database
from support.erasing import APPROVAL, erase, found_anywhere, readmit, use
from support.histories import MONTHS, SEQUENCES, USERS, as_files, contents, deliveries, is_refused, load

STAYS = "person-who-stays"
PERSON = {user: f"person-{user}-7d1" for user in USERS}  # found nowhere but where the user is

LOADS = st.tuples(
    st.just("load"),
    st.sampled_from(MONTHS),
    st.integers(0, 2),  # which delivery of that month
    st.booleans(),  # restate
    st.one_of(st.none(), st.none(), st.integers(1, 22)),  # killed after so many steps
)
ERASURES = st.tuples(
    st.just("erase"),
    st.sets(st.sampled_from(USERS), min_size=1, max_size=2),
    st.one_of(st.none(), st.integers(0, 2)),  # killed in the month after so many
)
READMISSIONS = st.tuples(st.just("readmit"), st.sets(st.sampled_from(USERS), min_size=1, max_size=3))


@st.composite
def histories(draw) -> list[tuple]:
    """Months, and then rounds of an erasure, more months, perhaps a readmission, and more months."""
    steps = draw(st.lists(LOADS, min_size=1, max_size=3))
    for _ in range(draw(st.integers(1, 2))):
        steps += [draw(ERASURES), *draw(st.lists(LOADS, min_size=1, max_size=2))]
        if draw(st.booleans()):
            steps += [draw(READMISSIONS), *draw(st.lists(LOADS, min_size=1, max_size=2))]
    return steps


def test_no_one_who_is_erased_is_left_and_nothing_else_changes(fresh_database, monkeypatch):
    check = given(
        offered=st.lists(deliveries(), min_size=3, max_size=3),
        steps=histories(),
    )(lambda offered, steps: History(fresh_database, monkeypatch, offered).play(steps))
    check = settings(
        max_examples=max(SEQUENCES // 4, 1),
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
        database=None,
    )(seed(0)(check))
    check()


class History:
    """What has happened to a database, and what it must hold by now."""

    def __init__(self, fresh_database, monkeypatch, offered: list[dict[str, pd.DataFrame]]) -> None:
        self.database: Database = use(fresh_database(), monkeypatch)
        self.monkeypatch = monkeypatch
        self.offered = [{name: with_one_who_stays(frame) for name, frame in one.items()} for one in offered]
        self.accepted: oracle.Accepted = {}
        self.ledger = oracle.Ledger()
        self.file_rows: dict[str, int] = {}  # by hash
        self.left_out: dict[str, str] = {}  # erased users, and the first month that may have them again
        self.is_live_behind = False
        self.live_was: list[dict[str, list]] = []

    def play(self, steps: list[tuple]) -> None:
        for name, *arguments in steps:
            getattr(self, name)(*arguments)
            self.compare()

    def load(self, month: str, which: int, restate: bool, killed_after: int | None) -> None:
        whole = self.offered[(which + MONTHS.index(month)) % len(self.offered)]
        gone = [user for user, since in self.left_out.items() if month < since]
        rest = {name: frame[~frame["user_id"].isin(gone)] for name, frame in whole.items()}
        files = as_files(whole)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        self.file_rows |= {digests[name]: len(frame) for name, frame in whole.items()}
        states = oracle.states(self.accepted)
        after = oracle.states(self.accepted | {month: rest})
        refused = is_refused(self.accepted, month, rest, states, after, restate)
        self.live_was.append(oracle.contents(states))
        sealed, completed = load(self.database, month, files, restate, killed_after, refused)
        if sealed:
            self.ledger.record(month, digests, states, after, restate)
            self.accepted |= {month: rest}
        self.is_live_behind = not completed and (self.is_live_behind or sealed)

    def erase(self, users: set[str], killed_after: int | None) -> None:
        people = sorted(PERSON[user] for user in users)
        before = oracle.states(self.accepted)
        if killed_after is not None:
            self.kill_erasure(people, killed_after)
        erase(*people)
        self.accepted = {
            month: {name: frame[~frame["user_id"].isin(people)] for name, frame in files.items()}
            for month, files in self.accepted.items()
        }
        self.ledger.erase(before, oracle.states(self.accepted))
        self.left_out |= dict.fromkeys(people, "9999")
        assert found_anywhere(self.database, people) == []

    def kill_erasure(self, people: list[str], after: int) -> None:
        """Begin an erasure and end it in the middle of a month; meanwhile no month is sealed."""
        erase_month, done = erasures._erase_month, []

        class Killed(Exception):
            pass

        def dies(*arguments):
            rows = erase_month(*arguments)
            if len(done) == after:
                raise Killed
            done.append(arguments)
            return rows

        with self.monkeypatch.context() as patched:
            patched.setattr(erasures, "_erase_month", dies)
            try:
                erase(*people)
            except Killed:
                pass
            else:
                return
        differs = {relation for relation, *_ in self.database.verify()}
        assert differs == set() or (self.is_live_behind and differs <= set(TABLES)), differs
        with pytest.raises(psycopg.errors.RaiseException, match="an erasure of users has begun and not ended"):
            self.database.load_month(MARCH, delivery("someone"))

    def readmit(self, users: set[str]) -> None:
        people = sorted(PERSON[user] for user in users)
        newest = max(self.accepted, default=None)
        readmit(*people)
        for person in people:
            if self.left_out.get(person) == "9999":
                self.left_out[person] = "" if newest is None else f"{newest}+"  # after that month

    def compare(self) -> None:
        expected = oracle.contents(oracle.states(self.accepted))
        found = contents(self.database)
        if self.is_live_behind:
            for table in TABLES:
                rows = set(found.pop(table))
                known = [expected.pop(table), *(live[table] for live in self.live_was)]
                assert any(rows <= set(one) for one in known), table
        for name in expected:
            assert found[name] == expected[name], name
        ledger = self.database.query(
            "select as_of::text, table_name, revision, file_sha256, delivered - suppressed, inserted, updated, "
            "unchanged, carried_forward, snapshot_rows, delivered from deliveries order by 1, 2, 3"
        )
        assert [row[:-1] for row in ledger] == self.ledger.rows()
        assert {row[3]: row[-1] for row in ledger} == {row[3]: self.file_rows[row[3]] for row in ledger}
        assert found_anywhere(self.database, [user for user, since in self.left_out.items() if since == "9999"]) == []
        differs = {relation for relation, *_ in self.database.verify()}
        assert differs == set() or (self.is_live_behind and differs <= set(TABLES)), differs


def with_one_who_stays(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of a delivery under names of their own, and with a user who is never erased: no suite lets an empty one
    pass.
    """
    stays = frame.iloc[[0]].assign(user_id=STAYS)
    return pd.concat([frame.assign(user_id=frame["user_id"].map(PERSON)), stays], ignore_index=True)


@pytest.fixture
def february(database, monkeypatch) -> Database:
    """January with ann and bob, February with ann."""
    use(database, monkeypatch)
    database.load_month(JANUARY, delivery("ann-smith", "bob-smith"))
    database.load_month(FEBRUARY, delivery("ann-smith", churn_label="False"))
    return database


def ledger(database: Database, table: str = "labels") -> list[tuple]:
    return database.query(
        "select as_of::text, revision, kind, delivered, inserted, updated, unchanged, suppressed, carried_forward, "
        "snapshot_rows, erased from deliveries where table_name = %s order by 1, 2",
        table,
    )


def test_each_month_of_an_erased_user_gets_a_revision(february):
    erased = erase("ann-smith")
    assert erased.rows == {JANUARY: 6, FEBRUARY: 6}
    assert ledger(february) == [
        (JANUARY, 1, "delivery", 2, 2, 0, 0, 0, 0, 2, 0),
        (JANUARY, 2, "erasure", 2, 1, 0, 0, 1, 0, 1, 1),
        (FEBRUARY, 1, "delivery", 1, 0, 1, 0, 0, 1, 2, 0),
        (FEBRUARY, 2, "erasure", 1, 0, 0, 0, 1, 1, 1, 1),
    ]
    assert february.query(
        "select distinct approved_by, approval_reason, run_id from deliveries where kind = 'erasure'"
    ) == [("officer", "request 17", "erasure of a test")]
    assert february.query("select user_id from labels") == [("bob-smith",)]
    assert february.verify() == []


def test_the_same_files_again_change_nothing_and_bring_no_one_back(february):
    erase("ann-smith")
    before = february.contents(ledger=True)
    february.load_month(JANUARY, delivery("ann-smith", "bob-smith"))
    february.load_month(JANUARY, delivery("ann-smith", "bob-smith"), restate=True)
    assert february.contents(ledger=True) == before


def test_a_later_delivery_that_still_has_the_user_is_loaded_without_and_counted(february):
    erase("ann-smith")
    february.load_month(MARCH, delivery("ann-smith", "cid-smith"))
    assert ledger(february)[-1] == (MARCH, 1, "delivery", 2, 1, 0, 0, 1, 1, 2, 0)
    ((warnings,),) = february.query("select warnings from current_deliveries where as_of = %s limit 1", MARCH)
    assert warnings == ["1 row of an erased user was left out"]
    assert found_anywhere(february, ["ann-smith"]) == []


def test_the_setting_refuses_the_file_instead(february, monkeypatch):
    erase("ann-smith")
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__ERASED_USERS", "refuse")
    with pytest.raises(Refusal, match=r"users\.csv has 1 row of erased users"):
        february.load_month(MARCH, delivery("ann-smith", "cid-smith"))
    february.load_month(MARCH, delivery("cid-smith"))


def test_who_is_readmitted_is_loaded_from_the_next_month_on(february):
    erase("ann-smith", "bob-smith")
    assert readmit("ann-smith", "cid-smith") == (1, MARCH)
    february.load_month(MARCH, delivery("ann-smith", "bob-smith", "cid-smith"))
    february.load_month(JANUARY, delivery("ann-smith", "dan-smith"), restate=True)
    assert february.query("select as_of::text, user_id from labels_snapshots order by 1, 2") == [
        (JANUARY, "dan-smith"),
        (FEBRUARY, "dan-smith"),
        (MARCH, "ann-smith"),
        (MARCH, "cid-smith"),
        (MARCH, "dan-smith"),
    ]
    assert erase("ann-smith").rows == {MARCH: 6}


@pytest.mark.parametrize("step", ["stage labels", "snapshot labels", "gate"])
def test_a_file_that_was_loaded_before_is_not_sealed_after(february, step):
    march = february.steps(MARCH, delivery("ann-smith", "cid-smith"))
    while next(march) != step:
        pass
    erase("ann-smith")
    before = february.contents(ledger=True)
    with pytest.raises(psycopg.errors.RaiseException, match="users were erased or readmitted after the files of"):
        for _ in march:
            pass
    assert february.contents(ledger=True) == before
    assert found_anywhere(february, ["ann-smith"]) == []
    february.load_month(MARCH, delivery("ann-smith", "cid-smith"))
    assert found_anywhere(february, ["ann-smith"]) == []


def test_another_key_or_none_stops_loads_and_erasures(february, monkeypatch):
    erase("ann-smith")
    use(february, monkeypatch, "another key, which is as long as the first")
    for attempt in (
        lambda: february.load_month(MARCH, delivery("cid-smith")),
        lambda: erasures.plan("streamflow_db", ["x"]),
    ):
        with pytest.raises(Refusal, match="has another key than the one that users were erased with"):
            attempt()
    with pytest.raises(psycopg.errors.RaiseException, match="another key"):
        erase("bob-smith")
    monkeypatch.delenv("AIRFLOW_CONN_STREAMFLOW_ERASURE_KEY")
    with pytest.raises(Refusal, match="has no key"):
        february.load_month(MARCH, delivery("cid-smith"))


def test_without_erasures_no_key_is_needed(february, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_STREAMFLOW_ERASURE_KEY")
    february.load_month(MARCH, delivery("cid-smith"))
    with pytest.raises(Refusal, match="has no key"):
        erase("ann-smith")


def test_logs_in_the_database_lose_what_names_the_user_and_nothing_else(february):
    for as_of, user in ((JANUARY, "ann-smith"), (FEBRUARY, "bob-smith")):
        february.run_as_admin(
            f"""
            insert into validations values (
                '{as_of}', 'users', now(), 'run of {as_of}', 'f', 1, 's', 1, true,
                array['fact about ''{user}''', 'other'], '[]', '{{"0": {{"examples": ["user_id ''{user}''"]}}}}'
            );
            insert into questions values (
                '{as_of}', now(), 'run', 'builds', 'why', array['details'], '[["{as_of}", "users", "{user}"], ["else"]]'
            );
            update deliveries set warnings = array['odd: ''{user}''', 'odd'] where as_of = '{as_of}'
            """
        )
    assert erase("ann-smith").validations == [(f"run of {JANUARY}", "users")]
    assert found_anywhere(february, ["ann-smith"]) == []
    removed = "removed, because it named an erased user"
    assert february.query("select facts, delivered_values from validations order by as_of") == [
        ([removed, "other"], {}),
        (["fact about 'bob-smith'", "other"], {"0": {"examples": ["user_id 'bob-smith'"]}}),
    ]
    assert february.query("select cells from questions order by as_of") == [
        ([["else"]],),
        ([[FEBRUARY, "users", "bob-smith"], ["else"]],),
    ]
    assert february.query("select distinct as_of::text, warnings from deliveries order by 1") == [
        (JANUARY, [removed, "odd"]),
        (FEBRUARY, ["odd: 'bob-smith'", "odd"]),
    ]


def test_the_planners_statistics_forget_the_user(february):
    february.run_as_admin("analyze")
    stats = "select from pg_stats where histogram_bounds::text like '%ann-smith%'"
    assert february.query_as_admin(stats) != []
    erase("ann-smith")
    assert february.query_as_admin(stats) == []


def test_a_set_that_was_built_with_the_user_is_marked(february):
    february.query("select staging.record_training_set(%s, 1, '{user_id}', 'content', 'file', 'writer')", JANUARY)
    erase("bob-smith")
    ((restated,),) = february.query("select restated from training_sets_status")
    assert restated[-1] == "built with erased users"


def test_a_late_months_effect_on_the_counts_is_counted_again(database, monkeypatch):
    use(database, monkeypatch)
    database.load_month(FEBRUARY, delivery("ann-smith", "bob-smith"))
    database.load_month(JANUARY, delivery("ann-smith", "bob-smith"))  # and February's counts are of before
    erase("ann-smith")
    assert [row[1:7] for row in ledger(database)[2:]] == [
        (1, "delivery", 2, 2, 0, 0),
        (2, "erasure", 2, 0, 0, 1),
    ]
    assert database.verify() == []


def test_what_was_changed_by_hand_before_still_differs(february):
    february.run_as_admin(f"update labels_snapshots set churn_label = null where as_of = '{JANUARY}'")
    erase("ann-smith")
    assert [row[:2] for row in february.verify()] == [("labels_snapshots", JANUARY)]


def test_a_reason_must_be_given_and_name_no_one(february):
    before = february.contents(ledger=True)
    for why, said in ((" ", "needs a reason"), ("ann-smith asked us to", "names one of the users")):
        with pytest.raises(Refusal, match=said):
            erase("ann-smith", approval=APPROVAL._replace(why=why))
    assert february.contents(ledger=True) == before
