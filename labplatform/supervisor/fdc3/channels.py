"""Channels: the eight user channels, app channels and private ones, who listens on them, and their last contexts.

Supervisor, fdc3. Each channel keeps an index of its listeners, so that a broadcast costs as much as it has receivers.
An event goes once to an instance, which hands it to those of its listeners that it is for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from ... import dacp
from . import payloads as p
from .errors import E, Refused
from .instances import Instance, Request, event
from .post import Post
from .returning import Returning

MOST_CHANNELS = 1000
"""App channels one platform keeps; one more is refused."""
MOST_MADE = 200
"""Of these, how many the instances of one app may have made: the others need some, too."""
MOST_PRIVATE = 1000
"""Private channels one instance may take part in."""
MOST_LISTENERS = 1000
"""Listeners of one kind that one instance may have."""
MOST_TYPES = 1000
"""Context types whose last context a channel keeps; of more, the one unused longest is forgotten."""
CHANNEL_BYTES, ALL_BYTES = 8 << 20, 64 << 20
"""Bytes of last contexts that one channel keeps, and all of them together. Past the first it forgets its oldest. Past
the second the channel that keeps most does: who fills channels up costs nobody else a context."""
LONGEST_NAME = 1000
"""Characters of a channel's id."""

_DISPLAY = ("red", "orange", "yellow", "green", "cyan", "blue", "magenta", "purple")
ChannelType = Literal["user", "app", "private"]


class ContextListener:
    """Listens for one context type, or any (`None`), on `channel`; or, if it `follows`, on the joined user channel."""

    __slots__ = ("channel", "context_type", "follows", "id", "instance")

    def __init__(self, instance: Instance, channel: Channel | None, context_type: str | None, follows: bool) -> None:
        self.id = dacp.new_id()
        self.instance = instance
        self.channel = channel
        self.context_type = context_type
        self.follows = follows

    def places(self) -> tuple[Channel, ...]:
        """The channels it listens on now."""
        joined = self.instance.channel if self.follows else None
        if self.channel is None or joined is self.channel:
            return (joined,) if joined else ()
        return (self.channel, joined) if joined else (self.channel,)


class Kept:
    """How many bytes of contexts all channels keep together, and which channels keep any."""

    def __init__(self) -> None:
        self.bytes = 0
        self.channels: dict[Channel, None] = {}

    def shrink(self) -> None:
        """Have the channels that keep most forget, until all together are within the bound."""
        while self.bytes > ALL_BYTES:
            # Half of it at a time: to find it costs a look at all of them.
            largest = max(self.channels, key=lambda channel: channel.bytes)
            largest.shrink(largest.bytes // 2)


class Channel:
    """One channel: its last contexts by type, the newest last, and its listeners by type."""

    def __init__(self, id: str, type: ChannelType, kept: Kept, display: dict[str, str] | None = None) -> None:
        self.id = id
        self._kept = kept
        self.bytes = 0
        """How much it keeps of contexts."""
        self.type = type
        self.shown: dict[str, Any] = {"id": id, "type": type}
        if display:
            self.shown["displayMetadata"] = display
        self.contexts: dict[str, msgspec.Raw] = {}
        self._listeners: dict[str | None, dict[Instance, int]] = {}
        self._receivers: dict[str, tuple[Instance, ...]] = {}

    def listen(self, instance: Instance, context_type: str | None) -> None:
        """One more listener."""
        counts = self._listeners.setdefault(context_type, {})
        counts[instance] = counts.get(instance, 0) + 1
        self._receivers.clear()

    def unlisten(self, instance: Instance, context_type: str | None) -> None:
        """One listener less."""
        counts = self._listeners[context_type]
        counts[instance] -= 1
        if not counts[instance]:
            del counts[instance]
        if not counts:
            del self._listeners[context_type]
        self._receivers.clear()

    def receivers(self, context_type: str) -> tuple[Instance, ...]:
        """Who listens for this type, each once."""
        known = self._receivers.get(context_type)
        if known is None:
            if len(self._receivers) >= MOST_TYPES:
                self._receivers.clear()
            exact, any_type = self._listeners.get(context_type, {}), self._listeners.get(None, {})
            known = self._receivers[context_type] = tuple({**exact, **any_type})
        return known

    def remember(self, context_type: str, context: msgspec.Raw) -> None:
        """The last context of its type, and of all."""
        self._drop(context_type)
        self.contexts[context_type] = context
        self._count(len(bytes(context)))
        if len(self.contexts) > MOST_TYPES:
            self._drop(next(iter(self.contexts)))
        self.shrink(CHANNEL_BYTES)
        self._kept.shrink()

    def shrink(self, most: int) -> None:
        """Forget the oldest contexts until at most so many bytes are kept; 0 for all."""
        while self.bytes > most:
            self._drop(next(iter(self.contexts)))

    def _drop(self, context_type: str) -> None:
        former = self.contexts.pop(context_type, None)
        if former is not None:
            self._count(-len(bytes(former)))

    def _count(self, size: int) -> None:
        self.bytes += size
        self._kept.bytes += size
        if self.contexts:
            self._kept.channels[self] = None
        else:
            self._kept.channels.pop(self, None)

    def last(self, context_type: str | None) -> msgspec.Raw | None:
        """The last context of a type, or of all."""
        if context_type is not None:
            return self.contexts.get(context_type)
        return next(reversed(self.contexts.values()), None)


class PrivateChannel(Channel):
    """A channel for those alone who made it or were handed it as an intent's result.

    `event_listeners`: id to who listens, and for which of the channel's own events (`None`: all).
    """

    def __init__(self, kept: Kept) -> None:
        super().__init__(dacp.new_id(), "private", kept)
        self.members: dict[Instance, None] = {}
        self.event_listeners: dict[str, tuple[Instance, p.PrivateEventType | None]] = {}

    def hears(self, event: p.PrivateEventType) -> tuple[Instance, ...]:
        """Who is to be told of an event, each once.

        The proxy of FDC3 2.2.0 registers `addEventListener(null, …)` as "addContextListener" and expects every event,
        so who asked for that one gets all; it drops what its handlers did not ask for.
        """
        wanted = (None, event, "addContextListener")
        return tuple(dict.fromkeys(who for who, type in self.event_listeners.values() if type in wanted))


class Channels:
    """All channels of the platform, and the requests about them."""

    def __init__(
        self,
        post: Post,
        listening: Callable[[Instance, ContextListener], None],
        moved: Callable[[Instance], None] = lambda instance: None,
    ) -> None:
        self._post = post
        self._listening = listening
        self._moved = moved
        self._kept = Kept()
        self.user: dict[str, Channel] = {
            f"fdc3.channel.{number}": Channel(
                f"fdc3.channel.{number}",
                "user",
                self._kept,
                {"name": f"Channel {number}", "color": color, "glyph": str(number)},
            )
            for number, color in enumerate(_DISPLAY, start=1)
        }
        self.app: dict[str, Channel] = {}
        self._made: Counter[str] = Counter()
        """App channels that were made by the instances of each app."""
        self.private: dict[str, PrivateChannel] = {}
        self._returning: dict[Instance, Returning] = {}
        self.handlers = {
            "getUserChannelsRequest": (p.Empty, self._get_user_channels),
            "getCurrentChannelRequest": (p.Empty, self._get_current_channel),
            "joinUserChannelRequest": (p.ChannelName, self._join),
            "leaveCurrentChannelRequest": (p.Empty, self._leave),
            "getOrCreateChannelRequest": (p.ChannelName, self._get_or_create),
            "broadcastRequest": (p.Broadcast, self._broadcast),
            "getCurrentContextRequest": (p.GetCurrentContext, self._get_current_context),
            "addContextListenerRequest": (p.AddContextListener, self._add_context_listener),
            "contextListenerUnsubscribeRequest": (p.Unsubscribe, self._remove_context_listener),
            "createPrivateChannelRequest": (p.Empty, self._create_private),
            "privateChannelAddEventListenerRequest": (p.AddPrivateListener, self._add_private_listener),
            "privateChannelUnsubscribeEventListenerRequest": (p.Unsubscribe, self._remove_private_listener),
            "privateChannelDisconnectRequest": (p.ChannelName, self._disconnect_private),
        }

    # --- what the platform may do

    def user_channel(self, name: str) -> Channel | None:
        """A user channel by its id, or by its colour, which is how OpenFin's manifests name theirs."""
        by_color = (channel for channel in self.user.values() if channel.shown["displayMetadata"]["color"] == name)
        return self.user.get(name) or next(by_color, None)

    def move(self, instance: Instance, channel: Channel | None) -> None:
        """An instance joins a user channel, or leaves the one it is on, and is told so if that is a change."""
        if instance.channel is channel:
            return
        following = [listener for listener in instance.contexts.values() if listener.follows]
        before = [listener.places() for listener in following]
        instance.channel = channel
        for listener, places in zip(following, before, strict=True):
            after = listener.places()
            for place in places:
                if place not in after:
                    place.unlisten(instance, listener.context_type)
            for place in after:
                if place not in places:
                    place.listen(instance, listener.context_type)
        # To all, whether they asked for it or not: the proxy of FDC3 2.2.0 listens without a request.
        payload = {"newChannelId": channel.id if channel else None}
        self._post.event(None, (instance,), "channelChangedEvent", payload, channel=channel and channel.id)
        self._moved(instance)

    def forget(self, instance: Instance) -> None:
        """An instance is gone."""
        self._returning.pop(instance, None)
        for channel in tuple(instance.private):
            self._part(channel, instance)
        for listener in instance.contexts.values():
            for place in listener.places():
                place.unlisten(instance, listener.context_type)
        instance.contexts.clear()

    def expect_back(self, instance: Instance) -> Returning | None:
        """An instance is away for a moment: it takes part in nothing, but what it would hear is kept."""
        ears = {
            (place.id, listener.context_type)
            for listener in instance.contexts.values()
            for place in listener.places()
            if place.type != "private"
        }
        # It may go once more before it was all back.
        former = self._returning.get(instance)
        self.forget(instance)
        if former:
            former.also(ears)
        elif ears:
            former = Returning(ears, lambda data: instance.send(data))
        if former:
            self._returning[instance] = former
        return former

    def stop_expecting(self, instance: Instance, returning: Returning) -> None:
        """It has had its time to listen again."""
        if self._returning.get(instance) is returning:
            del self._returning[instance]

    def admit(self, channel_id: str, by: Instance, guest: Instance) -> dict[str, Any] | None:
        """Someone is handed a private channel by one who takes part in it. How it is shown; `None` if it can't be."""
        channel = self.private.get(channel_id)
        if channel is None or by not in channel.members:
            return None
        if not guest.gone:
            channel.members[guest] = None
            guest.private[channel] = None
        return channel.shown

    # --- finding

    def find(self, instance: Instance, channel_id: str) -> Channel:
        """A channel this instance may use. Raises `Refused`."""
        channel = self.app.get(channel_id) or self.user.get(channel_id)
        if channel is None:
            channel = self._private(instance, channel_id)
        return channel

    def _private(self, instance: Instance, channel_id: str) -> PrivateChannel:
        channel = self.private.get(channel_id)
        if channel is None:
            raise Refused(E.NO_CHANNEL_FOUND)
        if instance not in channel.members:
            raise Refused(E.ACCESS_DENIED)
        return channel

    # --- user channels

    def _get_user_channels(self, request: Request, wish: p.Empty) -> None:
        request.answer({"userChannels": [channel.shown for channel in self.user.values()]})

    def _get_current_channel(self, request: Request, wish: p.Empty) -> None:
        joined = request.sender.channel
        request.answer({"channel": joined.shown if joined else None})

    def _join(self, request: Request, wish: p.ChannelName) -> None:
        channel = self.user.get(wish.channel_id)
        if channel is None:
            raise Refused(E.NO_CHANNEL_FOUND)
        self.move(request.sender, channel)
        request.answer({})

    def _leave(self, request: Request, wish: p.Empty) -> None:
        self.move(request.sender, None)
        request.answer({})

    # --- app channels and contexts

    def _get_or_create(self, request: Request, wish: p.ChannelName) -> None:
        name = wish.channel_id
        if name in self.user or name in self.private:
            raise Refused(E.ACCESS_DENIED)
        channel = self.app.get(name)
        if channel is None:
            maker = request.sender.app_id
            full = len(self.app) >= MOST_CHANNELS or self._made[maker] >= MOST_MADE
            if full or not 0 < len(name) <= LONGEST_NAME:
                raise Refused(E.CREATION_FAILED)
            self._made[maker] += 1
            channel = self.app[name] = Channel(name, "app", self._kept)
        request.answer({"channel": channel.shown})

    def _broadcast(self, request: Request, wish: p.Broadcast) -> None:
        sender = request.sender
        channel = self.find(sender, wish.channel_id)
        kind = p.context_type(wish.context)
        context = p.copied(wish.context)
        channel.remember(kind, context)
        payload = {"channelId": channel.id, "context": context, "originatingApp": sender.source}
        receivers = channel.receivers(kind)
        self._post.event(sender, receivers, "broadcastEvent", payload, channel=channel.id, context_type=kind)
        for instance, returning in self._returning.items():
            if instance is not sender and returning.misses(channel.id, kind):
                returning.keep(channel.id, kind, event("broadcastEvent", payload))
        request.answer({})

    def _get_current_context(self, request: Request, wish: p.GetCurrentContext) -> None:
        request.answer({"context": self.find(request.sender, wish.channel_id).last(wish.context_type)})

    def _add_context_listener(self, request: Request, wish: p.AddContextListener) -> None:
        instance = request.sender
        channel = None if wish.channel_id is None else self.find(instance, wish.channel_id)
        if len(instance.contexts) >= MOST_LISTENERS:
            raise Refused(E.CREATION_FAILED)
        # While joined, the proxy of FDC3 2.2.0 names the joined channel where it means "whichever is joined", and goes
        # on with the next one by itself; it drops what comes over a channel that its handler is not on.
        follows = channel is None or channel is instance.channel
        listener = ContextListener(instance, channel, wish.context_type, follows)
        instance.contexts[listener.id] = listener
        for place in listener.places():
            place.listen(instance, wish.context_type)
        request.answer({"listenerUUID": listener.id})
        if returning := self._returning.get(instance):
            for place in listener.places():
                returning.listens(place.id, wish.context_type)
            if returning.all_back:
                del self._returning[instance]
        if isinstance(channel, PrivateChannel):
            self._tell_others(channel, instance, "addContextListener", listener)
        elif follows:
            self._listening(instance, listener)

    def _remove_context_listener(self, request: Request, wish: p.Unsubscribe) -> None:
        listener = request.sender.contexts.get(wish.listener)
        if listener is None:
            raise Refused(E.LISTENER_NOT_FOUND)
        self._remove(listener)
        request.answer({})

    def _remove(self, listener: ContextListener) -> None:
        instance = listener.instance
        del instance.contexts[listener.id]
        for place in listener.places():
            place.unlisten(instance, listener.context_type)
        if isinstance(listener.channel, PrivateChannel):
            self._tell_others(listener.channel, instance, "unsubscribe", listener)

    # --- private channels

    def _create_private(self, request: Request, wish: p.Empty) -> None:
        maker = request.sender
        if len(maker.private) >= MOST_PRIVATE:
            raise Refused(E.CREATION_FAILED)
        channel = PrivateChannel(self._kept)
        self.private[channel.id] = channel
        channel.members[maker] = None
        maker.private[channel] = None
        request.answer({"privateChannel": channel.shown})

    def _add_private_listener(self, request: Request, wish: p.AddPrivateListener) -> None:
        instance = request.sender
        channel = self._private(instance, wish.private_channel_id)
        mine = [type for who, type in channel.event_listeners.values() if who is instance]
        if len(mine) >= MOST_LISTENERS:
            raise Refused(E.CREATION_FAILED)
        listener = dacp.new_id()
        channel.event_listeners[listener] = (instance, wish.listener_type)
        request.answer({"listenerUUID": listener})
        replayed = (None, "addContextListener")
        if wish.listener_type in replayed and not any(type in replayed for type in mine):
            # FDC3 wants to be told of the listeners that were there before, too.
            for context_listener in self._listeners_on(channel):
                if context_listener.instance is not instance:
                    payload = {"privateChannelId": channel.id, "contextType": context_listener.context_type}
                    type = "privateChannelOnAddContextListenerEvent"
                    self._post.event(context_listener.instance, (instance,), type, payload, channel=channel.id)

    def _remove_private_listener(self, request: Request, wish: p.Unsubscribe) -> None:
        for channel in request.sender.private:
            if channel.event_listeners.get(wish.listener, (None,))[0] is request.sender:
                del channel.event_listeners[wish.listener]
                request.answer({})
                return
        raise Refused(E.LISTENER_NOT_FOUND)

    def _disconnect_private(self, request: Request, wish: p.ChannelName) -> None:
        self._part(self._private(request.sender, wish.channel_id), request.sender)
        request.answer({})

    def _part(self, channel: PrivateChannel, instance: Instance) -> None:
        """One who took part does so no more: the others hear `unsubscribe` for each listener, then `disconnect`."""
        for id in [id for id, (who, _) in channel.event_listeners.items() if who is instance]:
            del channel.event_listeners[id]
        for listener in [one for one in instance.contexts.values() if one.channel is channel]:
            self._remove(listener)
        del channel.members[instance]
        del instance.private[channel]
        self._tell_others(channel, instance, "disconnect")
        if not channel.members:
            channel.shrink(0)
            del self.private[channel.id]

    @staticmethod
    def _listeners_on(channel: PrivateChannel) -> Iterator[ContextListener]:
        for member in tuple(channel.members):
            yield from [listener for listener in member.contexts.values() if listener.channel is channel]

    def _tell_others(
        self, channel: PrivateChannel, by: Instance, what: p.PrivateEventType, listener: ContextListener | None = None
    ) -> None:
        payload: dict[str, Any] = {"privateChannelId": channel.id}
        if listener is not None:
            payload["contextType"] = listener.context_type
        type = f"privateChannelOn{what[0].upper()}{what[1:]}Event"
        self._post.event(by, channel.hears(what), type, payload, channel=channel.id)
