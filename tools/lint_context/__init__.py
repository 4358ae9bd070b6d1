"""What sqlfluff renders the files of ``include/sql/`` with: the project's own tables, macros, and filters."""

import sys
from pathlib import Path
from types import SimpleNamespace

from jinja2.defaults import DEFAULT_FILTERS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plugins"))

from streamflow.tables import TABLES as tables
from streamflow.templating import FILTERS, MACROS
from streamflow.templating import migrations as in_order

DEFAULT_FILTERS["ds"] = str  # sqlfluff tries each `set` in an environment that has no filters but Jinja's own
SQLFLUFF_JINJA_FILTERS = FILTERS | {"ds": str, "parameter": FILTERS["literal"]}
root, run_again, tables_of = MACROS["root"], MACROS["run_again"], MACROS["tables_of"]
features, label = MACROS["features"], MACROS["label"]
max_horizon, training_comment = MACROS["max_horizon"], MACROS["training_comment"]
package_version = MACROS["package_version"]
migrations = in_order()
params = {"as_of": "2024-01-31", "restate": False}
data_interval_end = "2024-01-31"
run_id = "manual__lint"
task = SimpleNamespace(table=max(tables.values(), key=lambda table: len(table.optional)))
names = task.table.all_columns
ti = SimpleNamespace(xcom_pull={"check_month": {"folder": "month_000"}, "gate": {"warnings": [], "builds": ""}}.get)
