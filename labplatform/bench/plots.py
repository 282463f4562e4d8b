"""Live plots of eight apps, once a second: what they cost the kernel, how large an update is, how old when it leaves.

A real kernel, with a platform of its own; the page is played here, and draws nothing. Unseen plots are beside it.
"""

from __future__ import annotations

import json
import struct
import time

import psutil

from ..kernel.widgets.part import BEAT
from .click import Notebook, notebook
from .figures import Row
from .processes import cpu, cpu_between
from .stage import Measured, Stage

TITLE = "live plots of 8 apps, once a second: kernel's CPU, bytes, age of a sample when it reaches the page"
APPS = 8
TARGET = 5.0
"""Percent of one core that the whole panel may cost the kernel."""
AGE_TARGET = 0.15
"""Seconds; with the page's drawing, for which 20 to 40 ms are usual."""
SECONDS, QUICK_SECONDS = 20.0, 4.0
SET_UP = """
import os
from labplatform import Platform
platform = Platform({folder!r}, display="offscreen", quiet=True, alongside=True)
platform.launch_all(*["tiny"] * 8, timeout=120)
part = platform.plots()
print(os.getpid(), part.comm.comm_id)
"""


def measure(stage: Stage) -> Measured:
    """In turns: shown, and not."""
    seconds = QUICK_SECONDS if stage.quick else SECONDS
    used: dict[bool, list[float]] = {True: [], False: []}
    sizes: list[float] = []
    ages: list[float] = []
    with notebook(SET_UP) as there:
        kernel = [psutil.Process(int(there.said[0]))]
        for _ in stage.rounds(stage.times(4, 1)):
            for shown in (True, False):
                there.say(shown, have=0)
                _watch(there, 2.0, shown, [], [])
                before, began = cpu(kernel), time.perf_counter()
                _watch(there, seconds, shown, sizes, ages)
                used[shown].append(100 * cpu_between(before, cpu(kernel)) / (time.perf_counter() - began))
    unit = "percent of one core"
    return (
        Row(what="the kernel, plots shown", unit=unit, values=tuple(used[True]), target=TARGET),
        Row(what="unseen", unit=unit, values=tuple(used[False]), beside=True),
        Row(what="an update", unit="bytes", values=tuple(sizes)),
        Row(what="age of a sample when it is out", unit="s", values=tuple(ages), target=AGE_TARGET),
    ), (f"{APPS} apps, over {seconds:g} s each; drawing them is the browser's, and not in it.",)


def _watch(there: Notebook, seconds: float, shown: bool, sizes: list[float], ages: list[float]) -> None:
    """Play the page for so long: say that it is seen, and take what comes."""
    number, said = 0, 0.0
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        if shown and now - said >= BEAT:
            there.say(True, have=number)
            said = now
        message = there.heard(min(0.5, end - now))
        content = ((message or {}).get("content", {}).get("data") or {}).get("content") or {}
        if "plots" not in content:
            continue
        arrived, packed, number = time.time(), bytes(message["buffers"][0]), content["plots"]
        count = content["count"]
        if content["since"] and count:
            sizes.append(float(len(json.dumps(content)) + len(packed)))
            ages.append(arrived - struct.unpack_from("<d", packed, 8 * (count - 1))[0])
