"""Where observers run: one named thread, so that user code holds up neither the connection nor a cell. Kernel.

Values change on the connection's thread, at once, so that whoever reads them sees what is; those who observe them are
told on the observers' thread, in order. A blocking call from there would wait for itself, so it raises instead.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import traitlets
from traitlets import HasTraits

from ..errors import BlockingCallInObserver

THREAD_NAME = "labplatform-observers"


class ObserverThread:
    """Runs functions one after the other. An exception in one is printed, and the next one runs."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    @property
    def thread(self) -> threading.Thread:
        """Where they run."""
        return self._thread

    def submit(self, function: Callable[[], None]) -> None:
        """Run a function later, in order."""
        self._queue.put(function)

    def stop(self) -> None:
        """Run what is queued, then end; does not wait when called from the thread itself."""
        self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(2)

    def refuse_here(self, call: str) -> None:
        """Raise `BlockingCallInObserver` on the observers' own thread."""
        if threading.current_thread() is self._thread:
            raise BlockingCallInObserver(
                f"{call} waits for an answer, and was called from an observer, which would keep the answer from "
                "coming; hand the work to a thread of your own (threading.Thread) or do it in a cell"
            )

    def _run(self) -> None:
        while (function := self._queue.get()) is not None:
            try:
                function()
            except BaseException:  # SystemExit included: the thread serves every other observer, too
                traceback.print_exc(file=sys.stderr)


class Observable(HasTraits):
    """`HasTraits` whose observers are told on the observers' thread."""

    _observers: ObserverThread | None = None

    def notify_change(self, change: Any) -> None:
        """Queue the notification, once there is a thread for it."""
        if self._observers is None:
            super().notify_change(change)
        else:
            self._observers.submit(lambda: super(Observable, self).notify_change(change))

    def observe(self, handler: Callable[..., Any], names: Any = traitlets.All, type: Any = "change") -> None:
        """Tell `handler` of what changes from now on: not of a change that happened before, and is still to be told."""
        if self._observers is None:
            super().observe(handler, names, type)
        else:
            self._observers.submit(lambda: super(Observable, self).observe(handler, names, type))

    def unobserve(self, handler: Callable[..., Any], names: Any = traitlets.All, type: Any = "change") -> None:
        """Tell it no more."""

        def forget() -> None:
            with contextlib.suppress(ValueError):
                super(Observable, self).unobserve(handler, names, type)

        forget()
        if self._observers is not None:
            # Again, for its `observe` may still wait for its turn.
            self._observers.submit(forget)
