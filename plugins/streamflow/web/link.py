"""The link from a validation's task to what it has found."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink, conf

from streamflow.web import PREFIX


class ValidationLink(BaseOperatorLink):
    """A button on the page of the task ``validate``, whether it succeeded or failed."""

    name = "Validation results"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address of the results of the run's validation.

        Args:
            operator: a ``ValidateOperator``, rendered.
            ti_key: what names the task instance.
        """
        base = (conf.get("api", "base_url", fallback=None) or "").rstrip("/")
        page = f"{base}{PREFIX}/validations/{operator.as_of}/{operator.table.name}"
        return f"{page}?run={quote(ti_key.run_id, safe='')}"
