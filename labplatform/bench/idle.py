"""What CPU a platform takes while its apps have nothing to do: heartbeats, sampling and reaping, on both sides."""

from __future__ import annotations

import contextlib
import time

import psutil

from .figures import Row
from .processes import cpu, cpu_between
from .rivals import Script
from .stage import Measured, Stage

APPS = 8
TITLE = f"CPU with {APPS} idle apps"
TARGET = 1.0
"""Percent of one core, the supervisor with all of its threads."""
SETTLE = 3.0
"""Seconds between the last page's being ready and the first reading."""
WINDOW = 20.0
QUICK_WINDOW = 5.0


def shares(groups: list[list[psutil.Process]], seconds: float) -> list[float]:
    """Percent of one core that each group uses over some seconds."""
    time.sleep(SETTLE)
    began = time.perf_counter()
    before = [cpu(group) for group in groups]
    time.sleep(seconds)
    after = [cpu(group) for group in groups]
    took = time.perf_counter() - began
    return [100 * cpu_between(then, now) / took for then, now in zip(before, after, strict=True)]


def measure(stage: Stage) -> Measured:
    """A platform and then as many bare scripts, each watched for a while."""
    seconds = QUICK_WINDOW if stage.quick else WINDOW
    supervisor: list[float] = []
    apps: list[float] = []
    scripts: list[float] = []
    for _ in stage.rounds(stage.times(2, 1)):
        with stage.platform() as platform:
            platform.launch_all(*["tiny"] * APPS, timeout=60)
            root = psutil.Process(platform.supervisor_pid)
            own, rest = shares([[root], root.children(recursive=True)], seconds)
            supervisor.append(own)
            apps.append(rest)
        with contextlib.ExitStack() as running:
            started = [running.enter_context(Script()) for _ in range(APPS)]
            for rival in started:
                rival.loaded()
            scripts += shares([[p for rival in started for p in rival.processes()]], seconds)
    return (
        Row(what="supervisor, samplers included", unit="percent of one core", values=tuple(supervisor), target=TARGET),
        Row(what=f"the {APPS} apps together", unit="percent of one core", values=tuple(apps)),
        Row(what=f"{APPS} x {Script.NAME}", unit="percent of one core", values=tuple(scripts), beside=True),
    ), (f"each over {seconds:g} s",)
