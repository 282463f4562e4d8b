"""`ProcessMap`: which processes there are, what lives in them, and who talks to whom. Kernel; its page side is
`static/process_map.js`, its geometry `static/process_map_places.js`.

Facts come from `Platform` and `App` (see `map_facts`). Pictures and pulses go beside them, in messages of their own: a
picture a second from each window, all that are new in one, and only while a page shows the map.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from ... import messages as m
from . import clock, map_facts, map_still
from .actions import AppActions
from .cells import Cells
from .page_side import page_side
from .part import Part
from .story import Story
from .talk import Talk

if TYPE_CHECKING:
    from ..platform import Platform

Size = Literal["panel", "stage"]
PICTURE_RATE = 1.0
"""Pictures of each window that are sent in a second, at most."""
PICTURE_WIDTH: dict[Size, int] = {"panel": 176, "stage": 288}
"""Pixels."""
FIGURES = 1.0
"""Seconds after which figures of the last few seconds are reckoned again, though nothing else has changed."""
PULSE_GAP = 0.2
"""Seconds between two messages to the page that tell of messages between apps."""


class ProcessMap(AppActions, Part):
    """Boxes are processes, tiles are pages, pulses are messages. Made by `Platform.process_map`."""

    OF_PLATFORM = ("state", "problem", "apps", "metrics", "events")
    OF_APPS = (
        *("state", "pid", "renderer", "reason", "detail", "shared_with", "processes", "metrics", "restarts"),
        *("url", "incarnation"),
    )
    GAP = 0.1

    _esm = page_side("actions.js", "process_map_places.js", "process_map.js")
    _css = page_side("process_map.css")

    def __init__(self, platform: Platform, size: Size = "panel") -> None:
        self._size: Size = size
        self._story = Story()
        self._talk: Talk | None = None
        self._lags = map_facts.Lags()
        self._cells = Cells(self.touch)
        self._streams: dict[str, Callable[[], None]] = {}
        self._pictures: dict[str, bytes] = {}
        self._new_pictures: set[str] = set()
        self._pictures_sent_at = self._pulses_sent_at = -math.inf
        self._known_pages: set[str] = set()
        self._watching = threading.Lock()
        self._supervisor: int | None = None
        self._due: float | None = None
        super().__init__(platform, size=size)

    # --- what it shows

    def _facts(self) -> dict[str, Any]:
        platform = self._platform
        apps = {app.name: app for app in platform.apps}
        self._story.take(platform.events, lambda name: apps[name].placement.host if name in apps else f"app:{name}")
        self._lags.take(apps.values())
        cell = map_facts.Cell(os.getpid(), _own_memory(), self._cells.running, self._cells.number)
        self._supervisor = platform.supervisor_pid or self._supervisor
        return map_facts.facts(
            map_facts.Look(platform, self._story, self._talk, self._lags, cell, time.time(), self._supervisor)
        )

    def _still(self) -> str:
        return map_still.draw(self._facts(), self.looks)

    # --- while somebody looks

    def _shown(self) -> None:
        platform = self._platform
        with self._guard:
            self._cells.begin()
            if platform.messages_kept:
                self._talk = Talk(platform.messages, platform.messages_dropped, time.time())
                platform.observe(self._heard, names=["messages"])
        self._watch_windows()

    def _hidden(self) -> None:
        with self._guard:
            if not self.shown:
                self._cells.end()
                self._platform.unobserve(self._heard, names=["messages"])
                self._talk, self._due = None, None
        self._watch_windows()

    def _page_said(self, _: Any, content: Any, buffers: Any) -> None:
        super()._page_said(_, content, buffers)
        with self._guard:
            if set(self._pages) - self._known_pages:
                # A page that has just come knows none of the pictures, and those that do not change do not come again.
                self._new_pictures |= set(self._pictures)
                clock.keep(self)
            self._known_pages = set(self._pages)

    def _watch_windows(self) -> None:
        """Ask for pictures of the apps that have a window, while a page shows the map.

        Not under the guard, for the observers may need that while the platform, which is asked here, waits for them.
        """
        with self._watching:
            apps = {app.name: app for app in self._platform.apps if app.url} if self.shown else {}
            for name in set(self._streams) - set(apps):
                self._streams.pop(name)()
            for name in set(apps) - set(self._streams):
                picture = partial(self._pictured, name)
                self._streams[name] = apps[name].watch_pictures(picture, PICTURE_RATE, PICTURE_WIDTH[self._size])

    def _pictured(self, name: str, picture: m.Frame) -> None:
        """A new picture; on the observers' thread."""
        with self._guard:
            if picture.data and self.shown:
                self._pictures[name] = picture.data
                self._new_pictures.add(name)
                clock.keep(self)

    def _heard(self, _: Any) -> None:
        """Apps have said something; on the observers' thread."""
        platform = self._platform
        with self._guard:
            if self._talk is None:
                return
            silent = frozenset(app.name for app in platform.apps if app.state == "unresponsive")
            notebook = platform.desktop_agent.instance_id
            self._talk.take(platform.messages, platform.messages_dropped, time.time(), notebook, silent)
            if silent:
                self.touch()  # how many wait for it
            clock.keep(self)

    # --- what is sent

    def _refresh(self) -> None:
        super()._refresh()
        now = time.time()
        left = [FIGURES if self._talk else None, map_facts.next_change(self._platform.apps, self._story, now)]
        self._due = min((time.monotonic() + seconds for seconds in left if seconds is not None), default=None)

    def _tick(self) -> float | None:
        with self._guard:
            if self._due is not None and time.monotonic() >= self._due:
                self._due, self._stale = None, bool(self._pages)
        if self.comm is not None:
            self._watch_windows()
        wait = super()._tick()
        with self._guard:
            if wait is None or self.comm is None:
                return wait
            now = time.monotonic()
            left = [wait, self._send_pulses(now), self._send_pictures(now), self._due and max(0.0, self._due - now)]
            return min(seconds for seconds in left if seconds is not None)

    def _send_pulses(self, now: float) -> float | None:
        """Tell of messages, if their time has come; else in how many seconds it has."""
        if self._talk is None or not self._talk.has_pulses:
            return None
        if (left := self._pulses_sent_at + PULSE_GAP - now) > 0:
            return left
        self._pulses_sent_at = now
        pulses = self._talk.pulses()
        first = pulses[0][0]
        told = [[round(1000 * min(PULSE_GAP, at - first)), sender, to] for at, sender, to in pulses]
        self.send({"pulses": told, "counts": list(self._talk.passed().items())})
        return None

    def _send_pictures(self, now: float) -> float | None:
        if not self._new_pictures:
            return None
        if (left := self._pictures_sent_at + 1 / PICTURE_RATE - now) > 0:
            return left
        self._pictures_sent_at = now
        names = sorted(self._new_pictures)
        self._new_pictures.clear()
        self.send({"pictures": names}, [self._pictures[name] for name in names])
        return None


def _own_memory() -> int | None:
    """Bytes of this process that are resident and not shared, as the apps' are counted."""
    try:
        with open("/proc/self/statm") as statm:
            resident, shared = map(int, statm.read().split()[1:3])
    except (OSError, ValueError):
        return None
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
