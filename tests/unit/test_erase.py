"""Whom an erasure is for, what it says, and by which texts it looks for them."""

from __future__ import annotations

import io
import json

import pytest

from streamflow import erase as streamflow_erase
from streamflow.erase import Plan, read_users, terms_of, users_of
from streamflow.plain import as_cell, show
from streamflow.refusal import Refusal


def test_users_are_those_of_a_list_each_once(tmp_path):
    assert users_of(["ann", "bob", "ann", " "], str(tmp_path)) == ["ann", "bob"]


@pytest.mark.parametrize("content", [b"ann\nbob\n", b"user_id\r\nann\r\nbob\r\n", b"\xef\xbb\xbfann\n\nbob\nann"])
def test_users_are_those_of_a_file_in_the_deliveries_folder(tmp_path, content):
    (tmp_path / "erase").mkdir()
    (tmp_path / "erase" / "ids.txt").write_bytes(content)
    assert users_of("erase/ids.txt", str(tmp_path)) == ["ann", "bob"]


def test_an_id_is_taken_as_it_is_written():
    assert read_users(io.BytesIO("Ännä \n a,b\nx\u2028y\n".encode()), "ids") == ["Ännä ", " a,b", "x\u2028y"]


@pytest.mark.parametrize("said", ["", " ", [], [""], "none.txt", "../outside.txt", "empty.txt", "latin.txt", ["a\0"]])
def test_without_users_there_is_no_erasure(tmp_path, said):
    root = tmp_path / "deliveries"
    root.mkdir()
    (tmp_path / "outside.txt").write_text("ann\n")
    (root / "empty.txt").write_text("user_id\n")
    (root / "latin.txt").write_bytes(b"\xe4nn\n")
    with pytest.raises(Refusal):
        users_of(said, str(root))


def test_a_plan_says_what_and_names_no_one():
    plan = Plan(3, 1, {"2024-01-31": {"users": 2, "labels": 1000}}, "hash")
    assert plan.lines == [
        "3 users: 1,002 rows in 1 sealed month would be erased.",
        "1 of them has no rows; later deliveries leave them out too.",
        "  - 2024-01-31: users 2, labels 1,000",
    ]


@pytest.mark.parametrize(
    "user", ["SF-00000004", "ann", "17", "o'brien", 'a "b"', "Ännä-Maria", "x\ny long", "=formula", "\\back", "a" * 100]
)
def test_whatever_the_package_writes_of_a_user_is_found(user):
    shown = show(user)
    for written in (shown, json.dumps([f"user_id {shown}"]), json.dumps(f"user_id {shown}", ensure_ascii=False)):
        assert any(term in written for term in terms_of([user])), written
    if len(user) > 5:
        assert any(term in as_cell(user) for term in terms_of([user]))


def test_a_short_id_is_not_found_in_other_words():
    assert not any(term in "17 of 117 rows: 'users' and 'labels17'" for term in terms_of(["17", "use"]))


@pytest.mark.parametrize(
    ("text", "is_named"),
    [("ann asked for it", True), ("request of SF-12.", True), ("(17)", True), ("annual, SF-123, 2017", False)],
)
def test_a_reason_that_names_someone_with_a_short_id_is_noticed(text, is_named):
    assert streamflow_erase._names(text, ["ann", "SF-12", "17"]) is is_named
