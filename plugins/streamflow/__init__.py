"""Python that Airflow imports for the DAG ``streamflow_monthly_ingest``."""

__version__ = "2.4.2"
"""The package's version: the newest heading of CHANGELOG.md, and what the ledger's rows and the DAGs' pages name."""
