"""The desktop agent against messages of any form: FDC3's error for each, nobody else notices, and nothing is left."""

from __future__ import annotations

import json
import random

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fdc3 import App, World
from support.fdc3_schemas import Schemas
from support.spoiled import NOTE, spoiled, text_of

from labplatform.dacp import now
from labplatform.supervisor.fdc3.errors import Fdc3ErrorName


def test_every_request_of_the_standard_is_handled(world, schemas):
    assert len(schemas.requests) == 27
    assert set(world.router._handlers) == schemas.requests
    # A response each, but for the acknowledgement; and the one that brings an intent's result.
    responses = {kind.replace("Request", "Response") for kind in schemas.requests}
    responses ^= {"heartbeatAcknowledgementResponse", "raiseIntentResultResponse"}
    assert responses == schemas.responses


def test_the_schemas_do_refuse(schemas):
    """Or a check that passes would prove nothing."""
    good = {
        "type": "joinUserChannelResponse",
        "meta": {"requestUuid": "r", "responseUuid": "s", "timestamp": now()},
        "payload": {"error": "NoChannelFound"},
    }
    schemas.check(good)
    for wrong in (
        {"payload": {"error": "Oops"}},
        {"payload": {"more": 1}},
        {"meta": {"requestUuid": "r", "timestamp": now()}},
        {"extra": 1},
    ):
        with pytest.raises(jsonschema.ValidationError):
            schemas.check(good | wrong)


@pytest.mark.parametrize(
    ("kind", "payload", "error"),
    [
        ("raiseIntentRequest", {"intent": "Look"}, "MalformedContext"),
        ("raiseIntentRequest", {"intent": "Look", "context": None}, "MalformedContext"),
        ("raiseIntentRequest", {"intent": 7, "context": NOTE}, "MalformedMessage"),
        ("raiseIntentRequest", {"intent": "Look", "context": NOTE, "app": "name"}, "MalformedMessage"),
        ("raiseIntentForContextRequest", {}, "MalformedContext"),
        ("findIntentRequest", {"intent": "Look", "context": {"type": 7}}, "MalformedContext"),
        ("findIntentsByContextRequest", {}, "MalformedContext"),
        ("openRequest", {"app": {"appId": "list"}, "context": "text"}, "MalformedContext"),
        ("openRequest", {"app": {}}, "MalformedMessage"),
        ("findInstancesRequest", {}, "MalformedMessage"),
        ("getAppMetadataRequest", {"app": None}, "MalformedMessage"),
        ("getInfoRequest", [], "MalformedMessage"),
        ("addEventListenerRequest", {"type": "other"}, "MalformedMessage"),
        ("addIntentListenerRequest", {}, "MalformedContext"),
        ("joinUserChannelRequest", {"channelId": None}, "MalformedContext"),
        ("privateChannelAddEventListenerRequest", {"privateChannelId": "x", "listenerType": "y"}, "MalformedContext"),
        ("intentResultRequest", {"intentEventUuid": "x"}, "MalformedMessage"),
    ],
)
def test_a_malformed_request_gets_fdc3s_error(world, kind, payload, error):
    world.desk.declare("list")
    one = world.start("one")
    world.router.receive("one", text_of(kind, payload))
    assert one.answer_to("r") == {"error": error}


def test_nobody_speaks_for_another(world):
    one, two = world.start("one"), world.start("two")
    two.listen(None, "fdc3.channel.1")
    broadcast = {"channelId": "fdc3.channel.1", "context": NOTE}
    for number, source in enumerate(
        ({"appId": "two", "instanceId": "two"}, {"appId": "one", "instanceId": "two"}, {"appId": "two"})
    ):
        world.router.receive("one", text_of("broadcastRequest", broadcast, source=source, requestUuid=f"r{number}"))
        assert one.answer_to(f"r{number}") == {"error": "MalformedMessage"}
    assert two.contexts == []
    assert [instance for instance, _ in world.desk.remarks] == ["one"], "said once"
    for number, source in enumerate((one.identifier, {"appId": "one"})):
        world.router.receive("one", text_of("broadcastRequest", broadcast, source=source, requestUuid=f"s{number}"))
    assert [event["originatingApp"] for event in two.events("broadcastEvent")] == [one.identifier] * 2


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return text_of("broadcastRequest", {"channelId": "fdc3.channel.1", "context": {"type": "note", "x": "@"}}).replace(
        '"@"', opening * depth + ("1" if closing == "}" else "") + closing * depth
    )


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_what_others_could_not_read_goes_to_nobody(world, opening, closing):
    """A receiver puts some levels around it, and its stack may be deeper."""
    one, two = world.start("one"), world.start("two")
    two.listen(None, "fdc3.channel.1")
    world.router.receive("one", nested(90, opening, closing))
    assert one.answer_to("r") == {}
    for depth in (*range(400, 1100, 7), 100_000):
        try:
            world.router.receive("one", nested(depth, opening, closing))
        except msgspec.DecodeError:
            pass
    for event in two.heard:
        msgspec.json.decode(b'{"around":[' * 20 + json.dumps(event).encode() + b"]}" * 20)
    with pytest.raises(msgspec.DecodeError, match="nested"):
        world.router.receive("one", nested(100_000, opening, closing))


@pytest.mark.parametrize(
    "context",
    [b'{"type":"note","x":"\xff"}', b'{"type":"note","x":01}', b'{"type":"note","x":"\\ud800"}', b'{"type":"note"'],
)
def test_bytes_that_are_no_json_go_to_nobody(world, context):
    world.start("one")
    two = world.start("two")
    two.listen(None, "fdc3.channel.1")
    message = text_of("broadcastRequest", {"channelId": "fdc3.channel.1", "context": "@"}).encode()
    with pytest.raises(msgspec.DecodeError):
        world.router.receive("one", message.replace(b'"@"', context))
    assert two.contexts == []


def test_a_fault_of_ours_costs_nobody_a_connection(world):
    one = world.start("one")
    world.desk.apps = lambda: 1 / 0
    assert one.ask("findIntentRequest", intent="Look") == {"error": "ApiTimeout"}
    assert "ZeroDivisionError" in world.desk.remarks[0][1]


# --- anything at all


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "note", "fdc3.channel.1", "one", "list", "Look"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "appId", "instanceId", "context", "channel"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)
LIKELY = {
    "channelId": st.sampled_from(["fdc3.channel.1", "fdc3.channel.2", "prices", "nowhere", "@private"]),
    "privateChannelId": st.just("@private"),
    "contextType": st.sampled_from([None, "note", "fdc3.instrument"]),
    "context": st.sampled_from([NOTE, {"type": "fdc3.instrument"}, {}, None]),
    "listenerType": st.sampled_from([None, "addContextListener", "unsubscribe", "disconnect"]),
    "listenerUUID": st.just("@listener"),
    "intent": st.sampled_from(["Look", "Other"]),
    "app": st.sampled_from([{"appId": "list"}, {"appId": "two", "instanceId": "two"}, {"appId": "nobody"}]),
    "type": st.sampled_from([None, "USER_CHANNEL_CHANGED"]),
    "resultType": st.sampled_from([None, "channel"]),
    "intentEventUuid": st.just("@event"),
    "raiseIntentRequestUuid": st.just("@raised"),
    "intentResult": st.sampled_from([{}, {"context": NOTE}, {"channel": {"id": "@private", "type": "private"}}]),
    "heartbeatEventUuid": st.just("x"),
}
REQUESTS = [
    "addContextListenerRequest", "addEventListenerRequest", "addIntentListenerRequest", "broadcastRequest",
    "contextListenerUnsubscribeRequest", "createPrivateChannelRequest", "eventListenerUnsubscribeRequest",
    "findInstancesRequest", "findIntentRequest", "findIntentsByContextRequest", "getAppMetadataRequest",
    "getCurrentChannelRequest", "getCurrentContextRequest", "getInfoRequest", "getOrCreateChannelRequest",
    "getUserChannelsRequest", "heartbeatAcknowledgementRequest", "intentListenerUnsubscribeRequest",
    "intentResultRequest", "joinUserChannelRequest", "leaveCurrentChannelRequest", "openRequest",
    "privateChannelAddEventListenerRequest", "privateChannelDisconnectRequest",
    "privateChannelUnsubscribeEventListenerRequest", "raiseIntentForContextRequest", "raiseIntentRequest",
]  # fmt: skip
FIELDS = st.fixed_dictionaries({}, optional=LIKELY)
WRONG = st.builds(lambda right, wrong: right | wrong, FIELDS, st.dictionaries(st.sampled_from([*LIKELY]), VALUES))
STEPS = st.tuples(
    st.sampled_from(["one", "two"]),
    st.sampled_from([*REQUESTS, "broadcastEvent", "makeCoffeeRequest"]),
    FIELDS | FIELDS | WRONG | VALUES,
)
ENDS = st.tuples(st.just("end"), st.sampled_from(["one", "two", "launched"]), st.sampled_from([1.0, 20.0]))


class KnownOnly:
    """FDC3 has no schema for the answer to a request that it does not know."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def check(self, message: dict) -> None:
        if message["type"] != "makeCoffeeResponse":
            self._schemas.check(message)


def play(schemas: KnownOnly, steps: list[tuple]) -> int:
    """Messages of any form, ends and deadlines; requests made."""
    world = World(schemas)
    world.strict = False
    world.desk.declare("list", Look=["note"])
    world.desk.declare("two", Other=["note"])
    apps = {name: world.start(name) for name in ("one", "two")}
    asked: list[tuple[App, str, str]] = []

    def concrete(value: object) -> object:
        """Names of what there is now for the marks in a payload."""
        if isinstance(value, dict):
            return {key: concrete(item) for key, item in value.items()}
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        heard = [message for app in apps.values() for message in app.heard]
        found = {
            "@private": [m["payload"]["privateChannel"]["id"] for m in heard if "privateChannel" in m["payload"]],
            "@listener": [m["payload"]["listenerUUID"] for m in heard if "listenerUUID" in m["payload"]],
            "@event": [m["meta"]["eventUuid"] for m in heard if m["type"] == "intentEvent"],
            "@raised": [m["payload"]["raiseIntentRequestUuid"] for m in heard if m["type"] == "intentEvent"],
        }[value]
        return found[-1] if found else "none"

    for number, (who, kind, payload) in enumerate(steps):
        if who == "end":
            world.desk.pass_time(payload)
            if kind in apps:
                apps[kind].end()
                apps[kind] = world.start(kind)
            elif world.desk.launched:
                world.router.disconnect(world.desk.launched[-1][1])
            continue
        request = f"request-{number}"
        world.router.receive(who, text_of(kind, concrete(payload), requestUuid=request))
        asked.append((apps[who], request, kind))
    world.desk.pass_time(1000)
    assert world.desk.timers == 0
    assert world.desk.remarks == []
    names = set(Fdc3ErrorName)
    for app, request, kind in asked:
        answer = app.answer_to(request)
        gone = apps[app.id] is not app
        silent = not kind.endswith("Request") or kind == "heartbeatAcknowledgementRequest"
        assert (answer is None) if silent else (answer is not None or gone), (kind, answer)
        assert answer is None or answer.get("error") is None or answer["error"] in names
    for app in apps.values():
        app.end()
    router = world.router
    assert not router._instances
    assert not router._channels.private
    assert not router._waits.all()
    assert all(not channel._listeners for channel in (*router._channels.user.values(), *router._channels.app.values()))
    return len(asked)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_message_in_any_order_does_no_harm(schemas, data):
    """Each request gets one answer of FDC3's form, and when all have gone nothing of them is left."""
    steps = data.draw(st.lists(STEPS | STEPS | STEPS | ENDS, min_size=40, max_size=80))
    play(KnownOnly(schemas), steps)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_ten_thousand_spoiled_messages(seed):
    """Each is answered at most once or ends its sender's connection; the neighbours go on as if nothing had been."""
    world, draw = World(), random.Random(seed)
    world.desk.declare("list", Look=["note"])
    _, two, three = (world.start(name) for name in ("one", "two", "three"))
    two.handle("Look")
    for number in range(500):
        one = world.router._instances["one"]
        try:
            world.router.receive("one", spoiled(draw, number))
        except msgspec.DecodeError:
            pass
        assert world.router._instances["one"] is one
    assert all("claims to come from" in text for _, text in world.desk.remarks)
    assert {message["type"] for message in two.heard} <= {
        "getInfoResponse",
        "addIntentListenerResponse",
        "intentEvent",
    }
    two.listen("health", "fdc3.channel.3")
    three.broadcast("fdc3.channel.3", {"type": "health"})
    assert two.contexts == [{"type": "health"}]
