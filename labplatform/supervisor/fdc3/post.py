"""Hands messages from one instance to others, and tells a tap of each. Supervisor, fdc3."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from .instances import Instance, Request, event
from .payloads import context_type


class Routed(msgspec.Struct, frozen=True, gc=False):
    """A message that went from one instance to others, as a tap sees it.

    `data`: as sent to each. `at`: seconds since the epoch when it was handed over. `took`: seconds since the request
    that caused it had come in, `None` where none did. `channel`: where it went over one. `sender`: `None` for the
    platform itself.
    """

    type: str
    sender: Instance | None
    receivers: tuple[Instance, ...]
    data: bytes
    channel: str | None
    context_type: str | None
    intent: str | None
    at: float
    took: float | None


class Post:
    """The way out for everything that an instance causes others to hear."""

    def __init__(self) -> None:
        self.tap: Callable[[Routed], None] | None = None
        self._came_in = 0.0

    def came_in(self) -> float:
        """A request has arrived; what follows, until `done`, is caused by it. Returns when, or 0 without a tap."""
        if self.tap:
            self._came_in = time.perf_counter()
        return self._came_in

    def done(self) -> None:
        """What follows is caused by something else: an end, a deadline, the platform."""
        self._came_in = 0.0

    def event(
        self,
        sender: Instance | None,
        receivers: tuple[Instance, ...],
        type: str,
        payload: Any,
        *,
        channel: str | None = None,
        context_type: str | None = None,
        intent: str | None = None,
        since: float | None = None,
        uuid: str | None = None,
        echo: bool = False,
    ) -> None:
        """Send an event to each of `receivers`; to its own sender only with `echo`.

        `since`: when the request that caused it came in, if that is not the one which is being answered.
        """
        data = event(type, payload, uuid)
        for receiver in receivers:
            if receiver is not sender or echo:
                receiver.send(data)
        if self.tap:
            heard = receivers
            if sender in receivers and not echo:
                heard = tuple(receiver for receiver in receivers if receiver is not sender)
            took = self._since(self._came_in if since is None else since)
            self.tap(Routed(type, sender, heard, data, channel, context_type, intent, time.time(), took))

    def result(self, sender: Instance, request: Request, payload: dict[str, Any], intent: str) -> None:
        """Send an intent's result to who raised it: a second response to that request, caused by another instance."""
        type = "raiseIntentResultResponse"
        data = request.respond(type, payload)
        if self.tap:
            heard = (request.sender,) if data else ()
            context = payload.get("intentResult", {}).get("context")
            kind = context_type(context) if context is not None else None
            took = self._since(self._came_in)
            self.tap(Routed(type, sender, heard, data, None, kind, intent, time.time(), took))

    @staticmethod
    def _since(moment: float) -> float | None:
        return time.perf_counter() - moment if moment else None
