"""Routes DACP messages between instances: app channels, their listeners and their last contexts.

Runs on the supervisor's loop. Only the envelope and the few fields a route needs are decoded; a context passes through
as the bytes it came in. FDC3's other requests are answered with an error until their part exists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ... import dacp

Send = Callable[[bytes], None]

USER_CHANNELS = tuple(f"fdc3.channel.{number}" for number in range(1, 9))
"""FDC3's recommended user channels; their names cannot be taken by app channels."""
MOST_CHANNELS = 1000
"""App channels one platform keeps; one more is refused."""
MOST_LISTENERS = 1000
"""Context listeners one instance may have."""


class _ContextType(msgspec.Struct):
    type: str


class _Broadcast(msgspec.Struct, rename="camel"):
    channel_id: str
    context: msgspec.Raw


class _Channel(msgspec.Struct, rename="camel"):
    channel_id: str


class _Listen(msgspec.Struct, rename="camel"):
    channel_id: str | None
    context_type: str | None


class _Unlisten(msgspec.Struct):
    listenerUUID: str


class _Current(msgspec.Struct, rename="camel"):
    channel_id: str
    context_type: str | None


_type_of = msgspec.json.Decoder(_ContextType).decode


class _Instance:
    """One connected instance and what it listens to: listener id -> (channel, context type)."""

    def __init__(self, app_id: str, instance: str, send: Send) -> None:
        self.app = dacp.AppIdentifier(app_id, instance)
        self.send = send
        self.listeners: dict[str, tuple[str, str | None]] = {}


class Router:
    """App channels across processes."""

    def __init__(self) -> None:
        self._instances: dict[str, _Instance] = {}
        self._channels: dict[str, dict[str, msgspec.Raw]] = {}
        self._handlers: dict[str, Callable[[_Instance, dacp.Envelope], dict[str, Any]]] = {
            "getOrCreateChannelRequest": self._get_or_create,
            "broadcastRequest": self._broadcast,
            "addContextListenerRequest": self._listen,
            "contextListenerUnsubscribeRequest": self._unlisten,
            "getCurrentContextRequest": self._current,
        }

    def connect(self, app_id: str, instance: str, send: Send) -> None:
        """An instance can be reached through `send`. One that is connected already keeps its listeners."""
        known = self._instances.get(instance)
        if known:
            known.send = send
        else:
            self._instances[instance] = _Instance(app_id, instance, send)

    def disconnect(self, instance: str) -> None:
        """An instance is gone, and with it its listeners."""
        self._instances.pop(instance, None)

    def receive(self, instance: str, data: bytes | str) -> None:
        """Route one message. Raises `msgspec.DecodeError` for what is not a DACP message."""
        sender = self._instances.get(instance)
        if sender is None:
            return
        message = dacp.read_envelope(data)
        handler = self._handlers.get(message.type)
        try:
            payload = handler(sender, message) if handler else {"error": "NotImplemented"}
        except msgspec.ValidationError:
            payload = {"error": "MalformedMessage"}
        if message.type.endswith("Request"):
            sender.send(
                dacp.encode(
                    {
                        "type": message.type.removesuffix("Request") + "Response",
                        "meta": {
                            "requestUuid": message.meta.request_uuid or "",
                            "responseUuid": dacp.new_id(),
                            "timestamp": dacp.now(),
                            "source": sender.app,
                        },
                        "payload": payload,
                    }
                )
            )

    def _get_or_create(self, sender: _Instance, message: dacp.Envelope) -> dict[str, Any]:
        channel = msgspec.json.decode(message.payload, type=_Channel).channel_id
        if channel in USER_CHANNELS:
            return {"error": "AccessDenied"}
        if channel not in self._channels:
            if len(self._channels) >= MOST_CHANNELS:
                return {"error": "CreationFailed"}
            self._channels[channel] = {}
        return {"channel": {"id": channel, "type": "app"}}

    def _broadcast(self, sender: _Instance, message: dacp.Envelope) -> dict[str, Any]:
        broadcast = msgspec.json.decode(message.payload, type=_Broadcast)
        contexts = self._channels.get(broadcast.channel_id)
        if contexts is None:
            return {"error": "NoChannelFound"}
        kind = _type_of(broadcast.context).type
        context = msgspec.Raw(bytes(broadcast.context))
        contexts.pop(kind, None)
        contexts[kind] = context
        event = dacp.encode(
            {
                "type": "broadcastEvent",
                "meta": {"eventUuid": dacp.new_id(), "timestamp": dacp.now()},
                "payload": {
                    "channelId": broadcast.channel_id,
                    "context": context,
                    "originatingApp": sender.app,
                },
            }
        )
        for instance in self._instances.values():
            if instance is not sender and any(
                channel == broadcast.channel_id and wanted in (None, kind)
                for channel, wanted in instance.listeners.values()
            ):
                instance.send(event)
        return {}

    def _listen(self, sender: _Instance, message: dacp.Envelope) -> dict[str, Any]:
        wish = msgspec.json.decode(message.payload, type=_Listen)
        if wish.channel_id not in self._channels:
            return {"error": "NoChannelFound"}
        if len(sender.listeners) >= MOST_LISTENERS:
            return {"error": "ApiTimeout"}
        listener = dacp.new_id()
        sender.listeners[listener] = (wish.channel_id, wish.context_type)
        return {"listenerUUID": listener}

    def _unlisten(self, sender: _Instance, message: dacp.Envelope) -> dict[str, Any]:
        listener = msgspec.json.decode(message.payload, type=_Unlisten).listenerUUID
        return {} if sender.listeners.pop(listener, None) else {"error": "ListenerNotFound"}

    def _current(self, sender: _Instance, message: dacp.Envelope) -> dict[str, Any]:
        wish = msgspec.json.decode(message.payload, type=_Current)
        contexts = self._channels.get(wish.channel_id)
        if contexts is None:
            return {"error": "NoChannelFound"}
        if wish.context_type is not None:
            return {"context": contexts.get(wish.context_type)}
        # The one broadcast last stands last.
        return {"context": next(reversed(contexts.values()), None)}
