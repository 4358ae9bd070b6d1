"""Python that Airflow imports for the DAG ``streamflow_monthly_ingest``."""
