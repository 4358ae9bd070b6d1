"""Each suite against a staged table that keeps its rules, and against one that breaks just one of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from months import ROOT, as_csv, render
from streamflow.tables import TABLES
from streamflow.validate import ValidateOperator

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
SUITES = ROOT / "include" / "expectations"

# on the edge of every rule: nothing is negative, the last day is still in the month, only keys and labels are needed
GOOD = {
    "users": [{"signup_date": "2024-01-31"}, {"signup_date": "2019-02-28", "user_is_senior": "False"}],
    "subscriptions": [
        {"months_active": 0, "monthly_fee": 0, "total_paid": "0.00", "plan_stream_tv": "True", "net_service": "DSL"},
        {"net_service": "No"},
    ],
    "usage_agg_30d": [
        dict.fromkeys(TABLES["usage_agg_30d"].columns, 0),
        {"watch_hours_30d": "29.7224"},
    ],
    "payments_agg_90d": [{"failed_payments_90d": 0}, {}],
    "support_agg_90d": [{"support_tickets_90d": 0, "ticket_avg_resolution_hrs_90d": 0}, {}],
    "labels": [{"churn_label": "True"}, {"churn_label": "False"}],
}

COLUMNS, COUNT, NOT_NULL, UNIQUE, LENGTH, BETWEEN = (
    "expect_table_columns_to_match_set",
    "expect_table_row_count_to_be_between",
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_unique",
    "expect_column_value_lengths_to_be_between",
    "expect_column_values_to_be_between",
)


def negative(column: str, value: str = "-1") -> tuple:
    return BETWEEN, column, [{column: value}], rf"1 of 3 rows, for example .*{value}\b"


EVERY_TABLE = [
    (COLUMNS, None, [{"score": 7}], "unexpected columns score"),
    (COUNT, None, None, "found 0"),
    (NOT_NULL, "user_id", [{"user_id": None}, {"user_id": None}], "2 of 4 rows"),
    (LENGTH, "user_id", [{"user_id": "z" * 65}], "1 of 3 rows"),
    (UNIQUE, "user_id", [{"user_id": "zoe"}, {"user_id": "zoe"}, {}], "2 of 5 rows, for example 'zoe'"),
]

# table: (rule, column, the rows that break it or None for no row at all, what the message says of them)
BROKEN = {
    "users": [
        *EVERY_TABLE,
        (NOT_NULL, "signup_date", [{"signup_date": None}], "1 of 3 rows"),
        (BETWEEN, "signup_date", [{"signup_date": "2024-02-01"}, {}], r"1 of 4 rows, for example .*2024\b.*\b0?1\b"),
    ],
    "subscriptions": [
        *EVERY_TABLE,
        negative("months_active"),
        negative("monthly_fee", "-0.01"),
        negative("total_paid", "-20.5"),
    ],
    "usage_agg_30d": [
        *EVERY_TABLE,
        negative("watch_hours_30d", "-0.0001"),
        negative("avg_session_mins_7d", "-3.5"),
        negative("unique_devices_30d"),
        negative("skips_7d"),
        negative("rebuffer_events_7d"),
    ],
    "payments_agg_90d": [*EVERY_TABLE, negative("failed_payments_90d")],
    "support_agg_90d": [
        *EVERY_TABLE,
        negative("support_tickets_90d"),
        negative("ticket_avg_resolution_hrs_90d", "-0.5"),
    ],
    "labels": [*EVERY_TABLE, (NOT_NULL, "churn_label", [{"churn_label": None}], "1 of 3 rows")],
}


def batch(table: str, bad: list[dict] | None = (), without: tuple[str, ...] = ()) -> bytes:
    """The good rows and then the bad ones, each a good one but for what it says; None for a header alone."""
    rows = []
    if bad is not None:
        rows = GOOD[table] + [GOOD[table][0] | changes for changes in bad]
    rows = [{"user_id": f"user {number}"} | row for number, row in enumerate(rows)]
    extra = {column: None for row in rows for column in row if column not in ("user_id", *TABLES[table].columns)}
    columns = ["user_id", *TABLES[table].columns, *extra]
    return as_csv(rows, [column for column in columns if column not in without])


@pytest.fixture
def validate(database):
    """Stages a file and validates it as the DAG does; returns the XCom."""

    def validate(table: str, content: bytes, as_of: str = JANUARY, suite: Path | None = None) -> dict:
        database.stage(as_of, table, content, is_validated=False)
        return ValidateOperator(
            task_id="validate",
            table=TABLES[table],
            as_of=as_of,
            suite=suite or SUITES / f"{table}.json",
            staged_sql=render("staging/staged_file.sql", as_of, TABLES[table]),
            passed_sql=render("staging/mark_validated.sql", as_of, TABLES[table]),
            conn_id="streamflow_db",
        ).execute({})

    return validate


def is_validated(database) -> bool:
    ((found,),) = database.query("select is_validated from staging.files")
    return found


def broken_rules(refused) -> list[str]:
    """The lines of a refusal that speak of a rule."""
    return re.findall(r"^  - (.*)$", str(refused.value), re.MULTILINE)


def suite_of(table: str) -> dict:
    return json.loads((SUITES / f"{table}.json").read_text())


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_keeps_the_rules_passes_and_is_marked(database, validate, table):
    assert validate(table, batch(table)) == {"rules": len(BROKEN[table]), "warnings": []}
    assert is_validated(database)


@pytest.mark.parametrize(
    ("table", "rule", "column", "bad", "found"),
    [
        pytest.param(table, rule, column, bad, found, id="-".join(filter(None, (table, column, rule))))
        for table, rules in BROKEN.items()
        for rule, column, bad, found in rules
    ],
)
def test_a_broken_rule_is_the_only_one_reported_and_holds_the_table_back(
    database, validate, table, rule, column, bad, found
):
    with pytest.raises(AirflowFailException) as refused:
        validate(table, batch(table, bad))
    (line,) = broken_rules(refused)
    subject = f"column {column}: {rule}(" if column else rule
    assert line.startswith(subject)
    assert re.search(f": {found}", line.removeprefix(subject)), line
    message = str(refused.value)
    assert message.startswith(f"{table} of {JANUARY}: 1 of {len(BROKEN[table])} rules are broken.")
    assert f"the rows are in staging.{table}_20240131. Correct {table}.csv" in message
    assert not is_validated(database)


@pytest.mark.parametrize("table", TABLES)
def test_every_rule_of_every_suite_has_a_batch_that_breaks_it(table):
    rules = [(rule["type"], rule["kwargs"].get("column")) for rule in suite_of(table)["expectations"]]
    assert sorted(map(str, rules)) == sorted(str((rule, column)) for rule, column, *_ in BROKEN[table])


def test_every_suite_belongs_to_a_table():
    assert {file.name for file in SUITES.iterdir()} == {f"{table}.json" for table in TABLES}


@pytest.mark.parametrize("table", TABLES)
def test_every_rule_says_why_it_is_there(table):
    for rule in suite_of(table)["expectations"]:
        assert len(rule["meta"]["why"].split()) > 3, rule


@pytest.mark.parametrize(
    ("table", "without"),
    [("users", "signup_date"), ("usage_agg_30d", "skips_7d"), ("labels", "user_id"), ("users", "has_family")],
)
def test_a_missing_column_is_named_once_and_without_a_stack_trace(database, validate, table, without):
    with pytest.raises(AirflowFailException, match=f"{table} of {JANUARY}: 1 of") as refused:
        validate(table, batch(table, without=(without,)))
    (line,) = broken_rules(refused)
    assert line.endswith(f"missing columns {without}")
    assert not is_validated(database)


def test_optional_columns_may_be_left_out(validate):
    assert validate("subscriptions", batch("subscriptions", without=TABLES["subscriptions"].optional))["warnings"] == []


def test_the_last_day_that_is_allowed_is_the_months_own(validate):
    late = batch("users", [{"signup_date": "2024-02-29"}])
    assert validate("users", late, as_of=FEBRUARY)["rules"] == 7
    with pytest.raises(AirflowFailException, match=r"users of 2024-01-31: .*\n.*signup_date.* 1 of 3 rows"):
        validate("users", late, as_of=JANUARY)


def test_all_broken_rules_are_reported_at_once(validate):
    with pytest.raises(AirflowFailException, match="3 of 10 rules are broken") as refused:
        validate("usage_agg_30d", batch("usage_agg_30d", [{"user_id": None, "watch_hours_30d": -1, "skips_7d": -2}]))
    assert len(broken_rules(refused)) == 3


def test_of_many_bad_values_a_few_are_shown(validate):
    with pytest.raises(AirflowFailException, match="8 of 10 rows") as refused:
        validate("payments_agg_90d", batch("payments_agg_90d", [{"failed_payments_90d": -n} for n in range(1, 9)]))
    (line,) = broken_rules(refused)
    assert line.endswith("for example -1, -2, -3, -4, -5")


@pytest.mark.parametrize(
    ("table", "bad", "shown"),
    [
        ("users", {"signup_date": "2024-02-01"}, "2024-02-01"),
        ("subscriptions", {"monthly_fee": "-0.01"}, "-0.01"),
    ],
)
def test_examples_are_shown_as_the_file_has_them(validate, table, bad, shown):
    with pytest.raises(AirflowFailException) as refused:
        validate(table, batch(table, [bad]))
    (line,) = broken_rules(refused)
    assert re.search(f"for example '?{shown}'?$", line)


@pytest.mark.parametrize(
    ("table", "bad"),
    [
        ("users", {"user_id": '""'}),
        ("usage_agg_30d", {"watch_hours_30d": "NaN"}),
        ("usage_agg_30d", {"watch_hours_30d": "Infinity"}),
        ("subscriptions", {"monthly_fee": "NaN"}),
        ("subscriptions", {"total_paid": "Infinity"}),
    ],
)
def test_values_that_are_no_values_are_refused(validate, table, bad):
    with pytest.raises(AirflowFailException, match="1 of 3 rows"):
        validate(table, batch(table, [bad]).replace(b'""""""', b'""'))


@pytest.mark.parametrize("never", ["-infinity", "infinity", "0044-03-15 BC", "today", "yesterday"])
def test_dates_that_are_no_days_are_refused(validate, never):
    with pytest.raises(AirflowFailException, match=r"1 of 7 rules are broken\.\n  - column signup_date"):
        validate("users", batch("users", [{"signup_date": never}]))


@pytest.fixture
def lenient(tmp_path) -> Path:
    """The suite of usage_agg_30d, with skips_7d as a warning."""
    suite = suite_of("usage_agg_30d")
    for rule in suite["expectations"]:
        if rule["kwargs"].get("column") == "skips_7d":
            rule["severity"] = "warning"
    path = tmp_path / "usage_agg_30d.json"
    path.write_text(json.dumps(suite))
    return path


def test_a_warning_is_reported_and_lets_the_table_through(database, validate, lenient):
    found = validate("usage_agg_30d", batch("usage_agg_30d", [{"skips_7d": -4}]), suite=lenient)
    assert found["rules"] == 10
    (warning,) = found["warnings"]
    assert re.fullmatch(rf"column skips_7d: {BETWEEN}\(min_value=0.*\): 1 of 3 rows, for example -4", warning)
    assert is_validated(database)


def test_a_warning_does_not_hide_a_broken_rule(database, validate, lenient):
    with pytest.raises(AirflowFailException, match="1 of 10 rules are broken") as refused:
        validate("usage_agg_30d", batch("usage_agg_30d", [{"skips_7d": -4, "watch_hours_30d": -1}]), suite=lenient)
    (line,) = broken_rules(refused)
    assert line.startswith("column watch_hours_30d")
    assert not is_validated(database)
