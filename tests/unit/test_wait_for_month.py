"""Waiting for a whole delivery."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import os
import re
import threading
import time
from importlib import import_module

import pytest
from airflow.sdk.exceptions import TaskDeferred
from structlog.testing import capture_logs

from streamflow.refusal import TaskRefused
from streamflow.tables import TABLES, files_of
from streamflow.wait_for_month import MonthFolderSensor, MonthFolderTrigger, still_missing

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
FILES = [table.file_name for table in TABLES.values()]


@pytest.fixture
def folder(deliveries):
    """A whole delivery, written an hour ago."""
    folder = deliveries / "month_000"
    folder.mkdir()
    for name in FILES:
        deliver(folder / name)
    return folder


def deliver(path, content: str = "user_id\nann\n", age: float = 3600):
    path.write_text(content)
    os.utime(path, (time.time() - age,) * 2)


def compress(path, age: float = 3600):
    """Deliver a file as ``.gz`` in its place."""
    compressed = path.with_name(f"{path.name}.gz")
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    os.utime(compressed, (time.time() - age,) * 2)
    return compressed


def missing(folder, settle_seconds: float, as_of: str = JANUARY) -> list[str]:
    return still_missing(folder, settle_seconds, files_of(as_of))


def sensor(**kwargs) -> MonthFolderSensor:
    return MonthFolderSensor(
        **{
            "task_id": "wait_for_month",
            "as_of": JANUARY,
            "fs_conn_id": "streamflow_fs",
            "filepath": "month_000",
            "settle_seconds": 60,
            "poke_interval": 0.05,
            "timeout": 0.2,
            "mode": "poke",
            "deferrable": False,
        }
        | kwargs
    )


def trigger(folder, seconds: float = 0, settle_seconds: float = 60) -> MonthFolderTrigger:
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return MonthFolderTrigger(str(folder), settle_seconds, 0.05, deadline.isoformat(), files_of(JANUARY))


def fire(trigger: MonthFolderTrigger) -> list:
    """The payload of every event that the trigger fires."""

    async def collect():
        return [event.payload async for event in trigger.run()]

    return asyncio.run(asyncio.wait_for(collect(), timeout=10))


def test_a_whole_delivery_lacks_nothing(folder):
    assert missing(folder, 60) == []
    assert sensor().poke({}) is True
    sensor().execute({})


def test_without_the_folder_all_six_files_are_missing(deliveries):
    assert missing(deliveries / "month_000", 60) == [f"{name} is missing" for name in FILES]


@pytest.mark.parametrize("name", FILES)
def test_each_file_counts(folder, name):
    (folder / name).unlink()
    assert missing(folder, 60) == [f"{name} is missing"]
    assert sensor().poke({}) is False


def test_other_files_do_not_count(folder):
    (folder / "labels.csv").rename(folder / "labels.csv.part")
    (folder / "done").touch()
    assert missing(folder, 60) == ["labels.csv is missing"]


def empty(path):
    path.write_text("")
    os.utime(path, (0, 0))


def turn_into_a_folder(path):
    path.unlink()
    path.mkdir()
    os.utime(path, (0, 0))


def dangle(path):
    path.unlink()
    path.symlink_to("nowhere.csv")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (empty, "users.csv is empty"),
        (turn_into_a_folder, "users.csv is not a file"),
        (dangle, "users.csv is missing"),
        (lambda path: deliver(path, age=5), r"users.csv was written \d+ s ago \(settles at 60 s\)"),
    ],
)
def test_a_file_that_cannot_be_loaded_yet_is_named_with_the_reason(folder, spoil, said):
    spoil(folder / "users.csv")
    with pytest.raises(TaskRefused, match=f"(?s)/month_000.\n{said}.\n.*deliver the missing files"):
        sensor().execute({})


@pytest.mark.parametrize("is_loop", [False, True], ids=["folder is a file", "symlink loop"])
def test_a_path_that_cannot_be_looked_at_is_still_missing(deliveries, is_loop):
    folder = deliveries / "month_000"
    if is_loop:
        folder.symlink_to("month_000")
    else:
        folder.write_text("")
    with pytest.raises(TaskRefused, match=r"month_000\.\nusers\.csv"):
        sensor().execute({})


def test_a_clock_that_is_ahead_holds_nothing_up_without_settling_time(folder):
    deliver(folder / "users.csv", age=-3600)
    assert missing(folder, 0) == []


def test_a_file_dated_far_in_the_future_settles_while_it_is_watched(folder, caplog):
    deliver(folder / "users.csv", age=-365 * 24 * 3600)
    started = time.monotonic()
    assert missing(folder, 1) == []
    assert time.monotonic() - started >= 1
    assert re.search(r"users.csv is dated 3153\d* s in the future: a clock is wrong", caplog.text)


@pytest.mark.parametrize("change", ["grows", "is replaced", "goes"])
def test_a_file_dated_far_in_the_future_does_not_count_while_it_is_written(folder, change):
    users = folder / "users.csv"
    deliver(users, age=-3600)

    def happen():
        if change == "grows":
            with users.open("a") as file:
                file.write("bob\n")
            os.utime(users, (time.time() + 3600,) * 2)
        elif change == "is replaced":
            found = users.stat()
            other = folder / "users.csv.part"
            other.write_text(users.read_text())
            os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
            other.rename(users)
        else:
            users.unlink()

    writing = threading.Timer(0.3, happen)
    writing.start()
    assert missing(folder, 1) == ["users.csv was written while it was watched"]
    writing.join()


def test_a_clock_that_is_ahead_by_less_than_the_settling_time_is_waited_for(folder):
    deliver(folder / "users.csv", age=-30)
    (said,) = missing(folder, settle_seconds=60)
    assert re.fullmatch(r"users.csv is dated (29|30) s in the future \(settles at 60 s\)", said)


def test_nothing_is_watched_while_other_files_are_missing(folder):
    deliver(folder / "users.csv", age=-3600)
    (folder / "labels.csv").unlink()
    assert missing(folder, 60) == ["labels.csv is missing"]


@pytest.mark.parametrize(
    ("kwargs", "interval"),
    [
        ({"mode": "reschedule", "poke_interval": 5}, 20),
        ({"mode": "reschedule", "poke_interval": 60}, 60),
        ({"deferrable": True, "poke_interval": 5}, 20),
        ({"mode": "poke", "poke_interval": 5}, 5),
    ],
)
def test_a_task_is_not_handed_back_and_out_again_at_once(kwargs, interval):
    assert sensor(**kwargs).poke_interval == interval


@pytest.mark.parametrize(("settle_seconds", "passes"), [(0, True), (4, True), (60, False)])
def test_a_file_settles_when_it_has_been_left_alone(folder, settle_seconds, passes):
    deliver(folder / "labels.csv", age=5)
    assert sensor(settle_seconds=settle_seconds).poke({}) is passes


def test_a_symlink_to_a_file_is_a_file(folder, tmp_path):
    (folder / "users.csv").rename(tmp_path / "elsewhere.csv")
    (folder / "users.csv").symlink_to(tmp_path / "elsewhere.csv")
    assert missing(folder, 60) == []


def test_the_log_says_what_it_waits_for(folder):
    (folder / "labels.csv").unlink()
    with capture_logs() as logs:
        sensor().poke({})
    assert [one["event"] for one in logs] == [f"Still waiting for {folder}:", "  - labels.csv is missing"]


def test_time_out_names_folder_and_every_missing_file(folder):
    (folder / "labels.csv").unlink()
    (folder / "users.csv").unlink()
    with pytest.raises(TaskRefused) as timed_out:
        sensor(timeout=1).execute({})
    assert str(timed_out.value) == (
        f"Waited 1 s for a delivery in {folder}.\nusers.csv is missing.\nlabels.csv is missing.\n"
        "What to do: deliver the missing files, then run the month again "
        "(clear the whole run, or trigger the month once more)"
    )


def test_the_sensor_passes_when_the_last_file_comes(folder):
    (folder / "users.csv").unlink()
    uploading = threading.Timer(0.3, deliver, [folder / "users.csv"])
    uploading.start()
    started = time.monotonic()
    sensor(timeout=10).execute({})
    uploading.join()
    assert 0.3 <= time.monotonic() - started < 5


def test_a_deferrable_sensor_does_not_defer_for_a_whole_delivery(folder):
    sensor(deferrable=True).execute({})


def test_a_deferrable_sensor_waits_in_the_triggerer(folder):
    (folder / "users.csv").unlink()
    with pytest.raises(TaskDeferred) as deferred:
        sensor(deferrable=True, timeout=3600).execute({})
    waiting = deferred.value.trigger
    assert type(waiting) is MonthFolderTrigger
    assert deferred.value.method_name == "execute_complete"
    assert (waiting.folder, waiting.settle_seconds, waiting.poke_interval) == (str(folder), 60, 20)
    assert waiting.files == files_of(JANUARY)
    left = dt.datetime.fromisoformat(waiting.deadline) - dt.datetime.now(dt.UTC)
    assert 3590 < left.total_seconds() <= 3600


def test_the_triggerer_can_rebuild_the_trigger(folder):
    made = trigger(folder, seconds=60)
    path, arguments = made.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**arguments)
    assert type(again) is MonthFolderTrigger
    assert again.serialize() == made.serialize()
    assert fire(again) == [[]]


def test_the_trigger_fires_empty_once_the_last_file_is_there(folder):
    (folder / "users.csv").unlink()
    uploading = threading.Timer(0.3, deliver, [folder / "users.csv"])
    uploading.start()
    assert fire(trigger(folder, seconds=8)) == [[]]
    uploading.join()


def test_the_trigger_fires_with_what_is_missing_when_its_time_is_up(folder):
    (folder / "users.csv").unlink()
    started = time.monotonic()
    assert fire(trigger(folder, seconds=0.3)) == [["users.csv is missing"]]
    assert time.monotonic() - started >= 0.3


def test_the_trigger_leaves_others_their_turn(folder):
    (folder / "users.csv").unlink()

    async def both():
        waiting = asyncio.ensure_future(anext(trigger(folder, seconds=0.3).run()))
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            turns += 1
        return turns

    assert asyncio.run(both()) >= 5


def test_execute_complete_passes_when_nothing_is_missing(folder):
    sensor(deferrable=True).execute_complete({}, [])


def test_execute_complete_says_what_was_missing(folder):
    with pytest.raises(TaskRefused, match=r"users\.csv is empty\.\nlabels\.csv is missing"):
        sensor(deferrable=True).execute_complete({}, ["users.csv is empty", "labels.csv is missing"])


# compressed files


@pytest.mark.parametrize("compressed", [FILES, FILES[:1], FILES[3:]], ids=["all", "one", "some"])
def test_a_compressed_file_counts_as_the_plain_one(folder, compressed):
    for name in compressed:
        compress(folder / name)
    assert missing(folder, 60) == []
    sensor().execute({})


def test_a_file_that_is_there_plain_and_compressed_is_one_too_many(folder):
    users = (folder / "users.csv").read_bytes()
    compress(folder / "users.csv")
    deliver(folder / "users.csv", users.decode())
    said = "users.csv and users.csv.gz both exist (remove the wrong one)"
    assert missing(folder, 60) == [said]
    with pytest.raises(TaskRefused, match=r"(?s)/month_000.\nusers.csv and users.csv.gz both exist \(remove"):
        sensor().execute({})
    (folder / "users.csv").unlink()
    assert missing(folder, 60) == []


def test_a_link_that_leads_nowhere_is_one_too_many_as_well(folder):
    compress(folder / "users.csv")
    (folder / "users.csv").symlink_to("nowhere")
    assert missing(folder, 60) == ["users.csv and users.csv.gz both exist (remove the wrong one)"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (empty, "users.csv.gz is empty"),
        (turn_into_a_folder, "users.csv.gz is not a file"),
        (dangle, "users.csv.gz is missing"),
        (lambda path: os.utime(path), r"users.csv.gz was written \d s ago \(settles at 60 s\)"),
        (lambda path: path.rename(path.with_name("USERS.CSV.GZ")), "users.csv is missing"),
        (lambda path: path.rename(path.with_name("users.csv.gz.part")), "users.csv is missing"),
        (lambda path: path.rename(path.with_name("users.csv.gz.gz")), "users.csv is missing"),
        (lambda path: path.rename(path.with_name("users..csv.gz")), "users.csv is missing"),
        (lambda path: path.rename(path.with_name("users.gz")), "users.csv is missing"),
    ],
)
def test_a_compressed_file_that_does_not_count_is_named_with_the_reason(folder, spoil, said):
    spoil(compress(folder / "users.csv"))
    (found,) = missing(folder, 60)
    assert re.fullmatch(said, found)


def test_a_compressed_file_that_is_still_written_while_it_is_watched_does_not_count(folder):
    users = compress(folder / "users.csv", age=-3600)
    writing = threading.Timer(0.3, lambda: os.utime(users, (1, 1)))
    writing.start()
    assert missing(folder, 1) == ["users.csv.gz was written while it was watched"]
    writing.join()


# tables that begin later


@pytest.fixture
def since_march(monkeypatch) -> None:
    """A seventh table, ``visits``, which deliveries have from March 2024 on."""
    visits = TABLES["labels"].model_copy(update={"name": "visits", "since": "2024-03"})
    monkeypatch.setitem(TABLES, "visits", visits)


@pytest.mark.parametrize(("as_of", "lacks"), [(JANUARY, []), ("2024-02-29", []), ("2024-03-31", ["visits.csv"])])
def test_a_file_is_waited_for_from_its_tables_first_month_on(folder, since_march, as_of, lacks):
    said = [f"{name} is missing" for name in lacks]
    assert missing(folder, 60, as_of) == said
    assert sensor(as_of=as_of).poke({}) is not bool(said)
    if said:
        with pytest.raises(TaskRefused, match=r"visits\.csv is missing"):
            sensor(as_of=as_of).execute({})
    deliver(folder / "visits.csv")
    with capture_logs() as logs:
        assert sensor(as_of=as_of).poke({}) is True
    assert [one["event"] for one in logs] == [f"All {6 + len(lacks)} files are in {folder}."]


@pytest.mark.parametrize(("as_of", "fired"), [(JANUARY, []), ("2024-03-31", ["visits.csv is missing"])])
def test_the_triggerer_looks_for_the_files_of_the_same_tables(folder, since_march, as_of, fired):
    (folder / "users.csv").rename(folder / "aside")
    with pytest.raises(TaskDeferred) as deferred:
        sensor(deferrable=True, as_of=as_of).execute({})
    _, arguments = deferred.value.trigger.serialize()
    assert arguments["files"] == files_of(as_of)
    (folder / "aside").rename(folder / "users.csv")
    assert fire(MonthFolderTrigger(**arguments)) == [fired]


def test_the_month_is_a_template():
    assert {"filepath", "as_of"} <= set(MonthFolderSensor.template_fields)


def test_a_trigger_of_an_earlier_version_waits_for_every_tables_file(folder):
    _, arguments = trigger(folder).serialize()
    del arguments["files"]
    assert fire(MonthFolderTrigger(**arguments)) == [[]]
    (folder / "labels.csv").unlink()
    assert fire(MonthFolderTrigger(**arguments)) == [["labels.csv is missing"]]
