"""What readings cost: the supervisor's CPU with idle apps, and the messages that pass meanwhile."""

from __future__ import annotations

import psutil

from .broadcast import INTERVAL, p99
from .figures import Row
from .idle import APPS, QUICK_WINDOW, WINDOW, shares
from .stage import Measured, Stage
from .talk import PROXY, Talk

TITLE = f"{APPS} apps read every second, and every tenth of a second"
SELDOM, USUAL, OFTEN = 10.0, 1.0, 0.1
"""Seconds between two readings: as seldom as may be, the default, as often as may be."""
TARGET = 1.0
"""Percent of one core, at the default."""


def measure(stage: Stage) -> Measured:
    """CPU first, then messages between two of the apps, read often and seldom in turns."""
    seconds = QUICK_WINDOW if stage.quick else WINDOW
    cpu: dict[float, list[float]] = {SELDOM: [], USUAL: [], OFTEN: []}
    for _ in stage.rounds(stage.times(2, 1), "CPU"):
        for every, found in cpu.items():
            with stage.platform(sampling=every) as platform:
                platform.launch_all(*["tiny"] * APPS, timeout=60)
                found += shares([[psutil.Process(platform.supervisor_pid)]], seconds)
    count = stage.times(400, 100)
    tails: dict[float, list[float]] = {SELDOM: [], OFTEN: []}
    for _ in stage.rounds(stage.times(3, 1), "messages"):
        for every, found in tails.items():
            with Talk(stage, pages=APPS, ways=(PROXY,), sampling=every) as talk:
                one, two, *_ = talk.pages
                for _ in range(stage.times(3, 1)):
                    there = talk.paced(PROXY, one, [two], count, INTERVAL)
                    found.append(p99(there + talk.paced(PROXY, two, [one], count, INTERVAL)))
    unit = "percent of one core"
    return (
        Row(what=f"supervisor, every {USUAL:g} s", unit=unit, values=tuple(cpu[USUAL]), target=TARGET),
        Row(what=f"supervisor, every {OFTEN:g} s", unit=unit, values=tuple(cpu[OFTEN])),
        Row(what=f"supervisor, every {SELDOM:g} s", unit=unit, values=tuple(cpu[SELDOM]), beside=True),
        Row(what=f"a message's p99, every {OFTEN:g} s", unit="s", values=tuple(tails[OFTEN])),
        Row(what=f"every {SELDOM:g} s", unit="s", values=tuple(tails[SELDOM]), beside=True),
    ), (f"CPU over {seconds:g} s each; {count} messages each way for a p99.",)
