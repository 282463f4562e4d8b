"""How many broadcasts a second go from a page to another, when one sends as fast as it can. None may be lost, doubled
or out of order: a burst in which one is fails the table.
"""

from __future__ import annotations

from .figures import Row
from .stage import Measured, Stage
from .talk import FLOOR, FRAMES, PROXY, RELAY, TOGETHER, Burst, Talk

TITLE = "bursts of broadcasts from page to page, in order"
TARGET_FRAMES, TARGET_PROXY = 15_000, 8_000
"""Messages a second."""


def measure(stage: Stage) -> Measured:
    """Interleaved. Frames take the place of the page's agent, so their pages are others."""
    count = stage.times(10_000, 1_000)
    rows: list[Row] = []
    for ours, words, target in (
        (PROXY, "through the proxy", TARGET_PROXY),
        (FRAMES, "as DACP, a frame each", TARGET_FRAMES),
    ):
        bursts: dict[str, list[Burst]] = {ours: [], RELAY: []}
        with Talk(stage, ways=(RELAY, ours)) as talk:
            one, two = talk.pages
            for _ in stage.rounds(stage.times(7, 2), ours):
                for way, found in bursts.items():
                    found.append(talk.burst(way, one, [two], count))
        rates = {way: tuple(burst.rate for burst in found) for way, found in bursts.items()}
        costs = {way: tuple(burst.cpu for burst in found) for way, found in bursts.items()}
        rows += [
            Row(what=words, unit="messages/s", values=rates[ours], target=target),
            Row(what=FLOOR, unit="messages/s", values=rates[RELAY], beside=True),
            Row(what="CPU of one, all processes", unit="s", values=costs[ours]),
            Row(what=FLOOR, unit="s", values=costs[RELAY], beside=True),
        ]
    return tuple(rows), (
        f"{count:,} broadcasts in a burst, {TOGETHER} in each turn of the page's loop; each was answered, too.",
        "A bare relay answers nothing, keeps nothing for a page that is away, and sends a frame for each message.",
    )
