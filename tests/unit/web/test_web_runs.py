"""What the pages say of a month's newest run."""

from __future__ import annotations

import pytest

from streamflow.web.runs import MonthRun


@pytest.mark.parametrize(
    ("state", "tasks", "missing", "kind", "says"),
    [
        ("queued", {}, [], "queued", "queued"),
        ("running", {}, [], "running", "running"),
        ("running", {"labels.load": "running"}, [], "running", "running: labels.load"),
        ("running", {"wait_for_month": "deferred"}, [], "waiting", "waiting for files"),
        (
            "running",
            {"wait_for_month": "up_for_reschedule"},
            ["labels.csv is not there", "users.csv is empty"],
            "waiting",
            "waiting: labels.csv is not there; users.csv is empty",
        ),
        ("running", {"gate": "awaiting_input"}, [], "asking", "waiting for approval"),
        (
            "failed",
            {"labels.validate": "failed", "gate": "upstream_failed"},
            [],
            "failed",
            "failed at labels.validate",
        ),
        ("failed", {}, [], "failed", "failed"),
        ("success", {}, [], "done", ""),
    ],
)
def test_a_runs_state_in_words(state, tasks, missing, kind, says):
    run = MonthRun("run", state, tasks, missing)
    assert (run.kind, run.says) == (kind, says)
