"""How long several apps take that are launched at once, beside as many scripts and browsers."""

from __future__ import annotations

import contextlib
import time

from .figures import Row
from .stage import Measured, Stage

APPS = 8
TITLE = f"{APPS} tiny pages at once, until the last is ready"


def measure(stage: Stage) -> Measured:
    """Interleaved, as with one."""
    ours: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in stage.rivals()}
    for _ in stage.rounds(stage.times(5, 1)):
        with stage.platform() as platform:
            began = time.perf_counter()
            platform.launch_all(*["tiny"] * APPS, timeout=60)
            ours.append(time.perf_counter() - began)
        for name, start in stage.rivals().items():
            with contextlib.ExitStack() as running:
                began = time.perf_counter()
                started = [running.enter_context(start()) for _ in range(APPS)]
                for rival in started:
                    rival.loaded()
                others[name].append(time.perf_counter() - began)
    return (
        Row(what=f"Platform.launch_all() of {APPS}", unit="s", values=tuple(ours)),
        *(Row(what=f"{APPS} x {name}", unit="s", values=tuple(values), beside=True) for name, values in others.items()),
    ), ()
