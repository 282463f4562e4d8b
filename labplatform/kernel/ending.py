"""The end of a platform that nobody here asked for: whether it is one, and saying so everywhere. Kernel."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import msgspec

from .. import messages as m
from ..connection import Connection
from .app import App
from .recovery import Recovery
from .resolving import Resolving
from .saying import say
from .start import Held

CUT_SECONDS = 0.8
"""Seconds after the end of its connection for which a supervisor has run on that is not gone."""


class Ending:
    """How a `Platform` ends by others."""

    state: str

    # What the rest of the platform gives.
    _by_name: dict[str, App]
    _connection: Connection | None
    _end_lock: Any
    _entries: deque[m.Entry]
    _news_lock: Any
    _order: m.SupervisorOrder
    _process: Held | None
    _quiet: bool
    _recovery: Recovery
    _resolving: Resolving
    _wake_all: Any
    _why_over: str
    set_trait: Any

    def _connection_ended(self, reason: str) -> None:
        """The supervisor is gone, or has ended this connection; on the connection's thread."""
        with self._end_lock:
            if self.state != "running":
                # Whoever starts it is told by what they wait for.
                return
            if reason.startswith(m.STOPPED):
                by = reason.removeprefix(m.STOPPED_BY) if reason.startswith(m.STOPPED_BY) else "nobody knows who"
                why = f"somebody else has stopped this platform: {by}"
                if by == m.CONTROLLERS_END:
                    why = f"this platform has ended with the process that started it ({self._order.controller_pid})"
                why += "; make a new Platform() to go on"
                self._is_over("stopped", why, "clean-exit", "the platform was stopped")
            elif reason != m.GUARDIANS_END and self._process and self._process.outlives(CUT_SECONDS):
                self._recovery.cut(reason)
            else:
                self._recovery.lost(reason)

    def _is_cut_off(self, why: str) -> None:
        """It goes on, and cannot be seen or steered from here just now; this is said."""
        self._resolving.ended()
        self._why_over = why
        self.set_trait("problem", why)
        self.set_trait("state", "lost")
        self._wake_all()
        if not self._quiet:
            say(f"labplatform: {why}")

    def _look_whether_it_ended(self) -> None:
        """It may have ended while it was still starting, and then nobody has said so."""
        connection = self._connection
        if connection is not None and connection.ended:
            self._connection_ended(connection.ended)

    def _is_over(self, state: str, why: str, reason: str, detail: str) -> None:
        """There is no supervisor any more, and no app, and this is said; `reason` and `detail` as of an app's end."""
        self._resolving.ended()
        self._all_ended(reason, detail)
        self._note_problem(why)
        self.set_trait("state", state)
        self._wake_all()

    def _all_ended(self, reason: str, detail: str) -> None:
        with self._news_lock:
            for app in self._by_name.values():
                ended = {
                    **{"state": "stopped", "pid": None, "renderer": None, "processes": ()},
                    **{"reason": reason, "detail": detail},
                    "placement": msgspec.structs.replace(app._status.placement, pid=None),
                }
                # The next supervisor counts its statuses anew.
                changes = {"revision": 0} | ({} if app.state in ("stopped", "failed") else ended)
                app._take(msgspec.structs.replace(app._status, **changes))

    def _note_problem(self, why: str) -> None:
        """Say why it is over, everywhere where it is looked for: also in the log, which nobody else writes any more."""
        self._why_over = why
        with self._news_lock:
            number = self._entries[-1].seq + 1 if self._entries else 1
            self._entries.append(m.Entry(seq=number, time=time.time(), kind="platform", text=why, level="error"))
            self.set_trait("events", tuple(self._entries))
        self.set_trait("problem", why)
        if not self._quiet:
            say(f"labplatform: {why}")
