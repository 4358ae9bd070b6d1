"""The six tables of a delivery: the only place that Python and the SQL templates take identifiers from.

Types are the database's: ``include/sql/schema/live.sql``, which a test holds equal to this list.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamflow.months import Month


@dataclass(frozen=True)
class Table:
    """One file of a delivery and what becomes of it.

    Attributes:
        name: the live table, and the file without ``.csv``.
        columns: live's columns in order, without the key ``user_id``; optional ones last.
        optional: those of ``columns`` that a delivery may leave out; their stored values are then kept.
        snapshots: the table of the month-end states.
    """

    name: str
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()
    snapshots: str = ""

    def __post_init__(self) -> None:
        if self.columns[len(self.required) :] != self.optional:
            raise ValueError(f"{self.name}: optional columns come last.")
        if not self.snapshots:
            object.__setattr__(self, "snapshots", f"{self.name}_snapshots")

    @property
    def file_name(self) -> str:
        """The file of a month folder that holds the table."""
        return f"{self.name}.csv"

    @property
    def required(self) -> tuple[str, ...]:
        """Those of ``columns`` that every delivery has."""
        return tuple(column for column in self.columns if column not in self.optional)

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Live's columns in order, with the key."""
        return ("user_id", *self.columns)

    def staged(self, as_of: str) -> str:
        """Return the name of the staging table of a month (``YYYY-MM-DD``): ``labels_20240131``, in schema staging.

        This and the names of the builds are made here and, for the owner's functions, in
        ``include/sql/schema/relation_name.sql``, which a test holds equal.
        """
        return f"{self.name}_{Month.parse(as_of).suffix}"

    def build(self, as_of: str) -> str:
        """Return the name of the table that a month's snapshot is built in, in schema staging."""
        return f"{self.staged(as_of)}_build"

    def changes(self, as_of: str) -> str:
        """Return the name of the list of rows of sealed months that a month would change, in schema staging."""
        return f"{self.staged(as_of)}_changes"


_ADD_ONS = ("add_on_security", "add_on_backup", "add_on_device_protect", "add_on_support")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        # users first: the others refer to it
        Table("users", ("signup_date", "user_gender", "user_is_senior", "has_family", "has_dependents")),
        Table(
            "subscriptions",
            (
                "months_active",
                "plan_stream_tv",
                "plan_stream_movies",
                "contract_type",
                "paperless_billing",
                "monthly_fee",
                "total_paid",
                "net_service",
                *_ADD_ONS,
            ),
            optional=_ADD_ONS,
            snapshots="subscriptions_profile_snapshots",
        ),
        Table(
            "usage_agg_30d",
            (
                "watch_hours_30d",
                "avg_session_mins_7d",
                "unique_devices_30d",
                "skips_7d",
                "rebuffer_events_7d",
            ),
        ),
        Table("payments_agg_90d", ("failed_payments_90d",)),
        Table("support_agg_90d", ("support_tickets_90d", "ticket_avg_resolution_hrs_90d")),
        Table("labels", ("churn_label",)),
    )
}
