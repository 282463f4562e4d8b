"""The desktop agent's own events: who listens for a change of its user channel, and heartbeats. Supervisor, fdc3.

Whether a page is alive the platform learns from its own pings; heartbeats are for whoever speaks plain DACP.
"""

from __future__ import annotations

from collections.abc import Iterable

from ... import dacp
from . import payloads as p
from .channels import MOST_LISTENERS
from .errors import E, Refused
from .instances import Instance, Request
from .post import Post


class Events:
    """The requests about events."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self.handlers = {
            "addEventListenerRequest": (p.AddEventListener, self._add_listener),
            "eventListenerUnsubscribeRequest": (p.Unsubscribe, self._remove_listener),
            "heartbeatAcknowledgementRequest": (p.Acknowledge, self._acknowledge),
        }

    def beat(self, instances: Iterable[Instance]) -> str:
        """Send a heartbeat to each; `Instance.acknowledged` is its id once the answer has come."""
        uuid = dacp.new_id()
        self._post.event(None, tuple(instances), "heartbeatEvent", {}, uuid=uuid)
        return uuid

    def _add_listener(self, request: Request, wish: p.AddEventListener) -> None:
        listeners = request.sender.events
        if len(listeners) >= MOST_LISTENERS:
            raise Refused(E.CREATION_FAILED)
        listener = dacp.new_id()
        listeners.add(listener)
        request.answer({"listenerUUID": listener})

    def _remove_listener(self, request: Request, wish: p.Unsubscribe) -> None:
        if wish.listener not in request.sender.events:
            raise Refused(E.LISTENER_NOT_FOUND)
        request.sender.events.remove(wish.listener)
        request.answer({})

    def _acknowledge(self, request: Request, wish: p.Acknowledge) -> None:
        request.sender.acknowledged = wish.heartbeat_event_uuid
