"""What `make erase` and `make readmit` print, and that nothing is erased unless someone says yes."""

from __future__ import annotations

import builtins

import pytest

import erase
import readmit
from support.builders import JANUARY, delivery
from support.erasing import found_anywhere, use

USER = "ann-smith"


@pytest.fixture
def ids(database, deliveries, tmp_path, monkeypatch) -> str:
    """A file with ann, who is in January."""
    use(database, monkeypatch)
    database.load_month(JANUARY, delivery(USER, "bob-smith"))
    (tmp_path / "ids.txt").write_text(f"{USER}\n")
    return str(tmp_path / "ids.txt")


def test_with_yes_it_erases_and_readmits_without_asking(database, ids, capsys):
    assert erase.main([ids, "request 17", "--yes"]) == 0
    said = capsys.readouterr().out
    assert "1 user: 6 rows in 1 sealed month would be erased." in said
    assert "1 user erased: 6 rows in 1 sealed month." in said
    assert "No delivered file has them." in said
    assert USER not in said
    assert found_anywhere(database, [USER]) == []
    assert erase.main([ids, "request 17", "--yes"]) == 0
    assert "They were erased before, and have no rows." in capsys.readouterr().out
    assert readmit.main([ids, "a new contract"]) == 0
    assert "1 of 1 user readmitted: deliveries from 2024-02-29 on may have them." in capsys.readouterr().out
    assert readmit.main([ids, "a new contract"]) == 1
    assert "None of 1 user is erased." in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "code"), [("no", 1), ("", 1), ("YES ", 0)])
def test_on_a_terminal_it_asks(database, ids, monkeypatch, answer, code):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(builtins, "input", lambda prompt: answer)
    assert erase.main([ids, "request 17"]) == code
    assert (found_anywhere(database, [USER]) == []) == (code == 0)


def test_what_is_wrong_is_said_without_a_traceback(database, ids, capsys):
    assert erase.main(["none.txt", "request 17", "--yes"]) == 1
    assert erase.main([ids, f"{USER} asked us to", "--yes"]) == 1
    said = capsys.readouterr().err
    assert "No such file" in said
    assert "names one of the users" in said
    assert "Traceback" not in said
