"""Asks widgets for what time demands of them. Kernel; one thread for all, there only while one of them wants it."""

from __future__ import annotations

import threading
from typing import Protocol

THREAD_NAME = "labplatform-widgets"


class Ticking(Protocol):
    """A widget that wants to be asked."""

    def _tick(self) -> float | None:
        """Do what time demands; returns the seconds until it wants to be asked again, None for never."""


class _Clock:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._widgets: set[Ticking] = set()
        self._woken = False
        self._thread: threading.Thread | None = None

    def keep(self, widget: Ticking) -> None:
        """Ask this widget from now on, at once the first time."""
        with self._changed:
            self._widgets.add(widget)
            self._woken = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
                self._thread.start()
            self._changed.notify()

    def wake(self) -> None:
        """Ask all widgets again now: one of them may want nothing more."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._woken = False
                widgets = list(self._widgets)
            left = {widget: widget._tick() for widget in widgets}
            with self._changed:
                if self._woken:
                    continue  # what a widget wanted a moment ago may not hold any more
                self._widgets = {widget for widget, seconds in left.items() if seconds is not None}
                if not self._widgets:
                    self._thread = None
                    return
                self._changed.wait(max(0.0, min(left[widget] for widget in self._widgets)))


_clock = _Clock()
keep, wake = _clock.keep, _clock.wake
