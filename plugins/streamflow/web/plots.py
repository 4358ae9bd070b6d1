"""A table over time: what was measured in each month, the bounds, and small plots of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from streamflow.drift import read_bounds, suite_parameters
from streamflow.tables import Table
from streamflow.web.database import Row
from streamflow.web.months import number

WIDTH, HEIGHT = 320, 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 14, 22  # room around the points


class Point(NamedTuple):
    """What was measured in one month.

    Attributes:
        as_of: the month.
        value: the measurement; None if there is none.
        low: the lower bound; None if there is none.
        high: the upper bound; None if there is none.
        is_sealed: whether the month is sealed.
    """

    as_of: str
    value: float | None
    low: float | None
    high: float | None
    is_sealed: bool

    @property
    def broken(self) -> str:
        """How the value breaks a bound, in words; empty if it does not."""
        if self.value is None:
            return ""
        if self.low is not None and self.value < self.low:
            return "below"
        return "above" if self.high is not None and self.value > self.high else ""


@dataclass
class Series:
    """What was measured over time.

    Attributes:
        name: what is measured.
        is_share: whether it is a share, shown in percent.
        points: a point per month, in order.
    """

    name: str
    is_share: bool
    points: list[Point]

    def said(self, value: float | None) -> str:
        """Return a value in words."""
        if value is None:
            return "–"
        return f"{value:.1%}" if self.is_share else number(value)

    @property
    def broken(self) -> list[Point]:
        """The points that break a bound."""
        return [point for point in self.points if point.broken]

    @property
    def summary(self) -> str:
        """What the plot shows, for those who do not see it."""
        known = [point for point in self.points if point.value is not None]
        if not known:
            return "No month has a value."
        first, last = known[0], known[-1]
        said = f"{first.as_of}: {self.said(first.value)}"
        if last is not first:
            said += f"; {last.as_of}: {self.said(last.value)}"
        outside = ", ".join(f"{one.as_of} {one.broken} its bound" for one in self.broken)
        return f"{said}. {f'Outside its bounds: {outside}' if outside else 'No bound is broken'}."

    @property
    def plot(self) -> dict[str, Any]:
        """The plot's coordinates, for ``plot.svg``."""
        return draw(self.points)


def table_series(table: Table, history: Sequence[Row]) -> tuple[Series, list[tuple[str, list[Series]]]]:
    """Return what was measured of a table over time.

    A bound is the one that the month's validation was checked with, if that is in the log; else it is what
    ``bounds.json`` allows today after the sealed month before.

    Args:
        table: the table.
        history: what ``pages/history.sql`` returns.

    Returns:
        The row counts; and for each column its mean, if it has one, and its share of NULLs.
    """
    bounds = read_bounds(table.name)
    points: dict[tuple[str, str | None], list[Point]] = {}
    before: dict[str, Any] | None = None
    for row in history:
        measured = {
            (rule["measured"]["kind"], rule["column"] or None): rule["measured"]
            for rule in row["result"] or []
            if rule.get("measured")
        }
        profile = row["profile"] or {}
        allowed = suite_parameters(table, bounds, before, row["not_delivered"] or [])
        for kind, column in [
            ("rows", None),
            *(("mean", name) for name in table.columns),
            *(("not_null", name) for name in table.columns),
        ]:
            found = measured.get((kind, column))
            value = row["delivered"] if kind == "rows" else profile.get(kind, {}).get(column)
            if found:
                low, high = found["min"], found["max"]
                value = found["value"] if value is None and not row["is_sealed"] else value
            elif kind == "rows":
                low, high = (float(allowed["rows_min"]) if before else None), None
            else:
                low, high = allowed[f"{column}_{kind}_min"], allowed[f"{column}_{kind}_max"]
            if kind == "not_null":  # people ask for the share of NULLs
                value, low, high = (None if one is None else 1 - one for one in (value, high, low))
                low, high = (None if one is None else round(one, 12) for one in (low, high))
                value = None if value is None else round(value, 12)
            point = Point(str(row["as_of"]), value, low, high, row["is_sealed"])
            points.setdefault((kind, column), []).append(point)
        if row["is_sealed"]:
            before = {"delivered": row["delivered"], "profile": profile}
    rows = Series("rows delivered", False, points.get(("rows", None), []))
    columns = []
    for column in table.columns:
        series = [
            Series(f"{column}: {called}", kind == "not_null", points.get((kind, column), []))
            for kind, called in (("mean", "mean"), ("not_null", "share of NULLs"))
        ]
        if some := [one for one in series if any(point.value is not None for point in one.points)]:
            columns.append((column, some))
    return rows, columns


def draw(points: Sequence[Point]) -> dict[str, Any]:
    """Return the coordinates of a plot: ``line``, ``band``, ``marks`` and the labels of its axes.

    Args:
        points: a point per month, in order.
    """
    numbers = [one for point in points for one in (point.value, point.low, point.high) if one is not None]
    least, most = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    if least == most:
        least, most = least - (abs(least) or 1) / 2, most + (abs(most) or 1) / 2
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(points) - 1)

    def x(place: int) -> float:
        return round(_LEFT + place * step if len(points) > 1 else WIDTH / 2, 1)

    def y(value: float) -> float:
        return round(_TOP + (most - value) / (most - least) * (HEIGHT - _TOP - _BOTTOM), 1)

    half = min(step, 24) / 2
    bars = []
    for place, point in enumerate(points):
        if point.low is None and point.high is None:
            continue
        top = _TOP if point.high is None else y(point.high)
        bottom = HEIGHT - _BOTTOM if point.low is None else y(point.low)
        bars.append(
            {
                "x": round(x(place) - half, 1),
                "width": round(2 * half, 1),
                "y": top,
                "height": round(max(0, bottom - top), 1),
                "has_low": point.low is not None,
                "has_high": point.high is not None,
            }
        )
    lines: list[list[str]] = [[]]
    for place, point in enumerate(points):
        if point.value is None:
            lines.append([])
        else:
            lines[-1].append(f"{x(place)},{y(point.value)}")
    marks = [
        {"x": x(place), "y": y(point.value), "broken": point.broken, "is_sealed": point.is_sealed}
        for place, point in enumerate(points)
        if point.value is not None
    ]
    return {
        "bars": bars,
        "lines": [" ".join(line) for line in lines if len(line) > 1],
        "marks": marks,
        "least": least,
        "most": most,
    }
