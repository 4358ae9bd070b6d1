"""The floor: what psql takes for the same work in hand-written SQL (floor/*.sql), and the rules (rules/*.sql).

It has no checksums, ledger, file hashes, or gate: only the work that every solution has to do.
"""

from __future__ import annotations

from typing import Any

import jinja2
from common import BENCH, WORK, Delivery, Failed, Server, measure, start

from streamflow.tables import TABLES

_templates = jinja2.Environment(  # noqa: S701 (SQL)
    loader=jinja2.FileSystemLoader(BENCH / "floor"), undefined=jinja2.StrictUndefined
)
MEMORY = "set work_mem = '256MB';\nset maintenance_work_mem = '256MB';\n"  # as one would set it by hand
TWO_CONNECTIONS = (
    ("users", "payments_agg_90d", "labels"),
    ("subscriptions", "usage_agg_30d", "support_agg_90d"),
)


class Floor:
    """One connection; keys and foreign keys in place from the start."""

    name = "floor"
    title = "psql floor"

    def __init__(self, server: Server, users: int) -> None:
        self.server = server
        self.users = users
        self.database = f"bench_{self.name}_{users}"
        server.create(self.database)
        self.script("schema", self.sql("schema"))()

    def sql(self, step: str, delivery: Delivery | None = None, previous: str = "", *names: str) -> str:
        """Return floor/``step``.sql for the delivery: for each table in ``names``; without a delivery, once for all."""
        template = _templates.get_template(f"{step}.sql")
        if delivery is None:
            return template.render(tables=TABLES)
        texts = []
        for table in map(TABLES.get, names):
            header = delivery.header(table.name)
            texts.append(
                template.render(
                    table=table,
                    header=header,
                    delivered=[column for column in header if column != "user_id"],
                    as_of=delivery.as_of,
                    suffix=delivery.month.suffix,
                    previous=previous,
                )
            )
        return "\n".join(texts)

    def script(self, name: str, text: str, delivery: Delivery | None = None):
        """Start psql on a script, in the delivery's folder; return a function that waits for it."""
        scripts = WORK / "scripts"
        scripts.mkdir(parents=True, exist_ok=True)
        path = scripts / f"{self.database}-{name}.sql"
        path.write_text(MEMORY + text)
        return start(
            f"{self.database}-{name}",
            *(self.server.psql, "-XqAt", "-v", "ON_ERROR_STOP=1"),
            *("-h", self.server.socket, "-U", "postgres", "-d", self.database, "-f", path),
            cwd=delivery.folder if delivery else None,
        )

    def month(self, delivery: Delivery, previous: Delivery | None) -> dict[str, Any]:
        """Do a month's work and return the time of each step; only for that is each step a script of its own."""
        before = previous.month.suffix if previous else ""
        steps = {
            "load": self.sql("load", delivery, before, *TABLES),
            "upsert": self.sql("upsert", delivery, before, *TABLES),
            "snapshot": f"begin;\n{self.sql('snapshot', delivery, before, *TABLES)}\ncommit;\n",
        }
        active = self.server.active_seconds(self.database)
        took = {name: self.script(f"{delivery.number}-{name}", text, delivery)() for name, text in steps.items()}
        return {
            "seconds": sum(one["seconds"] for one in took.values()),
            "peak_mb": max(one["peak_mb"] for one in took.values()),
            "cpu_seconds": sum(one["cpu_seconds"] for one in took.values()),
            "server_seconds": self.server.active_seconds(self.database) - active,
            "steps": {name: one["seconds"] for name, one in took.items()},
        }


class FloorOfTwo(Floor):
    """Two connections; live's keys and foreign keys are built after the first load."""

    name = "floor_2"
    title = "psql floor, two connections, keys after the first load"

    def __init__(self, server: Server, users: int) -> None:
        super().__init__(server, users)
        self.script("unkey", self.sql("unkey"))()

    def month(self, delivery: Delivery, previous: Delivery | None) -> dict[str, Any]:
        """Do a month's work: files and users first, then the tables that refer to them."""
        before = previous.month.suffix if previous else ""

        def text(step: str, *names: str) -> str:
            return self.sql(step, delivery, before, *names) + "\n"

        def key(*names: str) -> str:
            return "" if previous else text("key", *names)

        first, second = TWO_CONNECTIONS
        of_users = text("load", *first) + text("upsert", "users") + key("users")
        rounds = [
            [of_users, text("load", *second)],
            [
                text("upsert", *names) + key(*names) + f"begin;\n{text('snapshot', *snapshots)}commit;\n"
                for names, snapshots in ((first[1:], first), (second, second))
            ],
        ]
        active = self.server.active_seconds(self.database)
        took = []
        for number, scripts in enumerate(rounds):
            running = [
                self.script(f"{delivery.number}-{number}-{side}", script, delivery)
                for side, script in enumerate(scripts)
            ]
            took.append([finish() for finish in running])
        return {
            "seconds": sum(max(one["seconds"] for one in both) for both in took),
            "peak_mb": max(sum(one["peak_mb"] for one in both) for both in took),
            "server_seconds": self.server.active_seconds(self.database) - active,
        }


class Rules:
    """One hand-written query per table for the rules of its suite, on the tables that the floor has staged."""

    name = "rules"
    title = "hand-written rules"

    def __init__(self, floor: Floor) -> None:
        self.floor = floor

    def month(self, delivery: Delivery, previous: Delivery | None) -> dict[str, Any]:
        """Run the six queries.

        Raises:
            Failed: if a query finds something: the deliveries are generated to pass the rules.
        """
        server, database = self.floor.server, self.floor.database
        before = previous.month.suffix if previous else delivery.month.suffix
        took, rules = {}, {}
        for table in TABLES:
            name = f"{database}-{delivery.number}-rules-{table}"
            took[table] = measure(
                name,
                *(server.psql, "-XqAx", "-v", "ON_ERROR_STOP=1"),
                *("-v", f"as_of={delivery.as_of}", "-v", f"previous={before}"),
                *("-h", server.socket, "-U", "postgres", "-d", database),
                *("-f", BENCH / "rules" / f"{table}.sql"),
            )
            found = dict(line.split("|") for line in (WORK / "logs" / f"{name}.log").read_text().split())
            if broken := {rule: count for rule, count in found.items() if count != "0"}:
                raise Failed(f"rules/{table}.sql finds {broken} in {delivery.folder}")
            rules[table] = len(found)
        return {
            "seconds": sum(one["seconds"] for one in took.values()),
            "peak_mb": max(one["peak_mb"] for one in took.values()),
            "steps": {table: one["seconds"] for table, one in took.items()},
            "rules": rules,
        }
