"""The page of a validation: every rule of a table's suite, and what it found.

Great Expectations' own Data Docs insert cells and column names as markup, load 17 scripts and styles from the web, and
cannot show line numbers. In our own template Jinja2 escapes every value, and a content security policy forbids all
scripts and all requests.
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
    """Write the results of a validation as a page, and create its folder if needed.

    Args:
        path: the page; an existing one is replaced atomically.
        title: the table and the month.
        facts: other facts, one line each.
        findings: one per rule; the page shows broken rules first.
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
