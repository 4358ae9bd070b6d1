"""How the pipeline says no: in lines that can be read where people read them, and without a stack trace."""

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
"""The end of every advice: right whatever failed, as it stages the files as they are then."""


class Refusal(Exception):
    """Something that was delivered, or asked for, cannot be accepted, and trying again would not help.

    Args:
        facts: what was expected and what was found, one fact each; the first says where.
        to_do: what to do next.

    Attributes:
        lines: the same, wrapped to ``WIDTH`` characters; only a word that is longer than that, such as a path, makes
            a longer line.
    """

    def __init__(self, *facts: str, to_do: str = "") -> None:
        self.facts = (*facts, f"What to do: {to_do}") if to_do else facts
        super().__init__("\n".join(self.facts))

    @property
    def lines(self) -> list[str]:
        """The facts as lines of a log."""
        return [line for fact in self.facts for line in wrap(fact)]


class NotYet(Refusal):
    """A refusal that another try may get past, such as a file that was still being written."""

    def __init__(
        self, *facts: str, to_do: str = f"nothing, if Airflow tries again by itself; else {RUN_AGAIN}."
    ) -> None:
        super().__init__(*facts, to_do=to_do)


class TaskEnded(SystemExit):
    """Ends a task for a refusal.

    It is a SystemExit because that is the one exception that Airflow 3.3 logs without a stack (``Task exited``).
    AirflowFailException logs dozens of lines below the reason.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(1)
        self.refusal = refusal

    def __str__(self) -> str:
        return str(self.refusal)


class TaskRefused(TaskEnded):
    """Another try would find the same: the task fails at once."""


class TaskNotYet(TaskEnded):
    """Another try may get past it: the task is retried as its ``retries`` say."""


def ends_task(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate what a task executes: a refusal becomes the last lines of the task's log, and fails the task.

    The task needs ``RETRY_POLICY``.

    Raises:
        TaskRefused: for a :class:`Refusal`, and for what a statement raises by itself (``staging.assert_true``): a
            fact per line of the exception's message, and its hint as what to do.
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
            refusal = Refusal(*error.diag.message_primary.splitlines(), to_do=error.diag.message_hint or "")
        except psycopg.errors.ForeignKeyViolation:  # its own message would show a user_id
            refusal = NotYet(
                "Live does not have all users of the newest sealed snapshot yet.",
                "Another run has sealed a month, and has not brought its users there.",
            )
        except OSError as error:
            refusal = NotYet(
                f"{error.filename or 'A file'}: {error.strerror or error}.",
                "The disk, the network or the permissions are at fault, not the delivery.",
            )
        for line in refusal.lines:
            log.error("%s", line)
        raise (TaskNotYet if isinstance(refusal, NotYet) else TaskRefused)(refusal)

    return wrapper


def count(number: int, noun: str) -> str:
    """Return ``1 month``, ``2 months``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def wrap(text: str) -> list[str]:
    """Return a text, which may have line feeds, as lines of at most ``WIDTH`` characters."""
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
        RetryRule("streamflow.refusal.TaskNotYet", RetryAction.RETRY, reason="another try may get past it"),
        RetryRule("streamflow.refusal.TaskRefused", RetryAction.FAIL, reason="another try would find the same"),
        RetryRule("psycopg.OperationalError", RetryAction.RETRY, reason="the database may be back soon"),
        RetryRule("psycopg.Error", RetryAction.FAIL, reason="the same statement would fail again"),
    ]
)
