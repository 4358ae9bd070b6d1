"""A single changed, missing or added row is found, and named as far as it can be."""

from __future__ import annotations

import pytest

import embedded
from streamflow.refusal import TaskEnded, TaskNotYet, TaskRefused
from streamflow.verify import VerifyOperator
from support.archives import archive_and_drop, file_of
from support.builders import FEBRUARY, JANUARY, MARCH, delivery
from support.database import render


def operator() -> VerifyOperator:
    return VerifyOperator(
        task_id="verify",
        sql=render("tasks/verify.sql", JANUARY),
        verified_sql=render("parts/verified.sql", JANUARY),
        archived_sql=render("parts/archived_files.sql", JANUARY),
        conn_id="streamflow_db",
    )


def verify() -> str:
    """Return what a failing verification says, or nothing."""
    try:
        operator().execute({})
    except TaskEnded as error:
        return str(error)
    return ""


def test_what_was_sealed_is_found_to_be_so_and_it_says_what_was_compared(two_months, capfd):
    assert verify() == ""
    log = capfd.readouterr().out
    assert "OK: 2 months, 12 snapshots match the ledger; live matches 2024-02-29." in log
    assert "Rows compared: 30 in snapshots, 18 in live." in log  # two users, then three


def test_an_empty_database_has_no_differences_and_nothing_to_compare(database, capfd):
    assert verify() == ""
    log = capfd.readouterr().out
    assert "No month is sealed in the database streamflow_test: there is nothing to compare." in log
    assert "OK" not in log


def test_before_the_first_run_there_is_nothing_to_differ(server, database, monkeypatch, capfd):
    monkeypatch.setenv("AIRFLOW_CONN_STREAMFLOW_DB", embedded.uri(server, "streamflow_bare"))
    assert verify() == ""
    assert "No month is sealed in the database streamflow_bare" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            "update labels_snapshots set churn_label = false where user_id = 'ann' and as_of = '2024-01-31'",
            "labels_snapshots of 2024-01-31\n    expected 2 rows, checksum",
        ),
        (
            "update users_snapshots set source_as_of = '2024-02-29' where user_id = 'ann' and as_of = '2024-02-29'",
            "users_snapshots of 2024-02-29\n    expected 3 rows, checksum",
        ),
        (
            "update usage_agg_30d_snapshots set watch_hours_30d = 1.0 where user_id = 'ann' and as_of = '2024-01-31'",
            "usage_agg_30d_snapshots of 2024-01-31",
        ),
        (
            "delete from subscriptions_profile_snapshots where user_id = 'bob' and as_of = '2024-01-31'",
            "subscriptions_profile_snapshots of 2024-01-31\n    expected 2 rows",
        ),
        ("delete from labels_snapshots where as_of = '2024-01-31'", "found no rows"),
        (
            "insert into labels_snapshots values ('zoe', true, '2024-01-31', '2024-01-31')",
            "found 3 rows",
        ),
        (
            (
                "create table old partition of labels_snapshots for values in ('2023-12-31'); "
                "insert into labels_snapshots values ('zoe', true, '2023-12-31', '2023-12-31')"
            ),
            "labels_snapshots of 2023-12-31\n    expected not sealed\n    found 1 row",
        ),
    ],
)
def test_one_row_of_a_snapshot_is_found(two_months, damage, found):
    two_months.run_as_admin(damage)
    message = verify()
    assert message.startswith("1 difference from what was sealed:\n")
    assert found in message
    assert "What to do: run the months that differ again with restate=true" in message


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (
            "update payments_agg_90d set failed_payments_90d = null where user_id = 'ann'",
            (
                "payments_agg_90d of 2024-02-29\n    expected live equal to the newest snapshot\n"
                "    found 1 row changed, for example 'ann'"
            ),
        ),
        ("delete from labels where user_id = 'cid'", "found 1 row missing, for example 'cid'"),
        ("insert into users (user_id) values ('zoe')", "found 1 row added, for example 'zoe'"),
    ],
)
def test_one_row_of_live_is_found_and_any_run_repairs_it(two_months, damage, found):
    two_months.run_as_admin(damage)
    message = verify()
    assert message.startswith("1 difference from what was sealed:\n")
    assert found in message
    assert "What to do: run the month again" in message
    assert "each run of any month brings live to the newest snapshot" in message
    two_months.load_month(JANUARY, delivery("ann", "bob"))
    assert verify() == ""


def test_live_and_a_snapshot_that_differ_are_repaired_by_restating(two_months):
    two_months.run_as_admin("delete from labels where user_id = 'cid'; delete from labels_snapshots")
    message = verify()
    assert message.startswith("3 differences from what was sealed:\n")
    assert "What to do: run the months that differ again with restate=true" in message
    two_months.load_month(JANUARY, delivery("ann", "bob"), restate=True)
    two_months.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=7), restate=True)
    assert verify() == ""


@pytest.mark.parametrize("done", ["seal", "upsert users", "upsert payments_agg_90d"])
def test_a_run_between_seal_and_upsert_leaves_live_behind(two_months, done):
    for step in two_months.steps(MARCH, delivery("ann", "dot", watch_hours_30d=9)):
        if step == done:
            break
    missing = r"usage_agg_30d of 2024-03-31\n.*\n    found 1 row missing, .* 'dot'\n    the run of 2024-03-31 sealed it"
    with pytest.raises(TaskNotYet, match=missing) as behind:
        operator().execute({})  # which is tried again
    message = str(behind.value)
    assert message.startswith("Live is behind the newest snapshot:\n")
    assert "What to do: wait until the run of 2024-03-31 has ended: it brings live to the newest" in message
    assert ("\nusers of 2024-03-31\n" in message) == (done == "seal")
    assert "_snapshots" not in message


def test_a_restatement_between_seal_and_upsert_names_its_own_month(two_months):
    for step in two_months.steps(JANUARY, delivery("ann", "bob", watch_hours_30d=5), restate=True):
        if step == "seal":
            break
    with pytest.raises(TaskNotYet, match=r"usage_agg_30d of 2024-02-29\n.*\n.*\n    the run of 2024-01-31 sealed"):
        operator().execute({})
    two_months.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=7))  # whichever run is the next
    assert verify() == ""


def test_a_run_that_has_not_sealed_does_not_explain_what_differs(two_months):
    for step in two_months.steps(MARCH, delivery("ann", "dot", watch_hours_30d=9)):
        if step == "gate":
            break
    assert verify() == ""
    two_months.run_as_admin("delete from labels where user_id = 'cid'")
    with pytest.raises(TaskRefused, match="1 difference from what was sealed"):
        operator().execute({})


def test_a_run_that_died_does_not_explain_what_differs_once_another_month_is_sealed(two_months):
    two_months.run_id = "died"
    for step in two_months.steps(MARCH, delivery("ann", "dot", watch_hours_30d=9)):
        if step == "seal":
            break
    two_months.run_id = "next"
    two_months.load_month("2024-04-30", delivery("ann", "dot", watch_hours_30d=9))
    assert verify() == ""
    two_months.run_as_admin("delete from labels where user_id = 'cid'")
    with pytest.raises(TaskRefused, match="1 difference from what was sealed"):
        operator().execute({})


def test_a_crash_of_the_server_leaves_no_word_of_the_run_that_has_sealed(two_months):
    for step in two_months.steps(MARCH, delivery("ann", "dot", watch_hours_30d=9)):
        if step == "seal":
            break
    two_months.run_as_admin("truncate staging.runs, staging.files, staging.builds")  # unlogged
    message = verify()
    assert "or the server crashed before a run ended.\nWhat to do: run the month again" in message
    two_months.load_month(JANUARY, delivery("ann", "bob"))
    assert verify() == ""


def test_live_is_compared_while_a_month_is_under_way(two_months):
    march = delivery("ann", "dot", watch_hours_30d=9)
    for step in two_months.steps(MARCH, march):
        if step == "upsert payments_agg_90d":
            break
    two_months.run_as_admin("delete from users where user_id = 'bob'")
    message = verify()
    assert "users of 2024-03-31\n    expected live equal to the newest snapshot\n    found 1 row missing" in message
    two_months.run_as_admin("update labels_snapshots set churn_label = false where user_id = 'bob'")
    with pytest.raises(TaskRefused, match="labels_snapshots of 2024-01-31\n    expected 2 rows, checksum"):
        operator().execute({})
    two_months.run_as_admin("update labels_snapshots set churn_label = true where user_id = 'bob'")
    two_months.load_month(MARCH, march)
    assert verify() == ""


def test_a_row_that_claims_to_come_from_the_future_is_restated_away(two_months):
    two_months.run_as_admin(
        "update labels_snapshots set source_as_of = '2024-03-31', churn_label = null where user_id = 'ann'"
    )
    two_months.load_month(JANUARY, delivery("ann", "bob"), restate=True)
    two_months.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=7), restate=True)
    assert verify() == ""


def test_a_ledger_row_that_was_deleted_is_written_again_by_restating(two_months):
    two_months.run_as_admin("delete from deliveries where table_name = 'labels' and as_of = '2024-02-29'")
    assert "expected not sealed" in verify()
    two_months.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=7), restate=True)
    assert verify() == ""


@pytest.mark.parametrize(
    "damage",
    [
        "snapshot_checksum = 0",
        "snapshot_rows = 0, carried_forward = 0, delivered = 0, inserted = 0, updated = 0, unchanged = 0",
        "carried_forward = carried_forward + 1, delivered = delivered - 1, unchanged = unchanged - 1",
    ],
)
def test_restating_the_month_repairs_its_ledger(two_months, damage):
    two_months.run_as_admin(f"update deliveries set {damage} where table_name = 'labels' and as_of = '2024-02-29'")
    two_months.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=7), restate=True)
    assert verify() == ""
    assert two_months.query(
        "select table_name, delivered::int, carried_forward::int from deliveries where revision = 2"
    ) == [("labels", 2, 1)]


def test_restating_the_month_repairs_it(two_months):
    two_months.run_as_admin("update labels_snapshots set churn_label = false where user_id = 'bob'; delete from labels")
    two_months.load_month(FEBRUARY, delivery("bob", "cid", watch_hours_30d=7), restate=True)
    two_months.load_month(JANUARY, delivery("ann", "bob"), restate=True)
    assert verify() == ""


# The archive


def test_the_archive_is_compared_with_its_record(three_months, archive_folder, capfd):
    archive_and_drop(1)
    assert verify() == ""
    log = capfd.readouterr().out
    assert "OK: 1 month, 6 snapshots match the ledger; live matches 2024-03-31." in log
    assert "Rows compared: 24 in snapshots, 24 in live." in log
    assert "Archive: 12 snapshots that are only there, compared by SHA-256; 6 that are also in the database" in log


def test_a_file_that_is_gone_or_changed_is_named(three_months, archive_folder):
    archive_and_drop(1)
    gone, changed = (file_of(archive_folder, "labels", month) for month in (JANUARY, MARCH))
    gone.unlink()
    content = bytearray(changed.read_bytes())
    content[40] ^= 1
    changed.write_bytes(content)  # the same size: its rows are in the database too, and make archive reads it no more
    message = verify()
    assert message.startswith("1 difference from what was sealed or archived:\n")
    assert f"the archive of labels of 2024-01-31, revision 1, which is only there: {gone}\n    expected " in message
    assert "\n    found no file\n" in message
    assert "Bring back the others from a backup of the archive" in message
    ((file_bytes,),) = three_months.query("select file_bytes from archives where place = %s limit 1", str(gone))
    gone.write_bytes(b"?" * file_bytes)
    assert "found SHA-256 " in verify()


def test_a_file_whose_snapshot_is_in_the_database_is_written_again(three_months, archive_folder):
    archive_and_drop(3)
    file_of(archive_folder, "labels", JANUARY).write_bytes(b"")
    assert "the archive of labels of 2024-01-31, revision 1: " in verify()
    archive_and_drop(3)
    assert verify() == ""


def test_a_snapshot_that_is_nowhere_is_a_difference(three_months, archive_folder):
    archive_and_drop(1)
    three_months.run_as_admin("delete from archives where table_name = 'labels' and as_of = '2024-01-31'")
    assert "labels_snapshots of 2024-01-31\n    expected 2 rows" in verify()


def test_revisions_that_were_restated_are_not_compared(three_months, archive_folder):
    archive_and_drop(3)
    three_months.load_month(JANUARY, delivery("ann", "bob", failed_payments_90d=5), restate=True)
    file_of(archive_folder, "payments_agg_90d", JANUARY).unlink()
    assert verify() == ""
