"""What each DACP request must carry: one struct a payload, checked as it is decoded. Supervisor, fdc3.

A context stays the bytes it came in; `context_type` looks at its type alone. Where the standard lets a field be absent,
`null` counts as absent too, for that is what an app's `null` argument becomes on the wire. Unknown fields pass.
Shapes: the JSON schemas of npm `@finos/fdc3-schema` 2.2.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .errors import E, Refused

NOTHING = msgspec.Raw(b"")
PrivateEventType = Literal["addContextListener", "unsubscribe", "disconnect"]


class _Payload(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """Every payload: frozen, camelCase on the wire."""


class Empty(_Payload, frozen=True):
    """getInfo, getUserChannels, getCurrentChannel, leaveCurrentChannel, createPrivateChannel."""


class Target(_Payload, frozen=True):
    """An app, or one instance of it, as a request names it."""

    app_id: str
    instance_id: str | None = None
    desktop_agent: str | None = None


class Broadcast(_Payload, frozen=True):
    channel_id: str
    context: msgspec.Raw = NOTHING


class AddContextListener(_Payload, frozen=True):
    channel_id: str | None
    context_type: str | None


class Unsubscribe(_Payload, frozen=True):
    """Each of the four requests that end a listener."""

    listener: str = msgspec.field(name="listenerUUID")


class ChannelName(_Payload, frozen=True):
    """getOrCreateChannel, joinUserChannel, privateChannelDisconnect."""

    channel_id: str


class GetCurrentContext(_Payload, frozen=True):
    channel_id: str
    context_type: str | None


class AddPrivateListener(_Payload, frozen=True):
    private_channel_id: str
    listener_type: PrivateEventType | None


class AddEventListener(_Payload, frozen=True):
    """`USER_CHANNEL_CHANGED` is the schema's word, `userChannelChanged` the API's."""

    type: Literal["USER_CHANNEL_CHANGED", "userChannelChanged"] | None


class Acknowledge(_Payload, frozen=True):
    heartbeat_event_uuid: str


class AddIntentListener(_Payload, frozen=True):
    intent: str


class FindIntent(_Payload, frozen=True):
    intent: str
    context: msgspec.Raw = NOTHING
    result_type: str | None = None


class FindIntentsByContext(_Payload, frozen=True):
    context: msgspec.Raw = NOTHING
    result_type: str | None = None


class RaiseIntent(_Payload, frozen=True):
    intent: str
    context: msgspec.Raw = NOTHING
    app: Target | None = None


class RaiseIntentForContext(_Payload, frozen=True):
    context: msgspec.Raw = NOTHING
    app: Target | None = None


class IntentResult(_Payload, frozen=True):
    intent_event_uuid: str
    raise_intent_request_uuid: str
    intent_result: msgspec.Raw


class Open(_Payload, frozen=True):
    app: Target
    context: msgspec.Raw = NOTHING


class AppName(_Payload, frozen=True):
    """findInstances, getAppMetadata."""

    app: Target


class ChannelResult(_Payload, frozen=True):
    """A channel as an intent's result."""

    id: str
    type: Literal["user", "app", "private"]


class Result(_Payload, frozen=True):
    """What an intent handler returned: a context, a channel, or nothing; or why that is not to be had."""

    error: Literal["IntentHandlerRejected", "NoResultReturned"] | None = None
    context: msgspec.Raw = NOTHING
    channel: ChannelResult | None = None


class _Typed(msgspec.Struct, gc=False):
    type: str


_type_of = msgspec.json.Decoder(_Typed).decode


def context_type(context: msgspec.Raw) -> str:
    """The type of a context. Raises `Refused` for what is not a context."""
    try:
        return _type_of(context).type
    except msgspec.DecodeError:
        raise Refused(E.MALFORMED_CONTEXT) from None


def optional_context(context: msgspec.Raw) -> msgspec.Raw | None:
    """A context that may be absent, checked and copied out of its message. Raises `Refused`."""
    if bytes(context) in (b"", b"null"):
        return None
    context_type(context)
    return copied(context)


def copied(raw: msgspec.Raw) -> msgspec.Raw:
    """The same bytes, no longer a view that keeps the whole message in memory."""
    return msgspec.Raw(bytes(raw))
