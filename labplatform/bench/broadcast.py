"""How long a broadcast takes from a page to another in a process of its own, at a steady rate."""

from __future__ import annotations

import math

from .figures import Row
from .stage import Measured, Stage
from .talk import FLOOR, PROXY, RELAY, USER, Talk, clocks_apart

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
    found: dict[str, list[float]] = {PROXY: [], USER: [], RELAY: []}
    tails: dict[str, list[float]] = {PROXY: [], USER: [], RELAY: []}
    apart: list[float] = []
    with Talk(stage, ways=(PROXY, USER, RELAY)) as talk:
        one, two = talk.pages
        for _ in stage.rounds(stage.times(5, 1)):
            for way, values in found.items():
                there = talk.paced(way, one, [two], count, INTERVAL)
                back = talk.paced(way, two, [one], count, INTERVAL)
                values += there + back
                tails[way].append(p99(there + back))
                apart.append(clocks_apart(there, back))
    rows: list[Row] = []
    for way, words in ((PROXY, "Channel.broadcast(), app channel"), (USER, "fdc3.broadcast(), user channel")):
        rows += [
            Row(what=words, unit="s", values=tuple(found[way]), target=TARGET),
            Row(what=FLOOR, unit="s", values=tuple(found[RELAY]), beside=True),
            Row(what="its p99, of each round", unit="s", values=tuple(tails[way]), target=TARGET_P99),
            Row(what=FLOOR, unit="s", values=tuple(tails[RELAY]), beside=True),
        ]
    return tuple(rows), (
        f"Both directions together; the two pages' clocks are {max(map(abs, apart)) * 1e3:.3f} ms apart at most.",
        f"{count} broadcasts each way in a round; the first ones of a page are not among them.",
    )
