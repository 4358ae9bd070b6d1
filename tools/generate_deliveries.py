"""Write deliveries of made-up users, the same for the same arguments, for samples, tests, and benchmarks.

    python tools/generate_deliveries.py FOLDER --users 1000 --months 3 --seed 1 [--signal]

The tables and columns are those of include/tables/. The distributions are this project's own. Every month a share of
the users leaves, as many join, and the figures of a share of the others change. Users without internet service have no
plans (NULL). A table begins with its `since`, and an optional column with its own `since` or with the third month.

A column whose name is not known here gets values of its type, within what the rules of its table allow
(expect_column_values_to_be_in_set and …_to_be_between). It has its own random numbers, so all other columns stay the
same when one is added.

With --signal the labels can be predicted, within limits: a user with failed payments, support tickets, few hours, or a
monthly contract is more likely to leave in the next month. Those who have left watch much less, and do not come back.
What matters drifts from month to month, and so do everyone's hours.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins"))

from console import tables_told

with tables_told():
    from streamflow.tables import TABLES, Column, Table
from streamflow.rules import Rule

CONTRACTS = ["Month-to-month", "One year", "Two year"]
SERVICES = ["Fiber optic", "DSL", "No"]
ADD_ONS = ("add_on_security", "add_on_backup", "add_on_device_protect", "add_on_support")
WORDS = ("amber", "birch", "cedar", "delta", "ember")
IN_SET, BETWEEN = "expect_column_values_to_be_in_set", "expect_column_values_to_be_between"
OPTIONAL_FROM = 2  # month number, unless the column has a since


def generate(
    folder: Path,
    users: int,
    months: int,
    seed: int,
    turnover: float = 0.02,
    changed: float = 0.3,
    first: str = "2024-01",
    signal: bool = False,
) -> None:
    """Write ``months`` month folders.

    Args:
        folder: where ``month_000`` and the following go.
        users: users per month.
        months: how many.
        seed: of the random numbers.
        turnover: share of users that leaves, and that joins, each month.
        changed: share of staying users whose figures change each month.
        first: the month of ``month_000``.
        signal: whether the figures of a month say something about the labels of the next one.
    """
    rng = np.random.default_rng(seed)
    moving = round(users * turnover)
    everyone = users + moving * (months - 1)
    first_month = pd.Period(first, "M")
    people = _people(rng, everyone, users, moving, first_month)
    figures = _figures(rng, people)
    others = {
        (table.name, column.name): Other(table, column, seed, first_month.start_time.date(), everyone)
        for table in TABLES.values()
        for column in table.fields
        if column.name not in people | figures
    }
    churn = Churn(seed, people, figures) if signal else None
    present = np.arange(users)
    for month in range(months):
        if month:
            gone = rng.choice(present.size, moving, replace=False)
            joined = np.arange(users + moving * (month - 1), users + moving * month)
            present = np.concatenate([np.delete(present, gone), joined])
            whose = present[rng.random(present.size) < changed]
            if churn:
                churn.next_month()
            _change(rng, people, figures, whose)
            for other in others.values():
                other.change(whose)
        shown = people | figures | (churn.shown() if churn else {})
        target = folder / f"month_{month:03d}"
        target.mkdir(parents=True, exist_ok=True)
        as_of = (first_month + month).end_time.date().isoformat()
        for table in TABLES.values():
            if not table.is_delivered(as_of):
                continue
            values = {"user_id": people["user_id"]}
            for column in table.fields:
                if _is_delivered(column, as_of, month):
                    made = others.get((table.name, column.name))
                    values[column.name] = made.values if made else shown[column.name]
            frame = pd.DataFrame({name: of_everyone[present] for name, of_everyone in values.items()})
            frame.to_csv(target / table.file_name, index=False)


def _is_delivered(column: Column, as_of: str, month: int) -> bool:
    if not column.optional:
        return True
    return as_of[:7] >= column.since if column.since else month >= OPTIONAL_FROM


def _people(
    rng: np.random.Generator, everyone: int, users: int, moving: int, first_month: pd.Period
) -> dict[str, np.ndarray]:
    """Return what never changes for a user: everything that is known at sign-up."""
    number = np.arange(everyone)
    first = first_month.start_time.to_datetime64().astype("datetime64[D]")
    # the first users joined in the six years before; later ones in the first four weeks of their month
    joined_in = np.where(number < users, -1, (number - users) // max(moving, 1) + 1)
    starts = np.array(
        [(first_month + int(m)).start_time.to_datetime64().astype("datetime64[D]") for m in range(joined_in.max() + 1)]
        or [first]
    )
    signup = np.where(
        joined_in < 0,
        first - rng.integers(1, 6 * 365, everyone).astype("timedelta64[D]"),
        starts[np.maximum(joined_in, 0)] + rng.integers(0, 28, everyone).astype("timedelta64[D]"),
    )
    return {
        "user_id": np.char.add("SF-", np.char.zfill(number.astype(str), 8)),
        "signup_date": np.datetime_as_string(signup),
        "user_gender": rng.choice(["Female", "Male"], everyone),
        "user_is_senior": rng.random(everyone) < 0.16,
        "has_family": rng.random(everyone) < 0.48,
        "has_dependents": rng.random(everyone) < 0.3,
        "net_service": rng.choice(SERVICES, everyone, p=[0.44, 0.34, 0.22]),
        "contract_type": rng.choice(CONTRACTS, everyone, p=[0.55, 0.21, 0.24]),
        "paperless_billing": rng.random(everyone) < 0.6,
        "months_active_at_start": ((first - signup).astype(int) // 30).clip(0),
    }


def _figures(rng: np.random.Generator, people: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what changes from month to month, as of the first one."""
    everyone = people["user_id"].size
    has_net = people["net_service"] != "No"
    fee = np.round(18 + has_net * rng.gamma(9, 6, everyone), 2)
    months = people["months_active_at_start"]

    def plan(share: float) -> np.ndarray:
        # NULL for users without internet service, never false
        return np.where(has_net, np.where(rng.random(everyone) < share, "True", "False"), np.array(None))

    figures = {
        "months_active": months,
        "plan_stream_tv": plan(0.5),
        "plan_stream_movies": plan(0.5),
        "monthly_fee": fee,
        "total_paid": np.round(fee * months, 2),
        "churn_label": rng.random(everyone) < 0.26,
    }
    for add_on in ADD_ONS:
        figures[add_on] = plan(0.35)
    return figures | _usage(rng, everyone)


def _usage(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    return {
        "watch_hours_30d": np.round(rng.gamma(2.5, 12, count).clip(0, 700), 4),
        "avg_session_mins_7d": np.round(rng.gamma(6, 6, count), 4),
        "unique_devices_30d": rng.integers(1, 6, count),
        "skips_7d": rng.poisson(4, count),
        "rebuffer_events_7d": rng.poisson(2.3, count),
        "failed_payments_90d": rng.poisson(0.16, count),
        "support_tickets_90d": rng.poisson(0.3, count),
        "ticket_avg_resolution_hrs_90d": np.round(rng.gamma(3, 5, count), 1),
    }


def _change(
    rng: np.random.Generator, people: dict[str, np.ndarray], figures: dict[str, np.ndarray], whose: np.ndarray
) -> None:
    """Give the users ``whose`` another month of figures."""
    for column, values in _usage(rng, whose.size).items():
        figures[column][whose] = values
    figures["months_active"][whose] += 1
    figures["total_paid"][whose] = np.round(figures["total_paid"][whose] + figures["monthly_fee"][whose], 2)
    figures["churn_label"][whose] = rng.random(whose.size) < 0.26


class Churn:
    """Labels that depend on the figures of the month before.

    Args:
        seed: seed of its own random numbers.
        people: columns that stay the same.
        figures: columns that the caller changes each month.
    """

    def __init__(self, seed: int, people: dict[str, np.ndarray], figures: dict[str, np.ndarray]) -> None:
        self._rng = np.random.default_rng([seed, zlib.crc32(b"churn")])
        self._people = people
        self._figures = figures
        self._month = 0
        self._has_left = self._rng.random(people["user_id"].size) < 0.05

    def next_month(self) -> None:
        """Let users leave, before the figures change."""
        figures, month_to_month = self._figures, self._people["contract_type"] == CONTRACTS[0]
        score = (
            -5.4
            + 1.1 * month_to_month
            + (0.9 + 0.04 * self._month) * figures["failed_payments_90d"].clip(max=3)
            + (0.9 - 0.04 * self._month) * figures["support_tickets_90d"].clip(max=3)
            - 0.8 * np.log(figures["watch_hours_30d"].clip(min=1) / 30)
        )
        self._has_left |= self._rng.random(score.size) < 1 / (1 + np.exp(-score))
        self._month += 1

    def shown(self) -> dict[str, np.ndarray]:
        """Return the columns that it determines."""
        share = np.where(self._has_left, 0.2, 1 + 0.02 * self._month)
        return {
            "churn_label": self._has_left,
            "watch_hours_30d": np.round(self._figures["watch_hours_30d"] * share, 4).clip(0, 700),
        }


class Other:
    """The values of a column of which only the type, and the rules of its table, are known.

    Args:
        table: its table.
        column: the column.
        seed: of all random numbers.
        before: the first day of the first month; dates are earlier.
        everyone: number of users in all months together.

    Attributes:
        values: one per user.
    """

    def __init__(self, table: Table, column: Column, seed: int, before: dt.date, everyone: int) -> None:
        self._rng = np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in (table.name, column.name))])
        self._type = column.type
        rules = [rule for rule in table.read_rules() if ("column", column.name) in rule.columns]
        self._words = _value_set(rules) or {"boolean": (True, False), "text": WORDS}.get(column.type)
        self._low, self._high = (0.0, 0.0) if self._words else _range(rules, column.type, before)
        self.values = self._draw(everyone)

    def change(self, whose: np.ndarray) -> None:
        """Give the users ``whose`` new values."""
        self.values[whose] = self._draw(whose.size)

    def _draw(self, count: int) -> np.ndarray:
        if self._words:
            return np.array(self._words, dtype=object)[self._rng.integers(len(self._words), size=count)]
        if self._type == "numeric":
            return np.round(self._rng.uniform(self._low, self._high, count), 2).clip(self._low, self._high)
        whole = self._rng.integers(math.ceil(self._low), math.floor(self._high), count, endpoint=True)
        return np.datetime_as_string(whole.astype("datetime64[D]")) if self._type == "date" else whole


def _value_set(rules: list[Rule]) -> list[Any] | None:
    """Return the values that a column may have, if a rule lists them."""
    sets = [rule.kwargs.get("value_set") for rule in rules if rule.type == IN_SET]
    return next((values for values in sets if isinstance(values, list) and values), None)


def _range(rules: list[Rule], kind: str, before: dt.date) -> tuple[float, float]:
    """Return the least and the greatest value of a number, or of a date as its number of days.

    They are 0 and 9, 0.00 and 99.99, or the year before the first month, as far as the rules allow.
    """
    last = _days(before) - 1
    usual, step = {"numeric": ((0, 99.99), 0.01), "date": ((last - 364, last), 1)}.get(kind, ((0, 9), 1))
    allowed: dict[str, list[float]] = {"min": [], "max": []}
    for rule in rules:
        for key, inside in (("min", step), ("max", -step)):
            value = rule.kwargs.get(f"{key}_value")
            # the value of a parameter is known only for a given month
            if rule.type == BETWEEN and value is not None and f"{key}_value" not in rule.parameters:
                number = _days(value) if kind == "date" else value
                allowed[key].append(number + inside if rule.kwargs.get(f"strict_{key}") else number)
    least, most = max(allowed["min"], default=-math.inf), min(allowed["max"], default=math.inf)
    low, high = max(usual[0], least), min(usual[1], most)
    if low > high:  # if no usual value is allowed, take those next to them
        span = usual[1] - usual[0]
        low, high = (least, min(most, least + span)) if least > usual[1] else (max(least, most - span), most)
    return low, high


def _days(day: dt.date | str) -> int:
    return int(np.datetime64(day, "D").astype(int))


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2."""
        self.exit(2, f"generate_deliveries.py: {message} (see --help)\n")


def _reader(expected: str, read: Callable[[str], Any], is_so: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Return a function that reads an argument, and says what was expected if it cannot."""

    def read_argument(text: str) -> Any:
        try:
            if is_so(value := read(text)):
                return value
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"expected {expected}; found {text!r}")

    return read_argument


def main() -> None:
    """Read the command line and write the folders."""
    number = _reader("a whole number of at least 1", int, lambda value: value >= 1)
    seed = _reader("a whole number of at least 0", int, lambda value: value >= 0)
    share = _reader("a share from 0 to 1", float, lambda value: 0 <= value <= 1)
    month = _reader("a month, YYYY-MM", str, lambda value: dt.date.fromisoformat(f"{value}-01") is not None)
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=number, default=1000)
    parser.add_argument("--months", type=number, default=3)
    parser.add_argument("--seed", type=seed, default=1)
    parser.add_argument("--turnover", type=share, default=0.02, help="share of users that leaves and joins per month")
    parser.add_argument("--changed", type=share, default=0.3, help="share of users whose figures change per month")
    parser.add_argument("--first", type=month, default="2024-01", metavar="YYYY-MM", help="the month of month_000")
    parser.add_argument("--signal", action="store_true", help="labels that the month before says something about")
    try:
        generate(**vars(parser.parse_args()))
    except OSError as error:
        parser.error(f"cannot write {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
