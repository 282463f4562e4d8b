"""What memory the platform costs: supervisor, guardian, one more app. In PSS, which counts a shared page once in all.

RSS summed over a tree would count Qt's and Chromium's code again for each process.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable

import psutil

from .figures import Row
from .processes import tree
from .rivals import Rival
from .stage import Measured, Stage

TITLE = "memory (PSS)"
TARGET = 60e6
"""Bytes of the supervisor."""
FEW, MANY = 2, 6
SETTLE = 2.0
"""Seconds between the last page's being ready and the first look."""
LOOKS = 3


def pss(processes: list[psutil.Process]) -> float:
    """Bytes of these processes together; one that ended meanwhile counts nothing."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


def _settled(look: Callable[[], float]) -> float:
    time.sleep(SETTLE)
    looks = []
    for _ in range(LOOKS):
        looks.append(look())
        time.sleep(0.2)
    return statistics.median(looks)


def _several(start: Callable[[], Rival], count: int, running: contextlib.ExitStack) -> list[Rival]:
    started = [running.enter_context(start()) for _ in range(count)]
    for rival in started:
        rival.loaded()
    return started


def _all(rivals: list[Rival]) -> list[psutil.Process]:
    return [process for rival in rivals for process in rival.processes()]


def measure(stage: Stage) -> Measured:
    """Interleaved: a platform that grows from a few apps to many, then each of the others likewise."""
    many = FEW + 2 if stage.quick else MANY
    more = many - FEW
    empty: list[float] = []
    supervisor: list[float] = []
    guardian: list[float] = []
    ours: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in stage.rivals()}
    for _ in stage.rounds(stage.times(3, 1)):
        with stage.platform() as platform:
            empty.append(pss([psutil.Process(platform.supervisor_pid)]))
            platform.launch_all(*["tiny"] * FEW)
            before = _settled(lambda: pss(tree(platform.guardian_pid)))
            platform.launch_all(*["tiny"] * more)
            after = _settled(lambda: pss(tree(platform.guardian_pid)))
            ours.append((after - before) / more)
            supervisor.append(pss([psutil.Process(platform.supervisor_pid)]))
            guardian.append(pss([psutil.Process(platform.guardian_pid)]))
        for name, start in stage.rivals().items():
            with contextlib.ExitStack() as running:
                few = _several(start, FEW, running)
                before = _settled(lambda few=few: pss(_all(few)))
                rest = _several(start, more, running)
                after = _settled(lambda few=few, rest=rest: pss(_all(few + rest)))
                others[name].append((after - before) / more)
    return (
        Row(what="supervisor, no app", unit="bytes", values=tuple(empty), target=TARGET),
        Row(what=f"supervisor, {many} apps", unit="bytes", values=tuple(supervisor), target=TARGET),
        Row(what="guardian", unit="bytes", values=tuple(guardian)),
        Row(what=f"one more app, all its processes (from {FEW} to {many})", unit="bytes", values=tuple(ours)),
        *(
            Row(what=f"one more {name}", unit="bytes", values=tuple(values), beside=True)
            for name, values in others.items()
        ),
    ), ()
