"""Takes each DACP message to the part that answers it, and knows who is connected. Supervisor, fdc3.

A message is read as far as its envelope here; its payload by the struct that its type asks for; a context not at all
but for its type. What has the wrong form is answered with FDC3's error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ... import __version__, app_ids, dacp
from .apps import Apps
from .channels import Channel, Channels
from .desk import Deadlines, Desk
from .directory import AppRecord
from .errors import E, Refused, malformed
from .events import Events
from .instances import Instance, Passed, Request, Send
from .intents import Intents
from .post import Post, Routed
from .waits import Waits

CLOSED_KEPT = 10_000
"""Instances that are remembered as closed."""
WITHOUT_RESPONSE = "heartbeatAcknowledgementRequest"
SURELY_SHALLOW = 100
"""Brackets up to which nothing can be nested too deeply."""
ROOM_AROUND = 100
"""Levels that a receiver may put around a message, and still be able to read it."""

_any_value = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _read(data: bytes | str) -> dacp.Envelope:
    """A message that every receiver will be able to read as well. Raises `msgspec.DecodeError`.

    Contexts go on unread, so what only a decoder of all of it would notice is noticed here. They go to pages, one
    message a line.
    """
    try:
        text = data.decode() if isinstance(data, bytes) else data
        if "\n" in text:
            text = msgspec.json.format(text, indent=-1)
        if text.count("[") + text.count("{") > SURELY_SHALLOW:
            _any_value("[" * ROOM_AROUND + text + "]" * ROOM_AROUND)
        return dacp.read_envelope(text)
    except UnicodeDecodeError:
        raise msgspec.DecodeError("it is not UTF-8 text") from None
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None


class Router:
    """The desktop agent of one platform."""

    def __init__(self, desk: Desk, deadlines: Deadlines | None = None) -> None:
        deadlines = deadlines or Deadlines()
        self._desk = desk
        self._deadlines = deadlines
        self._instances: dict[str, Instance] = {}
        self._closed: dict[str, str] = {}
        self._post = Post()
        self._waits = Waits(desk, deadlines)
        self._channels = Channels(self._post, self._waits.context_listener, lambda one: desk.moved(one.id))
        self._intents = Intents(self._post, desk, deadlines, self._instances, self._channels, self._waits)
        self._events = Events(self._post)
        apps = Apps(self._post, desk, self._instances, self._waits, __version__)
        self._handlers: dict[str, tuple[Callable[[Any], Any], Callable[[Request, Any], None]]] = {
            kind: (msgspec.json.Decoder(payload).decode, handle)
            for part in (self._channels, self._intents, self._events, apps)
            for kind, (payload, handle) in part.handlers.items()
        }

    # --- who is there

    def connect(self, app_id: str, instance_id: str, send: Send, record: AppRecord | None = None) -> None:
        """An instance can be reached through `send`. One that is connected already keeps its listeners.

        `record`: what may be told of it, if it is of no app that the desk has a record of.
        """
        known = self._instances.get(instance_id)
        if known:
            known.send = send
        else:
            self._closed.pop(instance_id, None)
            self._instances[instance_id] = Instance(app_id, instance_id, send, record)

    def forget_listeners(self, instance_id: str) -> None:
        """Its page was loaded anew, or wants no more: what the former document listened to, took part in, asked for and
        owed is gone. It keeps its identity and its user channel, and opens again with its next getInfoRequest.
        """
        instance = self._instances.get(instance_id)
        if instance:
            self._channels.forget(instance)
            self._forget_but_channels(instance)

    def _forget_but_channels(self, instance: Instance) -> None:
        self._intents.forget(instance)
        instance.intents.clear()
        instance.events.clear()
        instance.opened_at = None

    def expect_back(self, instance_id: str) -> None:
        """Its process is being replaced: to others it is a page that is loaded anew, and what they broadcast meanwhile
        is kept until it listens again, as long as a launch and its listeners may take.
        """
        instance = self._instances.get(instance_id)
        if instance is None:
            return
        returning = self._channels.expect_back(instance)
        self._forget_but_channels(instance)
        instance.send = lambda data: None

        def give_up() -> None:
            self._channels.stop_expecting(instance, returning)
            if lost := returning.lost:
                text = f"{lost} messages that came while its process was replaced found no listener again"
                self._desk.remark(instance.id, text)

        if returning:
            self._desk.later(self._deadlines.launch + self._deadlines.listener, give_up)

    def disconnect(self, instance_id: str) -> None:
        """An instance has ended, or never came up: nothing of it is left but that it is known as closed."""
        instance = self._instances.pop(instance_id, None)
        if instance:
            instance.gone = True
            self._channels.forget(instance)
            self._intents.forget(instance)
            # It remembers others, as they do it, and shall not keep them.
            instance.recent.clear()
            self._close(instance)
        self._waits.ended(instance_id, opened=bool(instance and instance.opened))

    def _close(self, instance: Instance) -> None:
        self._closed[instance.id] = instance.app_id
        while len(self._closed) > CLOSED_KEPT:
            del self._closed[next(iter(self._closed))]

    @property
    def instances(self) -> dict[str, str]:
        """App ids by instanceId, of all that are open to others: their first getInfoRequest has come."""
        return {instance.id: instance.app_id for instance in self._instances.values() if instance.opened}

    @property
    def closed(self) -> dict[str, str]:
        """App ids by instanceId, of those that ended, the latest last; at most `CLOSED_KEPT`."""
        return dict(self._closed)

    # --- what the platform may do and see

    @property
    def tap(self) -> deque[Routed] | None:
        """Where each message from an instance to others is noted, if that is wanted. `None` costs nothing."""
        return self._post.tap

    @tap.setter
    def tap(self, tap: deque[Routed] | None) -> None:
        self._post.tap = tap

    @property
    def passed(self) -> int:
        """How many messages were noted there, those included for which there was no room."""
        return self._post.passed

    def recent(self, instance_id: str) -> list[Passed]:
        """What an instance said and heard last, oldest first; nothing of one that is not connected."""
        instance = self._instances.get(instance_id)
        return [Passed(*passed) for passed in instance.recent] if instance else []

    def owed(self, instance_id: str) -> tuple[str, ...]:
        """The intents that were delivered to an instance, and whose result is still to come from it."""
        instance = self._instances.get(instance_id)
        return tuple(owed.intent for owed in instance.owes.values()) if instance else ()

    @property
    def user_channels(self) -> list[dict[str, Any]]:
        """The user channels with `id`, `type` and `displayMetadata`."""
        return [channel.shown for channel in self._channels.user.values()]

    def user_channel_of(self, instance_id: str) -> str | None:
        """The user channel that an instance has joined. Raises `KeyError` for an instance that is not connected."""
        joined = self._instances[instance_id].channel
        return joined.id if joined else None

    def join(self, instance_id: str, channel_id: str | None) -> None:
        """Put an instance on a user channel, or on none, as a channel picker does; it is told so.

        `channel_id`: the channel's id or colour. Raises `KeyError` if there is no such channel or instance.
        """
        channel: Channel | None = None
        if channel_id is not None and (channel := self._channels.user_channel(channel_id)) is None:
            raise KeyError(channel_id)
        self._channels.move(self._instances[instance_id], channel)

    def beat(self, instance_ids: Iterable[str]) -> tuple[str, list[str]]:
        """Send a heartbeat to those of these instances that listen for something; returns its id, and theirs.

        `acknowledged` shows whose answer has come.
        """
        known = [self._instances[id] for id in instance_ids if id in self._instances]
        asked = [instance for instance in known if instance.listens]
        return self._events.beat(asked), [instance.id for instance in asked]

    def acknowledged(self, instance_id: str) -> str | None:
        """The last heartbeat that an instance answered. Raises `KeyError`."""
        return self._instances[instance_id].acknowledged

    # --- what they say

    def receive(self, instance_id: str, data: bytes | str) -> None:
        """Take one message. Raises `msgspec.DecodeError` for what is not a DACP message.

        What is no request is passed over: apps have nothing else to say to a desktop agent.
        """
        sender = self._instances.get(instance_id)
        if sender is None:
            return
        message = _read(data)
        kind, meta = message.type, message.meta
        if not kind.endswith("Request"):
            return
        request = Request(sender, kind, meta.request_uuid or "", self._post.came_in())
        handler = self._handlers.get(kind)
        try:
            if handler is None:
                raise Refused(E.MALFORMED_MESSAGE)
            if meta.source is not None and not self._is(sender, meta.source):
                raise Refused(malformed(kind))
            handler[1](request, self._as_known(handler[0](message.payload)))
        except msgspec.DecodeError:
            self._refuse(request, malformed(kind))
        except Refused as refused:
            self._refuse(request, refused.name)
        except Exception as error:
            # A fault of ours must not cost an app its connection, nor leave it waiting.
            self._desk.remark(instance_id, f"the desktop agent failed at its {kind}: {error!r}")
            self._refuse(request, E.API_TIMEOUT)
        finally:
            self._post.done()

    def _as_known(self, payload: Any) -> Any:
        """The same payload with the app it names by the id that is known here; `app@host` may be known as `app`."""
        target = getattr(payload, "app", None)
        if target is None or self._desk.app(target.app_id):
            return payload
        known = {record.app_id: record.directory for record in self._desk.apps()}
        known |= {instance.app_id: "" for instance in self._instances.values() if instance.app_id not in known}
        app_id = app_ids.resolve(target.app_id, known) or target.app_id
        return msgspec.structs.replace(payload, app=msgspec.structs.replace(target, app_id=app_id))

    @staticmethod
    def _refuse(request: Request, error: E) -> None:
        if request.type != WITHOUT_RESPONSE:
            request.refuse(error)

    def _is(self, sender: Instance, source: dacp.AppIdentifier) -> bool:
        """Whether a message names its true sender. The connection says who that is; a message can only be wrong."""
        if source.app_id == sender.app_id and source.instance_id in (None, sender.id):
            return True
        if not sender.warned:
            # Once: a page could fill the log otherwise.
            sender.warned = True
            whose = f"{source.app_id} {source.instance_id or ''}".strip()
            self._desk.remark(sender.id, f"its message was refused, for it claims to come from {whose}"[:500])
        return False
