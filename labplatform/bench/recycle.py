"""What a person sees when an app gets a fresh process: how long its window is away, on a screen that is watched.

A restart of the same app, which gives up the window before it has the next one, stands beside it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from ..kernel.app import App
from ..kernel.platform import Platform
from .figures import Row
from .rivals import TINY
from .screen import HEIGHT, WIDTH, Screen, screen
from .stage import Measured, Stage, wait_until

TITLE = "an app gets a fresh process: how long its window is away, and how long its page"
TARGET = 0.2
"""Seconds without a window."""
SEEN_SECONDS = 10.0
PAINT = "document.body.style.background = '#0072b2'"
"""So that what the old page shows, what the new one shows and the bare screen differ."""
AT = (WIDTH // 4, HEIGHT // 4)
"""A pixel within the app's window."""


def _change(app: App, seen: Screen, act: Callable[[], object]) -> tuple[float, float]:
    """Seconds that the bare screen is seen, and from the old page's last sight to the new one's first."""
    bare = seen.pixel(WIDTH - 1, HEIGHT - 1)
    white = seen.pixel(*AT)
    app.evaluate_js(PAINT, timeout=SEEN_SECONDS)
    wait_until(app, lambda: seen.pixel(*AT) not in (white, bare), SEEN_SECONDS, "to paint its page")
    with seen.watched(*AT) as changes:
        act()
        deadline = time.monotonic() + SEEN_SECONDS
        while (len(changes) < 2 or changes[-1][1] != white) and time.monotonic() < deadline:
            time.sleep(0.005)
    gaps = [after[0] - at for (at, colour), after in itertools.pairwise(changes) if colour == bare]
    return sum(gaps), changes[-1][0] - changes[1][0]


def measure(stage: Stage) -> Measured:
    """In turns: recycled, and restarted."""
    found: dict[str, tuple[list[float], list[float], list[float]]] = {"recycle": ([], [], []), "restart": ([], [], [])}
    with screen() as seen, seen.in_use(), Platform(TINY, quiet=True, alongside=True) as platform:
        app = platform.launch("tiny", timeout=60)
        for _ in stage.rounds(stage.times(10, 2)):
            for what, (gaps, changes, calls) in found.items():
                began = time.perf_counter()
                gap, change = _change(app, seen, getattr(app, what))
                calls.append(time.perf_counter() - began)
                gaps.append(gap)
                changes.append(change)
    (gaps, changes, calls), (gaps2, changes2, calls2) = found["recycle"], found["restart"]
    return (
        Row(what="recycle(): no window", unit="s", values=tuple(gaps), target=TARGET),
        Row(what="restart()", unit="s", values=tuple(gaps2), beside=True),
        Row(what="recycle(): first change seen to page seen", unit="s", values=tuple(changes)),
        Row(what="restart()", unit="s", values=tuple(changes2), beside=True),
        Row(what="recycle(): until it returns", unit="s", values=tuple(calls)),
        Row(what="restart()", unit="s", values=tuple(calls2), beside=True),
    ), ("A pixel of an X server's screen, looked at every millisecond.",)
