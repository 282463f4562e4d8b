"""FDC3 app channels between instances: who hears what, in what order, and what nonsense is answered with."""

from __future__ import annotations

import json
import random
import uuid
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fdc3 import Desk

from labplatform.dacp import now
from labplatform.supervisor.fdc3 import channels
from labplatform.supervisor.fdc3.router import Router
from labplatform.supervisor.peer import TOGETHER

CHANNEL_REQUESTS = (
    "getOrCreateChannelRequest",
    "broadcastRequest",
    "addContextListenerRequest",
    "contextListenerUnsubscribeRequest",
    "getCurrentContextRequest",
)
USER_CHANNELS = [f"fdc3.channel.{number}" for number in range(1, 9)]
RESPONSES = {
    "getOrCreateChannelResponse": {"channel"},
    "broadcastResponse": set(),
    "addContextListenerResponse": {"listenerUUID"},
    "contextListenerUnsubscribeResponse": set(),
    "getCurrentContextResponse": {"context"},
}


class App:
    """An instance at the router, which keeps all it was sent and checks each message's shape."""

    def __init__(self, router: Router, name: str) -> None:
        self.router, self.name, self.heard = router, name, []
        router.connect(name, name, self.take)

    def take(self, data: bytes) -> None:
        message = json.loads(data)
        assert set(message) == {"type", "meta", "payload"}
        datetime.fromisoformat(message["meta"]["timestamp"])
        if "responseUuid" in message["meta"]:
            assert set(message["meta"]) == {"requestUuid", "responseUuid", "timestamp", "source"}
            uuid.UUID(message["meta"]["responseUuid"])
            assert message["meta"]["source"] == {"appId": self.name, "instanceId": self.name}
            if "error" in message["payload"]:
                assert set(message["payload"]) == {"error"}
                assert isinstance(message["payload"]["error"], str)
            else:
                assert set(message["payload"]) == RESPONSES[message["type"]]
        else:
            assert message["type"] == "broadcastEvent"
            assert set(message["meta"]) == {"eventUuid", "timestamp"}
            assert set(message["payload"]) == {"channelId", "context", "originatingApp"}
        self.heard.append(message)

    def ask(self, kind: str, **payload: Any) -> dict[str, Any]:
        """A request; its response's payload."""
        request = str(uuid.uuid4())
        meta = {"requestUuid": request, "timestamp": now()}
        self.router.receive(self.name, json.dumps({"type": kind, "meta": meta, "payload": payload}))
        answer = next(m for m in reversed(self.heard) if m["meta"].get("requestUuid") == request)
        assert answer["type"] == kind.replace("Request", "Response")
        return answer["payload"]

    def channel(self, channel: str = "prices") -> None:
        assert self.ask("getOrCreateChannelRequest", channelId=channel) == {"channel": {"id": channel, "type": "app"}}

    def listen(self, kind: str | None = None, channel: str = "prices") -> str:
        return self.ask("addContextListenerRequest", channelId=channel, contextType=kind)["listenerUUID"]

    def broadcast(self, context: Any, channel: str = "prices") -> dict[str, Any]:
        return self.ask("broadcastRequest", channelId=channel, context=context)

    def current(self, kind: str | None = None, channel: str = "prices") -> Any:
        return self.ask("getCurrentContextRequest", channelId=channel, contextType=kind)["context"]

    @property
    def contexts(self) -> list[Any]:
        """What it heard, in order."""
        return [m["payload"]["context"] for m in self.heard if m["type"] == "broadcastEvent"]


@pytest.fixture
def apps() -> tuple[App, App, App]:
    router = Router(Desk())
    trio = App(router, "one"), App(router, "two"), App(router, "three")
    trio[0].channel()
    return trio


def test_listeners_hear_their_type_and_nobody_hears_itself(apps):
    one, two, three = apps
    one.listen()
    two.listen("fdc3.instrument")
    three.listen(None)
    aapl, note = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}, {"type": "note"}
    assert one.broadcast(aapl) == {}
    one.broadcast(note)
    assert (one.contexts, two.contexts, three.contexts) == ([], [aapl], [aapl, note])
    event = next(m for m in two.heard if m["type"] == "broadcastEvent")
    assert event["payload"]["originatingApp"] == {"appId": "one", "instanceId": "one"}


def test_two_listeners_of_one_instance_make_one_event(apps):
    """The instance itself hands it to each of its listeners."""
    one, two, _ = apps
    two.listen("note")
    two.listen(None)
    one.broadcast({"type": "note"})
    assert len(two.contexts) == 1


def test_channels_are_apart(apps):
    one, two, _ = apps
    one.channel("news")
    two.listen(None, "news")
    one.broadcast({"type": "note"}, "prices")
    assert two.contexts == []


def test_the_last_context_of_each_type_and_of_all(apps):
    one, two, _ = apps
    assert two.current() is None
    for number in range(3):
        one.broadcast({"type": "a", "n": number})
        one.broadcast({"type": "b", "n": number})
    one.broadcast({"type": "a", "n": 9})
    assert two.current("a") == {"type": "a", "n": 9}
    assert two.current("b") == {"type": "b", "n": 2}
    assert two.current() == {"type": "a", "n": 9}
    assert two.current("c") is None


def test_a_context_passes_through_byte_by_byte(apps):
    one, two, _ = apps
    two.listen()
    odd = {"type": "note", "text": "Zürich \u2028 😀 \x00", "n": 12345678901234567890, "f": 1e-7, "deep": [[[{}]]]}
    one.broadcast(odd)
    assert two.contexts == [odd]
    assert two.current() == odd


def test_who_unsubscribes_hears_no_more(apps):
    one, two, _ = apps
    listener = two.listen()
    one.broadcast({"type": "note"})
    assert two.ask("contextListenerUnsubscribeRequest", listenerUUID=listener) == {}
    one.broadcast({"type": "note"})
    assert len(two.contexts) == 1
    assert two.ask("contextListenerUnsubscribeRequest", listenerUUID=listener) == {"error": "ListenerNotFound"}
    assert one.ask("contextListenerUnsubscribeRequest", listenerUUID=two.listen()) == {"error": "ListenerNotFound"}


def test_who_is_gone_hears_no_more_and_says_no_more(apps):
    one, two, three = apps
    two.listen()
    one.router.disconnect("two")
    one.router.disconnect("two")
    one.broadcast({"type": "note"})
    assert two.contexts == []
    three.listen()
    one.router.receive("two", json.dumps({"type": "broadcastRequest", "meta": {"timestamp": now()}, "payload": {}}))
    assert three.contexts == []


def test_who_connects_again_keeps_its_listeners(apps):
    """A page's connection breaks and comes back: the same instance, a new way to reach it."""
    one, two, _ = apps
    two.listen()
    new: list[bytes] = []
    one.router.connect("two", "two", new.append)
    one.broadcast({"type": "note"})
    assert two.contexts == []
    assert json.loads(new[0])["payload"]["context"] == {"type": "note"}


def test_each_senders_order_is_kept(apps):
    one, two, three = apps
    three.listen()
    draw = random.Random(7)
    counts = {one: 0, two: 0}
    for _ in range(200):
        sender = draw.choice((one, two))
        sender.broadcast({"type": "tick", "from": sender.name, "n": counts[sender]})
        counts[sender] += 1
    for sender, count in counts.items():
        assert [c["n"] for c in three.contexts if c["from"] == sender.name] == list(range(count))


def test_names_that_cannot_be_had(apps):
    one, _, _ = apps
    for channel in USER_CHANNELS:
        assert one.ask("getOrCreateChannelRequest", channelId=channel) == {"error": "AccessDenied"}
    for kind, payload in (
        ("broadcastRequest", {"context": {"type": "note"}}),
        ("addContextListenerRequest", {"contextType": None}),
        ("getCurrentContextRequest", {"contextType": None}),
    ):
        assert one.ask(kind, channelId="nowhere", **payload) == {"error": "NoChannelFound"}
    assert one.ask("makeCoffeeRequest") == {"error": "MalformedMessage"}


def test_there_is_a_limit_to_channels_and_listeners(apps, monkeypatch):
    one, _, _ = apps
    monkeypatch.setattr(channels, "MOST_CHANNELS", 3)
    monkeypatch.setattr(channels, "MOST_LISTENERS", 2)
    one.channel("second")
    one.channel("third")
    assert one.ask("getOrCreateChannelRequest", channelId="fourth") == {"error": "CreationFailed"}
    one.channel("third")
    one.listen()
    one.listen()
    assert "error" in one.ask("addContextListenerRequest", channelId="prices", contextType=None)


@pytest.mark.parametrize(
    ("kind", "payload", "error"),
    [
        ("broadcastRequest", {"channelId": "prices"}, "MalformedContext"),
        ("broadcastRequest", {"channelId": "prices", "context": "text"}, "MalformedContext"),
        ("broadcastRequest", {"channelId": "prices", "context": {"no": "type"}}, "MalformedContext"),
        ("broadcastRequest", {"channelId": 7, "context": {"type": "note"}}, "MalformedMessage"),
        ("addContextListenerRequest", {"channelId": "prices", "contextType": ["a"]}, "MalformedContext"),
        ("getOrCreateChannelRequest", {}, "MalformedContext"),
        ("getOrCreateChannelRequest", {"channelId": None}, "MalformedContext"),
        ("contextListenerUnsubscribeRequest", {"listenerUUID": {}}, "MalformedMessage"),
    ],
)
def test_a_malformed_payload_is_answered_with_an_error(apps, kind, payload, error):
    one, two, _ = apps
    two.listen()
    assert one.ask(kind, **payload) == {"error": error}
    assert two.contexts == []


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"text"', "{}", '{"type": "x"}', '{"type": 1, "meta": {}}'])
def test_what_is_no_message_is_told_to_the_caller(apps, text):
    one, _, _ = apps
    before = len(one.heard)
    with pytest.raises(msgspec.DecodeError):
        one.router.receive("one", text)
    assert len(one.heard) == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
kinds = st.sampled_from([*CHANNEL_REQUESTS, "openRequest", "Request", "broadcastEvent", "x"])


@given(
    kinds,
    json_values,
    st.dictionaries(st.sampled_from(["channelId", "contextType", "context", "listenerUUID"]), json_values),
)
def test_no_payload_breaks_it(kind, loose, fields):
    """Whatever the payload is, a request gets one response of the right shape, and the next request works."""
    router = Router(Desk())
    one = App(router, "one")
    one.channel()
    for payload in (loose, fields):
        before = len(one.heard)
        message = {"type": kind, "meta": {"requestUuid": "r", "timestamp": now()}, "payload": payload}
        router.receive("one", json.dumps(message))
        assert len(one.heard) - before == kind.endswith("Request")
    assert one.broadcast({"type": "note"}) == {}


def test_a_message_goes_on_in_one_line(apps):
    """A page tells the messages of one frame apart by their line breaks."""
    one, two, _ = apps
    two.listen()
    heard: list[bytes] = []
    one.router.connect("two", "two", heard.append)
    context = {"type": "note", "text": "two\nlines", "list": [1, {"x": None}]}
    payload = {"channelId": "prices", "context": context}
    message = {"type": "broadcastRequest", "meta": {"requestUuid": "r", "timestamp": now()}, "payload": payload}
    one.router.receive("one", json.dumps(message, indent=2))
    assert json.loads(heard[0])["payload"]["context"] == context
    assert b"\n" not in heard[0]


def test_broadcasts_and_their_answers_are_what_goes_together(apps):
    """A peer tells them by how they begin, without reading them."""
    one, two, _ = apps
    two.listen()
    heard: dict[str, list[bytes]] = {"one": [], "two": []}
    for name, said in heard.items():
        one.router.connect(name, name, said.append)
    payload = {"channelId": "prices", "context": {"type": "note"}}
    message = {"type": "broadcastRequest", "meta": {"requestUuid": "r", "timestamp": now()}, "payload": payload}
    one.router.receive("one", json.dumps(message))
    assert [len(said) for said in heard.values()] == [1, 1]
    assert all(said[0].startswith(TOGETHER) for said in heard.values())
    two.router.receive("two", json.dumps(message | {"type": "getInfoRequest", "payload": {}}))
    assert not heard["two"][-1].startswith(TOGETHER)
