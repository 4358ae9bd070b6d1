"""Calendar months, named by ``as_of``, the month's last day."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass

from streamflow import month_folder
from streamflow.refusal import RUN_AGAIN, Refusal

MAX_HORIZON = 120  # months from the features of a training set to its label


class MonthError(Refusal):
    """A value that is not a month end, or a month that cannot have been delivered."""


def month_end(day: dt.date) -> dt.date:
    """Return the last day of ``day``'s month."""
    return dt.date(day.year, day.month, calendar.monthrange(day.year, day.month)[1])


def last_month_end(day: dt.date) -> dt.date:
    """Return ``day`` if it is a month's last day, else the last day of the month before."""
    if day == month_end(day):
        return day
    return day.replace(day=1) - dt.timedelta(days=1)


@dataclass(frozen=True)
class Month:
    """A valid month end.

    Attributes:
        as_of: the month's last day.
    """

    as_of: dt.date

    @classmethod
    def parse(cls, text: str, name: str = "as_of", ask: str = "trigger a run with the param") -> Month:
        """Read ``YYYY-MM-DD``.

        Args:
            text: the date.
            name: what the user calls it, for errors.
            ask: how the user gives it, for errors.

        Raises:
            MonthError: if ``text`` is not such a date, or not a month's last day.
        """
        try:
            day = dt.date.fromisoformat(text)
            if day.isoformat() != text:  # fromisoformat also reads 20240131 and 2024-W05-3
                raise ValueError(text)
        except ValueError:
            raise MonthError(
                f"{name} must be a month's last day, written YYYY-MM-DD.",
                f"Found: {str(text)!r}.",
                to_do=f"{ask} {name}, for example 2024-01-31",
            ) from None
        if day != month_end(day):
            raise MonthError(
                f"{name} must be a month's last day.",
                f"Found: {day}, which is not the last day of its month.",
                to_do=f"{ask} {name} {month_end(day)} for that month",
            )
        return cls(day)

    @property
    def suffix(self) -> str:
        """``20240131``: the suffix of the names of the month's own tables."""
        return f"{self.as_of:%Y%m%d}"

    def later(self, months: int) -> Month:
        """Return the month that is ``months`` months later; a negative number is for an earlier one."""
        years, month = divmod(self.as_of.year * 12 + self.as_of.month - 1 + months, 12)
        return Month(month_end(dt.date(years, month + 1, 1)))

    @classmethod
    def of_folder(cls, name: str, first_month: str, pattern: str = month_folder.DEFAULT) -> Month | None:
        """Return the month of the folder ``name``; None if that is not a name of a month folder.

        Args:
            name: the folder's name.
            first_month: ``YYYY-MM``, the month whose folder has the number 000.
            pattern: the naming pattern of month folders (``settings.month_folder()``).
        """
        match = re.fullmatch(month_folder.as_regex(pattern), name)
        if match is None:
            return None
        said = match.groupdict()
        if "month" in said:
            return cls(month_end(dt.date.fromisoformat(f"{said['month']}-01")))
        first = _first_day(first_month)
        years, month = divmod(first.month - 1 + int(said["number"]), 12)
        return cls(month_end(dt.date(first.year + years, month + 1, 1)))

    def folder(self, first_month: str, pattern: str = month_folder.DEFAULT) -> str:
        """Return the delivery's folder, ``month_000`` for the first month.

        Args:
            first_month: ``YYYY-MM``, the month whose folder has the number 000, and the first that has a delivery.
            pattern: the naming pattern of month folders (``settings.month_folder()``).

        Raises:
            MonthError: if ``first_month`` is not a month, or this month is before it.
        """
        first = _first_day(first_month)
        number = (self.as_of.year - first.year) * 12 + self.as_of.month - first.month
        if number < 0:
            raise MonthError(
                f"as_of {self.as_of} is before the first month, {first_month}: it has no delivery.",
                f"The first as_of is {month_end(first)} (Airflow variable streamflow_first_month).",
                to_do="trigger a run for a later month, or correct the variable",
            )
        return pattern.replace("{number}", f"{number:03d}").replace("{month}", str(self)[:7])

    def __str__(self) -> str:
        return self.as_of.isoformat()


def _first_day(first_month: str) -> dt.date:
    try:
        return dt.date.fromisoformat(f"{first_month}-01")
    except ValueError:
        raise MonthError(
            f"The Airflow variable streamflow_first_month must be a month, YYYY-MM; found {first_month!r}.",
            to_do=f"set it, for example to 2024-01, then {RUN_AGAIN}",
        ) from None
