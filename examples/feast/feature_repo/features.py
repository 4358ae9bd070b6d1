"""A feature view per snapshot table with features, dated by the last day of the month."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Bool, Float64, Int32, String, UnixTimestamp

# Longer than the two days from a snapshot to the first day of the next month, Feast would scan older months, and would
# silently use one of them if the right snapshot is missing.
TTL = timedelta(days=2)

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)


def view(name: str, table: str, **columns: object) -> FeatureView:
    """Return the view of one table."""
    return FeatureView(
        name=name,
        entities=[user],
        ttl=TTL,
        schema=[Field(name=column, dtype=kind) for column, kind in columns.items()],
        source=PostgreSQLSource(name=name, table=table, timestamp_field="as_of"),
        online=False,
    )


# Feast finds views that are variables of the module
users = view(
    "users",
    "users_snapshots",
    signup_date=UnixTimestamp,
    user_gender=String,
    user_is_senior=Bool,
    has_family=Bool,
    has_dependents=Bool,
)
subscriptions = view(
    "subscriptions",
    "subscriptions_profile_snapshots",
    months_active=Int32,
    plan_stream_tv=Bool,
    plan_stream_movies=Bool,
    contract_type=String,
    paperless_billing=Bool,
    monthly_fee=Float64,
    total_paid=Float64,
    net_service=String,
    add_on_security=Bool,
    add_on_backup=Bool,
    add_on_device_protect=Bool,
    add_on_support=Bool,
)
usage_agg_30d = view(
    "usage_agg_30d",
    "usage_agg_30d_snapshots",
    watch_hours_30d=Float64,
    avg_session_mins_7d=Float64,
    unique_devices_30d=Int32,
    skips_7d=Int32,
    rebuffer_events_7d=Int32,
)
payments_agg_90d = view("payments_agg_90d", "payments_agg_90d_snapshots", failed_payments_90d=Int32)
support_agg_90d = view(
    "support_agg_90d",
    "support_agg_90d_snapshots",
    support_tickets_90d=Int32,
    ticket_avg_resolution_hrs_90d=Float64,
)
