"""Rows and tables of figures, and how they are shown. Pure.

Values are kept in base units (seconds, bytes, percent of one core, counts) and every single one is kept, so that
whoever reads the JSON can draw other conclusions than the median.
"""

from __future__ import annotations

import math
import statistics
from typing import Any, Literal

import msgspec

Unit = Literal["s", "bytes", "percent of one core", "pings", "messages/s", "deliveries/s", "pictures/s", "times"]
RATES: frozenset[Unit] = frozenset(("messages/s", "deliveries/s", "pictures/s"))
"""Units of which more is better."""

ENOUGH_FOR_P99 = 100
"""Values from which on a 99th percentile says more than the largest one."""


class Row(msgspec.Struct, kw_only=True, frozen=True):
    """One figure. `beside`: something else, measured in the same run to compare with the last row that is ours.

    `target`: what the median must not exceed, in `unit`, or must reach where more is better; `None` where nothing was
    promised.
    """

    what: str
    unit: Unit
    values: tuple[float, ...]
    target: float | None = None
    beside: bool = False

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def worst(self) -> tuple[str, float]:
        """("p99", …) where there are enough values for one, else ("max", …); ("min", …) where more is better."""
        if self.unit in RATES:
            return "min", min(self.values)
        if len(self.values) < ENOUGH_FOR_P99:
            return "max", max(self.values)
        return "p99", sorted(self.values)[math.ceil(0.99 * len(self.values)) - 1]

    @property
    def met(self) -> bool | None:
        """Whether the target was met; `None` without one."""
        if self.target is None:
            return None
        return self.median >= self.target if self.unit in RATES else self.median <= self.target


class Table(msgspec.Struct, kw_only=True, frozen=True):
    """The figures of one subject. `load`: the machine's load average as it began. `problem`: why it failed."""

    name: str
    title: str
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    load: float = 0.0
    problem: str = ""


def ratios(rows: tuple[Row, ...]) -> list[float | None]:
    """For each row that stands beside ours: how many times its median ours is."""
    ours: Row | None = None
    found: list[float | None] = []
    for row in rows:
        if not row.beside:
            ours = row
        comparable = row.beside and ours is not None and ours.unit == row.unit and row.median > 0
        found.append(ours.median / row.median if comparable else None)
    return found


def as_data(table: Table) -> dict[str, Any]:
    """A table as plain JSON values."""
    rows = []
    for row, ratio in zip(table.rows, ratios(table.rows), strict=True):
        word, worst = row.worst
        rows.append(
            {
                "what": row.what,
                "unit": row.unit,
                "n": len(row.values),
                "median": row.median,
                word: worst,
                "target": row.target,
                "met": row.met,
                "more_is_better": row.unit in RATES,
                "beside": row.beside,
                "ours_by_this": ratio,
                "values": list(row.values),
            }
        )
    return {
        "name": table.name,
        "title": table.title,
        "load": table.load,
        "rows": rows,
        "notes": list(table.notes),
        "problem": table.problem or None,
    }


def shown(value: float, unit: Unit) -> str:
    """A value for people: "312 ms", "48.3 MB", "0.4 %", "3.5 pings"."""
    match unit:
        case "s":
            if 0 < abs(value) < 0.0001:
                return f"{value * 1e6:.0f} µs"
            if abs(value) < 0.001:
                return f"{value * 1e3:.2f} ms"
            if value >= 1:
                return f"{value:.2f} s"
            return f"{value * 1e3:.0f} ms" if value >= 0.1 else f"{value * 1e3:.1f} ms"
        case "bytes":
            return f"{value / 1e6:.1f} MB" if abs(value) >= 1e5 or not value else f"{value / 1e3:.1f} kB"
        case "percent of one core":
            return f"{value:.2f} %"
        case "pings":
            return f"{value:.1f} pings"
        case "messages/s" | "deliveries/s":
            return f"{value:,.0f}/s"
        case "pictures/s":
            return f"{value:.1f}/s"
        case "times":
            return f"{value:.2f} x"


HEAD = ("", "n", "median", "p99, max or min", "target", "", "ours / this")


def as_text(table: Table) -> str:
    """A table for a terminal, 110 columns wide at most."""
    lines = [f"{table.name.upper()}: {table.title}  (load {table.load:.1f})"]
    if table.rows:
        cells = [HEAD]
        for row, ratio in zip(table.rows, ratios(table.rows), strict=True):
            word, worst = row.worst
            verdict = "" if row.met is None else "met" if row.met else "MISSED"
            cells.append(
                (
                    f"  beside: {row.what}" if row.beside else row.what,
                    str(len(row.values)),
                    shown(row.median, row.unit),
                    f"{shown(worst, row.unit)} {word}",
                    ""
                    if row.target is None
                    else f"{'>=' if row.unit in RATES else '<='} {shown(row.target, row.unit)}",
                    verdict,
                    "" if ratio is None else f"{ratio:.2f} x",
                )
            )
        widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
        for line in cells:
            first, *rest = (
                text.ljust(width) if not i else text.rjust(width)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            )
            lines.append("  " + "  ".join([first, *rest]).rstrip())
    lines += [f"  {note}" for note in table.notes]
    if table.problem:
        lines.append(f"  FAILED: {table.problem}")
    return "\n".join(lines)
