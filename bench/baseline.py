"""One month of the script that the package replaces: `baseline.py URI FOLDER AS_OF`.

pandas reads each file and writes it to a temporary table, and `insert … on conflict do update` updates live from it.
Then the first 50,000 rows of three live tables are validated. Then live is copied to the snapshots, one unpartitioned
table each. Prefect, which ran the script, is left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins"))

import great_expectations as gx
import pandas as pd
import sqlalchemy as sa

from streamflow.tables import TABLES

VALIDATED_ROWS = 50_000
RULES = {
    "users": [
        gx.expectations.ExpectColumnValuesToNotBeNull(column="user_id"),
        gx.expectations.ExpectColumnValuesToBeUnique(column="user_id"),
        gx.expectations.ExpectColumnValuesToNotBeNull(column="signup_date"),
    ],
    "subscriptions": [
        gx.expectations.ExpectColumnValuesToNotBeNull(column="user_id"),
        gx.expectations.ExpectColumnValuesToBeBetween(column="monthly_fee", min_value=0, max_value=10_000),
    ],
    "labels": [
        gx.expectations.ExpectColumnValuesToNotBeNull(column="user_id"),
        gx.expectations.ExpectColumnValuesToNotBeNull(column="churn_label"),
    ],
}


def upsert(connection: sa.Connection, table: str, folder: Path) -> None:
    """Update a live table from its file."""
    dates = ["signup_date"] if table == "users" else []
    rows = pd.read_csv(folder / f"{table}.csv", parse_dates=dates)
    connection.execute(sa.text(f"create temporary table delivered (like {table}) on commit drop"))
    rows.to_sql("delivered", connection, if_exists="append", index=False)
    names = ", ".join(rows.columns)
    values = ", ".join(f"{name} = excluded.{name}" for name in rows.columns if name != "user_id")
    connection.execute(
        sa.text(
            f"insert into {table} ({names}) select {names} from delivered on conflict (user_id) do update set {values}"
        )
    )


def validate(connection: sa.Connection, table: str) -> None:
    """Check a live table's first rows.

    Raises:
        SystemExit: if a rule is broken.
    """
    rows = pd.read_sql(sa.text(f"select * from {table} limit {VALIDATED_ROWS}"), connection)
    batch = gx.get_context(mode="ephemeral").data_sources.pandas_default.read_dataframe(rows)
    if not batch.validate(gx.ExpectationSuite(name=table, expectations=RULES[table])).success:
        sys.exit(f"{table} is not valid")


def main(uri: str, folder: Path, as_of: str) -> None:
    """Run one month."""
    engine = sa.create_engine(uri)
    for table in TABLES:
        with engine.begin() as connection:
            upsert(connection, table, folder)
    for table in RULES:
        with engine.begin() as connection:
            validate(connection, table)
    for table in TABLES.values():
        names = ", ".join(("user_id", *table.columns))
        with engine.begin() as connection:
            connection.execute(
                sa.text(f"insert into {table.snapshots} ({names}, as_of) select {names}, :as_of from {table.name}"),
                {"as_of": as_of},
            )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
