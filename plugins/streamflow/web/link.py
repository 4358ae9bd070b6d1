"""Links from Airflow's UI to the pages."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink, conf

from streamflow.web import PREFIX


def page_url(page: str, run_id: str) -> str:
    """Return the address of a page for a run.

    Args:
        page: the page's path, below the pages' own.
        run_id: the run.
    """
    base = (conf.get("api", "base_url", fallback=None) or "").rstrip("/")
    return f"{base}{PREFIX}/{page}?run={quote(run_id, safe='')}"


class ValidationLink(BaseOperatorLink):
    """A button on the page of the task ``validate``, whether it succeeded or failed."""

    name = "Validation results"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address of the results of the run's validation.

        Args:
            operator: a ``ValidateOperator``, rendered.
            ti_key: what names the task instance.
        """
        return page_url(f"validations/{operator.as_of}/{operator.table.name}", ti_key.run_id)
