"""What a broadcast to many apps costs: how soon the last of them has it, and how many deliveries a second there are."""

from __future__ import annotations

from .figures import Row
from .stage import Measured, Stage
from .talk import FLOOR, PROXY, RELAY, Talk

APPS, FEW = 16, 4
TITLE = "a broadcast to many apps, each a process"
INTERVAL = 20.0
"""Milliseconds between two broadcasts."""


def measure(stage: Stage) -> Measured:
    """Interleaved: steady ones, then a burst, over the platform and over the bare relay."""
    apps = FEW if stage.quick else APPS
    count, burst = stage.times(200, 50), stage.times(500, 100)
    last: dict[str, list[float]] = {PROXY: [], RELAY: []}
    rates: dict[str, list[float]] = {PROXY: [], RELAY: []}
    with Talk(stage, pages=apps + 1) as talk:
        sender, *receivers = talk.pages
        for _ in stage.rounds(stage.times(5, 1)):
            for way in (PROXY, RELAY):
                last[way] += talk.paced(way, sender, receivers, count, INTERVAL)
                rates[way].append(apps * talk.burst(way, sender, receivers, burst).rate)
    return (
        Row(what=f"until the last of {apps} has it", unit="s", values=tuple(last[PROXY])),
        Row(what=FLOOR, unit="s", values=tuple(last[RELAY]), beside=True),
        Row(what=f"deliveries of bursts to {apps}", unit="deliveries/s", values=tuple(rates[PROXY])),
        Row(what=FLOOR, unit="deliveries/s", values=tuple(rates[RELAY]), beside=True),
    ), (f"one each {INTERVAL:g} ms; bursts of {burst}",)
