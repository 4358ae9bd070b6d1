"""The tasks of the DAG streamflow_erase. Neither their logs nor their XComs name a user."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.hooks.filesystem import FSHook
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import BaseOperator

from streamflow import settings
from streamflow.approval import Approval, can_ask, is_own_approval, read_answer
from streamflow.erase import erase, plan, users_of
from streamflow.erased import read_key
from streamflow.erased_traces import delete_xcoms, remove_traces
from streamflow.refusal import Refusal, ends_task, wrap
from streamflow.seal import SEALED_MONTH

_AGAIN = "start the erasure again"


class _ErasureOperator(BaseOperator):
    """A task that knows the users: it reads the params again, so that no XCom has them.

    Args:
        conn_id: connection of the database.
        fs_conn_id: connection whose path holds the month folders, and the file with the users, if it is one.
    """

    def __init__(self, *, conn_id: str, fs_conn_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.fs_conn_id = fs_conn_id

    def _users(self, context: Any) -> list[str]:
        return users_of(context["params"]["user_ids"] or "", FSHook(self.fs_conn_id).get_path())


class PlanErasureOperator(_ErasureOperator):
    """Count what the erasure would remove.

    Returns (XCom):
        ``users``, ``rows`` by month and table, ``text``, and ``hash_of_list``, by which the task ``erase`` knows that
        the list has not changed.

    Raises:
        TaskRefused: if no user or no reason is named, or if there is no key.
    """

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Count, and log the counts."""
        if not (context["params"]["reason"] or "").strip():
            raise Refusal("An erasure needs a reason (the param reason).", to_do=f"{_AGAIN} with one")
        planned = plan(self.conn_id, self._users(context))
        for line in (line for said in planned.lines for line in wrap(said)):
            self.log.info("%s", line)
        return {
            "users": planned.users,
            "rows": planned.rows,
            "hash_of_list": planned.hash_of_list,
            "text": "\n".join(planned.lines),
        }


class ApproveErasureOperator(ApprovalOperator):
    """Ask a person whether the plan may be carried out (*Required Actions*).

    Returns (XCom):
        ``by`` and ``at``.

    Raises:
        TaskRefused: if it is rejected, if no one answers in time or can be asked, or if a second person has to approve
            it and the person who has started the run did.
    """

    @ends_task
    def execute(self, context: Any) -> Any:
        """Ask."""
        if not can_ask(context):
            raise Refusal(
                "An erasure needs a person's approval, and no one can be asked here.",
                to_do="start it under a scheduler, with AIRFLOW__STREAMFLOW__ASK on, or use make erase",
            )
        return super().execute(context)

    @ends_task
    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, str]:
        """Continue with a person's answer."""
        approval = read_answer(event, rejected=f"{_AGAIN} if users are to be erased", unanswered=f"{_AGAIN}.")
        if is_own_approval(context, approval):
            raise Refusal(
                f"{approval.by} has started the run, so someone else has to approve it.",
                "Nothing was erased.",
                to_do=f"{_AGAIN}, and let someone else answer",
            )
        self.log.info("Approved by %s.", approval.by)
        return {"by": approval.by, "at": approval.at.isoformat()}


class EraseOperator(_ErasureOperator):
    """Carry out the plan, add an event to the asset ``sealed_month`` per month that has changed, and list what is left.

    Returns (XCom):
        ``rows`` by month, and ``left``: what the package found and could not delete.

    Raises:
        TaskRefused: if the list of users is not the one that was approved; and for the refusals of
            :func:`streamflow.erase.erase`.
    """

    @ends_task
    def execute(self, context: Any) -> dict[str, Any]:
        """Erase, then remove the traces outside the database."""
        approved, planned = context["ti"].xcom_pull("approve"), context["ti"].xcom_pull("plan")
        users = self._users(context)
        if read_key().hash_of_list(users) != planned["hash_of_list"]:
            raise Refusal(
                "The list of users has changed since the plan was approved.",
                "Nothing was erased.",
                to_do=f"{_AGAIN}: it shows the new plan",
            )
        approval = Approval.from_xcom(approved | {"why": context["params"]["reason"]})
        erased = erase(self.conn_id, users, approval, context["run_id"])
        delete_xcoms(erased.validations)
        left = remove_traces(self.conn_id, self.fs_conn_id, users)
        for line in (line for said in (*erased.lines, *left.lines) for line in wrap(said)):
            self.log.info("%s", line)
        if settings.shows_values():
            self.log.warning("AIRFLOW__STREAMFLOW__SHOW_VALUES is on: logs of earlier runs may show values of theirs.")
        if erased.months:
            context["outlet_events"][SEALED_MONTH].add_partitions(erased.months)
        else:
            self.outlets = []  # Airflow adds an event without a key to an outlet that got no partition
        return {"rows": erased.rows, "left": left.lines}
