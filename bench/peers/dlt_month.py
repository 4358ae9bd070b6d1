"""dlt merges a month's six files into six tables: `dlt_month.py URI FOLDER WORK`. No validation, no snapshots.

It uses the default merge strategy, which deletes and inserts. The other one, `upsert`, was not faster here.
"""

import sys
from pathlib import Path

import dlt
import pyarrow.csv

TABLES = ("users", "subscriptions", "usage_agg_30d", "payments_agg_90d", "support_agg_90d", "labels")


def resource(folder: Path, table: str):
    """A table's file in Arrow batches, merged on the key."""

    @dlt.resource(name=table, primary_key="user_id", write_disposition="merge")
    def rows():
        yield from pyarrow.csv.open_csv(folder / f"{table}.csv")

    return rows


pipeline = dlt.pipeline(
    "bench", destination=dlt.destinations.postgres(sys.argv[1]), dataset_name="live", pipelines_dir=sys.argv[3]
)
done = pipeline.run([resource(Path(sys.argv[2]), table) for table in TABLES], loader_file_format="csv")
done.raise_on_failed_jobs()
