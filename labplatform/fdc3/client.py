"""Requests, answers and events over one transport, for whatever speaks FDC3 in Python. Any process. Thread-safe.

`send` takes each message as JSON bytes and raises if it cannot go out. Whoever owns the transport calls `receive` with
what arrives, from one thread, in order. That thread only sorts: answers are given and listeners begin there, so that
none misses what comes right behind its answer; handlers run in `handlers`.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

import msgspec

from .. import dacp
from ..errors import BadRequest, FDC3Error, LabError
from ..messages import MAX_MESSAGE
from .handlers import Delivery, Handlers
from .types import AgentEvent, ChannelType, Context, ContextMetadata

MOST_ABANDONED = 1000
"""Requests that nobody waits for any more whose answers would still have to be undone."""
_PRIVATE = {
    "privateChannelOnAddContextListenerEvent": "addContextListener",
    "privateChannelOnUnsubscribeEvent": "unsubscribe",
    "privateChannelOnDisconnectEvent": "disconnect",
}
MEANINGS = {
    "AccessDenied": "this channel may not be used here: a private one that was not handed over, or a user channel's id",
    "AgentDisconnected": "the connection to the desktop agent ended",
    "ApiTimeout": "the desktop agent could not do it, or not in time; its log may say why",
    "AppNotFound": "no app of this id has a manifest here",
    "AppTimeout": "the app did not come up, ask for its desktop agent, or add a listener for the context, in time",
    "CreationFailed": "there are too many of these already, or it may not be called that",
    "ErrorOnLaunch": "the app did not come up; the platform's events say why",
    "IntentDeliveryFailed": "the app that was to handle it added no listener for it, in time or before it ended",
    "IntentHandlerRejected": "the app that handles it failed, or ended before it had a result",
    "ListenerNotFound": "there is no such listener",
    "MalformedContext": "a context is a dict of JSON values with a text `type`",
    "NoAppsFound": "no app here handles this intent or context",
    "NoChannelFound": "there is no such channel; `get_user_channels()` names the user channels",
    "NoResultReturned": "what the handler returned is no result: neither a context, nor a channel, nor nothing",
    "ResolverTimeout": "several apps could handle it, and nobody chose in time",
    "ResolverUnavailable": "several apps could handle it, and nobody was there who could choose; name one with `app=`",
    "TargetAppUnavailable": "no app of this id is known here, or it cannot be started; the platform's events say why",
    "TargetInstanceUnavailable": "this instance has ended, or never was",
    "UserCancelledResolution": "several apps could handle it, and the choice was cancelled",
}
"""FDC3's names for what went wrong, in plain words."""


def refusal(name: str, asked: str) -> FDC3Error:
    """FDC3's error of this name, in answer to what was asked."""
    meaning = MEANINGS.get(name)
    return FDC3Error(f"{name}: {meaning} ({asked})" if meaning else f"{name} ({asked})", error=name)


class Answer(Future):
    """The payload that will come in answer to a request. `asked`: the request in a few words."""

    def __init__(self, request: str, kind: str, asked: str = "") -> None:
        super().__init__()
        self.request = request
        self.kind = kind
        self.asked = asked or kind
        self.then: Callable[[Any], None] | None = None
        self.undo: Callable[[Any], None] | None = None


class Listener:
    """Something that is listened for, until `unsubscribe()`. Also a context manager, which ends it."""

    ADD, REMOVE = "", ""

    def __init__(self, client: Client, handler: Callable[..., Any]) -> None:
        self._client = client
        self.handler = handler
        self.id: str | None = None
        """The desktop agent's name for it, once it has one."""
        self.active = False
        """Whether it is listened for now."""
        self._ended = False

    @property
    def wish(self) -> dict[str, Any]:
        """The payload of the request that begins it."""
        return {}

    def begin(self) -> Answer:
        """Ask for it; from the answer on its handler is called."""
        return self._client.ask(self.ADD, self.wish, then=self._begun, undo=self._unwanted)

    def unsubscribe(self) -> None:
        """End it, now: its handler is not called again. Does not wait, and may be called in a handler."""
        self._ended = True
        if self.active:
            self.pause()
            self._client.post_if_there(self.REMOVE, {"listenerUUID": self.id})

    def pause(self) -> None:
        """Its handler is not called until it has begun once more."""
        self.active = False
        self._client.forget(self)

    def _begun(self, answer: dict[str, Any]) -> None:
        self.id = answer["listenerUUID"]
        if self._ended:
            # While its answer was on its way.
            self._client.post_if_there(self.REMOVE, {"listenerUUID": self.id})
        else:
            self.active = True
            self._client.remember(self)

    def _unwanted(self, answer: dict[str, Any]) -> None:
        self._ended = True
        self.pause()
        self._client.post_if_there(self.REMOVE, {"listenerUUID": answer["listenerUUID"]})

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: Any) -> None:
        self.unsubscribe()


class ContextListener(Listener):
    """Listens for contexts of one type (`None`: any), on a channel or, without one, on the joined user channel."""

    ADD, REMOVE = "addContextListenerRequest", "contextListenerUnsubscribeRequest"

    def __init__(
        self,
        client: Client,
        channel_id: str | None,
        context_type: str | None,
        handler: Callable[..., Any],
        channel_type: ChannelType = "user",
    ) -> None:
        super().__init__(client, handler)
        self.channel_id, self.context_type = channel_id, context_type
        self.channel_type = channel_type
        self.heard = 0

    @property
    def wish(self) -> dict[str, Any]:
        return {"channelId": self.channel_id, "contextType": self.context_type}

    def is_for(self, channel_id: str | None, context_type: str) -> bool:
        """Whether it is for what comes over this channel; over none comes what an app is opened with."""
        here = (None, self._client.joined) if self.channel_id is None else (self.channel_id,)
        return channel_id in here and self.context_type in (None, context_type)

    def _begun(self, answer: dict[str, Any]) -> None:
        super()._begun(answer)
        if self.active and self.channel_id is None:
            self._client.catch_up(self)

    def __repr__(self) -> str:
        where = "the joined user channel" if self.channel_id is None else self.channel_id
        return f"<listener for {self.context_type or 'any context'} on {where}{'' if self.active else ', ended'}>"


class IntentListener(Listener):
    """Handles an intent."""

    ADD, REMOVE = "addIntentListenerRequest", "intentListenerUnsubscribeRequest"

    def __init__(self, client: Client, intent: str, handler: Callable[..., Any]) -> None:
        super().__init__(client, handler)
        self.intent = intent

    @property
    def wish(self) -> dict[str, Any]:
        return {"intent": self.intent}

    def __repr__(self) -> str:
        return f"<handler of {self.intent}{'' if self.active else ', ended'}>"


class EventListener(Listener):
    """Listens for the desktop agent's own events of one type (`None`: any)."""

    ADD, REMOVE = "addEventListenerRequest", "eventListenerUnsubscribeRequest"

    def __init__(self, client: Client, event_type: str | None, handler: Callable[..., Any]) -> None:
        super().__init__(client, handler)
        self.event_type = event_type

    @property
    def wish(self) -> dict[str, Any]:
        # On the wire events have other names than in the API.
        return {"type": self.event_type and "USER_CHANNEL_CHANGED"}

    def __repr__(self) -> str:
        return f"<listener for {self.event_type or 'any event'}{'' if self.active else ', ended'}>"


class PrivateListener(Listener):
    """Listens for one kind of event of a private channel."""

    ADD = "privateChannelAddEventListenerRequest"
    REMOVE = "privateChannelUnsubscribeEventListenerRequest"

    def __init__(self, client: Client, channel_id: str, event_type: str, handler: Callable[..., Any]) -> None:
        super().__init__(client, handler)
        self.channel_id, self.event_type = channel_id, event_type

    @property
    def wish(self) -> dict[str, Any]:
        return {"privateChannelId": self.channel_id, "listenerType": self.event_type}

    def __repr__(self) -> str:
        return f"<listener for {self.event_type} on {self.channel_id}{'' if self.active else ', ended'}>"


class Client:
    """One instance's side of the protocol.

    `opens`: whether its first request is preceded by the getInfoRequest by which it counts as open to others.
    `patient`: whether a blocking broadcast waits until the desktop agent has passed it on.
    """

    def __init__(
        self, send: Callable[[bytes], None], handlers: Handlers, *, opens: bool = True, patient: bool = True
    ) -> None:
        self._send = send
        self.handlers = handlers
        self.patient = patient
        self.max_message = MAX_MESSAGE
        """Bytes that one message may have."""
        self.joined: str | None = None
        """The id of the user channel that this instance has joined."""
        self._opens = opens
        self._opened = False
        self._lock = threading.Lock()
        self._waiting: dict[str, Answer] = {}
        self._abandoned: dict[str, Callable[[Any], None]] = {}
        self._results: weakref.WeakValueDictionary[str, Answer] = weakref.WeakValueDictionary()
        self._listeners: dict[Listener, None] = {}
        self._events: dict[str, Callable[[dacp.Envelope, Any, int], None]] = {
            "broadcastEvent": self._broadcast,
            "intentEvent": self._intent,
            "channelChangedEvent": self._channel_changed,
            "heartbeatEvent": self._heartbeat,
            **dict.fromkeys(_PRIVATE, self._private_event),
        }

    # --- the transport's part

    def prepare(self, timeout: float) -> None:
        """Be connected, or raise why that is not possible; may take `timeout` seconds."""

    async def prepare_soon(self, timeout: float) -> None:  # noqa: ASYNC109
        """The same without holding up the event loop."""

    # --- requests

    def ask(
        self,
        kind: str,
        payload: dict[str, Any],
        then: Callable[[Any], None] | None = None,
        undo: Callable[[Any], None] | None = None,
    ) -> Answer:
        """Send a request. Its answer's payload is given to `then` on the receiving thread, before what follows it.

        If nobody waits for it any more, it is given to `undo` instead. Raises what `send` does, and `BadRequest` for a
        message over the limit.
        """
        answer = Answer(dacp.new_id(), kind, _asked(kind, payload))
        answer.then, answer.undo = then, undo
        with self._lock:
            self._waiting[answer.request] = answer
        try:
            self._request(answer.request, kind, payload)
        except BaseException:
            with self._lock:
                self._waiting.pop(answer.request, None)
            raise
        return answer

    def raise_intent(self, kind: str, payload: dict[str, Any]) -> tuple[Answer, Answer]:
        """Send a raiseIntentRequest or its like: its answer, and the one that brings the handler's result."""
        asked = _asked(kind, payload)
        answer = Answer(dacp.new_id(), kind, asked)
        result = Answer("", "raiseIntentResultResponse", f"the result of {asked}")
        with self._lock:
            self._waiting[answer.request] = answer
            self._results[answer.request] = result
        try:
            self._request(answer.request, kind, payload)
        except BaseException:
            with self._lock:
                self._waiting.pop(answer.request, None)
            raise
        return answer, result

    def post(self, kind: str, payload: dict[str, Any]) -> None:
        """Send a request and wait for nothing; an error in answer to it is reported."""
        self._request(dacp.new_id(), kind, payload)

    def post_if_there(self, kind: str, payload: dict[str, Any]) -> None:
        """The same, for what needs not be said any more once the connection is gone."""
        try:
            self.post(kind, payload)
        except LabError:
            pass

    def abandon(self, answer: Answer) -> None:
        """Nobody waits for it any more: what it brings, or has brought, is undone."""
        undo = answer.undo or _nothing
        with self._lock:
            waiting = self._waiting.pop(answer.request, None)
            if waiting:
                while len(self._abandoned) >= MOST_ABANDONED:
                    del self._abandoned[next(iter(self._abandoned))]
                self._abandoned[answer.request] = undo
        if waiting is None and answer.done() and not answer.exception():
            undo(answer.result())

    def let_go(self, answer: Answer) -> None:
        """Nobody waits for it; an error is reported."""
        with self._lock:
            waiting = self._waiting.pop(answer.request, None)
        if waiting is None and answer.done() and (error := answer.exception()):
            self._report(error)

    def _request(self, request: str, kind: str, payload: dict[str, Any]) -> None:
        if not self._opened and self._opens:
            self._opened = True
            if kind != "getInfoRequest":
                self._request(dacp.new_id(), "getInfoRequest", {})
        meta = {"requestUuid": request, "timestamp": dacp.now()}
        try:
            data = dacp.encode({"type": kind, "meta": meta, "payload": payload})
        except (TypeError, ValueError, RecursionError) as error:
            raise refusal("MalformedContext", f"{kind}: {error}") from None
        if len(data) > self.max_message:
            raise BadRequest(f"a message of {len(data)} bytes is over the limit of {self.max_message} ({kind})")
        self._send(data)

    # --- listeners

    def begun(self, listener: Listener) -> Generator[Answer, Any, Listener]:
        """A step of a call: the listener, once the desktop agent has it."""
        yield listener.begin()
        return listener

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Those that are active, the oldest first."""
        with self._lock:
            return tuple(self._listeners)

    def remember(self, listener: Listener) -> None:
        """It is listened for from now on."""
        with self._lock:
            self._listeners[listener] = None

    def forget(self, listener: Listener) -> None:
        """It is no longer."""
        with self._lock:
            self._listeners.pop(listener, None)

    def forget_channel(self, channel_id: str) -> None:
        """A private channel is of no more use here, nor are the listeners on it."""
        for listener in self.listeners:
            if getattr(listener, "channel_id", None) == channel_id:
                listener.pause()

    def catch_up(self, listener: ContextListener) -> None:
        """Give a listener the joined user channel's last context, unless it hears a newer one first."""
        channel_id, heard = self.joined, listener.heard
        if channel_id is None:
            return

        def give(answer: dict[str, Any]) -> None:
            context = answer.get("context")
            if context and listener.active and listener.heard == heard and self.joined == channel_id:
                # FDC3's getCurrentContext does not say who sent it.
                self._give_context(listener, context, ContextMetadata(), 0)

        try:
            self.ask("getCurrentContextRequest", {"channelId": channel_id, "contextType": listener.context_type}, give)
        except LabError:
            pass

    # --- what arrives

    def receive(self, data: bytes) -> None:
        """Take one message from the transport. Raises `msgspec.DecodeError` for what is none."""
        message = dacp.read_envelope(data)
        payload = _read_payload(message.payload)
        if message.meta.response_uuid is not None:
            self._answered(message, payload)
        elif event := self._events.get(message.type):
            event(message, payload, len(data))

    def _answered(self, message: dacp.Envelope, payload: dict[str, Any]) -> None:
        request = message.meta.request_uuid or ""
        error = payload.get("error")
        if message.type == "raiseIntentResultResponse":
            with self._lock:
                result = self._results.pop(request, None)
            if result:
                _settle(result, payload, refusal(error, result.asked) if error else None)
            return
        with self._lock:
            answer = self._waiting.pop(request, None)
            undo = self._abandoned.pop(request, None)
        asked = message.type.removesuffix("Response") + "Request"
        if answer is None:
            if undo and not error:
                undo(payload)
            elif error and not undo:
                self._report(refusal(error, asked))
            return
        if answer.then and not error:
            answer.then(payload)
        _settle(answer, payload, refusal(error, answer.asked) if error else None)

    def _report(self, error: BaseException) -> None:
        self.handlers.report(f"a request that nobody waits for was refused: {error}")

    def _broadcast(self, message: dacp.Envelope, payload: dict[str, Any], size: int) -> None:
        context, channel_id = payload["context"], payload.get("channelId")
        metadata = _sender(payload)
        for listener in self.listeners:
            if isinstance(listener, ContextListener) and listener.is_for(channel_id, context["type"]):
                self._give_context(listener, context, metadata, size)

    def _give_context(self, listener: ContextListener, context: Context, metadata: ContextMetadata, size: int) -> None:
        listener.heard += 1
        self._deliver(listener, context["type"], (context, metadata), size)

    def _deliver(
        self,
        listener: Listener,
        what: str,
        arguments: tuple[Any, ...],
        size: int,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> None:
        what = f"the handler of {what}"
        # One that ends while its message waits is not called any more.
        wanted = lambda: listener.active  # noqa: E731
        self.handlers.put(Delivery(what, listener.handler, arguments, size, then, failed, wanted))

    def _intent(self, message: dacp.Envelope, payload: dict[str, Any], size: int) -> None:
        for listener in self.listeners:
            if isinstance(listener, IntentListener) and listener.intent == payload["intent"]:
                self._handle(listener, message, payload, size)

    def _handle(self, listener: IntentListener, message: dacp.Envelope, payload: dict[str, Any], size: int) -> None:
        from .channels import result_of

        # FDC3's protocol has no word for a handler that failed; these two are ours, and the desktop agent's.
        failure = "IntentHandlerRejected"

        def answer(result: dict[str, Any]) -> None:
            event, request = message.meta.event_uuid, payload["raiseIntentRequestUuid"]
            ids = {"intentEventUuid": event, "raiseIntentRequestUuid": request}
            self.post("intentResultRequest", {**ids, "intentResult": result})

        def give(returned: Any) -> None:
            nonlocal failure
            try:
                answer(result_of(returned))
            except (FDC3Error, BadRequest):
                # It is no result, or too large for one: the handler's fault.
                failure = "NoResultReturned"
                raise
            except LabError:
                # Nobody is there any more to whom it could go.
                pass

        arguments = (payload["context"], _sender(payload))
        self._deliver(listener, listener.intent, arguments, size, give, lambda: answer({"error": failure}))

    def _channel_changed(self, message: dacp.Envelope, payload: dict[str, Any], size: int) -> None:
        self.joined = payload.get("newChannelId")
        event = AgentEvent(type="userChannelChanged", details={"newChannelId": self.joined})
        for listener in self.listeners:
            if isinstance(listener, ContextListener) and listener.channel_id is None:
                self.catch_up(listener)
            elif isinstance(listener, EventListener) and listener.event_type in (None, event.type):
                self._deliver(listener, event.type, (event,), size)

    def _private_event(self, message: dacp.Envelope, payload: dict[str, Any], size: int) -> None:
        kind = _PRIVATE[message.type]
        arguments = () if kind == "disconnect" else (payload.get("contextType"),)
        for listener in self.listeners:
            if isinstance(listener, PrivateListener) and (listener.channel_id, listener.event_type) == (
                payload["privateChannelId"],
                kind,
            ):
                self._deliver(listener, kind, arguments, size)

    def _heartbeat(self, message: dacp.Envelope, payload: dict[str, Any], size: int) -> None:
        # Where handlers run, behind those that wait: silence then means that they are stuck.
        beat = {"heartbeatEventUuid": message.meta.event_uuid}
        acknowledge = Delivery(
            "the heartbeat", lambda: self.post_if_there("heartbeatAcknowledgementRequest", beat), size=size
        )
        self.handlers.put(acknowledge)

    # --- a connection that ends

    def fail(self, error: LabError) -> None:
        """The connection is gone: nothing that is waited for will come over it."""
        with self._lock:
            answers = [*self._waiting.values(), *self._results.values()]
            self._waiting.clear()
            self._results.clear()
            self._abandoned.clear()
        for answer in answers:
            _settle(answer, None, error)

    def restore(self) -> None:
        """Over a new connection, as a new instance: join and listen again, without waiting. Private channels are over.

        Their `disconnect` handlers are called, as if everybody else had left.
        """
        joined, self.joined, self._opened = self.joined, None, False
        listeners = self.listeners
        channels: set[str] = set()
        for listener in listeners:
            listener.pause()
        if joined:
            self.ask("joinUserChannelRequest", {"channelId": joined})
        for listener in listeners:
            if isinstance(listener, PrivateListener):
                if listener.event_type == "disconnect":
                    self.handlers.put(Delivery("the handler of disconnect", listener.handler))
                continue
            if isinstance(listener, ContextListener) and listener.channel_id is not None:
                if listener.channel_type == "private":
                    continue
                if listener.channel_type == "app" and listener.channel_id not in channels:
                    channels.add(listener.channel_id)
                    self.ask("getOrCreateChannelRequest", {"channelId": listener.channel_id})
            listener.begin()


def _read_payload(payload: msgspec.Raw) -> Any:
    """A payload as Python values. What its sender wrote as a number need not fit one: as in a page, it is infinite."""
    try:
        return msgspec.json.decode(payload)
    except msgspec.ValidationError:
        return json.loads(bytes(payload), parse_int=lambda digits: int(digits) if len(digits) < 300 else float(digits))


def _asked(kind: str, payload: dict[str, Any]) -> str:
    """A request in a few words: which intent, app, channel or context it was about."""
    app, context = payload.get("app") or {}, payload.get("context") or {}
    told = [payload.get("intent"), app.get("appId"), payload.get("channelId"), context.get("type")]
    about = ", ".join(f"{one!s:.100}" for one in told if one)
    return f"{kind}: {about}" if about else kind


def _nothing(answer: Any) -> None:
    """Nothing of it needs to be undone."""


def _settle(answer: Answer, payload: Any, error: LabError | None) -> None:
    if error:
        answer.set_exception(error)
    else:
        answer.set_result(payload)


def _sender(payload: dict[str, Any]) -> ContextMetadata:
    source = payload.get("originatingApp")
    return ContextMetadata(source=msgspec.convert(source, dacp.AppIdentifier) if source else None)
