"""How long a broadcast takes from a page to another in a process of its own, at a steady rate."""

from __future__ import annotations

import math

from .figures import Row
from .stage import Measured, Stage
from .talk import FLOOR, PROXY, RELAY, Talk, clocks_apart

TITLE = "a broadcast from page to page, one way, 200 a second"
INTERVAL = 5.0
"""Milliseconds between two broadcasts."""
TARGET, TARGET_P99 = 0.000_35, 0.002
"""Seconds."""


def p99(values: list[float]) -> float:
    """The value that 99 of 100 do not exceed."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


def measure(stage: Stage) -> Measured:
    """Interleaved: over the platform and over the bare relay, there and back."""
    count = stage.times(400, 100)
    hosted: list[float] = []
    found: dict[str, list[float]] = {PROXY: [], RELAY: []}
    tails: dict[str, list[float]] = {PROXY: [], RELAY: []}
    apart: list[float] = []
    with Talk(stage) as talk:
        one, two = talk.pages
        for _ in stage.rounds(stage.times(5, 1)):
            for way, values in found.items():
                there = talk.paced(way, one, [two], count, INTERVAL)
                back = talk.paced(way, two, [one], count, INTERVAL)
                values += there + back
                tails[way].append(p99(there + back))
                apart.append(clocks_apart(there, back))
    with Talk(stage, ways=(PROXY,), transport="host") as talk:
        one, two = talk.pages
        for _ in stage.rounds(stage.times(3, 1), "through hosts"):
            hosted += talk.paced(PROXY, one, [two], count, INTERVAL) + talk.paced(PROXY, two, [one], count, INTERVAL)
    return (
        Row(what="Channel.broadcast() to the listener", unit="s", values=tuple(found[PROXY]), target=TARGET),
        Row(what=FLOOR, unit="s", values=tuple(found[RELAY]), beside=True),
        Row(what="p99 of a round", unit="s", values=tuple(tails[PROXY]), target=TARGET_P99),
        Row(what=f"p99 of a round, {FLOOR}", unit="s", values=tuple(tails[RELAY]), beside=True),
        Row(what="through the app hosts, for pages without a WebSocket", unit="s", values=tuple(hosted)),
    ), (
        f"Both directions together; the two pages' clocks are {max(map(abs, apart)) * 1e3:.3f} ms apart at most.",
        f"{count} broadcasts each way in a round; the first ones of a page are not among them.",
    )
