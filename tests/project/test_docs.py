"""What the pages name is there: links and their anchors, make targets, paths; and the README stays a front door."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from run_months import next_steps
from streamflow import __version__
from streamflow.months import Month
from support.paths import ROOT

README = ROOT / "README.md"
PAGES = [
    README,
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "bench/README.md")),
]
FENCE = re.compile(r"^ *```[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
MAKE = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*make(?: -s)? ([a-z][a-z-]*)")
FOLDERS = ("dags/", "plugins/", "include/", "tools/", "tests/", "docs/", "bench/", ".ci/", ".github/")
# what the reader of docs/tables.md makes
TO_BE_MADE = {"include/tables/devices"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = sum(anchor == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", anchor) is not None for anchor in found)
        found.add(f"{slug}-{count}" if count else slug)
    return found


def broken_links(page: Path) -> Iterator[str]:
    for link in LINK.findall(CODE.sub("", prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield f"{link}: there is no {path}"
        elif anchor and anchor not in anchors(target):
            yield f"{link}: {target.name} has no heading #{anchor}"


def code_of(page: Path) -> Iterator[str]:
    """Lines of blocks, and what is in backticks."""
    for block in FENCE.findall(page.read_text()):
        yield from (line.strip() for line in block.splitlines())
    yield from CODE.findall(prose(page))


def paths_of(page: Path) -> Iterator[str]:
    """What looks like a path in the repository, in backticks; what stands for a name is a wildcard."""
    for code in CODE.findall(prose(page)):
        if code.startswith(FOLDERS) and " " not in code:
            yield re.sub(r"<[^>]*>|…", "*", code.rstrip("/"))


@pages
def test_every_link_leads_somewhere(page):
    assert not list(broken_links(page))


@pages
def test_every_make_target_exists(page):
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {found[1] for code in code_of(page) if (found := MAKE.match(code))}
    assert named <= targets


@pages
def test_every_path_exists(page):
    assert not [path for path in paths_of(page) if path not in TO_BE_MADE and not any(ROOT.glob(path))]


def test_the_readme_is_short_and_leads_to_every_page():
    assert len(README.read_text().splitlines()) < 150
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall(prose(README))}
    assert {page for page in PAGES if page.parent.name != "bench"} - {README} <= linked


def test_the_changelog_begins_with_the_packages_version():
    headings = re.findall(r"^## (\S+), ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == __version__


def test_the_readme_shows_the_end_of_make_run(monkeypatch):
    monkeypatch.delenv("DELIVERIES", raising=False)
    assert "\n".join(next_steps(Month.parse("2024-03-31"))) in README.read_text()
    monkeypatch.setenv("DELIVERIES", "a folder")
    commands = [line.split("   ")[0].strip() for line in next_steps(Month.parse("2024-03-31"))[1:4]]
    assert commands == [f"make {target} DELIVERIES='a folder'" for target in ("psql", "ui", "verify")]


def test_broken_pages_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `heading`, twice\n# A heading, twice\n[a](#a-heading-twice-1) [b](#a-heading) [c](none.md) [d](https://x.y)\n"
        "`include/sql/none.sql` `include/<table>/none` `make it`\n```\n# no heading\nmake that\n[e](none)\n```\n"
    )
    assert list(broken_links(page)) == ["#a-heading: page.md has no heading #a-heading", "none.md: there is no none.md"]
    assert [MAKE.match(code)[1] for code in code_of(page) if MAKE.match(code)] == ["that", "it"]
    assert list(paths_of(page)) == ["include/sql/none.sql", "include/*/none"]
