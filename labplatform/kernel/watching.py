"""Pictures of windows as they come, for whoever watches: the part of a `Platform` that asks for them once. Kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import messages as m
from ..connection import Connection


class Watching:
    """What a `Platform` watches."""

    _watchers: dict[str, list[tuple[Callable[[m.Frame], None], float, int]]]

    # What the rest of the platform gives.
    _connection: Connection | None
    _lock: Any
    _observers: Any

    def _take_frame(self, frame: m.Frame) -> None:
        for callback, _, _ in self._watchers.get(frame.place, ()):
            self._observers.submit(lambda callback=callback: callback(frame))

    def _watch_pictures(
        self, place: str, callback: Callable[[m.Frame], None], rate: float, width: int
    ) -> Callable[[], None]:
        entry = (callback, rate, width)
        with self._lock:
            self._watchers.setdefault(place, []).append(entry)
        self._renew_watch(place)

        def end() -> None:
            with self._lock:
                if entry in self._watchers.get(place, []):
                    self._watchers[place].remove(entry)
            self._renew_watch(place)

        return end

    def _renew_watch(self, place: str) -> None:
        """Ask for the fastest and widest pictures that anybody here wants of this app. Does not wait."""
        wishes = self._watchers.get(place, [])
        connection = self._connection
        if connection is None:
            return
        rate = max((rate for _, rate, _ in wishes), default=0)
        width = max((width for _, _, width in wishes), default=480)
        connection.tell(m.Watch, place=place, rate=rate, max_width=width)
