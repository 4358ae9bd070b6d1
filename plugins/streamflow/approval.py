"""A person's approval: whether anyone can be asked, the question, and the answer (Airflow's human in the loop)."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from streamflow import settings
from streamflow.plain import printable
from streamflow.refusal import RUN_AGAIN, Refusal
from streamflow.web.link import page_url

APPROVE, REJECT = "Approve", "Reject"
MAX_CELLS = 500  # rows of a question's page
_MAX_WHY = 300  # characters of a reason


class DecisionNeeded(Refusal):
    """A month must not be published unless a person approves it, or the run has ``restate``.

    Args:
        reason: why, in a sentence.
        details: what would change, and which rules are broken, one line each.
        examples: more lines for the log; they may show delivered values.
        cells: the first rows of ``parts/changed_cells.sql``; none if values must not be shown.

    Attributes:
        reason, details, cells: the same.
    """

    def __init__(
        self, reason: str, details: Sequence[str], examples: Sequence[str] = (), cells: Sequence[Sequence[Any]] = ()
    ) -> None:
        super().__init__(reason, *(f"  - {detail}" for detail in details), *examples, "Nothing was written.")
        self.reason = reason
        self.details = details
        self.cells = cells

    def refusal(self, context: Any, as_of: str) -> Refusal:
        """Return it as what fails a task that does not ask, with what to do.

        Args:
            context: Airflow's task context.
            as_of: the month.
        """
        if can_ask(context):
            to_do = f"{RUN_AGAIN}. The gate then asks a person."
        elif settings.four_eyes():
            to_do = (
                "run the month under a scheduler, where the gate can ask: a second person has to approve this "
                "(AIRFLOW__STREAMFLOW__FOUR_EYES)."
            )
        else:
            to_do = f"if this is intended, run the month with the params as_of={as_of} and restate=true."
        return Refusal(*self.facts, to_do=to_do)

    def as_parameters(self, builds: str) -> dict[str, Any]:
        """Return the parameters of ``parts/record_question.sql``.

        Args:
            builds: the builds that the question is about.
        """
        cells = [[None if cell is None else printable(str(cell)) for cell in row] for row in self.cells]
        return {"builds": builds, "reason": self.reason, "details": [*self.details], "cells": json.dumps(cells)}


class Approval(NamedTuple):
    """A person's approval.

    Attributes:
        by: the person's name.
        at: when.
        why: the reason given; may be empty.
    """

    by: str
    at: dt.datetime
    why: str

    def as_xcom(self) -> dict[str, str]:
        """Return it as ``seal`` writes it to the ledger."""
        return {"by": self.by, "at": self.at.isoformat(), "why": self.why}

    @classmethod
    def from_xcom(cls, said: dict[str, str]) -> Approval:
        """Return what :meth:`as_xcom` has returned as an approval again."""
        return cls(said["by"], dt.datetime.fromisoformat(said["at"]), said["why"])


def can_ask(context: Any) -> bool:
    """Return whether a person can be asked: not if the setting is off, and not under ``airflow dags test``."""
    return settings.asks() and context["dag_run"].triggering_user_name != "dag_test"


def may_restate(context: Any) -> bool:
    """Return whether the run's param ``restate`` allows changes without a person's approval."""
    return context["params"]["restate"] and not settings.four_eyes()


def ask(context: Any, as_of: str, needed: DecisionNeeded, builds: str) -> NoReturn:
    """Put a question to *Required Actions*, and park the task until it is answered.

    This is what the HITLOperator of Airflow's standard provider does. The gate is not one, because its question depends
    on what it finds, and what the answer is about has to be passed on.

    Args:
        context: Airflow's task context.
        as_of: the month.
        needed: why a person has to decide.
        builds: the builds that the question is about; ``execute_complete`` gets them with the answer.

    Raises:
        TaskAwaitingInput: always; Airflow catches it.
    """
    from airflow.sdk import Param
    from airflow.sdk.exceptions import TaskAwaitingInput
    from airflow.sdk.execution_time.hitl import upsert_hitl_detail

    page = page_url(f"questions/{as_of}", context["run_id"])
    details = "\n".join(f"- {_as_markdown(detail)}" for detail in needed.details)
    # Airflow keeps the text of a task's first question, even if the task asks again
    again = "If this task has asked more than once, this text is its first question. That page shows the newest one."
    body = [
        f"{needed.reason}\n\n{details}",
        f"[See what would change]({page}). {again}",
        f"**{APPROVE}** publishes exactly that. **{REJECT}** fails the run, and nothing is written.",
    ]
    if settings.four_eyes() and (starter := _starter(context)):
        body.append(f"{_as_markdown(starter)} has started the run, so someone else has to approve it.")
    upsert_hitl_detail(
        ti_id=context["ti"].id,
        options=[APPROVE, REJECT],
        subject=f"{as_of}: may this be published?",
        body="\n\n".join(body),
        params={"why": Param("", type=["null", "string"], title="Why", maxLength=_MAX_WHY).serialize()},
    )
    timeout = settings.approval_timeout()
    raise TaskAwaitingInput(
        method_name="execute_complete",
        kwargs={"builds": builds},
        timeout=dt.timedelta(seconds=timeout) if timeout else None,
    )


def read_answer(
    event: dict[str, Any],
    rejected: str = f"correct the files and {RUN_AGAIN}.",
    unanswered: str = f"{RUN_AGAIN}. It asks again.",
) -> Approval:
    """Return a person's approval.

    Args:
        event: the answer as Airflow passes it on.
        rejected: what to do after a rejection.
        unanswered: what to do if no one has answered.

    Raises:
        Refusal: if a person has rejected it, or if no one has answered in time.
    """
    if "error" in event:
        raise Refusal(
            "No one has answered in time (AIRFLOW__STREAMFLOW__APPROVAL_TIMEOUT).",
            "Nothing was written.",
            to_do=unanswered,
        )
    user, answered = event["responded_by_user"] or {}, event["responded_at"]
    by = printable(user.get("name") or user.get("id") or "unknown")
    why = printable((event["params_input"] or {}).get("why") or "")
    if event["chosen_options"] != [APPROVE]:
        raise Refusal(
            f"Rejected by {by}: {why or 'no reason given'}",
            "Nothing was written.",
            to_do=rejected,
        )
    return Approval(by, dt.datetime.fromisoformat(answered) if isinstance(answered, str) else answered, why)


def is_own_approval(context: Any, approval: Approval) -> bool:
    """Return whether a run was approved by the person who started it, although a second person has to approve it."""
    return settings.four_eyes() and approval.by == _starter(context)


def _starter(context: Any) -> str:
    """Return who has triggered the run; empty if the scheduler did."""
    return printable(context["dag_run"].triggering_user_name or "")


def _as_markdown(text: str) -> str:
    """Return a text in which nothing is taken for Markdown."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)
