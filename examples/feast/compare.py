"""Compare what Feast and training_set give for a month, row by row; the exit code is 1 if they differ.

    python examples/feast/compare.py 2024-01-31

The environment variables are those of feature_repo/feature_store.yaml. Run `feast apply` first.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd
import psycopg
from feast import FeatureStore

REPO = Path(__file__).parent / "feature_repo"
# a query, because the reader may not create the table that a data frame needs
ENTITIES = """
select user_id, timestamp '{as_of}' + interval '1 day' as event_timestamp, churn_label
from training_set('{as_of}', 1)
"""


def of_feast(as_of: str) -> pd.DataFrame:
    """Return the features and labels that Feast joins."""
    store = FeatureStore(str(REPO))
    views = store.list_feature_views()
    job = store.get_historical_features(
        entity_df=ENTITIES.format(as_of=as_of),
        features=[f"{view.name}:{field.name}" for view in views for field in view.features],
    )
    return job.to_df().drop(columns="event_timestamp")


def of_training_set(as_of: str) -> pd.DataFrame:
    """Return the same from SQL."""
    with psycopg.connect(
        host=os.environ["STREAMFLOW_HOST"],
        dbname=os.environ["STREAMFLOW_DATABASE"],
        user="streamflow_reader",
        password=os.environ["STREAMFLOW_READER_PASSWORD"],
    ) as connection:
        cursor = connection.execute("select * from training_set(%s, 1)", [as_of])
        return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows by user with all values as text.

    Feast makes floats of some integers, timestamps of dates, and of a numeric a double whose last bit may be wrong.
    """

    def text(value: object) -> str:
        if pd.isna(value):
            return ""
        if isinstance(value, bool | str):
            return str(value)
        return str(pd.Timestamp(value).date()) if hasattr(value, "year") else f"{float(value):.14g}"

    return frame.set_index("user_id").sort_index().sort_index(axis="columns").map(text)


def main(args: list[str]) -> int:
    """Compare a month; return the exit code."""
    if len(args) != 1:
        print("usage: python examples/feast/compare.py 2024-01-31", file=sys.stderr)
        return 2
    feast, sql = as_text(of_feast(args[0])), as_text(of_training_set(args[0]))
    if feast.shape != sql.shape or not feast.equals(sql):
        print(f"Feast has {feast.shape[0]} rows, training_set {sql.shape[0]}.", file=sys.stderr)
        if feast.index.equals(sql.index) and feast.columns.equals(sql.columns):
            print(feast.compare(sql, result_names=("Feast", "training_set")).head(), file=sys.stderr)
        return 1
    print(f"{len(sql):,} rows of {sql.shape[1]} columns: the same.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
