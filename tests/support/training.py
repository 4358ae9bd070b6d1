"""Deliveries with labels, and the sets that the database makes of them."""

from __future__ import annotations

from streamflow.features import FEATURES, LABEL
from support.builders import FEBRUARY, JANUARY, delivery
from support.database import Database

STAYS = {"churn_label": "False"}  # a delivery's labels are true otherwise
Row = tuple[str | None, ...]


def merged(*deliveries: dict[str, bytes]) -> dict[str, bytes]:
    """Deliveries of different users as one."""
    return {
        table: b"".join(
            content if place == 0 else content.partition(b"\n")[2]
            for place, content in enumerate(one[table] for one in deliveries)
        )
        for table in deliveries[0]
    }


# one user has left in February, one stays, one's label is unknown, and one had left before
JANUARYS = merged(delivery("ann", "bob", "cid", **STAYS), delivery("dan"))
FEBRUARYS = merged(delivery("ann"), delivery("bob", **STAYS))


def training_set(database: Database, as_of: str, horizon: int) -> list[Row]:
    """The set's rows as text, sorted."""
    columns = ", ".join(f"{name}::text" for name in ("user_id", *(one.name for one in FEATURES), LABEL.name))
    return sorted(database.query(f"select {columns} from training_set(%s, %s)", as_of, horizon), key=repr)


def counts(database: Database, as_of: str, horizon: int = 1) -> tuple[int, ...]:
    """Eligible, positive, negative, unknown."""
    (found,) = database.query("select * from training_set_counts(%s, %s)", as_of, horizon)
    return found


def seal_two_months(database: Database) -> Database:
    database.load_month(JANUARY, JANUARYS)
    database.load_month(FEBRUARY, FEBRUARYS)
    return database
