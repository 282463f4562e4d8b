"""How long one app takes from spawn to ready, beside a bare pywebview script and a browser's app window."""

from __future__ import annotations

import time

from .figures import Row
from .stage import Measured, Stage

TITLE = "one tiny page, from spawn to ready"
TARGET = 0.6
"""Seconds, cold: nothing was started in advance."""


def measure(stage: Stage) -> Measured:
    """Interleaved: our app, then each of the others; all are gone again before the next one starts."""
    ours: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in stage.rivals()}
    with stage.platform() as platform:
        for _ in stage.rounds(stage.times(15, 3)):
            began = time.perf_counter()
            app = platform.launch("tiny")
            ours.append(time.perf_counter() - began)
            app.stop()
            for name, start in stage.rivals().items():
                with start() as rival:
                    others[name].append(rival.loaded())
    return (
        Row(what="Platform.launch(), to its return", unit="s", values=tuple(ours), target=TARGET),
        *(Row(what=name, unit="s", values=tuple(values), beside=True) for name, values in others.items()),
    ), ()
