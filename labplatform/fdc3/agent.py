"""FDC3 2.2's `DesktopAgent` in Python: the calls, what they take and what they return. Any process.

Each call blocks, with a deadline; `agent.aio` has the same ones to be awaited. What may take long because an app starts
or a person chooses (`open`, `raise_intent`) waits longer unless told otherwise.
https://fdc3.finos.org/docs/2.2/api/ref/DesktopAgent
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import msgspec

from ..dacp import AppIdentifier
from .calls import Steps, WithAio, call
from .channels import (
    HANDED,
    REQUEST_SECONDS,
    Channel,
    ContextHandler,
    PrivateChannel,
    channel_of,
    checked,
    taking,
    text,
    type_of,
)
from .client import Answer, Client, ContextListener, EventListener, IntentListener, Listener
from .types import AgentEvent, AppIntent, AppMetadata, Context, ImplementationMetadata

LAUNCH_SECONDS = 100.0
"""Seconds for what may start an app and ask a person. The desktop agent itself gives up earlier, and says why."""
RESULT_SECONDS = 30.0
INTENT = "an intent's name is text"


class IntentResolution(WithAio):
    """An intent on its way: `source` handles it. `get_result` waits for what the handler returns."""

    def __init__(self, client: Client, resolution: dict[str, Any], result: Answer) -> None:
        self._client = client
        self._result = result
        self.source = msgspec.convert(resolution["source"], AppIdentifier)
        self.intent: str = resolution["intent"]

    @call(RESULT_SECONDS)
    def get_result(self) -> Steps[Context | Channel | None]:
        """The handler's result: a context, a channel (perhaps a private one) or `None`. May be asked for again.

        Raises `FDC3Error`: "IntentHandlerRejected" when the handler failed or its app ended, "NoResultReturned" when it
        returned something else.
        """
        result = (yield self._result)["intentResult"]
        if result.get("channel"):
            return channel_of(self._client, result["channel"])
        return result.get("context")

    def __repr__(self) -> str:
        state = "its result has come" if self._result.done() else "its result is still to come"
        return f"<{self.intent} by {self.source.app_id}: {state}>"


class DesktopAgent(WithAio):
    """What an app talks to others with. Calls raise `FDC3Error`, whose `name` is FDC3's word for what went wrong."""

    def __init__(self, client: Client) -> None:
        self._client = client

    # --- contexts

    @call(REQUEST_SECONDS, one_way=True)
    def broadcast(self, context: Context) -> Steps[None]:
        """Send a context to everyone on the joined user channel. Without one nobody hears it, and a warning says so.

        Returns once the desktop agent has passed it on. In a handler, and on an app's Python side, it returns at once,
        and what the desktop agent refuses is reported instead of raised.
        """
        channel_id, context = self._client.joined, checked(context)
        if channel_id is None:
            warnings.warn("nobody heard this: join_user_channel() first, or broadcast on a channel", stacklevel=4)
            return
        yield self._client.ask("broadcastRequest", {"channelId": channel_id, "context": context})

    @call(REQUEST_SECONDS)
    def add_context_listener(self, context_type: str | None, handler: ContextHandler) -> Steps[Listener]:
        """Call `handler(context, metadata)` for contexts of this type (`None`: of any) on the joined user channel.

        It follows from channel to channel, and begins with the channel's last context where there is one. Returns the
        listener, whose `unsubscribe()` ends it.
        """
        handler = taking(handler, *HANDED)
        return (yield from self._client.begun(ContextListener(self._client, None, type_of(context_type), handler)))

    # --- user channels

    @call(REQUEST_SECONDS)
    def get_user_channels(self) -> Steps[list[Channel]]:
        """The user channels, with their names and colours: a list of `Channel`."""
        found = (yield self._client.ask("getUserChannelsRequest", {}))["userChannels"]
        return [channel_of(self._client, channel) for channel in found]

    @call(REQUEST_SECONDS)
    def join_user_channel(self, channel: Any) -> Steps[None]:
        """Join a user channel, given by its id or itself; the one joined before is left."""
        channel_id = text(getattr(channel, "id", channel), "a user channel is named by its id, or is a `Channel`")
        yield self._client.ask("joinUserChannelRequest", {"channelId": channel_id})

    @call(REQUEST_SECONDS)
    def leave_current_channel(self) -> Steps[None]:
        """Leave the user channel that is joined, if one is."""
        yield self._client.ask("leaveCurrentChannelRequest", {})

    @call(REQUEST_SECONDS)
    def get_current_channel(self) -> Steps[Channel | None]:
        """The user channel that is joined, or `None`."""
        joined = (yield self._client.ask("getCurrentChannelRequest", {}))["channel"]
        return channel_of(self._client, joined) if joined else None

    # --- app channels and private ones

    @call(REQUEST_SECONDS)
    def get_or_create_channel(self, channel_id: str) -> Steps[Channel]:
        """The app channel of this name, made if need be."""
        channel_id = text(channel_id, "an app channel's id is text")
        found = yield self._client.ask("getOrCreateChannelRequest", {"channelId": channel_id})
        return channel_of(self._client, found["channel"])

    @call(REQUEST_SECONDS)
    def create_private_channel(self) -> Steps[PrivateChannel]:
        """A new private channel; others get it as the result of an intent that is handled here."""

        def leave(answer: dict[str, Any]) -> None:
            payload = {"channelId": answer["privateChannel"]["id"]}
            self._client.post_if_there("privateChannelDisconnectRequest", payload)

        made = yield self._client.ask("createPrivateChannelRequest", {}, undo=leave)
        return channel_of(self._client, made["privateChannel"])

    # --- intents

    @call(LAUNCH_SECONDS)
    def raise_intent(self, intent: str, context: Context, app: Any = None) -> Steps[IntentResolution]:
        """Have an intent handled, by an app that is started for it if need be. Returns an `IntentResolution`.

        `app`: who shall handle it: an app id, an `AppIdentifier` or what else has an `app_id`; with an `instance_id`
        that very instance.
        """
        payload = {"intent": text(intent, INTENT), "context": checked(context)}
        return (yield from self._raise("raiseIntentRequest", payload, app))

    @call(LAUNCH_SECONDS)
    def raise_intent_for_context(self, context: Context, app: Any = None) -> Steps[IntentResolution]:
        """The same, for whichever intent fits the context."""
        return (yield from self._raise("raiseIntentForContextRequest", {"context": checked(context)}, app))

    def _raise(self, kind: str, payload: dict[str, Any], app: Any) -> Steps[IntentResolution]:
        if app is not None:
            payload["app"] = _target(app)
        answer, result = self._client.raise_intent(kind, payload)
        return IntentResolution(self._client, (yield answer)["intentResolution"], result)

    @call(REQUEST_SECONDS)
    def add_intent_listener(self, intent: str, handler: ContextHandler) -> Steps[Listener]:
        """Handle an intent by `handler(context, metadata)`, which returns a context, a channel or `None`.

        Whoever raised it gets that as the result; if the handler raises, "IntentHandlerRejected". Returns the listener.
        """
        listener = IntentListener(self._client, text(intent, INTENT), taking(handler, *HANDED))
        return (yield from self._client.begun(listener))

    @call(REQUEST_SECONDS)
    def find_intent(
        self, intent: str, context: Context | None = None, result_type: str | None = None
    ) -> Steps[AppIntent]:
        """Who could handle an intent, with this context and a result of this type if given: an `AppIntent`."""
        wish = {"intent": text(intent, INTENT)} | _present(context=context and checked(context), resultType=result_type)
        return msgspec.convert((yield self._client.ask("findIntentRequest", wish))["appIntent"], AppIntent)

    @call(REQUEST_SECONDS)
    def find_intents_by_context(self, context: Context, result_type: str | None = None) -> Steps[list[AppIntent]]:
        """Which intents fit a context, and who could handle each: a list of `AppIntent`."""
        wish = {"context": checked(context)} | _present(resultType=result_type)
        found = (yield self._client.ask("findIntentsByContextRequest", wish))["appIntents"]
        return msgspec.convert(found, list[AppIntent])

    # --- apps

    @call(LAUNCH_SECONDS)
    def open(self, app: Any, context: Context | None = None) -> Steps[AppIdentifier]:
        """Start one more instance of an app, and give it a context once it listens for one.

        Returns its `AppIdentifier`. Raises `FDC3Error`: "AppNotFound", "ErrorOnLaunch", "AppTimeout".
        """
        wish = {"app": {"appId": _target(app)["appId"]}} | _present(context=context and checked(context))
        return msgspec.convert((yield self._client.ask("openRequest", wish))["appIdentifier"], AppIdentifier)

    @call(REQUEST_SECONDS)
    def find_instances(self, app: Any) -> Steps[list[AppIdentifier]]:
        """The instances of an app that are open: a list of `AppIdentifier`."""
        wish = {"app": {"appId": _target(app)["appId"]}}
        found = (yield self._client.ask("findInstancesRequest", wish))["appIdentifiers"]
        return msgspec.convert(found, list[AppIdentifier])

    @call(REQUEST_SECONDS)
    def get_app_metadata(self, app: Any) -> Steps[AppMetadata]:
        """What is known of an app, or of one instance: `AppMetadata`."""
        found = yield self._client.ask("getAppMetadataRequest", {"app": _target(app)})
        return msgspec.convert(found["appMetadata"], AppMetadata)

    @call(REQUEST_SECONDS)
    def get_info(self) -> Steps[ImplementationMetadata]:
        """The desktop agent itself, what it can do, and who asks: `ImplementationMetadata`."""
        found = yield self._client.ask("getInfoRequest", {})
        return msgspec.convert(found["implementationMetadata"], ImplementationMetadata)

    # --- events, and what was added here

    @call(REQUEST_SECONDS)
    def add_event_listener(self, event_type: str | None, handler: Callable[[AgentEvent], Any]) -> Steps[Listener]:
        """Call `handler(event)` for the desktop agent's events: "userChannelChanged", or `None` for any."""
        if event_type not in (None, "userChannelChanged"):
            raise ValueError(f'an event is "userChannelChanged", or None for any; not {event_type!r}')
        return (yield from self._client.begun(EventListener(self._client, event_type, taking(handler, "event"))))

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """All listeners that are active, on channels too, the oldest first."""
        return self._client.listeners

    @property
    def dropped(self) -> int:
        """How many messages were given up because handlers here were too slow for them."""
        return self._client.handlers.dropped


def _present(**fields: Any) -> dict[str, Any]:
    """Those that are not `None`."""
    return {name: value for name, value in fields.items() if value is not None}


def _target(app: Any) -> dict[str, str]:
    """An app as a request names it: from its id, or from what has an `app_id` and perhaps an `instance_id`."""
    if isinstance(app, str):
        return {"appId": app}
    app_id = getattr(app, "app_id", None)
    if not isinstance(app_id, str):
        raise TypeError(f"an app is named by its id or by what has an `app_id`, not by {app!r}")
    instance_id = getattr(app, "instance_id", None)
    return {"appId": app_id, "instanceId": instance_id} if instance_id else {"appId": app_id}
