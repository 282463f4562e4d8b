"""Hands messages from one instance to others, and tells a tap of each. Supervisor, fdc3."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ... import dacp
from .instances import Instance, Request, event


class Routed(msgspec.Struct, frozen=True, kw_only=True):
    """A message that went from one instance to others, as a tap sees it.

    `size`: bytes, as sent to each. `at`: seconds since the epoch when it was handed over. `took`: seconds since the
    request that caused it had come in, 0 where none did. `channel`: where it went over one. `sender`: `None` for the
    platform itself.
    """

    type: str
    sender: dacp.AppIdentifier | None
    receivers: tuple[dacp.AppIdentifier, ...]
    channel: str | None
    size: int
    at: float
    took: float


class Post:
    """The way out for everything that an instance causes others to hear."""

    def __init__(self) -> None:
        self.tap: Callable[[Routed], None] | None = None
        self._came_in = 0.0

    def came_in(self) -> None:
        """A request has arrived; what follows, until `done`, is caused by it."""
        if self.tap:
            self._came_in = time.perf_counter()

    def done(self) -> None:
        """What follows is caused by something else: an end, a deadline, the platform."""
        self._came_in = 0.0

    def event(
        self,
        sender: Instance | None,
        receivers: Iterable[Instance],
        type: str,
        payload: Any,
        *,
        channel: str | None = None,
        uuid: str | None = None,
        echo: bool = False,
    ) -> None:
        """Send an event to each of `receivers`; to its own sender only with `echo`."""
        data = event(type, payload, uuid)
        for receiver in receivers:
            if receiver is not sender or echo:
                receiver.send(data)
        if self.tap:
            heard = [receiver for receiver in receivers if receiver is not sender or echo]
            self._tell(type, sender, heard, channel, len(data))

    def response(self, sender: Instance | None, request: Request, type: str, payload: Any) -> None:
        """Send a response that another instance has caused, other than the request's own."""
        size = request.respond(type, payload)
        if self.tap:
            self._tell(type, sender, [request.sender] if size else [], None, size)

    def _tell(
        self, type: str, sender: Instance | None, receivers: list[Instance], channel: str | None, size: int
    ) -> None:
        if not self.tap:
            return
        self.tap(
            Routed(
                type=type,
                sender=sender.app if sender else None,
                receivers=tuple(receiver.app for receiver in receivers),
                channel=channel,
                size=size,
                at=time.time(),
                took=time.perf_counter() - self._came_in if self._came_in else 0.0,
            )
        )
