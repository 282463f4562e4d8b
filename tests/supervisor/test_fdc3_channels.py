"""FDC3's channels: user, app and private ones; who hears what, and what is left when an app ends."""

from __future__ import annotations

import pytest
from support.fdc3 import App, World

from labplatform.supervisor.fdc3 import channels

RED, ORANGE = "fdc3.channel.1", "fdc3.channel.2"
AAPL = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}
NOTE = {"type": "note"}


@pytest.fixture
def trio(world: World) -> tuple[App, App, App]:
    return world.start("one"), world.start("two"), world.start("three")


def join(app: App, channel: str) -> None:
    assert app.ask("joinUserChannelRequest", channelId=channel) == {}


def current(app: App) -> str | None:
    channel = app.ask("getCurrentChannelRequest")["channel"]
    return channel and channel["id"]


def test_the_eight_user_channels(trio):
    shown = trio[0].ask("getUserChannelsRequest")["userChannels"]
    assert [one["id"] for one in shown] == [f"fdc3.channel.{n}" for n in range(1, 9)]
    assert {one["type"] for one in shown} == {"user"}
    assert shown[0]["displayMetadata"] == {"name": "Channel 1", "color": "red", "glyph": "1"}
    assert len({one["displayMetadata"]["color"] for one in shown}) == 8


def test_a_listener_of_the_current_channel_goes_along(trio):
    """`channelId: null` is whichever channel is joined when something is broadcast."""
    one, two, _ = trio
    two.listen()
    one.broadcast(RED, AAPL)
    join(two, RED)
    one.broadcast(RED, AAPL)
    join(two, ORANGE)
    one.broadcast(RED, AAPL)
    one.broadcast(ORANGE, NOTE)
    assert two.ask("leaveCurrentChannelRequest") == {}
    one.broadcast(ORANGE, NOTE)
    heard = [(event["channelId"], event["context"]) for event in two.events("broadcastEvent")]
    assert heard == [(RED, AAPL), (ORANGE, NOTE)]
    assert two.events("broadcastEvent")[0]["originatingApp"] == one.identifier


def test_a_listener_added_while_joined_names_the_channel_and_goes_along(trio):
    """The official proxy says the joined channel where it means the current one."""
    one, two, _ = trio
    join(two, RED)
    listener = two.listen(None, RED)
    join(two, ORANGE)
    one.broadcast(ORANGE, AAPL)
    assert two.contexts == [AAPL]
    two.ask("contextListenerUnsubscribeRequest", listenerUUID=listener)
    one.broadcast(ORANGE, AAPL)
    one.broadcast(RED, AAPL)
    assert two.contexts == [AAPL]


def test_a_listener_of_a_channel_that_is_not_joined_stays_there(trio):
    one, two, _ = trio
    two.listen(None, RED)
    join(two, ORANGE)
    one.broadcast(ORANGE, NOTE)
    one.broadcast(RED, AAPL)
    assert two.contexts == [AAPL]


def test_joining_is_told_and_only_when_it_is_a_change(world, trio):
    one = trio[0]
    assert current(one) is None
    join(one, RED)
    join(one, RED)
    assert current(one) == RED
    one.ask("leaveCurrentChannelRequest")
    one.ask("leaveCurrentChannelRequest")
    assert one.events("channelChangedEvent") == [{"newChannelId": RED}, {"newChannelId": None}]
    assert trio[1].events("channelChangedEvent") == []
    assert world.desk.moves == [one.id, one.id]


def test_a_channel_picker_moves_an_app(world, trio):
    one, two, _ = trio
    two.listen("fdc3.instrument")
    world.router.join("two", RED)
    assert world.router.user_channel_of("two") == RED
    assert two.events("channelChangedEvent") == [{"newChannelId": RED}]
    one.broadcast(RED, AAPL)
    one.broadcast(RED, NOTE)
    world.router.join("two", None)
    one.broadcast(RED, AAPL)
    assert two.contexts == [AAPL]
    with pytest.raises(KeyError):
        world.router.join("two", "prices")


def test_no_echo_and_one_event_for_many_listeners(trio):
    one, two, _ = trio
    for app in (one, two):
        app.listen(None, RED)
        app.listen("note", RED)
    one.broadcast(RED, NOTE)
    assert (one.contexts, two.contexts) == ([], [NOTE])


def test_a_channel_remembers_its_last_contexts(trio):
    one, two, _ = trio

    def last(kind: str | None) -> object:
        return two.ask("getCurrentContextRequest", channelId=RED, contextType=kind)["context"]

    assert last(None) is None
    one.broadcast(RED, AAPL)
    one.broadcast(RED, NOTE)
    assert (last(None), last("note"), last("fdc3.instrument"), last("other")) == (NOTE, NOTE, AAPL, None)
    one.broadcast(RED, AAPL)
    assert last(None) == AAPL
    one.end()
    assert last(None) == AAPL


def test_the_memory_of_a_channel_is_bounded(trio, monkeypatch):
    monkeypatch.setattr(channels, "MOST_TYPES", 3)
    one, two, _ = trio
    two.listen(None, RED)
    for number in range(5):
        one.broadcast(RED, {"type": f"kind-{number}"})
    kept = [two.ask("getCurrentContextRequest", channelId=RED, contextType=f"kind-{n}")["context"] for n in range(5)]
    assert [context is not None for context in kept] == [False, False, True, True, True]
    assert len(two.contexts) == 5


def test_who_fills_channels_up_costs_nobody_else_a_context(trio, monkeypatch):
    monkeypatch.setattr(channels, "ALL_BYTES", 10_000)
    one, two, _ = trio
    two.broadcast(RED, AAPL)
    for number in range(5):
        one.ask("getOrCreateChannelRequest", channelId=f"full-{number}")
        for kind in range(30):
            one.broadcast(f"full-{number}", {"type": f"kind-{kind}", "text": "x" * 300})
    two.broadcast(ORANGE, NOTE)

    def last(channel: str) -> object:
        return two.ask("getCurrentContextRequest", channelId=channel, contextType=None)["context"]

    assert (last(RED), last(ORANGE)) == (AAPL, NOTE), "and they are not the ones that keep most"
    kept = [last(f"full-{number}") for number in range(5)]
    assert any(kept), "they forget their oldest, and not all"
    # Nobody keeps more than fits: the last of all was remembered, and the first kinds are forgotten.
    first = two.ask("getCurrentContextRequest", channelId="full-4", contextType="kind-0")["context"]
    assert first is None and kept[4] == {"type": "kind-29", "text": "x" * 300}


def test_who_makes_channels_without_end_leaves_some_to_others(world, trio, monkeypatch):
    monkeypatch.setattr(channels, "MOST_MADE", 3)
    one, two, _ = trio
    for number in range(3):
        assert "channel" in one.ask("getOrCreateChannelRequest", channelId=f"made-{number}")
    for greedy in (one, world.start("one", "one-2")):
        assert greedy.ask("getOrCreateChannelRequest", channelId="more") == {"error": "CreationFailed"}
        assert "channel" in greedy.ask("getOrCreateChannelRequest", channelId="made-0"), (
            "those that are there it may use"
        )
    assert "channel" in two.ask("getOrCreateChannelRequest", channelId="more")
    assert "channel" in one.ask("getOrCreateChannelRequest", channelId="more"), "it is another's"


@pytest.mark.parametrize(
    ("kind", "payload", "error"),
    [
        ("joinUserChannelRequest", {"channelId": "prices"}, "NoChannelFound"),
        ("joinUserChannelRequest", {"channelId": "nowhere"}, "NoChannelFound"),
        ("getOrCreateChannelRequest", {"channelId": RED}, "AccessDenied"),
        ("getOrCreateChannelRequest", {"channelId": ""}, "CreationFailed"),
        ("broadcastRequest", {"channelId": "nowhere", "context": NOTE}, "NoChannelFound"),
        ("addContextListenerRequest", {"channelId": "nowhere", "contextType": None}, "NoChannelFound"),
        ("getCurrentContextRequest", {"channelId": "nowhere", "contextType": None}, "NoChannelFound"),
        ("privateChannelAddEventListenerRequest", {"privateChannelId": RED, "listenerType": None}, "NoChannelFound"),
        ("privateChannelDisconnectRequest", {"channelId": "prices"}, "NoChannelFound"),
        ("contextListenerUnsubscribeRequest", {"listenerUUID": "none"}, "ListenerNotFound"),
        ("privateChannelUnsubscribeEventListenerRequest", {"listenerUUID": "none"}, "ListenerNotFound"),
        ("eventListenerUnsubscribeRequest", {"listenerUUID": "none"}, "ListenerNotFound"),
    ],
)
def test_errors_have_fdc3s_names(trio, kind, payload, error):
    trio[0].ask("getOrCreateChannelRequest", channelId="prices")
    assert trio[0].ask(kind, **payload) == {"error": error}


def test_whose_page_is_loaded_anew_begins_again(world, trio):
    """The instance stays who it is, and where it is; what its former document had is gone."""
    one, two, three = trio
    for app in (two, three):
        app.listen("note", RED)
    two.handle("Look")
    world.router.join("two", RED)
    world.router.forget_listeners("two")
    world.router.forget_listeners("nobody")
    assert world.router.user_channel_of("two") == RED
    assert "two" not in world.router.instances and "two" not in world.router.closed
    one.broadcast(RED, NOTE)
    assert (two.contexts, len(three.contexts)) == ([], 1)
    assert one.ask("findIntentRequest", intent="Look") == {"error": "NoAppsFound"}
    two.open()
    assert world.router.instances["two"] == two.app_id
    two.listen("note")
    one.broadcast(RED, NOTE)
    assert len(two.contexts) == 1


# --- private channels


@pytest.fixture
def private(world: World, trio) -> str:
    """A private channel that `one` made and `two` got as an intent's result."""
    one, two, _ = trio
    channel = one.ask("createPrivateChannelRequest")["privateChannel"]
    assert channel["type"] == "private"
    one.handle("Stream")
    raised = two.raise_intent("Stream")
    assert one.give_result({"channel": channel}) == {}
    assert two.result_of(raised) == {"intentResult": {"channel": channel}}
    return channel["id"]


def watch(app: App, channel: str, kind: str | None) -> str:
    answer = app.ask("privateChannelAddEventListenerRequest", privateChannelId=channel, listenerType=kind)
    return answer["listenerUUID"]


def told(app: App) -> list[tuple[str, str | None]]:
    """The private channel's events that an app heard, in order."""
    short = {"AddContextListener": "add", "Unsubscribe": "unsubscribe", "Disconnect": "disconnect"}
    return [
        (short[m["type"].removeprefix("privateChannelOn").removesuffix("Event")], m["payload"].get("contextType"))
        for m in app.heard
        if m["type"].startswith("privateChannelOn")
    ]


def test_a_private_channel_is_for_those_who_were_handed_it(trio, private):
    one, two, three = trio
    two.listen("note", private)
    assert one.broadcast(private, NOTE) == {}
    assert two.contexts == [NOTE]
    for kind, payload in (
        ("broadcastRequest", {"channelId": private, "context": NOTE}),
        ("addContextListenerRequest", {"channelId": private, "contextType": None}),
        ("getCurrentContextRequest", {"channelId": private, "contextType": None}),
        ("getOrCreateChannelRequest", {"channelId": private}),
        ("privateChannelAddEventListenerRequest", {"privateChannelId": private, "listenerType": None}),
        ("privateChannelDisconnectRequest", {"channelId": private}),
    ):
        assert three.ask(kind, **payload) == {"error": "AccessDenied"}
    assert three.contexts == []


def test_the_other_party_hears_of_listeners_and_of_the_end(trio, private):
    one, two, _ = trio
    for kind in ("addContextListener", "unsubscribe", "disconnect"):
        watch(one, private, kind)
    first = two.listen("note", private)
    two.listen(None, private)
    one.listen("own", private)
    two.ask("contextListenerUnsubscribeRequest", listenerUUID=first)
    assert told(one) == [("add", "note"), ("add", None), ("unsubscribe", "note")]
    assert two.ask("privateChannelDisconnectRequest", channelId=private) == {}
    assert told(one)[3:] == [("unsubscribe", None), ("disconnect", None)]
    assert told(two) == []
    assert two.broadcast(private, NOTE) == {"error": "AccessDenied"}
    one.broadcast(private, NOTE)
    assert two.contexts == []


def test_listeners_that_were_there_before_are_told_too(trio, private):
    one, two, _ = trio
    two.listen("note", private)
    watch(one, private, "addContextListener")
    watch(one, private, None)
    assert told(one) == [("add", "note")]


def test_event_listeners_hear_what_they_asked_for_until_they_end(trio, private):
    one, two, _ = trio
    listener = watch(one, private, "unsubscribe")
    first, second = two.listen("a", private), two.listen("b", private)
    two.ask("contextListenerUnsubscribeRequest", listenerUUID=first)
    assert one.ask("privateChannelUnsubscribeEventListenerRequest", listenerUUID=listener) == {}
    two.ask("contextListenerUnsubscribeRequest", listenerUUID=second)
    assert told(one) == [("unsubscribe", "a")]


def test_the_proxys_listener_for_all_events_hears_all(trio, private):
    """The official proxy 2.2.0 registers `addEventListener(null)` as one for addContextListener."""
    one, two, _ = trio
    watch(one, private, "addContextListener")
    two.listen("a", private)
    two.ask("privateChannelDisconnectRequest", channelId=private)
    assert told(one) == [("add", "a"), ("unsubscribe", "a"), ("disconnect", None)]


@pytest.mark.parametrize("dies", ["one", "two"])
def test_a_party_that_dies_leaves_as_if_it_had_disconnected(trio, private, dies):
    one, two, three = trio
    dead, left = (one, two) if dies == "one" else (two, one)
    watch(left, private, None)
    left.listen("mine", private)
    dead.listen("note", private)
    dead.listen(None, private)
    dead.end()
    assert told(left)[2:] == [("unsubscribe", "note"), ("unsubscribe", None), ("disconnect", None)]
    left.ask("privateChannelDisconnectRequest", channelId=private)
    assert left.broadcast(private, NOTE) == {"error": "NoChannelFound"}
    # Nothing of it remains, not even its name.
    assert three.ask("getOrCreateChannelRequest", channelId=private)["channel"]["type"] == "app"


def test_a_result_cannot_hand_on_a_channel_one_is_not_in(trio, private):
    one, _two, three = trio
    three.handle("Steal")
    raised = one.raise_intent("Steal")
    assert three.give_result({"channel": {"id": private, "type": "private"}}) == {"error": "NoChannelFound"}
    assert one.result_of(raised) == {"error": "NoResultReturned"}
    assert three.broadcast(private, NOTE) == {"error": "AccessDenied"}


# --- ends


def test_who_is_gone_is_nowhere(world, trio):
    one, two, _three = trio
    join(two, RED)
    two.listen()
    two.listen("note", RED)
    two.end()
    two.end()
    assert one.broadcast(RED, NOTE) == {}
    assert two.contexts == []
    assert "two" not in world.router.instances
    assert world.router.closed == {"two": "two"}
    for channel in world.router._channels.user.values():
        assert not channel._listeners
    again = world.start("two")
    assert current(again) is None
    assert world.router.closed == {}


def test_the_closed_are_remembered_within_bounds(world, monkeypatch):
    monkeypatch.setattr("labplatform.supervisor.fdc3.router.CLOSED_KEPT", 3)
    for number in range(5):
        world.start("app", f"app-{number}").end()
    assert list(world.router.closed) == ["app-2", "app-3", "app-4"]


def test_order_per_sender_holds_over_channels_and_private_ones(trio, private):
    one, two, three = trio
    two.listen(None, private)
    two.listen(None, RED)
    for number in range(100):
        one.broadcast((private, RED)[number % 2], {"type": "tick", "n": number, "by": "one"})
        three.broadcast(RED, {"type": "tick", "n": number, "by": "three"})
    for sender in ("one", "three"):
        assert [context["n"] for context in two.contexts if context["by"] == sender] == list(range(100))


# --- events and heartbeats


def test_event_listeners_of_the_agent(trio):
    one = trio[0]
    for kind in ("USER_CHANNEL_CHANGED", None):
        listener = one.ask("addEventListenerRequest", type=kind)["listenerUUID"]
        assert one.ask("eventListenerUnsubscribeRequest", listenerUUID=listener) == {}
        assert one.ask("eventListenerUnsubscribeRequest", listenerUUID=listener) == {"error": "ListenerNotFound"}


def test_heartbeats_go_to_who_listens_and_come_back(world, trio):
    one, two, three = trio
    one.listen()
    three.listen()
    before = len(two.heard), len(three.heard)
    beat, asked = world.router.beat(["one", "two", "nobody"])
    assert asked == ["one"]
    assert [m["meta"]["eventUuid"] for m in one.heard if m["type"] == "heartbeatEvent"] == [beat]
    assert (len(two.heard), len(three.heard)) == before, "one has no listener, the other was not meant"
    before = len(one.heard)
    one.say("heartbeatAcknowledgementRequest", {"heartbeatEventUuid": beat})
    assert (world.router.acknowledged("one"), world.router.acknowledged("two")) == (beat, None)
    assert len(one.heard) == before
