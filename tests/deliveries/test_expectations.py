"""Each suite against a staged table that keeps its rules, and against one that breaks just one of them."""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from streamflow import settings
from streamflow.drift import BOUNDS
from streamflow.plain import show
from streamflow.refusal import RUN_AGAIN, TaskRefused
from streamflow.tables import TABLES
from streamflow.validate import ValidateOperator
from support.database import as_csv, render
from support.paths import ROOT

DECEMBER, JANUARY, FEBRUARY = "2023-12-31", "2024-01-31", "2024-02-29"

# on both edges of every rule; only keys, labels and, of the users, the day of signing up are needed
GOOD = {
    "users": [
        {"signup_date": "2024-01-31", "user_gender": "Female", "user_is_senior": "False"},
        {"signup_date": "2000-01-01", "user_gender": "Male", "has_family": "True"},
    ],
    "subscriptions": [
        {
            "months_active": 0,
            "monthly_fee": 0,
            "total_paid": "0.00",
            "plan_stream_tv": "True",
            "plan_stream_movies": "False",
            "contract_type": "Month-to-month",
            "net_service": "DSL",
            "add_on_backup": "True",
        },
        {"months_active": 1200, "monthly_fee": 10_000, "total_paid": 10_000_000, "net_service": "No"},
    ],
    "usage_agg_30d": [
        dict.fromkeys(TABLES["usage_agg_30d"].columns, 0),
        {
            "watch_hours_30d": 720,
            "avg_session_mins_7d": 10_080,
            "unique_devices_30d": 10_000,
            "skips_7d": 1_000_000,
            "rebuffer_events_7d": 1_000_000,
        },
    ],
    "payments_agg_90d": [{"failed_payments_90d": 0}, {"failed_payments_90d": 10_000}],
    "support_agg_90d": [
        {"support_tickets_90d": 0, "ticket_avg_resolution_hrs_90d": 0},
        {"support_tickets_90d": 10_000, "ticket_avg_resolution_hrs_90d": 100_000},
    ],
    "labels": [{"churn_label": "True"}, {"churn_label": "False"}],
}

COLUMNS, COUNT, NOT_NULL, UNIQUE, LENGTH, BETWEEN, IN_SET, MATCH, NOT_MATCH, ROWS, MEAN, SHARE = (
    "expect_table_columns_to_match_set",
    "expect_table_row_count_to_be_between",
    "expect_column_values_to_not_be_null",
    "expect_column_proportion_of_unique_values_to_be_between",
    "expect_column_value_lengths_to_be_between",
    "expect_column_values_to_be_between",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_match_regex",
    "expect_column_values_to_not_match_regex",
    "unexpected_rows_expectation",
    "expect_column_mean_to_be_between",
    "expect_column_proportion_of_non_null_values_to_be_between",
)


class Breaks(NamedTuple):
    """What breaks one rule.

    Attributes:
        rule: its type.
        column: its column.
        bad: the rows that break it, after the good ones; None for no row at all.
        found: what the message says of them.
        before: what the ledger says of the month before; see ``seal_before``.
        said: how the message begins, if the rule has a description of its own.
        is_warning: whether the rule is reported and passes.
    """

    rule: str
    column: str | None
    bad: list[dict] | None
    found: str
    before: dict | None = None
    said: str = ""
    is_warning: bool = False


def beyond(column: str, low: str, high: str) -> list[Breaks]:
    """Values below and above a range."""
    return [
        Breaks(BETWEEN, column, [{column: value}], rf"1 of 3 rows, for example .*{value}(?!\d)")
        for value in (low, high)
    ]


def as_numbers(table: str, column: str) -> list[float]:
    return [float(row[column]) for row in GOOD[table] if row.get(column) is not None]


def profile(table: str, rules: list[dict]) -> dict[str, dict[str, float]]:
    """What the good rows look like: mean and share of values that are not NULL."""
    columns = {kind: [one["kwargs"]["column"] for one in rules if one["type"] == kind] for kind in (MEAN, SHARE)}
    return {
        "mean": {name: sum(found) / len(found) for name in columns[MEAN] if (found := as_numbers(table, name))},
        "not_null": {
            name: sum(row.get(name) is not None for row in GOOD[table]) / len(GOOD[table]) for name in columns[SHARE]
        },
    }


def drift(table: str) -> list[Breaks]:
    """A month before that looked otherwise, in one number."""
    usual = profile(table, suite_of(table)["expectations"])
    mean, share = usual["mean"], usual["not_null"]
    return [
        *(
            # bounds.json allows a half at most
            Breaks(MEAN, name, [], "found ", before={"mean": {name: value * 2 + 1}}, is_warning=True)
            for name, value in mean.items()
        ),
        *(
            # and 0.05 of the rows
            Breaks(
                SHARE,
                name,
                [],
                f"found {value}",
                before={"not_null": {name: value + (0.06 if value < 0.5 else -0.06)}},
                is_warning=True,
            )
            for name, value in share.items()
        ),
    ]


def suite_of(table: str) -> dict:
    return json.loads(TABLES[table].suite.read_text())


EVERY_TABLE = [
    Breaks(COLUMNS, None, [{"score": 7}], "unexpected column score"),
    Breaks(COUNT, None, None, "found 0"),
    Breaks(COUNT, None, [], "found 2", before={"delivered": 3}),
    Breaks(NOT_NULL, "user_id", [{"user_id": None}, {"user_id": None}], "2 of 4 rows"),
    Breaks(
        UNIQUE,
        "user_id",
        [{"user_id": "zoe"}, {"user_id": "zoe"}, {}],
        "2 of 5 rows, for example .*4, 5: user_id 'zoe'",
    ),
]

BROKEN = {
    "users": [
        *EVERY_TABLE,
        Breaks(LENGTH, "user_id", [{"user_id": "z" * 65}], "1 of 3 rows"),
        Breaks(
            NOT_MATCH,
            "user_id",
            [{"user_id": "zoe "}, {"user_id": "\tzoe"}],
            r"2 of 4 rows, for example line 4: user_id '.*'",
        ),
        Breaks(
            MATCH,
            "user_id",
            [{"user_id": "=cmd()"}],
            "1 of 3 rows, for example line 4: user_id '=cmd\\(\\)'",
            is_warning=True,
        ),
        Breaks(
            ROWS,
            None,
            [{"user_id": "zoe"}, {"user_id": "Zoe"}],
            "1 row, for example lines 4, 5: user_id '(zoe|Zoe)', other_user_id '(zoe|Zoe)'",
            said="column user_id: no two differ in case only",
            is_warning=True,
        ),
        Breaks(NOT_NULL, "signup_date", [{"signup_date": None}], "1 of 3 rows"),
        Breaks(
            BETWEEN,
            "signup_date",
            [{"signup_date": "2024-02-01"}, {}],
            "1 of 4 rows, for example .*, signup_date 2024-02-01",
        ),
        Breaks(
            BETWEEN,
            "signup_date",
            [{"signup_date": "1999-12-31"}, {}],
            "1 of 4 rows, for example .*, signup_date 1999-12-31",
        ),
        Breaks(IN_SET, "user_gender", [{"user_gender": "male"}], "1 of 3 rows, for example .*'male'", is_warning=True),
        *drift("users"),
    ],
    "subscriptions": [
        *EVERY_TABLE,
        Breaks(IN_SET, "contract_type", [{"contract_type": "one year"}], "1 of 3 rows, for example .*'one year'"),
        Breaks(IN_SET, "net_service", [{"net_service": "Cable"}], "1 of 3 rows, for example .*'Cable'"),
        *(
            Breaks(
                ROWS,
                None,
                [wrong],
                f"1 row, for example .*, net_service {show(wrong.get('net_service', 'DSL'))}, plan_",
                said="plan_stream_tv and plan_stream_movies are NULL exactly where net_service is 'No'",
            )
            for wrong in (
                {"plan_stream_tv": None},
                {"plan_stream_movies": None},
                {"net_service": "No", "plan_stream_movies": None},
                {"net_service": None, "plan_stream_tv": None},
            )
        ),
        *beyond("months_active", "-1", "1201"),
        *beyond("monthly_fee", "-0.01", "10000.01"),
        *beyond("total_paid", "-20.5", "10000000.01"),
        *drift("subscriptions"),
    ],
    "usage_agg_30d": [
        *EVERY_TABLE,
        *beyond("watch_hours_30d", "-0.0001", "720.0001"),
        *beyond("avg_session_mins_7d", "-3.5", "10080.5"),
        *beyond("unique_devices_30d", "-1", "10001"),
        *beyond("skips_7d", "-1", "1000001"),
        *beyond("rebuffer_events_7d", "-1", "1000001"),
        *drift("usage_agg_30d"),
    ],
    "payments_agg_90d": [
        *EVERY_TABLE,
        *beyond("failed_payments_90d", "-1", "10001"),
        *drift("payments_agg_90d"),
    ],
    "support_agg_90d": [
        *EVERY_TABLE,
        *beyond("support_tickets_90d", "-1", "10001"),
        *beyond("ticket_avg_resolution_hrs_90d", "-0.5", "100000.5"),
        *drift("support_agg_90d"),
    ],
    "labels": [
        *EVERY_TABLE,
        Breaks(NOT_NULL, "churn_label", [{"churn_label": None}], "1 of 3 rows"),
        *drift("labels"),
    ],
}


def batch(table: str, bad: list[dict] | None = (), without: tuple[str, ...] = ()) -> bytes:
    """The good rows and then the bad ones, each a good one but for what it says; None for a header alone."""
    rows = []
    if bad is not None:
        rows = GOOD[table] + [GOOD[table][0] | changes for changes in bad]
    rows = [{"user_id": f"user-{number}"} | row for number, row in enumerate(rows)]
    extra = {column: None for row in rows for column in row if column not in ("user_id", *TABLES[table].columns)}
    columns = ["user_id", *TABLES[table].columns, *extra]
    return as_csv(rows, [column for column in columns if column not in without])


def seal_before(database, table: str, delivered: int = 2, **seen) -> None:
    """Put the month before on the ledger: as many rows as now, which look the same but for what is said here."""
    usual = profile(table, suite_of(table)["expectations"])
    database.query_as_admin(
        "insert into deliveries values (%s, %s, 1, %s, 1, 'other file', '{}', %s, 0, 0, %s, 0, %s, 0, 'run', now(), "
        "'{}', %s, '{}') returning true",
        *(DECEMBER, table, f"{table}.csv", delivered, delivered, delivered),
        json.dumps({kind: usual[kind] | seen.get(kind, {}) for kind in usual}),
    )


@pytest.fixture
def validate(database, deliveries):
    """Stages a file and validates it as the DAG does; returns the XCom."""

    def validate(
        table: str,
        content: bytes,
        as_of: str = JANUARY,
        suite: Path | None = None,
    ) -> dict:
        (deliveries / f"{table}.csv").write_bytes(content)
        database.stage(as_of, table, content, is_validated=False)
        return ValidateOperator(
            task_id="validate",
            table=TABLES[table],
            as_of=as_of,
            suite=suite or TABLES[table].suite,
            fs_conn_id="streamflow_fs",
            staged_sql=render("parts/staged_file.sql", as_of, TABLES[table]),
            log_sql=render("parts/record_validation.sql", as_of, TABLES[table]),
            passed_sql=render("parts/mark_validated.sql", as_of, TABLES[table]),
            conn_id="streamflow_db",
        ).execute({})

    return validate


def is_validated(database) -> bool:
    ((found,),) = database.query("select is_validated from staging.files")
    return found


def recorded(database, what: str) -> list | dict:
    ((found,),) = database.query(f"select {what} from staging.files")
    return found


def broken_rules(refused) -> list[str]:
    """What a refusal says of each rule, with its examples as a warning has them."""
    rules = re.findall(r"^  - (.*)\n((?:      .*\n)*)", str(refused.value), re.MULTILINE)
    return [
        rule + (f", for example {'; '.join(map(str.strip, examples.splitlines()))}" if examples else "")
        for rule, examples in rules
    ]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_keeps_the_rules_passes_and_is_marked(database, validate, table):
    found = validate(table, batch(table))
    assert found == {
        "rules": len(suite_of(table)["expectations"]),
        "warnings": [],
        "report": str(settings.report_path("streamflow_db", JANUARY, f"{table}.html")),
    }
    assert is_validated(database)
    assert recorded(database, "warnings") == []
    # what the next month is compared with
    assert recorded(database, "profile") == profile(table, suite_of(table)["expectations"])


@pytest.mark.parametrize("table", TABLES)
def test_a_month_like_the_one_before_gives_no_warning(database, validate, table):
    seal_before(database, table)
    assert validate(table, batch(table))["warnings"] == []


def cases(are_warnings: bool):
    """Parametrizes a test with what breaks the rules that warn, or those that stop the month."""
    return pytest.mark.parametrize(
        ("table", "broken"),
        [
            pytest.param(table, broken, id="-".join(filter(None, (table, broken.column, broken.rule))))
            for table, rules in BROKEN.items()
            for broken in rules
            if broken.is_warning is are_warnings
        ],
    )


def assert_is_said(broken: Breaks, line: str) -> None:
    assert line.startswith(broken.said or (f"column {broken.column}: " if broken.column else ""))
    assert re.search(rf"\({broken.rule}\): {broken.found}", line), line


@cases(are_warnings=False)
def test_a_broken_rule_is_the_only_one_reported_and_holds_the_table_back(database, validate, table, broken):
    if broken.before is not None:
        seal_before(database, table, **broken.before)
    with pytest.raises(TaskRefused) as refused:
        validate(table, batch(table, broken.bad))
    (line,) = broken_rules(refused)
    assert_is_said(broken, line)
    message, rules = str(refused.value), len(suite_of(table)["expectations"])
    assert message.startswith(f"{table} of {JANUARY}: 1 of {rules} rules failed.\n")
    assert f"\nAll results: {settings.report_path('streamflow_db', JANUARY, f'{table}.html')}\n" in message
    assert f"\nThe rows are in staging.{table}_20240131. Live and snapshots are untouched.\n" in message
    assert message.endswith(f"What to do: correct {table}.csv, then {RUN_AGAIN}")
    assert not is_validated(database)


@cases(are_warnings=True)
def test_a_rule_that_warns_is_the_only_one_reported_and_lets_the_table_through(database, validate, table, broken):
    if broken.before is not None:
        seal_before(database, table, **broken.before)
    found = validate(table, batch(table, broken.bad))
    (line,) = found["warnings"]
    assert_is_said(broken, line)
    assert recorded(database, "warnings") == [line]
    assert is_validated(database)


def test_a_truncated_export_is_compared_with_the_month_before(database, validate):
    seal_before(database, "labels", delivered=1000)
    with pytest.raises(TaskRefused, match=r"greater than or equal to 800 rows \(\w+\): found 2\n") as refused:
        validate("labels", batch("labels"))
    assert f"The month before, {DECEMBER}, had 1000 rows." in str(refused.value)


def test_a_broken_warning_that_is_marked_is_recorded_for_the_gate(database, validate, tmp_path):
    """Without delivered values, because more people may see the gate's question than may read logs."""
    suite = suite_of("users")
    (rule,) = [one for one in suite["expectations"] if one["type"] == "expect_column_values_to_be_in_set"]
    rule["meta"]["ask"] = True
    (tmp_path / "expectations.json").write_text(json.dumps(suite))
    validate("users", batch("users", [{"user_gender": "male"}]), suite=tmp_path / "expectations.json")
    (said,) = recorded(database, "asks")
    assert said.startswith("column user_gender: ")
    assert said.endswith("(expect_column_values_to_be_in_set): 1 of 3 rows")
    validate("users", batch("users"), suite=tmp_path / "expectations.json")
    assert recorded(database, "asks") == []


def test_bounds_are_data(database, validate, tmp_path, monkeypatch):
    bounds = json.loads(BOUNDS.read_text())
    bounds["tables"]["labels"] = {"rows_at_least": 0.002}
    (tmp_path / "bounds.json").write_text(json.dumps(bounds))
    seal_before(database, "labels", delivered=1000)
    monkeypatch.setattr("streamflow.drift.BOUNDS", tmp_path / "bounds.json")
    assert validate("labels", batch("labels"))["warnings"] == []


def test_the_month_before_is_the_nearest_earlier_one_with_its_newest_revision(database, validate):
    """A later month is none, nor is what has been restated since."""
    seal_before(database, "labels", delivered=1000)
    database.run_as_admin(
        "insert into deliveries select '2023-11-30', table_name, revision, file_name, file_bytes, file_sha256, "
        "not_delivered, 2000, 0, 0, 2000, 0, 2000, 0, run_id, sealed_at, warnings, profile, columns from deliveries; "
        "insert into deliveries select '2024-02-29', table_name, revision, file_name, file_bytes, file_sha256, "
        "not_delivered, 3000, 0, 0, 3000, 0, 3000, 0, run_id, sealed_at, warnings, profile, columns from deliveries "
        "where as_of = '2023-12-31'; "
        "insert into deliveries select as_of, table_name, 2, file_name, file_bytes, file_sha256, "
        "not_delivered, 2, 0, 0, 2, 0, 2, 0, run_id, sealed_at, warnings, profile, columns from deliveries "
        "where as_of = '2023-12-31'"
    )
    assert validate("labels", batch("labels"))["warnings"] == []


def test_what_is_sealed_with_this_very_file_passes_again(database, validate):
    """January is sealed, and then a December that has far more rows comes late, as a restatement."""
    few = batch("labels")
    sha256 = hashlib.sha256(few).hexdigest()
    seal_before(database, "labels", delivered=1000)
    with pytest.raises(TaskRefused, match="row_count_to_be_between"):
        validate("labels", few)
    database.run_as_admin(
        "insert into deliveries select '2024-01-31', table_name, 1, file_name, file_bytes, "
        f"'{sha256}', not_delivered, 2, 0, 0, 2, 0, 2, 0, run_id, sealed_at, warnings, profile, columns from deliveries"
    )
    assert "row_count_to_be_between" in validate("labels", few)["warnings"][0]
    assert is_validated(database)
    with pytest.raises(TaskRefused, match="row_count_to_be_between"):
        validate("labels", few + b"another,true\n")
    # a restatement from another file, which may be taken back
    database.run_as_admin(
        "insert into deliveries select as_of, table_name, 2, file_name, file_bytes, 'of another file', not_delivered, "
        "2, 0, 0, 2, 0, 2, 0, run_id, sealed_at, warnings, profile, columns from deliveries where as_of = '2024-01-31'"
    )
    assert "row_count_to_be_between" in validate("labels", few)["warnings"][0]


def test_what_is_sealed_passes_no_more_without_a_column_that_the_table_has_by_now(database, validate):
    """As after a migration that has renamed one: it cannot be built."""
    old = batch("labels", without=("churn_label",))
    seal_before(database, "labels")
    database.run_as_admin(
        f"update deliveries set as_of = '2024-01-31', file_sha256 = '{hashlib.sha256(old).hexdigest()}'"
    )
    with pytest.raises(TaskRefused, match="churn_label"):
        validate("labels", old)
    assert not is_validated(database)


@pytest.mark.parametrize("table", TABLES)
def test_every_rule_of_every_suite_has_a_batch_that_breaks_it(table):
    rules = {(rule["type"], rule["kwargs"].get("column"), rule["severity"]) for rule in suite_of(table)["expectations"]}
    assert rules == {(one.rule, one.column, "warning" if one.is_warning else "critical") for one in BROKEN[table]}
    assert len(rules) == len(suite_of(table)["expectations"])  # none of them twice


@pytest.mark.parametrize("table", TABLES)
def test_every_column_has_a_rule_on_its_values_or_needs_none(database, table):
    """Whatever the load takes for a boolean is one, so there is nothing to ask of it."""
    rules = [(rule["type"], rule["kwargs"]) for rule in suite_of(table)["expectations"]]
    queries = " ".join(kwargs["unexpected_rows_query"] for kind, kwargs in rules if kind == ROWS)
    ruled = {kwargs.get("column") for kind, kwargs in rules if kind not in (SHARE, MEAN)} | {
        *re.findall(r"\w+", queries)
    }
    booleans = database.query(
        "select column_name::text from information_schema.columns "
        "where table_schema = 'public' and table_name = %s and data_type = 'boolean'",
        table,
    )
    assert {*TABLES[table].all_columns} - ruled <= {name for (name,) in booleans}
    assert {kwargs["column"] for kind, kwargs in rules if kind == SHARE} == {*TABLES[table].columns}


@pytest.mark.parametrize("table", TABLES)
def test_every_rule_says_why_it_is_there(table):
    for rule in suite_of(table)["expectations"]:
        assert len(rule["meta"]["why"].split()) > 3, rule


@pytest.mark.parametrize(
    ("table", "without"),
    [("users", "signup_date"), ("usage_agg_30d", "skips_7d"), ("labels", "user_id"), ("users", "has_family")],
)
def test_a_missing_column_is_named_once_and_without_a_stack_trace(database, validate, table, without):
    with pytest.raises(TaskRefused, match=f"{table} of {JANUARY}: 1 of") as refused:
        validate(table, batch(table, without=(without,)))
    (line,) = broken_rules(refused)
    assert line.endswith(f"missing column {without}")
    assert not is_validated(database)


def test_optional_columns_may_be_left_out(validate):
    assert validate("subscriptions", batch("subscriptions", without=TABLES["subscriptions"].optional))["warnings"] == []


def test_the_last_day_that_is_allowed_is_the_months_own(validate):
    late = batch("users", [{"signup_date": "2024-02-29"}])
    assert validate("users", late, as_of=FEBRUARY)["warnings"] == []
    with pytest.raises(TaskRefused, match=r"users of 2024-01-31: .*\n.*signup_date.* 1 of 3 rows"):
        validate("users", late, as_of=JANUARY)


def test_all_broken_rules_are_reported_at_once(validate):
    with pytest.raises(TaskRefused, match="3 of 19 rules failed") as refused:
        validate("usage_agg_30d", batch("usage_agg_30d", [{"user_id": None, "watch_hours_30d": -1, "skips_7d": -2}]))
    assert len(broken_rules(refused)) == 3


def test_repeated_ids_are_counted_whatever_order_the_rows_come_in(validate):
    ids = [f"user-{number:03d}" for number in (*range(100), 7, 7, 50)]
    random.Random(3).shuffle(ids)
    with pytest.raises(TaskRefused, match="5 of 103 rows") as refused:
        validate("labels", as_csv([GOOD["labels"][0] | {"user_id": user} for user in ids], ["user_id", "churn_label"]))
    (line,) = broken_rules(refused)
    assert line.startswith(f"column user_id: values must be unique ({UNIQUE}): ")
    assert set(re.findall("'(user-.*?)'", line)) == {"user-007", "user-050"}


def test_keys_that_are_all_missing_are_not_repeated_as_well(validate):
    with pytest.raises(TaskRefused) as refused:
        validate("labels", as_csv([{"churn_label": "True"}] * 3, ["user_id", "churn_label"]))
    (line,) = broken_rules(refused)
    assert f"({NOT_NULL}): 3 of 3 rows" in line


def test_of_many_bad_values_a_few_are_shown(validate):
    with pytest.raises(TaskRefused, match="8 of 10 rows") as refused:
        validate("payments_agg_90d", batch("payments_agg_90d", [{"failed_payments_90d": -n} for n in range(1, 9)]))
    (line,) = broken_rules(refused)
    assert re.findall(r"failed_payments_90d (-\d+)", line) == ["-1", "-2", "-3", "-4", "-5"]


@pytest.mark.parametrize(
    ("table", "bad", "shown"),
    [
        ("users", {"signup_date": "2024-02-01"}, "2024-02-01"),
        ("subscriptions", {"monthly_fee": "-0.01"}, "-0.01"),
    ],
)
def test_examples_are_shown_as_the_file_has_them(validate, table, bad, shown):
    with pytest.raises(TaskRefused) as refused:
        validate(table, batch(table, [bad]))
    (line,) = broken_rules(refused)
    assert re.search(f"for example line 4: user_id 'user-2', .* '?{shown}'?$", line)


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
    with pytest.raises(TaskRefused, match="1 of 3 rows"):
        validate(table, batch(table, [bad]).replace(b'""""""', b'""'))


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
    assert found["rules"] == 19
    (warning,) = found["warnings"]
    words = r"values must be greater than or equal to 0\.0 and less than or equal to 1000000\.0"
    example = "line 4: user_id 'user-2', skips_7d -4"
    assert re.fullmatch(rf"column skips_7d: {words} \({BETWEEN}\): 1 of 3 rows, for example {example}", warning)
    assert is_validated(database)


def test_a_warning_does_not_hide_a_broken_rule(database, validate, lenient):
    with pytest.raises(TaskRefused, match="1 of 19 rules failed") as refused:
        validate("usage_agg_30d", batch("usage_agg_30d", [{"skips_7d": -4, "watch_hours_30d": -1}]), suite=lenient)
    (line,) = broken_rules(refused)
    assert line.startswith("column watch_hours_30d")
    assert not is_validated(database)


@pytest.mark.slow
def test_there_is_much_that_no_one_looks_for_garbage_in():
    """What gc.freeze is for: as long as Great Expectations makes so many objects that stay."""
    code = (
        "import gc; from streamflow.suite import great_expectations; before = len(gc.get_objects()); "
        "great_expectations(); print(before, gc.get_freeze_count(), len(gc.get_objects()), gc.isenabled())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "plugins", capture_output=True, text=True, check=True
    )
    before, frozen, looked_at, is_enabled = done.stdout.split()[-4:]
    assert int(frozen) > 2 * int(before)
    assert int(looked_at) < int(frozen) / 20
    assert is_enabled == "True"
