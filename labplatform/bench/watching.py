"""What it costs the messages between two pages that a notebook watches them (`platform.messages`)."""

from __future__ import annotations

from .broadcast import INTERVAL
from .figures import Row, Unit
from .stage import Measured, Stage
from .talk import PROXY, TOGETHER, Talk

TITLE = "messages from page to page, watched by the notebook, beside unwatched ones"
KEPT = 1000
"""Messages that the notebook keeps."""
TARGET = 1.10
"""Times what the same takes unwatched."""


def measure(stage: Stage) -> Measured:
    """In pairs, one watched and one not, in turns first; each ratio is that of a pair."""
    paced, bursts = stage.times(400, 100), stage.times(10_000, 1_000)
    delays: dict[bool, list[float]] = {True: [], False: []}
    rates: dict[bool, list[float]] = {True: [], False: []}
    costs: dict[bool, list[float]] = {True: [], False: []}
    with Talk(stage, ways=(PROXY,)) as talk:
        one, two = talk.pages
        talk.platform.watch_messages()
        for turn in stage.rounds(stage.times(12, 2)):
            for watched in (True, False) if turn % 2 else (False, True):
                talk.platform.messages_kept = KEPT if watched else 0
                there = talk.paced(PROXY, one, [two], paced, INTERVAL)
                delays[watched] += there + talk.paced(PROXY, two, [one], paced, INTERVAL)
                burst = talk.burst(PROXY, one, [two], bursts)
                rates[watched].append(burst.rate)
                costs[watched].append(burst.cpu)
        dropped = talk.platform.messages_dropped
    slower = tuple(without / watched for watched, without in zip(rates[True], rates[False], strict=True))
    rows: list[Row] = []
    figures: tuple[tuple[str, Unit, dict[bool, list[float]]], ...] = (
        ("one way, 200 a second", "s", delays),
        ("burst", "messages/s", rates),
        ("CPU of one, all processes", "s", costs),
    )
    for words, unit, found in figures:
        rows.append(Row(what=words, unit=unit, values=tuple(found[True])))
        rows.append(Row(what="unwatched", unit=unit, values=tuple(found[False]), beside=True))
    rows.append(Row(what="a burst takes longer, each pair", unit="times", values=slower, target=TARGET))
    return tuple(rows), (
        f"{paced} broadcasts each way in a round; {bursts:,} in a burst, {TOGETHER} in each turn of the page's loop.",
        f"The notebook kept the last {KEPT}; of those in between {dropped:,} were counted, not told.",
    )
