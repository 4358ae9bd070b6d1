"""The view training.labels: labels with a date, which give training_set when they are joined by time."""

from __future__ import annotations

import psycopg
import pytest

import embedded
import install_schema
from streamflow import templating
from streamflow.features import FEATURES
from streamflow.tables import TABLES
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import Database
from support.sealing import assert_is_denied
from support.training import STAYS, merged, training_set


@pytest.fixture
def sealed(database) -> Database:
    """Three months: users who leave, stay, come, are not delivered, and of whom no label is known."""
    database.load_month(JANUARY, merged(delivery("ann", "bob", "cid", **STAYS, skips_7d=1), delivery("dan")))
    database.load_month(FEBRUARY, merged(delivery("ann", skips_7d=2), delivery("bob", "eve", **STAYS, skips_7d=2)))
    database.load_month(MARCH, merged(delivery("ann", "bob"), delivery("cid", "eve", churn_label=None)))
    return database


def test_a_label_is_dated_by_the_first_day_of_its_month(sealed):
    assert sealed.query("select user_id, period_start::text, churn_label from training.labels order by 2, 1") == [
        ("ann", "2024-02-01 00:00:00", True),
        ("bob", "2024-02-01 00:00:00", False),
        ("bob", "2024-03-01 00:00:00", True),
    ]
    ((kind,),) = sealed.query("select pg_typeof(period_start)::text from training.labels limit 1")
    assert kind == "timestamp without time zone"


@pytest.mark.parametrize("as_of", [JANUARY, FEBRUARY])
def test_joined_by_time_it_gives_training_set(sealed, as_of):
    columns = ", ".join(f"{one.table.name}.{one.column.name}::text" for one in FEATURES)
    joins = "\n".join(
        f"left join lateral (select * from {table.snapshots} as snapshot where snapshot.user_id = labels.user_id "
        f"and snapshot.as_of <= labels.period_start order by snapshot.as_of desc limit 1) as {table.name} on true"
        for table in TABLES.values()
        if any(one.table == table for one in FEATURES)
    )
    found = sealed.query(
        f"select labels.user_id, {columns}, labels.churn_label::text from training.labels {joins} "
        "where period_start = %s::date + 1",
        as_of,
    )
    assert sorted(found, key=repr) == training_set(sealed, as_of, 1)
    assert len(found) > 0


def test_the_reader_reads_it_and_makes_nothing_there(sealed):
    install_schema.install(sealed.admin_uri)  # what roles may do in a database is not copied from its template
    reader = Database(sealed.uri.replace("streamflow_ingest@", "streamflow_reader@"))
    assert reader.query("select count(*) from training.labels") == [(3,)]
    reader.close()
    assert_is_denied(reader, "create table training.mine (a int)")


def test_the_roles_days_begin_at_midnight_utc_wherever_the_server_is(sealed):
    """A tool that compares as_of with a time does so in the session's zone."""
    install_schema.install(sealed.admin_uri)
    sealed.run_as_admin("alter database streamflow_test set timezone to 'America/New_York'")
    for role in ("streamflow_ingest", "streamflow_reader"):
        with psycopg.connect(sealed.uri.replace("streamflow_ingest@", f"{role}@")) as connection:
            assert connection.execute("show timezone").fetchone() == ("UTC",)


@pytest.mark.parametrize("theirs", ["table training.models (a int)", "view training.labels as select 1 as user_id"])
def test_a_schema_of_that_name_that_is_someone_elses_is_left_alone(server, theirs, capsys):
    uri = embedded.uri(server, "streamflow_taken")
    try:
        embedded.sql(server, f"create schema training; create {theirs};", "streamflow_taken")
        install_schema.install(uri)
        assert "the view training.labels is not created: the schema training is not StreamFlow's" in (
            capsys.readouterr().err
        )
        with psycopg.connect(uri) as connection:
            (owner,) = connection.execute(
                "select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'training'"
            ).fetchone()
            found = connection.execute("select relname from pg_class where relnamespace = 'training'::regnamespace")
            assert owner == "postgres"
            assert found.fetchall() == [(theirs.split()[1].removeprefix("training."),)]
    finally:
        embedded.sql(server, "drop database streamflow_taken with (force);")


def test_what_was_installed_without_roles_belongs_to_the_owner_once_there_are_roles(server):
    uri = embedded.uri(server, "streamflow_taken")
    try:
        with psycopg.connect(uri) as connection:
            connection.execute(templating.render("schema.sql"))
        install_schema.install(uri)
        with psycopg.connect(uri) as connection:
            owners = connection.execute(
                "select pg_get_userbyid(nspowner)::text, pg_get_userbyid(relowner)::text "
                "from pg_namespace inner join pg_class on pg_namespace.oid = relnamespace where nspname = 'training'"
            )
            assert owners.fetchall() == [("streamflow_owner", "streamflow_owner")]
    finally:
        embedded.sql(server, "drop database streamflow_taken with (force);")
