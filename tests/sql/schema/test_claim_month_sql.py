"""A run claims its month only if its folder and the ledger agree on the first month."""

from __future__ import annotations

import psycopg
import pytest

from support.builders import FEBRUARY, JANUARY, MARCH, delivery


def test_a_changed_first_month_is_refused(database):
    """The harness has month_000 as 2023-01; the ledger says that January 2024 came from it."""
    database.load_month(JANUARY, delivery("ann"))
    database.run_as_admin("update deliveries set file_name = 'month_000/' || file_name")
    before = database.contents(ledger=True)
    with pytest.raises(psycopg.errors.RaiseException, match="its folder would be month_013") as refused:
        database.load_month(FEBRUARY, delivery("ann"))
    assert "Expected 2024-01: in the ledger, month_000 is sealed as 2024-01-31." in str(refused.value)
    assert refused.value.diag.message_hint.startswith("set the Airflow variable streamflow_first_month to 2024-01")
    assert database.contents(ledger=True) == before


FOLDERS = [
    # the folder that January 2024 was sealed from, the one that February would come from, and what the first month is
    # if that is not the same by both
    ("month_000", "month_001", None),
    ("month_000", "month_000", "2024-01"),
    ("month_000", "month_013", "2024-01"),
    ("month_012", "month_001", "2023-01"),
    ("month_998", "month_999", None),
    ("month_999", "month_1000", None),
    ("000", "001", None),
    ("000", "002", "2024-01"),
    ("v2-000.d", "v2-001.d", None),
    ("v2-000.d", "v2-005.d", "2024-01"),
    ("s3 (50%) [000]", "s3 (50%) [005]", "2024-01"),
    ("2024-01", "2024-02", None),
    ("month=2024-01", "month=2024-02", None),
    ("v2_2024-01_000", "v2_2024-02_000", None),
    # the pattern was changed
    ("month_000", "delivery-005", None),
    ("month_000", "000", None),
    ("month_000", "2024-02", None),
    ("month_000", "month_2024-02", None),
    ("2024-01", "000", None),
    ("2024-01", "month_013", None),
    ("2024-02", "005-02", None),
    ("005-02", "2024-02", None),
    # no one's
    ("month_", "month_005", None),
    ("month_99999999999", "month_005", None),
]


def test_a_folders_number_and_the_ledger_agree_on_the_first_month(database):
    database.load_month(JANUARY, delivery("ann"))
    claim = "select staging.claim_month(%s, %s, %s)"
    for sealed, folder, first_month in FOLDERS:
        database.run_as_admin(f"update deliveries set file_name = '{sealed}/labels.csv'")
        if first_month is None:
            database.query(claim, FEBRUARY, sealed + folder, folder)
            assert database.query("select run_id from staging.runs where as_of = %s", FEBRUARY) == [(sealed + folder,)]
        else:
            with pytest.raises(psycopg.errors.RaiseException, match="its folder would be") as refused:
                database.query(claim, FEBRUARY, sealed + folder, folder)
            assert f"Expected {first_month}: in the ledger, {sealed} is sealed as 2024-01-31." in str(refused.value)
            to_do = f"set the Airflow variable streamflow_first_month to {first_month}"
            assert refused.value.diag.message_hint.startswith(to_do)


def test_a_changed_first_month_is_seen_past_months_with_other_folders(database):
    database.load_month(JANUARY, delivery("ann"))
    database.run_as_admin("update deliveries set file_name = 'month_000/' || file_name")
    database.first_month = "2024-01"
    database.load_month(FEBRUARY, delivery("ann"))
    database.run_as_admin(f"update deliveries set file_name = '2024-02/' || file_name where as_of = '{FEBRUARY}'")
    with pytest.raises(psycopg.errors.RaiseException, match="in the ledger, month_000 is sealed as 2024-01-31"):
        database.query("select staging.claim_month(%s, 'a run', 'month_003')", MARCH)
    database.query("select staging.claim_month(%s, 'a run', 'month_002')", MARCH)
