"""How tests are reported that print what they find themselves."""

from __future__ import annotations

import pytest


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Print no dot for a check of `make deploy-check`."""
    is_call = report.when == "call" and "deploy" in report.keywords
    return (report.outcome, "", "") if report.passed and is_call else None
