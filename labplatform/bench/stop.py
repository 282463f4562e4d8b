"""How long stopping takes: one app until its processes are gone, and a whole platform with three apps."""

from __future__ import annotations

import time

from .figures import Row
from .rivals import Script
from .stage import Measured, Stage

APPS = 3
TITLE = "until nothing is left of it"
TARGET = 0.3
"""Seconds for one app to close its window and end."""


def measure(stage: Stage) -> Measured:
    """Interleaved: one app, one script whose window is destroyed; then the platform with its apps."""
    one: list[float] = []
    script: list[float] = []
    whole: list[float] = []
    for _ in stage.rounds(stage.times(10, 2)):
        with stage.platform() as platform:
            app, *_ = platform.launch_all(*["tiny"] * (APPS + 1))
            began = time.perf_counter()
            app.stop()
            one.append(time.perf_counter() - began)
            with Script() as rival:
                rival.loaded()
                script.append(rival.close())
            began = time.perf_counter()
            platform.stop()
            whole.append(time.perf_counter() - began)
    return (
        Row(what=f"Platform.stop() with {APPS} apps", unit="s", values=tuple(whole)),
        Row(what="App.stop()", unit="s", values=tuple(one), target=TARGET),
        Row(what=f"{Script.NAME}, window destroyed to exit", unit="s", values=tuple(script), beside=True),
    ), ()
