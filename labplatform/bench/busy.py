"""What becomes of the apps' broadcasts while the kernel holds its interpreter: the same ones, beside an idle kernel."""

from __future__ import annotations

import random
import statistics
import time

from .figures import Row
from .stage import Measured, Stage
from .talk import FLOOR, PROXY, RELAY, Talk, last_of

TITLE = "a broadcast from page to page while the kernel sorts a list"
INTERVAL = 5.0
"""Milliseconds between two broadcasts."""
TARGET = 1.3
"""Times of the same with an idle kernel."""
SORTED = 1_000_000
"""Numbers in the list; sorting it holds the interpreter for some 0.4 s."""


def measure(stage: Stage) -> Measured:
    """Interleaved: idle and sorting, over the platform and over the bare relay."""
    numbers = [random.random() for _ in range(SORTED)]
    count = stage.times(400, 100)
    delays: dict[tuple[str, bool], list[float]] = {}
    times: dict[str, list[float]] = {PROXY: [], RELAY: []}
    with Talk(stage) as talk:
        one, two = talk.pages
        for _ in stage.rounds(stage.times(5, 1)):
            for way in (PROXY, RELAY):
                medians = []
                for sorting in (False, True):
                    talk.begin(way, one, [two], count, INTERVAL)
                    until = time.monotonic() + count * INTERVAL / 1000
                    while sorting and time.monotonic() < until:
                        sorted(numbers)
                    found = last_of(talk.ended(one, [two], count))
                    delays.setdefault((way, sorting), []).extend(found)
                    medians.append(statistics.median(found))
                times[way].append(medians[1] / medians[0])
    rows = []
    for sorting, words in ((False, "kernel idle"), (True, "kernel sorting")):
        rows.append(Row(what=words, unit="s", values=tuple(delays[PROXY, sorting])))
        rows.append(Row(what=FLOOR, unit="s", values=tuple(delays[RELAY, sorting]), beside=True))
    rows.append(Row(what="sorting by idle, medians", unit="times", values=tuple(times[PROXY]), target=TARGET))
    rows.append(Row(what=FLOOR, unit="times", values=tuple(times[RELAY]), beside=True))
    return tuple(rows), ("The kernel is the process whose main thread holds the Platform.",)
