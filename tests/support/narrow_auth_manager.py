"""Airflow's simple auth manager, with two users who may do less than its roles say: for tests of who sees what."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

DAG_ID = "streamflow_monthly_ingest"


class NarrowAuthManager(SimpleAuthManager):
    """``stranger`` may not read the DAG; ``reader`` may not read the logs of its tasks."""

    def is_authorized_dag(
        self,
        *,
        method: Any,
        user: Any,
        access_entity: DagAccessEntity | None = None,
        details: Any = None,
    ) -> bool:
        if user.username == "stranger" and details and details.id == DAG_ID:
            return False
        if user.username == "reader" and access_entity is DagAccessEntity.TASK_LOGS:
            return False
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)
