"""Two of Great Expectations' metrics, computed by PostgreSQL with less work; the expectations stay its own.

Importing it replaces their entries for SQL in Great Expectations' registry. It is imported when a suite is run.
"""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.metrics import ColumnValuesUnique
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.query_metrics import UnexpectedRowsQueryRowCount
from great_expectations.expectations.registry import register_metric
from great_expectations.validator.metric_configuration import MetricConfiguration

logging.getLogger("great_expectations.expectations.registry").setLevel(logging.ERROR)  # it warns of what is meant


# from which on PostgreSQL's sort finds next to nothing to do; 1 is perfect order
_IN_ORDER = 0.99


def count_repeated(cls: Any, execution_engine: Any, metric_domain_kwargs: dict[str, Any], **_: Any) -> int:
    """Return how many rows have a value that another row has too.

    Great Expectations counts over a window, for which the whole table is sorted; groups need only a hash. Where the
    rows come in order, as exports often do, a sort costs even less, and mostly finds that nothing is repeated.
    """
    table, _, accessor = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.COLUMN)
    column = sa.column(accessor["column"])

    def one(query: sa.Select) -> Any:
        return execution_engine.execute_query(query).scalar()

    (staged,) = table.element.get_final_froms()  # Great Expectations selects from a select of all its rows
    order = sa.select(sa.column("correlation")).select_from(sa.table("pg_stats", schema="pg_catalog"))
    order = order.where(
        sa.column("schemaname") == staged.schema,
        sa.column("tablename") == staged.name,
        sa.column("attname") == accessor["column"],
    )
    if (one(order) or 0) > _IN_ORDER:
        surplus = sa.select(sa.func.count(column) - sa.func.count(sa.distinct(column))).select_from(table)
        if not one(surplus):
            return 0
    repeated = (
        sa.select(sa.func.count().label("row_count"))
        .select_from(table)
        .where(column.is_not(None))
        .group_by(column)
        .having(sa.func.count() > 1)
        .subquery("repeated")
    )
    return int(one(sa.select(sa.func.coalesce(sa.func.sum(repeated.c.row_count), 0))))


register_metric(
    metric_name="column_values.unique.unexpected_count",
    metric_domain_keys=ColumnValuesUnique.condition_domain_keys,
    metric_value_keys=ColumnValuesUnique.condition_value_keys,
    execution_engine=SqlAlchemyExecutionEngine,
    metric_class=ColumnValuesUnique,
    metric_provider=count_repeated,
    metric_fn_type=MetricFunctionTypes.VALUE,
)


class RowCountOfFoundRows(UnexpectedRowsQueryRowCount):
    """The number of unexpected rows; a query that has shown none is not run again to count them."""

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, metrics: dict[str, Any], **kwargs: Any) -> int:
        if not metrics["unexpected_rows_query.table"]:
            return 0
        return UnexpectedRowsQueryRowCount._sqlalchemy(cls=cls, metrics=metrics, **kwargs)

    @classmethod
    def _get_evaluation_dependencies(cls, metric: MetricConfiguration, **_: Any) -> dict[str, MetricConfiguration]:
        return {
            "unexpected_rows_query.table": MetricConfiguration(
                "unexpected_rows_query.table", metric.metric_domain_kwargs, metric.metric_value_kwargs
            )
        }
