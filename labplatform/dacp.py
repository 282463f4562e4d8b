"""FDC3's wire protocol (Desktop Agent Communication Protocol, FDC3 2.2) as Python speaks it. Shared by all processes.

`Envelope` is what a router needs of any message; the payload stays undecoded. `Client` is the asking side: it matches
responses to requests and events to listeners, over any transport that can send bytes.

Message shapes: https://fdc3.finos.org/docs/2.2/api/specs/desktopAgentCommunicationProtocol
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

import msgspec

from .errors import LabError, LabTimeout

REQUEST_TIMEOUT = 5.0
"""Seconds a request may wait for its response."""

Context = dict[str, Any]
Handler = Callable[[Context, dict[str, Any]], None]


class AppIdentifier(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which app, and which instance of it."""

    app_id: str
    instance_id: str | None = None


class Meta(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The part of a message that says which request, response or event it is. Unknown fields pass."""

    timestamp: str
    request_uuid: str | None = None
    response_uuid: str | None = None
    event_uuid: str | None = None
    source: AppIdentifier | None = None


class Envelope(msgspec.Struct, frozen=True):
    """A DACP message with its payload left as it came."""

    type: str
    meta: Meta
    payload: msgspec.Raw = msgspec.Raw(b"{}")


read_envelope = msgspec.json.Decoder(Envelope).decode
encode = msgspec.json.encode


def now() -> str:
    """The time as DACP wants it: ISO 8601, UTC."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@functools.lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    # Every message carries a time, and most of them fall into the same second.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def new_id() -> str:
    """A fresh identifier for a request, response, event or listener: a random UUID, made faster than `uuid` does."""
    random = os.urandom(16).hex()
    return f"{random[:8]}-{random[8:12]}-4{random[13:16]}-a{random[17:20]}-{random[20:]}"


class Fdc3Error(LabError):
    """A request was answered with one of FDC3's error names; `str(error)` starts with it."""


class Channel:
    """An app channel, as a Python side sees it."""

    def __init__(self, client: Client, channel_id: str) -> None:
        self._client = client
        self.id = channel_id

    def broadcast(self, context: Context) -> None:
        """Send a context to everyone who listens on this channel. Raises `ValueError`, `LabError`."""
        if not isinstance(context, dict) or not isinstance(context.get("type"), str):
            raise ValueError("a context is a dict with a text `type`")
        self._client.post("broadcastRequest", {"channelId": self.id, "context": context})

    def add_context_listener(self, context_type: str | None, handler: Handler) -> Callable[[], None]:
        """Call `handler(context, metadata)` for contexts of this type (`None`: of any). Returns what ends it."""
        return self._client.listen(self.id, context_type, handler)

    def get_current_context(self, context_type: str | None = None) -> Context | None:
        """The last context broadcast here, of this type or of any; `None` if there was none."""
        payload = {"channelId": self.id, "contextType": context_type}
        return self._client.ask("getCurrentContextRequest", payload).get("context")

    def __repr__(self) -> str:
        return f"<Channel {self.id}>"


class Client:
    """Requests, responses and events over one transport. Thread-safe.

    `send` gets each message as JSON bytes. Whoever owns the transport calls `receive` with what arrives, and handlers
    run inside that call.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._waiting: dict[str, Future[dict[str, Any]]] = {}
        self._listeners: dict[str, tuple[str, str | None, Handler]] = {}
        self._lock = threading.Lock()

    def channel(self, channel_id: str) -> Channel:
        """The app channel of this name, made if need be."""
        self.ask("getOrCreateChannelRequest", {"channelId": channel_id})
        return Channel(self, channel_id)

    def post(self, kind: str, payload: dict[str, Any]) -> str:
        """Send a request and forget it. Returns its id."""
        request = new_id()
        self._send(encode({"type": kind, "meta": {"requestUuid": request, "timestamp": now()}, "payload": payload}))
        return request

    def ask(self, kind: str, payload: dict[str, Any], timeout: float = REQUEST_TIMEOUT) -> dict[str, Any]:
        """Send a request and wait for the payload of its response. Raises `Fdc3Error`, `LabTimeout`."""
        future: Future[dict[str, Any]] = Future()
        request = new_id()
        with self._lock:
            self._waiting[request] = future
        try:
            self._send(encode({"type": kind, "meta": {"requestUuid": request, "timestamp": now()}, "payload": payload}))
            if not wait([future], timeout).done:
                raise LabTimeout(f"no answer to {kind} within {timeout:g} s")
            answer = future.result()
        finally:
            with self._lock:
                self._waiting.pop(request, None)
        if "error" in answer:
            raise Fdc3Error(f"{answer['error']}, in answer to {kind}", error=answer["error"])
        return answer

    def listen(self, channel_id: str, context_type: str | None, handler: Handler) -> Callable[[], None]:
        """Register a context listener; returns the function that ends it."""
        payload = {"channelId": channel_id, "contextType": context_type}
        listener = self.ask("addContextListenerRequest", payload)["listenerUUID"]
        with self._lock:
            self._listeners[listener] = (channel_id, context_type, handler)

        def unsubscribe() -> None:
            with self._lock:
                known = self._listeners.pop(listener, None)
            if known:
                self.ask("contextListenerUnsubscribeRequest", {"listenerUUID": listener})

        return unsubscribe

    def receive(self, data: bytes) -> None:
        """Take one message from the transport."""
        message = read_envelope(data)
        payload = msgspec.json.decode(message.payload)
        if message.meta.response_uuid is not None:
            with self._lock:
                future = self._waiting.get(message.meta.request_uuid or "")
            if future and not future.done():
                future.set_result(payload)
        elif message.type == "broadcastEvent":
            with self._lock:
                listeners = list(self._listeners.values())
            context = payload["context"]
            for channel_id, context_type, handler in listeners:
                if channel_id == payload.get("channelId") and context_type in (None, context.get("type")):
                    handler(context, payload.get("originatingApp") or {})
