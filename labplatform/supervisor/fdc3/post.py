"""Hands messages from one instance to others, lets both remember the last ones, and tells a tap of each. Supervisor,
fdc3.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import Any

import msgspec

from .instances import Instance, Request, event
from .payloads import context_type

UNTOLD = "heartbeatEvent"
"""What nobody says to anybody."""


class Routed(msgspec.Struct, frozen=True, gc=False):
    """A message that went from one instance to others, as a tap sees it.

    `data`: as sent to each. `came_in` and `went_out`: when the request that caused it had come in (0: none did), and
    when it had been handed over, in seconds on `time.perf_counter`. `channel`: where it went over one. `sender`: `None`
    for the platform itself.
    """

    type: str
    sender: Instance | None
    receivers: tuple[Instance, ...]
    data: bytes
    channel: str | None
    context_type: str | None
    intent: str | None
    came_in: float
    went_out: float


class Post:
    """The way out for everything that an instance causes others to hear."""

    def __init__(self) -> None:
        self.tap: deque[Routed] | None = None
        """Takes what passes, while somebody wants it: for each message no more than must be done at once."""
        self.passed = 0
        """Messages that the tap has taken, or would have if there was room."""
        self._came_in = 0.0

    def came_in(self) -> float:
        """A request has arrived; what follows, until `done`, is caused by it. Returns when, or 0 without a tap."""
        if self.tap is not None:
            self._came_in = perf_counter()
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
        if type == UNTOLD:
            for receiver in receivers:
                receiver.send(data)
            return
        passed = (perf_counter(), type, sender, receivers, channel, context_type, intent, len(data))
        for receiver in receivers:
            if receiver is not sender or echo:
                receiver.send(data)
                receiver.recent.append(passed)
        if sender is not None:
            sender.recent.append(passed)
        if self.tap is not None:
            if sender in receivers and not echo:
                receivers = tuple(receiver for receiver in receivers if receiver is not sender)
            came_in = self._came_in if since is None else since
            self.passed += 1
            self.tap.append(
                Routed(type, sender, receivers, data, channel, context_type, intent, came_in, perf_counter())
            )

    def result(self, sender: Instance, request: Request, payload: dict[str, Any], intent: str) -> None:
        """Send an intent's result to who raised it: a second response to that request, caused by another instance."""
        type = "raiseIntentResultResponse"
        data = request.respond(type, payload)
        heard = (request.sender,) if data else ()
        context = payload.get("intentResult", {}).get("context")
        kind = context_type(context) if context is not None else None
        passed = (perf_counter(), type, sender, heard, None, kind, intent, len(data))
        for instance in (sender, *heard):
            instance.recent.append(passed)
        if self.tap is not None:
            self.passed += 1
            self.tap.append(Routed(type, sender, heard, data, None, kind, intent, self._came_in, perf_counter()))
