"""How long a supervisor takes from spawn to serving, beside what Python itself takes.

Also `Platform.start()`, which is what a person waits for: the same, and a connection.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time

from .. import machine
from .. import messages as m
from ..kernel.start import SupervisorProcess
from .figures import Row
from .stage import Measured, Stage

TITLE = "a supervisor comes up"
TARGET = 0.4
"""Seconds from spawn to serving."""

FLOORS = {
    "python -c pass, to its end": "pass",
    "python importing asyncio, msgspec and a WebSocket server": "import asyncio, msgspec, websockets.asyncio.server",
}


def _spawn() -> float:
    order = m.SupervisorOrder(
        token=secrets.token_urlsafe(32),
        controller_pid=os.getpid(),
        folder=str(machine.runtime_folder()),
        isolation="process",
        manifests={},
        qt_platform="offscreen",
    )
    began = time.perf_counter()
    process = SupervisorProcess(order, 15)
    took = time.perf_counter() - began
    process.close()
    return took


def measure(stage: Stage) -> Measured:
    """In each round a supervisor, a platform, each floor."""
    served: list[float] = []
    usable: list[float] = []
    floors: dict[str, list[float]] = {name: [] for name in FLOORS}
    for _ in stage.rounds(stage.times(15, 3)):
        served.append(_spawn())
        began = time.perf_counter()
        with stage.platform():
            usable.append(time.perf_counter() - began)
        for name, code in FLOORS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd="/")
            floors[name].append(time.perf_counter() - began)
    beside = [Row(what=name, unit="s", values=tuple(values), beside=True) for name, values in floors.items()]
    return (
        Row(what="Platform.start()", unit="s", values=tuple(usable)),
        Row(what="supervisor, spawn to serving", unit="s", values=tuple(served), target=TARGET),
        *beside,
    ), ()
