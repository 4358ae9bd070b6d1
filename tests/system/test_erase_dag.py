"""The DAG streamflow_erase under a real scheduler: it asks a person, and no log or XCom of it names anyone."""

from __future__ import annotations

import json
import time

from streamflow.tables import TABLES
from support.builders import JANUARY
from support.erasing import KEY, found_anywhere
from support.services import running, wait_until

ERASE = "/api/v2/dags/streamflow_erase"
USER = "SF-00000004"


def test_an_approved_erasure_is_carried_out(server, schema, migrated, tmp_path):
    key = json.dumps({"conn_type": "generic", "password": KEY})
    with running(server, schema, migrated, tmp_path, months=1, AIRFLOW_CONN_STREAMFLOW_ERASURE_KEY=key) as airflow:
        folder = airflow.deliveries / "month_000"
        airflow.database.load_month(JANUARY, {name: (folder / f"{name}.csv").read_bytes() for name in TABLES})
        airflow.database.run_as_admin(
            f"insert into validations values ('{JANUARY}', 'users', now(), 'a run', 'f', 1, 's', 1, true, "
            f"array['fact about {USER}'], '[]', '{{}}')"
        )
        assert found_anywhere(airflow.database, [USER])
        (airflow.deliveries / "ids.txt").write_text(f"{USER}\n")
        wait_until(lambda: airflow.client.get(ERASE).is_success, lambda: "the DAG is not there")
        run = airflow.trigger(None, ERASE, user_ids="ids.txt", reason="request 17")
        wait_until(
            lambda: airflow.tasks(run, ERASE).get("approve") == "awaiting_input", lambda: str(airflow.tasks(run, ERASE))
        )
        assert found_anywhere(airflow.database, [USER])
        time.sleep(10)  # until the supervisor of the task that asks has ended
        tasks = f"{ERASE}/dagRuns/{run}/taskInstances"
        answer = {"chosen_options": ["Approve"], "params_input": {}}
        assert airflow.client.patch(f"{tasks}/approve/-1/hitlDetails", json=answer).is_success
        assert airflow.end_of(run, ERASE) == "success"

        assert found_anywhere(airflow.database, [USER]) == []
        assert airflow.database.verify() == []
        assert airflow.database.query("select distinct kind, approved_by, approval_reason from current_deliveries") == [
            ("erasure", "admin", "request 17")
        ]
        events = airflow.get("/api/v2/assets/events")["asset_events"]
        assert [event["partition_key"] for event in events] == [JANUARY]
        for task in ("plan", "approve", "erase"):
            log = airflow.get(f"{tasks}/{task}/logs/1", full_content=True)["content"]
            xcom = airflow.get(f"{tasks}/{task}/xcomEntries/return_value")["value"]
            assert USER not in f"{log} {xcom}"
