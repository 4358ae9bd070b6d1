"""Train a churn model on sealed months, and show what a leak is worth.

    python examples/churn/train.py postgresql://streamflow_reader@host/streamflow

The question: which users of a month's end leave in the next month? The newest sealed month is the test, and the months
before it are for training. Three models are trained, one with the right labels and two with a leak. Each gets two
scores: the one that its author would see, on a test set made like the training set, and the true one.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from datetime import date

import pandas as pd
import psycopg
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

LABEL = "churn_label"
MAX_MONTHS = 12  # for training: what matters drifts, so older months say less
Read = Callable[[psycopg.Connection, str], pd.DataFrame]


def right(connection: psycopg.Connection, as_of: str) -> pd.DataFrame:
    """Return features of a month, and the labels that were delivered for the next one."""
    return read(connection, "select * from training_set(%s, 1)", as_of)


def same_month(connection: psycopg.Connection, as_of: str) -> pd.DataFrame:
    """Return features and labels of one month. Users who have left watch less, so the features give the label away."""
    return read(connection, "select * from training_set(%s, 0)", as_of)


def of_today(connection: psycopg.Connection, as_of: str) -> pd.DataFrame:
    """Return features of a month, and the labels of live, which are of the newest month."""
    frame = same_month(connection, as_of).drop(columns=LABEL)
    return frame.join(read(connection, "select user_id, churn_label from labels"), how="inner")


def read(connection: psycopg.Connection, query: str, as_of: str | None = None) -> pd.DataFrame:
    """Return a query's rows by user, with columns that a model can use."""
    cursor = connection.execute(query, [as_of] if as_of else None)
    frame = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description]).set_index("user_id")
    for name, column in frame.items():
        if name == "signup_date":
            frame[name] = (pd.Timestamp(as_of) - pd.to_datetime(column)).dt.days
        elif name != LABEL and not isinstance(next(iter(column.dropna()), None), str):
            frame[name] = column.astype(float)  # NULL is a value
    return frame


def auc(train: pd.DataFrame, test: pd.DataFrame, true_test: pd.DataFrame) -> tuple[float, float]:
    """Return the area under the ROC curve on a test set made like the training set, and on the true one."""
    train = train.dropna(axis="columns", how="all")  # optional columns that were not delivered yet
    everything = pd.concat([train, test, true_test], keys=["train", "test", "true_test"])[train.columns]
    for name in everything.columns.difference([LABEL]):
        if everything[name].dtype.kind not in "fi":
            everything[name] = everything[name].astype("category")
    labels = everything.pop(LABEL).astype(int)
    model = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.05, max_leaf_nodes=15, categorical_features="from_dtype", random_state=1
    ).fit(everything.loc["train"], labels.loc["train"])
    return tuple(
        roc_auc_score(labels.loc[part], model.predict_proba(everything.loc[part])[:, 1])
        for part in ("test", "true_test")
    )


def in_a_row(months: list[date]) -> list[str]:
    """Return the newest of the sorted months, back to the first gap."""
    starts = [month.year * 12 + month.month - place for place, month in enumerate(months)]
    return [str(month) for month, start in zip(months, starts, strict=True) if start == starts[-1]]


def halves(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a set by user: the same users are always in the same half."""
    is_first = [zlib.crc32(user.encode()) % 2 == 0 for user in frame.index]
    return frame[is_first], frame[[not one for one in is_first]]


def split(
    connection: psycopg.Connection, months: list[str], make: Read
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return a training set, a test set made like it, and the true test set.

    The split is by time. The test has features of the last month but one, and labels of the last. The training set has
    the months before; its newest labels were known when the test's features were. Two months make only one set, which
    is split by user.
    """
    *before, as_of, _ = months
    if before:
        train = pd.concat([make(connection, month) for month in before[-MAX_MONTHS:]])
        return train, make(connection, as_of), right(connection, as_of)
    train, test = halves(make(connection, as_of))
    return train, test, halves(right(connection, as_of))[1]


def main(args: list[str]) -> int:
    """Print the scores; return the exit code."""
    if len(args) != 1:
        print("usage: python examples/churn/train.py postgresql://streamflow_reader@host/streamflow", file=sys.stderr)
        return 2
    with psycopg.connect(args[0]) as connection:
        connection.execute("set client_min_messages = error")  # horizon 0 warns, and is used here to show why
        months = in_a_row([month for (month,) in connection.execute("select as_of from sealed_months order by 1")])
        if len(months) < 2:
            print("Two months in a row must be sealed: one for features, and the next for labels.", file=sys.stderr)
            return 1
        print(f"{len(months)} months. Test: features of {months[-2]}, labels of {months[-1]}.")
        if len(months) == 2:
            print("Two months make only one set: it is split by user, not by time.")
        print(f"\n{'AUC':<34}  {'as its author sees it':>21}  {'true':>6}")
        for name, make in {
            "label of the next month: right": right,
            "label of the same month: a leak": same_month,
            "label of today: a leak": of_today,
        }.items():
            seen, true = auc(*split(connection, months, make))
            print(f"{name:<34}  {seen:>21.3f}  {true:>6.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
