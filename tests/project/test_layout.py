"""Where tests lie: beside what they test, by its name, and each for itself."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from support.paths import ROOT

TESTS = ROOT / "tests"
MODULES = sorted(TESTS.rglob("test_*.py"))
MIRRORS = {
    "unit": "plugins/streamflow/{}.py",
    "unit/dags": "dags/{}.py",
    "unit/tools": "tools/{}.py",
    "unit/web": "plugins/streamflow/web/{}.py",
    "sql/schema": "include/sql/schema/{}.sql",
    "sql/tasks": "include/sql/tasks/{}.sql",
}


def imported_by(path: Path) -> set[str]:
    """The modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return found


@pytest.mark.parametrize("folder", MIRRORS)
def test_each_module_is_named_after_what_it_tests(folder):
    for path in (TESTS / folder).glob("test_*.py"):
        name = path.stem.removeprefix("test_")
        if folder.startswith("sql"):
            name = name.removesuffix("_sql")  # gate.py and gate.sql are tested in test_gate.py and test_gate_sql.py
        name = name.removeprefix(f"{Path(folder).name}_")  # web/months.py is tested in test_web_months.py
        tested = MIRRORS[folder].format(name)
        assert (ROOT / tested).exists(), f"{path}: there is no {tested}"


def test_no_two_modules_have_one_name():
    names = [path.name for path in MODULES]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_is_imported(path):
    tests = {path.stem for path in MODULES} | {"conftest"}
    assert {name for name in imported_by(path) if tests & {*name.split(".")}} == set()
