"""What the boundary around an app costs when it starts: the strongest that works here, Landlock, and none."""

from __future__ import annotations

import contextlib
import time

from ..kernel.platform import Platform
from .figures import Row
from .stage import Measured, Stage

TITLE = "one tiny page, from spawn to ready, within each boundary"
WISHES = ("auto", "landlock", "off")


def measure(stage: Stage) -> Measured:
    """In turns, each app gone again before the next one starts."""
    found: dict[str, list[float]] = {}
    with contextlib.ExitStack() as held:
        platforms: dict[str, Platform] = {}
        for wish in WISHES:
            platform = held.enter_context(stage.platform(boundary=wish))
            app = platform.launch("tiny", timeout=60)
            # What holds, not what was wished for; a machine with one boundary less has one row less.
            platforms.setdefault(app.sandbox.boundary.kind, platform)
            app.stop()
        for _ in stage.rounds(stage.times(15, 3)):
            for name, platform in platforms.items():
                began = time.perf_counter()
                app = platform.launch("tiny", timeout=60)
                found.setdefault(name, []).append(time.perf_counter() - began)
                app.stop()
    rows = [Row(what=name, unit="s", values=tuple(values)) for name, values in found.items()]
    bare = rows.pop()
    return tuple(row for one in rows for row in (one, Row(what="none", unit="s", values=bare.values, beside=True))), ()
