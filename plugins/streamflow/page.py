"""The page of a validation: every rule of a table's suite and what it found.

The pages of Great Expectations' Data Docs put cells and column names into the page as markup, fetch 17 scripts and
styles from the web, and have no place for lines of a file. So this is a template of our own, in which Jinja2 escapes
whatever is put in, and a policy that forbids every script and every address.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamflow.findings import Finding

FOLDER = Path(__file__).resolve().parents[2] / "include" / "pages"


def write_page(path: Path, title: str, facts: Sequence[str], findings: Sequence[Finding]) -> None:
    """Write what a validation has found as a page, in a folder that is made if need be.

    Args:
        path: the page; an existing one is replaced at once, never half.
        title: the table and the month.
        facts: what else there is to say, one line each.
        findings: of every rule; those that are broken come first.
    """
    verdicts = ("failed", "warning", "passed")
    ordered = sorted(findings, key=lambda finding: verdicts.index(finding.verdict))
    page = _template().render(
        title=title,
        verdict="failed" if any(finding.verdict == "failed" for finding in findings) else "passed",
        facts=facts,
        findings=ordered,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=path.name, suffix=".part", delete=False
    ) as part:
        part.write(page)
    Path(part.name).chmod(0o644)
    Path(part.name).replace(path)


@functools.cache
def _template() -> Any:
    """Return the template, compiled once for all tables of ``dags test``."""
    import jinja2
    from markupsafe import Markup

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined
    )
    style = (FOLDER / "validation.css").read_text()
    templates.globals["style"] = Markup(style)  # noqa: S704 (the project's own file)
    templates.globals["style_hash"] = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return templates.get_template("validation.html")
