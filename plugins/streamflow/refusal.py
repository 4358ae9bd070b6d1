"""How the pipeline reports an error: in lines that fit Airflow's UI, and without a stack trace."""

from __future__ import annotations

import functools
import logging
import textwrap
from collections.abc import Callable
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

log = logging.getLogger(__name__)

WIDTH = 100  # characters per line: Airflow's UI cuts longer ones off at the right edge
RUN_AGAIN = "run the month again (clear the whole run, or trigger the month once more)"
"""The end of every "What to do". It is right whatever failed, because it stages the current files."""


class Refusal(Exception):
    """A delivery or a request cannot be accepted, and a retry would not help.

    Args:
        facts: what was expected and what was found, one fact each; the first says where.
        to_do: what to do next.

    Attributes:
        lines: the facts, wrapped to ``WIDTH`` characters; only a longer word, such as a path, makes a longer line.
    """

    def __init__(self, *facts: str, to_do: str = "") -> None:
        self.facts = (*facts, f"What to do: {to_do}") if to_do else facts
        super().__init__("\n".join(self.facts))

    @property
    def lines(self) -> list[str]:
        """The facts as lines of a log."""
        return [line for fact in self.facts for line in wrap(fact)]


class NotYet(Refusal):
    """A refusal that a retry may resolve, such as a file that was still being written."""

    def __init__(
        self, *facts: str, to_do: str = f"nothing if Airflow retries the task; otherwise {RUN_AGAIN}."
    ) -> None:
        super().__init__(*facts, to_do=to_do)


class TaskEnded(SystemExit):
    """Ends a task because of a refusal.

    It is a SystemExit because that is the only exception that Airflow 3.3 logs without a stack trace (``Task exited``).
    AirflowFailException logs dozens of lines below the reason.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(1)
        self.refusal = refusal

    def __str__(self) -> str:
        return str(self.refusal)


class TaskRefused(TaskEnded):
    """A retry would find the same: the task fails at once."""


class TaskNotYet(TaskEnded):
    """A retry may succeed: the task is retried as often as its ``retries`` allow."""


def ends_task(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate the function of a task: a refusal becomes the last lines of the task's log, and fails the task.

    The task needs ``RETRY_POLICY``.

    Raises:
        TaskRefused: for a :class:`Refusal`, and for an exception that a SQL statement raises itself
            (``staging.assert_true``): each line of its message is a fact, and its hint is what to do.
        TaskNotYet: for a :class:`NotYet`; if rows refer to users who are not in live yet; if a file, such as a report,
            cannot be written or read.
    """

    @functools.wraps(execute)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        import psycopg

        try:
            return execute(*args, **kwargs)
        except Refusal as raised:
            refusal = raised
        except psycopg.errors.RaiseException as error:
            refusal = raised_in_sql(error)
        except psycopg.errors.ForeignKeyViolation:  # its own message would show a user_id
            refusal = NotYet(
                "Live does not have all users of the newest sealed snapshot yet.",
                "Another run has sealed a month but has not upserted its users yet.",
            )
        except OSError as error:
            refusal = NotYet(
                f"{error.filename or 'A file'}: {error.strerror or error}.",
                "The cause is the disk, the network, or the permissions, not the delivery.",
            )
        for line in refusal.lines:
            log.error("%s", line)
        raise (TaskNotYet if isinstance(refusal, NotYet) else TaskRefused)(refusal)

    return wrapper


def raised_in_sql(error: Any) -> Refusal:
    """Return psycopg's ``RaiseException`` as a refusal: each line of its message is a fact, its hint is what to do."""
    return Refusal(*(error.diag.message_primary or "").splitlines(), to_do=error.diag.message_hint or "")


def count(number: int, noun: str) -> str:
    """Return ``1 month``, ``2 months``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def wrap(text: str) -> list[str]:
    """Return a text, which may contain line feeds, as lines of at most ``WIDTH`` characters."""
    return [
        wrapped
        for line in text.splitlines()
        for wrapped in textwrap.wrap(
            line,
            WIDTH,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 4),
            break_long_words=False,
            break_on_hyphens=False,
            replace_whitespace=False,
        )
    ]


RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule("streamflow.refusal.TaskNotYet", RetryAction.RETRY, reason="a retry may succeed"),
        RetryRule("streamflow.refusal.TaskRefused", RetryAction.FAIL, reason="a retry would find the same"),
        RetryRule("psycopg.OperationalError", RetryAction.RETRY, reason="the database may soon be available again"),
        RetryRule("psycopg.Error", RetryAction.FAIL, reason="the same statement would fail again"),
    ]
)
