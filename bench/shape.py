"""Print the tasks of the month's DAG, and the downstream tasks of each, as JSON on the last line."""

import json
import sys

from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
dag = bag.dags["streamflow_monthly_ingest"]
print(json.dumps({task.task_id: sorted(task.downstream_task_ids) for task in dag.topological_sort()}))
