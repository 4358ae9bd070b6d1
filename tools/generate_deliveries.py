"""Write deliveries of made-up users, the same for the same arguments, for samples, tests and benchmarks.

    python tools/generate_deliveries.py FOLDER --users 1000 --months 3 --seed 1

The distributions are this project's own. Every month a share of the users leaves, as many join, and a share of those
who stay has other figures than the month before. Users without internet service have no plans (NULL). The optional
columns come with the third month.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins"))

from streamflow.tables import TABLES

CONTRACTS = ["Month-to-month", "One year", "Two year"]
SERVICES = ["Fiber optic", "DSL", "No"]
ADD_ONS = TABLES["subscriptions"].optional
OPTIONAL_FROM = 2  # month number


def generate(
    folder: Path,
    users: int,
    months: int,
    seed: int,
    turnover: float = 0.02,
    changed: float = 0.3,
    first: str = "2024-01",
) -> None:
    """Write ``months`` month folders.

    Args:
        folder: where ``month_000`` and the following go.
        users: users a month.
        months: how many.
        seed: of the random numbers.
        turnover: share of users that leaves, and that joins, each month.
        changed: share of staying users whose figures change each month.
        first: the month of ``month_000``.
    """
    rng = np.random.default_rng(seed)
    moving = round(users * turnover)
    everyone = users + moving * (months - 1)
    people = _people(rng, everyone, users, moving, pd.Period(first, "M"))
    figures = _figures(rng, people)
    present = np.arange(users)
    for month in range(months):
        if month:
            gone = rng.choice(present.size, moving, replace=False)
            joined = np.arange(users + moving * (month - 1), users + moving * month)
            present = np.concatenate([np.delete(present, gone), joined])
            _change(rng, people, figures, present[rng.random(present.size) < changed])
        target = folder / f"month_{month:03d}"
        target.mkdir(parents=True, exist_ok=True)
        for name, columns in _files(month).items():
            frame = pd.DataFrame({column: (figures.get(column, people.get(column)))[present] for column in columns})
            frame.to_csv(target / f"{name}.csv", index=False)


def _people(
    rng: np.random.Generator, everyone: int, users: int, moving: int, first_month: pd.Period
) -> dict[str, np.ndarray]:
    """What stays as it is for a user: everything that is known at sign-up."""
    number = np.arange(everyone)
    first = first_month.start_time.to_datetime64().astype("datetime64[D]")
    # the first users joined in the six years before; those of a later month within that month's first four weeks
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
    """What changes from month to month, as of the first one."""
    everyone = people["user_id"].size
    has_net = people["net_service"] != "No"
    fee = np.round(18 + has_net * rng.gamma(9, 6, everyone), 2)
    months = people["months_active_at_start"]

    def plan(share: float) -> np.ndarray:
        # NULL for who has no internet service, never false
        return np.where(has_net, np.where(rng.random(everyone) < share, "True", "False"), None)

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


def _files(month: int) -> dict[str, list[str]]:
    """The columns of each file, in a file's order."""
    return {
        table.name: [
            "user_id",
            *(column for column in table.columns if month >= OPTIONAL_FROM or column not in table.optional),
        ]
        for table in TABLES.values()
    }


class Parser(argparse.ArgumentParser):
    """One that says what is wrong in a line."""

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2."""
        self.exit(2, f"generate_deliveries.py: {message} (--help says more)\n")


def _reader(expected: str, read: Callable[[str], Any], is_so: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Return what reads an argument, and says what was expected if it cannot."""

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
    number = _reader("a whole number from 1 on", int, lambda value: value >= 1)
    seed = _reader("a whole number from 0 on", int, lambda value: value >= 0)
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
    try:
        generate(**vars(parser.parse_args()))
    except OSError as error:
        parser.error(f"cannot write {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
