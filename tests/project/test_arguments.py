"""What each tool says when it is called wrongly."""

from __future__ import annotations

import os
import subprocess

import pytest

from ports import free_port
from support.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("archive", ["2024-01-31", "2024-02-29"]),
        ("check_tables", ["labels"]),
        ("embedded", []),
        ("embedded", ["hold", "me"]),
        ("embedded", ["run", "--metadata", "airflow_run"]),
        ("embedded", ["run", "--needs", "luck", "--", "true"]),
        ("generate_deliveries", []),
        ("generate_deliveries", ["{tmp}/out", "--users", "-5"]),
        ("generate_deliveries", ["{tmp}/out", "--users", "many"]),
        ("generate_deliveries", ["{tmp}/out", "--months", "0"]),
        ("generate_deliveries", ["{tmp}/out", "--first", "January"]),
        ("generate_deliveries", ["{tmp}/out", "--turnover", "7"]),
        ("generate_deliveries", ["{tmp}/file/out"]),
        ("init_stack", ["now"]),
        ("init_stack", []),
        ("install_schema", []),
        ("make_env", ["{tmp}/no/folder/.env"]),
        ("make_env", ["one", "two"]),
        ("manifest", []),
        ("manifest", ["one", "two"]),
        ("restore", []),
        ("restore", [""]),
        ("erase", ["ids.txt"]),
        ("erase", ["ids.txt", " ", "--yes"]),
        ("erase", ["ids.txt", "request 17"]),
        ("readmit", ["ids.txt", ""]),
        ("run_months", ["include/data"]),
        ("training_set", ["2024-01-31", "-1", "{tmp}/out"]),
        ("training_set", ["2024-01-31", "1", ""]),
        ("ui", ["one", "two"]),
        ("verify", ["2024-01-31"]),
        ("write_dictionary", ["labels"]),
    ],
)
def test_wrong_arguments_are_answered_in_a_line(tmp_path, tool, arguments):
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [
            ROOT / ".venv" / "bin" / "python",
            ROOT / "tools" / f"{tool}.py",
            *(one.format(tmp=tmp_path) for one in arguments),
        ],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.endswith("PASSWORD")}
        | {"PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert sorted(tmp_path.rglob("*")) == before
