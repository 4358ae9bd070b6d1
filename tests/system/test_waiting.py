"""A month that is waited for under a real scheduler without a triggerer's help, look after look."""

from __future__ import annotations

from support.services import running, wait_until


def test_a_rescheduled_sensor_outlives_many_looks_and_passes_with_the_sixth_file(
    server, schema, migrated, tmp_path_factory
):
    environment = {
        "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": False,
        "AIRFLOW__STREAMFLOW__POKE_INTERVAL": 5,  # as env.sh has it
    }
    folder = tmp_path_factory.mktemp("waiting")
    with running(server, schema, migrated, folder, months=1, **environment) as airflow:
        labels = airflow.deliveries / "month_000" / "labels.csv"
        aside = labels.rename(labels.with_suffix(".aside"))
        run = airflow.trigger("2024-01-31")

        def looked() -> bool:
            assert airflow.task(run, "wait_for_month")["state"] not in ("failed", "up_for_retry"), airflow.log(
                run, "wait_for_month"
            )
            return airflow.looks(run) >= 6

        wait_until(lambda: airflow.tasks(run).get("wait_for_month"), lambda: f"{airflow.tasks(run)}")
        wait_until(looked, lambda: f"{airflow.log(run, 'wait_for_month')}")
        aside.rename(labels)
        assert airflow.end_of(run) == "success"
        assert airflow.task(run, "wait_for_month")["try_number"] == 1
