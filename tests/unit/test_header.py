"""The first line of a file: what is taken for a header, and what is refused with its place."""

from __future__ import annotations

import pytest

from streamflow.header import read_header
from streamflow.refusal import Refusal, TaskRefused
from support.loading import staged, types


@pytest.mark.parametrize(
    "name",
    [
        'x"; drop table users; --',
        "'); drop table users; --",
        "%(file_name)s",
        "{{ 7*7 }}",
        "$$",
        "user id",
        "select",
        "größe",
        "x" * 63,
    ],
)
def test_a_hostile_column_name_is_only_a_name(database, load, name):
    quoted = name.replace('"', '""')
    assert load("labels", f'user_id,churn_label,"{quoted}"\nann,True,value\n')["unknown"] == [name]
    assert types(database, "labels")[name] == "text"
    assert staged(database, "labels") == [("ann", True, "value")]
    assert database.query("select count(*) from users") == [(0,)]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("user_id,a\x00b", r"line 1, column 2:\nExpected a printable name of 1 to 63 bytes.\nFound 'a\\x00b'"),
        ('user_id,"a\nb"', r"line 1, column 2:\nExpected a closing quote on the same line .*\nFound '\"a'"),
        ('user_id,churn_"label', "line 1, column 2:\nExpected quotes around the whole cell, .*\nFound 'churn_\"label'"),
        ('"user_id,churn_label', "line 1, column 1:\nExpected a closing quote on the same line"),
        ('"user_id"x,churn_label', "line 1, column 1:\nExpected quotes around the whole cell"),
        ("user_id,a\tb", r"line 1, column 2:\nExpected a printable name .*\nFound 'a\\tb'"),
        ("user_id,\u202elebal", r"line 1, column 2:\nExpected a printable name .*\nFound '\\u202elebal'"),
        ("user_id,churn_label," + "x" * 64, "line 1, column 3:\nExpected .* 1 to 63 bytes.\nFound 'x{64}'"),
        ("user_id," + "ä" * 32, "line 1, column 2:\nExpected .* 1 to 63 bytes.\nFound 'ä{32}'"),
        ("user_id,,churn_label", "line 1, column 2:\nExpected a printable name .*\nFound ''"),
        ("user_id,churn_label,", "line 1, column 3:\nExpected a printable name .*\nFound ''"),
        ("user_id,churn_label,user_id", "line 1, column 3:\nExpected each column once.\nFound 'user_id' twice"),
        ("USER_ID,Churn_Label", "line 1, column 1:\nExpected 'user_id'.\nFound 'USER_ID'."),
        ("user_id,churn_label,USER_ID", "line 1, column 3:\nExpected 'user_id'.\nFound 'USER_ID'"),
        ("user_id, churn_label ", "line 1, column 2:\nExpected 'churn_label'.\nFound ' churn_label '"),
        ("", "line 1:\nExpected column names.\nFound none."),
        ("user_id," + "x" * 100_000, "line 1:\nExpected a header of less than 65536 bytes.\nFound a longer one"),
    ],
)
def test_a_header_that_is_none_is_refused_with_its_place(database, load, header, words):
    with pytest.raises(TaskRefused, match=f"month_000/labels.csv, {words}"):
        load("labels", f"{header}\nann,True\n")
    assert database.query("select count(*) from staging.files") == [(0,)]


@pytest.mark.parametrize(
    "header",
    ["user_id,ctid", "user_id,xmin", "user_id," + ",".join(f"c{number}" for number in range(1700))],
    ids=["ctid", "xmin", "1701 columns"],
)
def test_a_header_that_postgresql_cannot_take_is_refused_with_its_place(load, header):
    with pytest.raises(TaskRefused, match=r"month_000/labels\.csv, line 1"):
        load("labels", f"{header}\nann,1\n")


def test_a_header_in_another_encoding_is_refused():
    with pytest.raises(Refusal, match=r"f\.csv, line 1:\nExpected UTF-8 text.\nFound byte 0xf6"):
        read_header("user_id,größe".encode("latin-1"), "f.csv", ["user_id"])
