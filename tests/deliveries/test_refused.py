"""Every way in which a file can come broken: which task says what, that nothing was touched, and that correcting the
file completes the month.
"""

from __future__ import annotations

import re

import pytest

from streamflow.refusal import TaskRefused
from streamflow.tables import TABLES
from support.deliveries import FEBRUARY, deliver_anew, try_month
from support.refused import REFUSED


@pytest.fixture(scope="module")
def template(sealed_january) -> str:
    """Every database here begins with a sealed January: there is something to lose."""
    return sealed_january


@pytest.mark.parametrize("case", REFUSED, ids=[case.name for case in REFUSED])
def test_a_broken_file_is_refused_and_the_corrected_one_completes_the_month(database, february, completed, case):
    run = february(case.table)
    path = run.folder / f"{case.table}.csv"
    good = path.read_bytes()
    before = database.contents(ledger=True)
    case.spoil(path)

    refused = try_month(run)
    assert refused.task_id.removeprefix(f"{case.table}.") == case.refused_by
    for words in case.says:
        assert words in refused.message
    assert isinstance(refused.error, TaskRefused)  # which is never tried again
    if case.refused_by in ("load", "validate"):
        assert not database.query("select from staging.files where table_name = %s and is_validated", case.table)
    assert re.search(r"(clear this task\.|trigger the month once more\)\.?)$", refused.message)
    assert database.contents(ledger=True) == before

    deliver_anew(path, good)
    if case.refused_by == "wait_for_month":
        run.up_to_gate()
    elif case.refused_by == "load":
        run.stage("stage", "load")
        database.mark_validated(FEBRUARY, case.table, good)  # the good file has passed once, which is enough
        run.stage("snapshot")
    elif case.refused_by == "validate":
        run.stage()
    else:
        database.stage(FEBRUARY, case.table, good)
        run.stage("snapshot")
    run.finish()
    assert database.contents() == completed


def test_orphans_of_all_tables_are_told_together(database, february):
    run = february()
    others = [name for name in TABLES if name != "users"]
    for number, name in enumerate(others):
        path = run.folder / f"{name}.csv"
        path.write_text(path.read_text().replace("SF-03", f"SF-{90 + number}"))
    before = database.contents(ledger=True)
    refused = try_month(run)
    assert refused.task_id == "gate"
    assert refused.message.splitlines()[: 1 + len(others)] == [
        "Rows without a user:",
        *(f"  - {name} of 2024-02-29: 1 row, for example 'SF-{90 + others.index(name)}'" for name in sorted(others)),
    ]
    assert database.contents(ledger=True) == before
