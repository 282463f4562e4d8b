"""An instance as the desktop agent holds it, and one request of it. Supervisor, fdc3."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ... import dacp
from .errors import E

if TYPE_CHECKING:
    from .channels import Channel, ContextListener, PrivateChannel
    from .directory import AppRecord
    from .intents import Owed

Send = Callable[[bytes], None]
RECENT = 50
"""Messages from and to an instance that are remembered, without what stood in them."""


class Passed(NamedTuple):
    """A message that went from one instance to others, by its outside. Made for each, so a plain tuple stands for it.

    `at`: seconds on `time.perf_counter`. `sender`: `None` for the platform itself. `size`: bytes, as sent to each.
    """

    at: float
    type: str
    sender: Instance | None
    receivers: tuple[Instance, ...]
    channel: str | None
    context_type: str | None
    intent: str | None
    size: int


class Instance:
    """One connected instance, and all that ends with it."""

    __slots__ = (
        "acknowledged",
        "app",
        "app_id",
        "awaits",
        "channel",
        "contexts",
        "events",
        "gone",
        "id",
        "intents",
        "opened_at",
        "owes",
        "private",
        "recent",
        "record",
        "send",
        "source",
        "warned",
    )

    def __init__(self, app_id: str, instance_id: str, send: Send, record: AppRecord | None = None) -> None:
        self.app_id = app_id
        self.id = instance_id
        self.send = send
        self.record = record
        """What may be told of it where the desk has no record of its app."""
        self.app = dacp.AppIdentifier(app_id, instance_id)
        self.source = msgspec.Raw(dacp.encode(self.app))
        """`app` as it stands in messages."""
        self.opened_at: float | None = None
        """When its first getInfoRequest came, on the desk's clock: its scripts run, and its listeners will follow."""
        self.gone = False
        self.warned = False
        self.channel: Channel | None = None
        """The user channel it has joined."""
        self.contexts: dict[str, ContextListener] = {}
        self.intents: dict[str, str] = {}
        """Intent listeners: id to intent."""
        self.events: set[str] = set()
        """Listeners for the desktop agent's own events."""
        self.private: dict[PrivateChannel, None] = {}
        """The private channels it takes part in."""
        self.owes: dict[str, Owed] = {}
        """Intents that were delivered to it and whose result is still to come, by event."""
        self.awaits: dict[str, Owed] = {}
        """Intents that it raised and whose result is still to come, by event."""
        self.recent: deque[tuple[Any, ...]] = deque(maxlen=RECENT)
        """What it said and heard last."""
        self.acknowledged: str | None = None
        """The last heartbeat it acknowledged."""

    @property
    def opened(self) -> bool:
        """Whether it counts as open to others."""
        return self.opened_at is not None

    @property
    def listens(self) -> bool:
        """Whether it has a listener of any kind, so that handlers of its may have to run."""
        return bool(self.contexts or self.intents or self.events or self.private)

    def handles(self, intent: str) -> bool:
        """Whether it has a listener for this intent."""
        return intent in self.intents.values()


class Request:
    """One request, to be answered once: at once or later."""

    __slots__ = ("at", "sender", "type", "uuid")

    def __init__(self, sender: Instance, type: str, uuid: str, at: float = 0.0) -> None:
        self.sender = sender
        self.type = type
        self.uuid = uuid
        self.at = at
        """When it came in, on the tap's clock; 0 without a tap."""

    def answer(self, payload: Any) -> None:
        """Send its response; nothing if who asked is gone."""
        self.respond(self.type.removesuffix("Request") + "Response", payload)

    def refuse(self, error: E) -> None:
        """Send an error as its response."""
        self.answer({"error": error})

    def respond(self, type: str, payload: Any) -> bytes:
        """Send a response of this type; returns what was sent, empty if nobody is there any more."""
        if self.sender.gone:
            return b""
        data = dacp.encode(
            {
                "type": type,
                "meta": {
                    "requestUuid": self.uuid,
                    "responseUuid": dacp.new_id(),
                    "timestamp": dacp.now(),
                    "source": self.sender.source,
                },
                "payload": payload,
            }
        )
        self.sender.send(data)
        return data


def event(type: str, payload: Any, uuid: str | None = None) -> bytes:
    """An event as bytes."""
    return dacp.encode(
        {"type": type, "meta": {"eventUuid": uuid or dacp.new_id(), "timestamp": dacp.now()}, "payload": payload}
    )
