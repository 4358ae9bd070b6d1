"""Which users a training set has, with which features and labels, and which sets there are not."""

from __future__ import annotations

import psycopg
import pytest

import install_schema
from streamflow.features import LABEL
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database
from support.training import STAYS, counts, merged


def labels(database: Database, as_of: str, horizon: int = 1) -> dict[str, bool]:
    """The set's labels by user."""
    return dict(database.query(f"select user_id, {LABEL.name} from training_set(%s, %s)", as_of, horizon))


def test_features_are_of_the_month_and_the_label_of_the_next_one(database):
    database.load_month(JANUARY, delivery("ann", "bob", **STAYS, watch_hours_30d=1))
    database.load_month(
        FEBRUARY, merged(delivery("ann", watch_hours_30d=2), delivery("bob", **STAYS, watch_hours_30d=2))
    )
    assert database.query(
        "select user_id, watch_hours_30d::int, churn_label from training_set('2024-01-31') order by 1"
    ) == [("ann", 1, True), ("bob", 1, False)]
    assert counts(database, JANUARY) == (2, 1, 1, 0)


def test_who_has_left_already_is_not_eligible(database):
    database.load_month(JANUARY, merged(delivery("ann"), delivery("bob", **STAYS)))
    database.load_month(FEBRUARY, delivery("ann", "bob", **STAYS))
    assert labels(database, JANUARY) == {"bob": False}
    assert counts(database, JANUARY) == (1, 0, 1, 0)


def test_who_was_not_delivered_for_the_month_is_not_eligible(database):
    database.load_month(JANUARY, delivery("ann", "bob", **STAYS))
    database.load_month(FEBRUARY, delivery("ann", **STAYS))
    database.load_month(MARCH, delivery("ann", "bob", **STAYS))
    assert labels(database, FEBRUARY) == {"ann": False}


def test_a_label_that_is_carried_forward_is_no_observation_and_is_counted(database):
    database.load_month(JANUARY, delivery("ann", "bob", **STAYS))
    database.load_month(FEBRUARY, delivery("ann", **STAYS))
    assert labels(database, JANUARY) == {"ann": False}
    assert counts(database, JANUARY) == (2, 0, 1, 1)


def test_a_label_of_a_month_in_between_is_carried_forward_and_no_observation_either(database):
    database.load_month(JANUARY, delivery("ann", "bob", "cid", **STAYS))
    database.load_month(FEBRUARY, delivery("ann", "bob", **STAYS))
    database.load_month(MARCH, delivery("ann"))
    assert labels(database, JANUARY, 2) == {"ann": True}
    assert counts(database, JANUARY, 2) == (3, 1, 0, 2)


def test_a_label_that_is_null_is_unknown(database):
    database.load_month(JANUARY, delivery("ann", "bob", **STAYS))
    database.load_month(FEBRUARY, merged(delivery("ann", **STAYS), delivery("bob", churn_label=None)))
    assert labels(database, JANUARY) == {"ann": False}
    assert counts(database, JANUARY) == (2, 0, 1, 1)


def test_a_user_whom_a_table_does_not_have_is_in_the_set_without_its_values(database):
    files = delivery("ann", "bob", **STAYS)
    files["payments_agg_90d"] = delivery("ann")["payments_agg_90d"]
    database.load_month(JANUARY, files)
    database.load_month(FEBRUARY, delivery("ann", "bob", **STAYS))
    assert database.query("select user_id, failed_payments_90d from training_set('2024-01-31') order by 1") == [
        ("ann", 1),
        ("bob", None),
    ]


def test_horizon_0_is_possible_and_says_what_it_is(database):
    database.load_month(JANUARY, merged(delivery("ann"), delivery("bob", **STAYS)))
    said = []
    with psycopg.connect(database.uri) as connection:
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
        found = connection.execute("select user_id, churn_label from training_set('2024-01-31', 0)").fetchall()
    assert sorted(found) == [("ann", True), ("bob", False)]
    assert said == ["horizon 0: the labels are of the same month as the features. Nothing is predicted."]
    assert counts(database, JANUARY, 0) == (2, 1, 1, 0)


def test_with_horizon_0_a_label_that_is_carried_forward_is_unknown(database):
    database.load_month(JANUARY, delivery("ann", "bob", **STAYS))
    files = delivery("ann", "bob", **STAYS)
    files["labels"] = delivery("ann", **STAYS)["labels"]
    database.load_month(FEBRUARY, files)
    assert labels(database, FEBRUARY, 0) == {"ann": False}
    assert counts(database, FEBRUARY, 0) == (2, 0, 1, 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            "'2024-01-31', 2",
            "not sealed: labels of 2024-03-31.\nA training set as of 2024-01-31 with a horizon of 2 months",
        ),
        (
            "'2023-12-31'",
            "not sealed: users of 2023-12-31.\nA training set as of 2023-12-31 with a horizon of 1 month needs",
        ),
        ("'2024-03-31'", "not sealed: users of 2024-03-31 and labels of 2024-04-30."),
        ("'2024-02-15', 0", "not sealed: users of 2024-02-15."),
        (
            "'2024-01-31', -1",
            "a training set needs a month end, and a horizon of 0 to 120 months; found 2024-01-31 and -1",
        ),
        (
            "'2024-01-31', 2147483647",
            "a training set needs a month end, and a horizon of 0 to 120 months; found 2024-01-31 and 2147483647",
        ),
        ("null, 1", "a training set needs a month end, and a horizon of 0 to 120 months; found NULL and 1"),
    ],
)
@pytest.mark.parametrize("function", ["training_set", "training_set_counts"])
def test_months_that_are_not_sealed_are_refused_by_name(database, function, arguments, says):
    database.load_month(JANUARY, delivery("ann", **STAYS))
    database.load_month(FEBRUARY, delivery("ann", **STAYS))
    with pytest.raises(psycopg.errors.RaiseException) as refused:
        database.query(f"select from {function}({arguments})")
    assert refused.value.diag.message_primary.startswith(says)
    assert refused.value.diag.message_hint


def test_a_new_column_makes_another_function(database):
    database.load_month(JANUARY, delivery("ann", **STAYS))
    database.run_as_admin(
        "drop function training_set; create function training_set(as_of date, horizon_months integer default 1) "
        "returns table (user_id text) language sql as 'select null::text'"
    )
    database.run_as_admin("comment on schema staging is 'another version'")
    install_schema.install(database.admin_uri)
    assert labels(database, JANUARY, 0) == {"ann": False}


def test_what_depends_on_the_function_is_named_if_a_new_column_needs_another(database):
    database.run_as_admin(
        "drop function training_set; create function training_set(as_of date, horizon_months integer default 1) "
        "returns table (user_id text) language sql as 'select null::text';"
        "create view of_ours as select * from training_set('2024-01-31')"
    )
    database.run_as_admin("comment on schema staging is 'another version'")
    with pytest.raises(psycopg.errors.RaiseException, match="other objects use it:\nview of_ours depends") as refused:
        install_schema.install(database.admin_uri)
    assert "create them again" in refused.value.diag.message_hint
