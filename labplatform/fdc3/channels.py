"""FDC3's channels as Python sees them: user channels, app channels and private ones. Any process."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from .calls import Steps, WithAio, call
from .client import Client, ContextListener, Listener, PrivateListener, refusal
from .types import ChannelType, Context, ContextMetadata, DisplayMetadata

REQUEST_SECONDS = 5.0
"""Seconds that an answer may take which the desktop agent gives at once."""
HANDED = ("context", "metadata")
ContextHandler = Callable[[Context, ContextMetadata], Any]
"""Gets a context and who sent it. May be `async def`, and may take the context alone."""


class Channel(WithAio):
    """A channel to broadcast on and listen to. `type`: "user", "app" or "private"."""

    def __init__(self, client: Client, id: str, type: ChannelType, display_metadata: DisplayMetadata) -> None:
        self._client = client
        self.id = id
        self.type = type
        self.display_metadata = display_metadata

    @call(REQUEST_SECONDS, one_way=True)
    def broadcast(self, context: Context) -> Steps[None]:
        """Send a context to everyone who listens here.

        Returns once the desktop agent has passed it on. In a handler, and on an app's Python side, it returns at once,
        and what the desktop agent refuses is reported instead of raised.
        """
        yield self._client.ask("broadcastRequest", {"channelId": self.id, "context": checked(context)})

    @call(REQUEST_SECONDS)
    def get_current_context(self, context_type: str | None = None) -> Steps[Context | None]:
        """The last context broadcast here, of this type or of any; `None` if there was none."""
        payload = {"channelId": self.id, "contextType": type_of(context_type)}
        return (yield self._client.ask("getCurrentContextRequest", payload)).get("context")

    @call(REQUEST_SECONDS)
    def add_context_listener(self, context_type: str | None, handler: ContextHandler) -> Steps[Listener]:
        """Call `handler(context, metadata)` for contexts of this type (`None`: of any). Returns the listener."""
        handler = taking(handler, *HANDED)
        listener = ContextListener(self._client, self.id, type_of(context_type), handler, self.type)
        return (yield from self._client.begun(listener))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Channel) and (self.id, self._client) == (other.id, other._client)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        shown = self.display_metadata.name
        return f"<{self.type} channel {self.id}{f' ({shown})' if shown else ''}>"


class PrivateChannel(Channel):
    """A channel for those alone who made it or were handed it as an intent's result."""

    @call(REQUEST_SECONDS)
    def on_add_context_listener(self, handler: Callable[[str | None], Any]) -> Steps[Listener]:
        """Call `handler(context_type)` when another listens here, and for each who does already. Returns a listener."""
        return (yield from self._on("addContextListener", taking(handler, "context_type")))

    @call(REQUEST_SECONDS)
    def on_unsubscribe(self, handler: Callable[[str | None], Any]) -> Steps[Listener]:
        """Call `handler(context_type)` when another listens no more, or has ended. Returns a listener."""
        return (yield from self._on("unsubscribe", taking(handler, "context_type")))

    @call(REQUEST_SECONDS)
    def on_disconnect(self, handler: Callable[[], Any]) -> Steps[Listener]:
        """Call `handler()` when another has left this channel, or has ended. Returns a listener."""
        return (yield from self._on("disconnect", taking(handler)))

    def _on(self, event: str, handler: Callable[..., Any]) -> Steps[Listener]:
        return (yield from self._client.begun(PrivateListener(self._client, self.id, event, handler)))

    def disconnect(self) -> None:
        """Leave it: the others are told, and nothing more is heard here. Does not wait."""
        self._client.forget_channel(self.id)
        self._client.post("privateChannelDisconnectRequest", {"channelId": self.id})


def checked(context: Any) -> Context:
    """The same context, if it is one. Raises `FDC3Error` ("MalformedContext")."""
    if not isinstance(context, dict) or not isinstance(context.get("type"), str):
        raise refusal("MalformedContext", f"it is {context!r:.80}")
    return context


def text(value: Any, what: str) -> str:
    """The same text. Raises `TypeError` for what is none; `what` says what it would be."""
    if not isinstance(value, str):
        raise TypeError(f"{what}, not {value!r:.80}")
    return value


def type_of(context_type: Any) -> str | None:
    """The same context type. Raises `TypeError` for what is none."""
    return None if context_type is None else text(context_type, "a context's type is text, or None for any")


def channel_of(client: Client, shown: dict[str, Any]) -> Channel:
    """A channel, as messages show it."""
    kind = PrivateChannel if shown["type"] == "private" else Channel
    display = msgspec.convert(shown.get("displayMetadata") or {}, DisplayMetadata)
    return kind(client, shown["id"], shown["type"], display)


def result_of(returned: Any) -> dict[str, Any]:
    """What an intent's handler returned, as its result stands in a message. Raises `FDC3Error` for what is none."""
    if returned is None:
        return {}
    if isinstance(returned, Channel):
        return {"channel": {"id": returned.id, "type": returned.type}}
    return {"context": checked(returned)}


def taking(handler: Any, *names: str) -> Callable[..., Any]:
    """The handler, called with as many of these arguments as it takes. Raises `TypeError` for what is no function.

    A parameter with a default (`lambda context, app=app: …`) keeps it, unless it bears the argument's name.
    """
    if not callable(handler):
        raise TypeError(f"a handler is a function, not {handler!r}")
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except ValueError:
        return handler
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return handler
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    taken = 0
    for parameter, name in zip(positional, names, strict=False):
        if parameter.default is not parameter.empty and parameter.name != name:
            break
        taken += 1
    return handler if taken >= len(names) else lambda *arguments: handler(*arguments[:taken])
