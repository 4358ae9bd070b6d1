"""What happens to a file while it is read, validated, or waiting for its turn."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

import pytest

import streamflow.load
import streamflow.validate
from streamflow.refusal import RUN_AGAIN, TaskNotYet, TaskRefused
from streamflow.tables import TABLES
from support.database import Database
from support.deliveries import FEBRUARY, deliver_anew, try_month
from support.run import Refused

# what the page makes of such values is seen in a browser: test_pages.py


@pytest.fixture(scope="module")
def template(sealed_january) -> str:
    """Every database here begins with a sealed January: there is something to lose."""
    return sealed_january


def read_meanwhile(monkeypatch, happens: Callable[[], None]) -> None:
    """Let something happen when the load has read the file's last block, once."""
    blocks, left = streamflow.load._blocks, [happens]

    def read(*args):
        yield from blocks(*args)
        if left:
            left.pop()()

    monkeypatch.setattr(streamflow.load, "_blocks", read)


@pytest.mark.parametrize("is_replaced", [False, True], ids=["written to", "replaced"])
def test_a_file_that_changes_while_it_is_read_is_read_again(database, february, completed, monkeypatch, is_replaced):
    run = february("labels")
    path = run.folder / "labels.csv"
    good = path.read_bytes()
    path.write_bytes(good.replace(b"SF-03,True", b"SF-03,False"))

    def change() -> None:
        if is_replaced:
            (run.folder / "labels.new").write_bytes(good)
            (run.folder / "labels.new").replace(path)
        else:
            path.write_bytes(good + b"")
            os.utime(path, (1, 1))  # the file system's clock may not have moved

    read_meanwhile(monkeypatch, change)
    before = database.contents(ledger=True)
    refused = try_month(run)
    assert refused.task_id == "labels.load"
    assert isinstance(refused.error, TaskNotYet)  # so Airflow tries the load again
    how = (
        "was replaced by another file while it was read."
        if is_replaced
        else "was written to while it was read.\nIt had "
    )
    assert f"month_001/labels.csv {how}" in refused.message
    assert database.query("select count(*) from staging.labels_20240229") == [(0,)]
    assert database.contents(ledger=True) == before
    run.stage("load", "validate", "snapshot")
    run.finish()
    assert database.contents() == completed


def test_a_file_that_is_replaced_after_it_was_loaded_is_not_the_months(database, february, completed):
    """The fingerprint is taken of the very bytes that are loaded."""
    run = february("labels")
    path = run.folder / "labels.csv"
    good = path.read_bytes()
    run.begin()
    run.stage_others()
    run.stage("stage", "load")
    path.write_bytes(b"something else")
    run.stage("validate", "snapshot")
    run.finish()
    assert database.contents() == completed
    assert database.query(
        "select file_sha256, file_bytes from deliveries where as_of = %s and table_name = 'labels'", FEBRUARY
    ) == [(hashlib.sha256(good).hexdigest(), len(good))]


def test_a_file_that_is_loaded_anew_while_it_is_validated_does_not_pass_unseen(database, february, monkeypatch):
    run = february("labels")
    run.begin()
    run.stage_others()
    run.stage("stage", "load")
    checked = streamflow.validate.run_suite

    def load_another_meanwhile(*args):
        results = checked(*args)
        path = run.folder / "labels.csv"
        path.write_bytes(path.read_bytes().replace(b"True", b"False"))
        run.stage("load")
        return results

    monkeypatch.setattr(streamflow.validate, "run_suite", load_another_meanwhile)
    before = database.contents(ledger=True)
    with pytest.raises(Refused, match=r"staging\.labels_20240229 was loaded again while it was validated\.\n.*: run"):
        run.stage("validate")
    all_but_one = f"only {len(TABLES) - 1} of {len(TABLES)} tables of 2024-02-29"
    with pytest.raises(Refused, match=f"{all_but_one} are staged, validated, and built"):
        run.execute("gate")
    assert database.contents(ledger=True) == before


@pytest.mark.parametrize("step", ["stage", "load", "validate", "snapshot"])
def test_a_step_of_a_run_whose_month_another_run_has_taken_ends_readably(database, february, step):
    run = february("labels")
    run.begin()
    for done in ("stage", "load", "validate", "snapshot"):
        if done == step:
            break
        run.stage(done)
    other = february("labels")
    other.database = Database(database.uri, run_id="somebody else", first_month="2024-01")
    other.begin()
    with pytest.raises(Refused, match=r"run somebody else has taken over the month 2024-02-29,\n") as refused:
        run.stage(step)
    assert isinstance(refused.value.error, TaskRefused)
    assert "What to do: wait for that run to finish, or run the month again" in refused.value.message


@pytest.mark.parametrize("step", ["load", "validate"])
def test_reports_that_cannot_be_written_are_not_the_deliverys_fault(database, february, monkeypatch, step):
    run = february("labels")
    run.begin()
    run.stage_others()
    run.stage("stage", *(["load"] if step == "validate" else []))
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__DATA_DOCS", "/dev/null/docs")
    before = database.contents(ledger=True)
    with pytest.raises(Refused, match=r"^labels\.\w+: /dev/null/docs.*: Not a directory\.\nThe cause") as refused:
        run.stage(step)
    assert isinstance(refused.value.error, TaskNotYet)  # someone may mount it meanwhile
    assert database.contents(ledger=True) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else, and root may read everything")
def test_a_file_that_may_not_be_read_is_named(database, february, completed, docs):
    run = february("labels")
    path = run.folder / "labels.csv"
    path.chmod(0o600)
    for folder in list(path.parents)[:-2]:  # pytest's own are root's alone
        folder.chmod(0o755)
    run.begin()
    run.stage_others()
    run.execute("labels.stage")
    before = database.contents(ledger=True)
    os.seteuid(65534)
    try:
        with pytest.raises(Refused) as refused:
            run.execute("labels.load")
    finally:
        os.seteuid(0)
    assert refused.value.message == (
        f"{path} cannot be read:\nPermission denied.\nWhat to do: deliver the file itself, then {RUN_AGAIN}"
    )
    assert isinstance(refused.value.error, TaskRefused)
    assert database.contents(ledger=True) == before
    path.chmod(0o644)
    run.stage()
    run.finish()
    assert database.contents() == completed


def test_a_file_too_large_is_refused_before_it_is_read(database, february, completed):
    run = february("labels")
    path = run.folder / "labels.csv"
    good = path.read_bytes()
    run.begin()
    run.stage_others()
    os.truncate(path, 5 << 30)  # sparse: it takes no room, but would take minutes to read
    before = database.contents(ledger=True)
    started = time.monotonic()
    with pytest.raises(Refused) as refused:
        run.stage()
    assert time.monotonic() - started < 3
    assert refused.value.message == (
        "month_001/labels.csv is too large.\n"
        "Expected at most 2147483648 bytes (AIRFLOW__STREAMFLOW__MAX_FILE_BYTES).\n"
        "Found 5368709120 bytes.\n"
        "Nothing was read.\n"
        f"What to do: deliver the right file, or raise the limit, then {RUN_AGAIN}"
    )
    assert database.contents(ledger=True) == before
    deliver_anew(path, good)
    run.stage()
    run.finish()
    assert database.contents() == completed


def test_the_largest_file_is_a_setting(february, monkeypatch):
    run = february("labels")
    run.begin()
    run.execute("labels.stage")
    size = (run.folder / "labels.csv").stat().st_size
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MAX_FILE_BYTES", str(size - 1))
    with pytest.raises(Refused, match=f"Expected at most {size - 1} bytes .*\nFound {size} bytes"):
        run.execute("labels.load")
    monkeypatch.setenv("AIRFLOW__STREAMFLOW__MAX_FILE_BYTES", str(size))
    assert run.execute("labels.load")["bytes"] == size
