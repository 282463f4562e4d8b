"""FDC3's API in Python, call by call: what it sends, what it returns, what its handlers get, what it raises."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time

import pytest

from labplatform.dacp import AppIdentifier
from labplatform.errors import BadRequest, BlockingCallInObserver, FDC3Error, LabTimeout, SupervisorLost
from labplatform.fdc3.agent import DesktopAgent
from labplatform.fdc3.channels import Channel, PrivateChannel
from labplatform.fdc3.handlers import Bounds

APPLE = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}
USER = "fdc3.channel.1"


def refused(name, call, *arguments, **named):
    """The call raises FDC3's error of this name, and its message says more than the name."""
    with pytest.raises(FDC3Error, match=name) as caught:
        call(*arguments, **named)
    assert caught.value.name == name
    assert len(str(caught.value)) > len(name) + 20


# --- contexts and channels


def test_a_context_reaches_who_is_on_the_same_user_channel(pair):
    one, two = pair
    heard, all_types = [], []
    listener = two.add_context_listener("fdc3.instrument", lambda context, metadata: heard.append((context, metadata)))
    two.add_context_listener(None, lambda context: all_types.append(context["type"]))
    with pytest.warns(UserWarning, match="nobody heard this"):
        one.broadcast(APPLE)
    for agent in pair:
        agent.join_user_channel(USER)
    one.broadcast(APPLE)
    one.broadcast({"type": "other"})
    two.settle()
    [(context, metadata)] = heard
    assert context == APPLE
    assert metadata.source == AppIdentifier("one", one.instance_id)
    assert all_types == ["fdc3.instrument", "other"]
    listener.unsubscribe()
    one.broadcast(APPLE)
    two.settle()
    assert len(heard) == 1
    assert len(all_types) == 3
    assert not listener.active
    assert two.reports == []


def test_a_listener_follows_its_user_channel_and_begins_with_what_is_there(pair):
    one, two = pair
    heard = []
    two.add_context_listener("n", lambda context: heard.append(context["n"]))
    for number in (1, 2):
        one.join_user_channel(f"fdc3.channel.{number}")
        one.broadcast({"type": "n", "n": number})
        one.broadcast({"type": "other"})
    two.join_user_channel("fdc3.channel.1")
    two.settle()
    assert heard == [1]
    two.join_user_channel(one.get_current_channel())
    two.settle()
    assert heard == [1, 2]
    late = []
    two.add_context_listener(None, late.append)
    two.settle()
    assert late == [{"type": "other"}], "the last of any type"
    two.leave_current_channel()
    one.broadcast({"type": "n", "n": 3})
    two.settle()
    assert heard == [1, 2]
    assert two.get_current_channel() is None


def test_a_channels_last_context_does_not_come_behind_a_newer_one(pair):
    one, two = pair
    heard = []
    two.add_context_listener("n", lambda context: heard.append(context["n"]))
    one.join_user_channel(USER)
    one.broadcast({"type": "n", "n": 1})
    two.held = []
    joining = threading.Thread(target=two.join_user_channel, args=(USER,))
    joining.start()
    while len(two.held) < 2:
        time.sleep(0.001)
    # The desktop agent passes on a newer one before it is asked for the last.
    changed, two.held = two.held, None
    for data in changed[:1]:
        two.held = []
        two._client.receive(data)
        held, two.held = two.held, None
    one.broadcast({"type": "n", "n": 2})
    for data in [*held, *changed[1:]]:
        two._client.receive(data)
    joining.join(5)
    two.settle()
    assert heard == [2]


def test_user_channels_have_names_and_colours(pair):
    one, _ = pair
    channels = one.get_user_channels()
    assert [channel.id for channel in channels] == [f"fdc3.channel.{number}" for number in range(1, 9)]
    red = channels[0]
    assert (red.type, red.display_metadata.name, red.display_metadata.color) == ("user", "Channel 1", "red")
    one.join_user_channel(red)
    assert one.get_current_channel() == red
    refused("NoChannelFound", one.join_user_channel, "nowhere")
    refused("AccessDenied", one.get_or_create_channel, USER)


def test_an_app_channel(pair):
    one, two = pair
    heard = []
    channel = one.get_or_create_channel("prices")
    assert (channel.type, repr(channel)) == ("app", "<app channel prices>")
    assert channel == one.get_or_create_channel("prices") != two.get_or_create_channel("prices")
    listener = two.get_or_create_channel("prices").add_context_listener("n", lambda context: heard.append(context["n"]))
    assert channel.get_current_context() is None
    for n in range(3):
        channel.broadcast({"type": "n", "n": n})
    channel.broadcast({"type": "other"})
    assert channel.get_current_context("n") == {"type": "n", "n": 2}
    assert channel.get_current_context() == {"type": "other"}
    assert channel.get_current_context("nothing") is None
    with listener:
        two.settle()
        assert heard == [0, 1, 2]
        assert two.listeners == (listener,)
    assert two.listeners == ()
    assert len(two.requests("contextListenerUnsubscribeRequest")) == 1
    listener.unsubscribe()
    assert len(two.requests("contextListenerUnsubscribeRequest")) == 1, "once"


def test_events_of_the_desktop_agent(pair, stage):
    one, _ = pair
    changes = []
    listener = one.add_event_listener("userChannelChanged", changes.append)
    one.add_event_listener(None, lambda event: changes.append(event.type))
    one.join_user_channel(USER)
    with stage.lock:
        stage.world.router.join(one.instance_id, None)
    one.settle()
    assert changes[1::2] == ["userChannelChanged"] * 2
    assert [change.details for change in changes[::2]] == [{"newChannelId": USER}, {"newChannelId": None}]
    listener.unsubscribe()
    one.join_user_channel(USER)
    one.settle()
    assert len(changes) == 5
    with pytest.raises(ValueError, match="userChannelChanged"):
        one.add_event_listener("somethingElse", print)


# --- intents


def test_an_intent_and_its_result(pair):
    one, two = pair
    channel = two.get_or_create_channel("own")
    results = {"context": {"type": "seen"}, "channel": channel, "user": two.get_user_channels()[2], "nothing": None}
    asked = []

    def look(context, metadata):
        asked.append((context, metadata.source.app_id))
        return results[context["want"]]

    two.add_intent_listener("Look", look)
    for want, result in results.items():
        resolution = one.raise_intent("Look", {"type": "x", "want": want})
        assert (resolution.intent, resolution.source) == ("Look", AppIdentifier("two", two.instance_id))
        for _ in range(2):
            found = resolution.get_result(timeout=5)
            if isinstance(result, Channel):
                assert (type(found), found.id, found.type) == (Channel, result.id, result.type)
                assert found.display_metadata == result.display_metadata
            else:
                assert found == result
        assert "its result has come" in repr(resolution)
    assert asked[0] == ({"type": "x", "want": "context"}, "one")
    assert one.reports == two.reports == []


async def _later(value):
    await asyncio.sleep(0.01)
    return value


def test_an_async_handler_may_ask_and_wait(pair):
    one, two = pair
    threads = []

    async def look(context):
        threads.append(threading.current_thread().name)
        channel = await two.aio.create_private_channel()
        await channel.aio.on_add_context_listener(lambda kind: channel.broadcast({"type": "tick", "asked": kind}))
        return await _later(channel)

    two.add_intent_listener("Look", look)
    channel = one.raise_intent("Look", APPLE).get_result(timeout=5)
    assert isinstance(channel, PrivateChannel)
    heard = []
    channel.add_context_listener("tick", heard.append)
    two.settle()
    one.settle()
    assert heard == [{"type": "tick", "asked": "tick"}]
    assert threads == ["labplatform-test-async"]


@pytest.mark.parametrize("kind", ["sync", "async", "SystemExit"])
def test_a_handler_that_fails_is_told_to_who_raised_and_reported(pair, kind):
    one, two = pair

    def sync(context):
        raise SystemExit if kind == "SystemExit" else ValueError("no such instrument")

    async def asynchronous(context):
        sync(context)

    two.add_intent_listener("Look", asynchronous if kind == "async" else sync)
    refused("IntentHandlerRejected", one.raise_intent("Look", APPLE).get_result, timeout=5)
    assert len(two.reports) == 1
    assert two.reports[0].startswith("the handler of Look raised:\nTraceback")
    two.add_intent_listener("Other", lambda context: {"type": "fine"})
    assert one.raise_intent("Other", APPLE).get_result(timeout=5) == {"type": "fine"}


@pytest.mark.parametrize(
    "result", [7, "text", {}, {"type": 7}, {"type": "x", "no": object()}, {"type": "x", "a": "x" * (1 << 20)}]
)
def test_what_is_no_result_is_the_handlers_failure(pair, result):
    one, two = pair
    two.add_intent_listener("Look", lambda context: result)
    refused("NoResultReturned", one.raise_intent("Look", APPLE).get_result, timeout=5)
    assert len(two.reports) == 1


def test_a_handler_that_ends_owes_nothing(pair):
    one, two = pair
    begun = threading.Event()

    async def look(context):
        begun.set()
        await asyncio.sleep(600)

    two.add_intent_listener("Look", look)
    resolution = one.raise_intent("Look", APPLE)
    assert "still to come" in repr(resolution)
    assert begun.wait(5)
    with pytest.raises(LabTimeout, match=r"get_result\(\): waited 0.05 s; the result of raiseIntentRequest: Look"):
        resolution.get_result(timeout=0.05)
    two.disappear()
    refused("IntentHandlerRejected", resolution.get_result, timeout=5)


def test_who_could_handle_it(pair, stage):
    one, two = pair
    stage.world.desk.declare("chart", ViewChart=(["fdc3.instrument"], "fdc3.chart"))
    two.add_intent_listener("ViewChart", lambda context: None)
    found = one.find_intent("ViewChart")
    assert (found.intent.name, found.intent.display_name) == ("ViewChart", "Do ViewChart")
    assert [(app.app_id, app.instance_id, app.title) for app in found.apps] == [
        ("chart", None, "Chart"),
        ("two", two.instance_id, None),
    ]
    assert [app.app_id for app in one.find_intent("ViewChart", APPLE, "fdc3.chart").apps] == ["chart"]
    [option] = one.find_intents_by_context(APPLE)
    assert option.intent.name == "ViewChart"
    refused("NoAppsFound", one.find_intent, "Nothing")
    refused("NoAppsFound", one.find_intents_by_context, {"type": "nothing"})
    refused("ResolverUnavailable", one.raise_intent, "ViewChart", APPLE)
    assert one.raise_intent("ViewChart", APPLE, app=two).source.app_id == "two"
    assert one.raise_intent("ViewChart", APPLE, app="two").source.app_id == "two"
    gone = AppIdentifier("two", "nobody")
    refused("TargetInstanceUnavailable", one.raise_intent, "ViewChart", APPLE, app=gone)
    refused("TargetAppUnavailable", one.raise_intent_for_context, APPLE, app="nobody")
    with pytest.raises(TypeError, match="app_id"):
        one.raise_intent("ViewChart", APPLE, app=7)


def test_an_error_says_what_was_asked(pair, stage):
    one, two = pair
    two.add_intent_listener("Look", lambda context: 7)
    for asked, call in (
        ("raiseIntentRequest: ViewChartt, fdc3.instrument", lambda: one.raise_intent("ViewChartt", APPLE)),
        ("raiseIntentRequest: Look, nobody, fdc3.instrument", lambda: one.raise_intent("Look", APPLE, app="nobody")),
        ("the result of raiseIntentRequest: Look, x", lambda: one.raise_intent("Look", {"type": "x"}).get_result()),
        ("joinUserChannelRequest: blue", lambda: one.join_user_channel("blue")),
        ("getAppMetadataRequest: nobody", lambda: one.get_app_metadata("nobody")),
        ("findIntentsByContextRequest: y", lambda: one.find_intents_by_context({"type": "y"})),
    ):
        with pytest.raises(FDC3Error, match=rf"\({asked}\)$"):
            call()


def test_numbers_beyond_all_numbers_are_infinite_as_in_a_page(pair, stage):
    """JSON may say such a thing; that is no reason to hear nothing of it, or to fill a notebook with tracebacks."""
    one, two = pair
    heard = []
    two.get_or_create_channel("own").add_context_listener(None, heard.append)
    context = '{"type": "x", "n": 5, "large": -1e999}'
    meta = '{"requestUuid": "r", "timestamp": "2025-01-01T00:00:00Z"}'
    payload = f'{{"channelId": "own", "context": {context}}}'
    with stage.lock:
        stage.world.router.receive(
            one.instance_id, f'{{"type": "broadcastRequest", "meta": {meta}, "payload": {payload}}}'
        )
    two.settle()
    assert heard == [{"type": "x", "n": 5, "large": float("-inf")}]
    assert isinstance(heard[0]["n"], int)


@pytest.mark.parametrize("wrong", [None, 7, ["ViewChart"]])
def test_what_must_be_text_is_asked_for_as_text(pair, wrong):
    """Not FDC3's MalformedContext, the desktop agent's word for any request of a wrong form."""
    one, _ = pair
    channel = one.get_or_create_channel("own")
    calls = [
        lambda: one.join_user_channel(wrong),
        lambda: one.get_or_create_channel(wrong),
        lambda: one.raise_intent(wrong, APPLE),
        lambda: one.add_intent_listener(wrong, print),
        lambda: one.find_intent(wrong),
    ]
    if wrong is not None:  # which is "of any type"
        calls += [
            lambda: one.add_context_listener(wrong, print),
            lambda: channel.add_context_listener(wrong, print),
            lambda: channel.get_current_context(wrong),
        ]
    for call in calls:
        with pytest.raises(TypeError) as caught:
            call()
        assert f"not {wrong!r}" in str(caught.value) and ("text" in str(caught.value) or "id" in str(caught.value))


def test_apps_are_opened_and_found(pair, stage):
    one, two = pair
    stage.world.desk.declare("list")
    with stage.lock:
        refused("AppNotFound", one.open, "nobody")
    opening: list[object] = []
    thread = threading.Thread(target=lambda: opening.append(one.open("list", APPLE, timeout=10)))
    thread.start()
    while not stage.world.desk.launched:
        time.sleep(0.001)
    with stage.lock:
        launched = stage.world.arrive()
        launched.listen()
    thread.join(5)
    identifier = AppIdentifier("list", launched.id)
    assert opening == [identifier]
    assert launched.contexts == [APPLE]
    assert one.find_instances("list") == [identifier]
    assert one.find_instances(two) == [], "it has not asked for anything yet"
    two.get_info()
    assert one.find_instances(two) == [AppIdentifier("two", two.instance_id)]
    assert one.get_app_metadata("list").title == "List"
    assert one.get_app_metadata(identifier).instance_id == launched.id
    refused("TargetAppUnavailable", one.get_app_metadata, "nobody")


def test_the_agent_says_what_it_is_and_can(pair):
    one, _ = pair
    info = one.get_info()
    assert (info.fdc3_version, info.provider) == ("2.2", "labplatform")
    assert info.optional_features.originating_app_metadata is True
    assert info.optional_features.user_channel_membership_apis is True
    assert info.optional_features.desktop_agent_bridging is False
    assert (info.app_metadata.app_id, info.app_metadata.instance_id) == ("one", one.instance_id)


# --- private channels


def test_a_private_channel(pair, stage):
    one, two = pair
    events = []
    channel = two.create_private_channel()
    channel.on_add_context_listener(lambda kind: events.append(("listens", kind)))
    channel.on_unsubscribe(lambda kind: events.append(("leaves off", kind)))
    channel.on_disconnect(lambda: events.append("left"))
    two.add_intent_listener("Look", lambda context: channel)
    theirs = one.raise_intent("Look", APPLE).get_result(timeout=5)
    assert theirs.id == channel.id
    heard = []
    first = theirs.add_context_listener("n", heard.append)
    theirs.add_context_listener(None, heard.append)
    channel.broadcast({"type": "n"})
    one.settle()
    first.unsubscribe()
    assert heard == [{"type": "n"}] * 2
    theirs.disconnect()
    refused("AccessDenied", theirs.broadcast, {"type": "n"})
    channel.broadcast({"type": "n"})
    for agent in pair:
        agent.settle()
    assert len(heard) == 2
    assert one.listeners == ()
    assert events == [("listens", "n"), ("listens", None), ("leaves off", "n"), ("leaves off", None), "left"]
    # One whose app ends has left as well.
    again = one.raise_intent("Look", APPLE).get_result(timeout=5)
    again.add_context_listener("m", heard.append)
    one.disappear()
    two.settle()
    assert events[5:] == [("listens", "m"), ("leaves off", "m"), "left"]
    third = stage.agent("three")
    refused("AccessDenied", Channel(third._client, channel.id, "private", channel.display_metadata).get_current_context)


# --- handlers


def test_a_call_that_blocks_raises_in_a_handler_and_one_that_does_not_passes(pair):
    one, two = pair
    outcomes = []
    done = threading.Event()

    def handler(context):
        for call in (
            lambda: two.raise_intent("Look", context),
            lambda: two.get_user_channels(),
            lambda: own.get_current_context(),
        ):
            try:
                call()
            except BlockingCallInObserver as error:
                outcomes.append(str(error))
        own.broadcast({"type": "from a handler"})
        listener.unsubscribe()
        done.set()

    async def asynchronous(context):
        try:
            two.get_user_channels()
        except BlockingCallInObserver as error:
            outcomes.append(str(error))

    own = two.get_or_create_channel("own")
    listener = two.add_context_listener("x", handler)
    two.add_context_listener("y", asynchronous)
    heard = []
    one.get_or_create_channel("own").add_context_listener(None, heard.append)
    for agent in pair:
        agent.join_user_channel(USER)
    one.broadcast({"type": "x"})
    assert done.wait(5)
    one.broadcast({"type": "y"})
    one.broadcast({"type": "x"})
    two.settle()
    two.handlers.close()
    one.settle()
    assert [outcome.partition(" ")[0] for outcome in outcomes] == [
        "raise_intent()",
        "get_user_channels()",
        "get_current_context()",
        "get_user_channels()",
    ]
    assert "async def" in outcomes[0]
    assert heard == [{"type": "from a handler"}]


def test_a_listener_that_ends_is_not_called_for_what_waits(pair):
    one, two = pair
    go, begun, heard = threading.Event(), threading.Event(), []

    def once(context):
        begun.set()
        go.wait(10)
        heard.append(context["n"])
        listener.unsubscribe()

    listener = two.get_or_create_channel("own").add_context_listener(None, once)
    handler = two.add_intent_listener("Look", lambda context: {"type": "seen"})
    sender = one.get_or_create_channel("own")
    for n in range(3):
        sender.broadcast({"type": "n", "n": n})
    assert begun.wait(5)
    resolution = one.raise_intent("Look", APPLE)
    handler.unsubscribe()
    go.set()
    two.settle()
    assert heard == [0]
    refused("IntentHandlerRejected", resolution.get_result, timeout=5)


def test_what_a_handler_is_refused_is_reported(pair):
    one, two = pair
    mine = two.create_private_channel()
    heard = two.get_or_create_channel("own")

    def handler(context):
        mine.disconnect()
        mine.broadcast({"type": "too late"})

    heard.add_context_listener(None, handler)
    one.get_or_create_channel("own").broadcast({"type": "go"})
    two.settle()
    [report] = two.reports
    assert "a request that nobody waits for was refused: NoChannelFound" in report


def test_a_handler_that_raises_costs_the_others_nothing(pair):
    one, two = pair
    heard = []

    def fails(context, metadata):
        raise RuntimeError("on purpose")

    channel = two.get_or_create_channel("own")
    channel.add_context_listener(None, fails)
    channel.add_context_listener(None, heard.append)
    sender = one.get_or_create_channel("own")
    for n in range(3):
        sender.broadcast({"type": "n", "n": n})
    two.settle()
    assert [context["n"] for context in heard] == [0, 1, 2]
    assert len(two.reports) == 3
    assert "RuntimeError: on purpose" in two.reports[0]


def test_a_slow_handler_loses_the_oldest_and_is_told_so(stage, eventually):
    one, two = stage.agent("one"), stage.agent("two", bounds=Bounds(messages=5))
    go, heard = threading.Event(), []

    def slow(context):
        go.wait(10)
        heard.append(context["n"])

    two.get_or_create_channel("own").add_context_listener(None, slow)
    two.add_intent_listener("Look", lambda context: {"type": "done"})
    sender = one.get_or_create_channel("own")
    sender.broadcast({"type": "n", "n": 0})
    eventually(lambda: not two.handlers._waiting, "the first is under way")
    resolution = one.raise_intent("Look", APPLE)
    for n in range(1, 21):
        sender.broadcast({"type": "n", "n": n})
    refused("IntentHandlerRejected", resolution.get_result, timeout=5)
    assert two.dropped == 16
    go.set()
    two.settle()
    assert heard == [0, 16, 17, 18, 19, 20] or heard == [0, 17, 18, 19, 20]
    assert len(two.reports) == 1
    assert "too slow" in two.reports[0]
    assert one.raise_intent("Look", APPLE).get_result(timeout=5) == {"type": "done"}


def test_large_messages_are_bounded_by_their_size(stage, eventually):
    one, two = stage.agent("one"), stage.agent("two", bounds=Bounds(size=300_000))
    go, heard = threading.Event(), []
    two.get_or_create_channel("own").add_context_listener(
        None, lambda context: (go.wait(10), heard.append(context["n"]))
    )
    sender = one.get_or_create_channel("own")
    sender.broadcast({"type": "n", "n": 0})
    eventually(lambda: not two.handlers._waiting, "the first is under way")
    for n in range(1, 9):
        sender.broadcast({"type": "n", "n": n, "text": "x" * 100_000})
    assert two.dropped == 6
    go.set()
    two.settle()
    assert heard == [0, 7, 8]


def test_async_handlers_under_way_are_bounded(stage, eventually):
    one, two = stage.agent("one"), stage.agent("two", bounds=Bounds(awaited=2))
    release: list[asyncio.Event] = []

    async def wait(context):
        event = asyncio.Event()
        release.append(event)
        await event.wait()

    two.add_intent_listener("Look", wait)
    resolutions = [one.raise_intent("Look", APPLE) for _ in range(3)]
    refused("IntentHandlerRejected", resolutions[2].get_result, timeout=5)
    assert two.dropped == 1
    assert "async handlers" in two.reports[0]
    eventually(lambda: len(release) == 2, "both others are under way")
    for event in release:
        two.handlers._loop.call_soon_threadsafe(event.set)
    assert [resolution.get_result(timeout=5) for resolution in resolutions[:2]] == [None, None]


def test_handlers_take_as_many_arguments_as_they_like(pair):
    one, two = pair
    heard = []

    class Both:
        def method(self, context, metadata):
            heard.append(2)

    channel = two.get_or_create_channel("own")
    for handler in (
        lambda: heard.append(0),
        lambda context: heard.append(1),
        Both().method,
        lambda *arguments: heard.append(len(arguments)),
        lambda context, metadata, more=2: heard.append(more),
        lambda context, more=1: heard.append(more),
        lambda context, metadata=None: heard.append(1 + (metadata is not None)),
    ):
        channel.add_context_listener(None, handler)
    one.get_or_create_channel("own").broadcast({"type": "x"})
    two.settle()
    assert heard == [0, 1, 2, 2, 2, 1, 2]
    with pytest.raises(TypeError, match="a handler is a function"):
        channel.add_context_listener(None, "print")


def test_a_heartbeat_is_acknowledged_where_handlers_run(pair, stage):
    one, two = pair
    go, begun = threading.Event(), threading.Event()
    two.get_or_create_channel("own").add_context_listener(None, lambda context: (begun.set(), go.wait(10)))
    ids = [one.instance_id, two.instance_id]
    with stage.lock:
        first, asked = stage.world.router.beat(ids)
    assert asked == [two.instance_id], "the other has no handler that could be stuck"
    two.settle()
    assert stage.world.router.acknowledged(two.instance_id) == first
    one.get_or_create_channel("own").broadcast({"type": "x"})
    assert begun.wait(5)
    with stage.lock:
        second, _ = stage.world.router.beat(ids)
    assert stage.world.router.acknowledged(two.instance_id) == first, "its handlers are stuck"
    go.set()
    two.settle()
    assert stage.world.router.acknowledged(two.instance_id) == second


# --- deadlines, interrupts, ends


def test_what_comes_too_late_is_undone(pair):
    one, two = pair
    one.get_info()
    for kind, call in (
        ("contextListenerUnsubscribeRequest", lambda: one.add_context_listener("x", print, timeout=0.02)),
        ("intentListenerUnsubscribeRequest", lambda: one.add_intent_listener("Look", print, timeout=0.02)),
        ("privateChannelDisconnectRequest", lambda: one.create_private_channel(timeout=0.02)),
    ):
        one.held = []
        with pytest.raises(LabTimeout, match=r"the answer to \w+Request\b.* has not come"):
            call()
        one.release()
        assert len(one.requests(kind)) == 1
    assert one.listeners == ()
    refused("NoAppsFound", two.raise_intent, "Look", APPLE)
    assert one._client._waiting == one._client._abandoned == {}
    assert one.reports == []


def test_what_came_while_its_caller_was_interrupted_is_undone(pair, monkeypatch):
    one, _ = pair
    one.get_info()

    def interrupted(answers, timeout):
        assert answers[0].done(), "its answer came first"
        raise KeyboardInterrupt

    monkeypatch.setattr("labplatform.fdc3.calls.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.add_intent_listener("Look", print)
    monkeypatch.undo()
    assert one.listeners == ()
    assert len(one.requests("intentListenerUnsubscribeRequest")) == 1
    assert one._client._waiting == {}


def test_aio_has_the_same_calls(pair):
    one, two = pair
    calls = dir(one.aio)
    assert set(calls) == {
        name for name, member in inspect.getmembers(one) if callable(member) and hasattr(member, "__signature__")
    }
    assert {"broadcast", "raise_intent", "open", "add_context_listener", "get_info"} <= set(calls)
    assert inspect.signature(one.aio.open) == inspect.signature(one.open)
    assert str(inspect.signature(one.open)).startswith("(app: 'Any', context: 'Context | None' = None, *, timeout:")
    assert one.open.__doc__ == one.aio.open.__doc__ == DesktopAgent.open.__doc__
    with pytest.raises(AttributeError, match="has no 'listeners'"):
        _ = one.aio.listeners

    async def everything():
        channel = await one.aio.get_or_create_channel("own")
        heard = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        theirs = await two.aio.get_or_create_channel("own")
        await theirs.aio.add_context_listener("n", lambda context: loop.call_soon_threadsafe(heard.set_result, context))
        await channel.aio.broadcast({"type": "n"})
        two.add_intent_listener("Look", lambda context: {"type": "seen"})
        resolution = await one.aio.raise_intent("Look", APPLE)
        together = await asyncio.gather(one.aio.get_info(), two.aio.get_user_channels(), resolution.aio.get_result())
        with pytest.raises(FDC3Error, match="NoAppsFound"):
            await one.aio.find_intent("Nothing")
        return await heard, together[2], len(together[1])

    assert asyncio.run(everything()) == ({"type": "n"}, {"type": "seen"}, 8)


def test_an_awaited_call_that_is_cancelled_or_late_leaves_nothing(pair):
    one, two = pair
    one.get_info()

    async def cancelled():
        one.held = []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await one.aio.add_intent_listener("Look", print)
        one.release()
        one.held = []
        with pytest.raises(LabTimeout, match=r"add_context_listener\(\): waited 0.02 s"):
            await one.aio.add_context_listener("x", print, timeout=0.02)
        one.release()

    asyncio.run(cancelled())
    assert one.listeners == ()
    refused("NoAppsFound", two.raise_intent, "Look", APPLE)
    assert one._client._waiting == one._client._abandoned == {}


def test_a_result_that_is_awaited_too_briefly_may_be_awaited_again(pair):
    one, two = pair
    go = threading.Event()
    two.add_intent_listener("Look", lambda context: (go.wait(10), {"type": "seen"})[1])

    async def ask():
        resolution = await one.aio.raise_intent("Look", APPLE)
        with pytest.raises(LabTimeout):
            await resolution.aio.get_result(timeout=0.02)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await resolution.aio.get_result()
        go.set()
        return await resolution.aio.get_result(timeout=5)

    assert asyncio.run(ask()) == {"type": "seen"}


@pytest.mark.parametrize("context", [None, 7, "text", [], {}, {"type": 7}, {"id": {}}])
def test_what_is_no_context_is_refused_here(pair, context):
    one, _ = pair
    one.get_info()
    channel = one.get_or_create_channel("own")
    one.said.clear()
    for call in (
        one.broadcast,
        channel.broadcast,
        one.raise_intent_for_context,
        lambda context: one.raise_intent("Look", context),
        one.find_intents_by_context,
    ):
        refused("MalformedContext", call, context)
    assert one.said == []


def test_what_has_no_json_form_or_is_too_large_is_refused_here(pair):
    one, _ = pair
    channel = one.get_or_create_channel("own")
    refused("MalformedContext", channel.broadcast, {"type": "x", "object": object()})
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    refused("MalformedContext", channel.broadcast, {"type": "x", "deep": deep})
    with pytest.raises(BadRequest, match="over the limit of 1048576"):
        channel.broadcast({"type": "x", "text": "x" * (1 << 20)})
    assert one._client._waiting == {}
    channel.broadcast({"type": "fine"})


def test_a_connection_that_ends_fails_what_waits_and_comes_back_as_it_was(pair, stage):
    one, two = pair
    heard, left = [], []
    two.join_user_channel(USER)
    two.add_context_listener("n", lambda context: heard.append(context["n"]))
    channel = two.get_or_create_channel("own")
    own = channel.add_context_listener(None, lambda context: heard.append("own"))
    ended = channel.add_context_listener(None, lambda context: heard.append("ended"))
    ended.unsubscribe()
    two.add_intent_listener("Look", lambda context: {"type": "seen"})
    two.add_event_listener(None, lambda event: heard.append(event.type))
    private = two.create_private_channel()
    private.on_disconnect(lambda: left.append(1))
    private.add_context_listener(None, print)
    one.add_intent_listener("Never", lambda context: threading.Event().wait(0.2))
    resolution = two.raise_intent("Never", APPLE)
    two.settle()
    heard.clear()

    two.disappear()
    two.gone = True
    with pytest.raises(SupervisorLost):
        two.get_user_channels()
    own_before = own.id
    two._client.fail(SupervisorLost("the connection is closed"))
    with pytest.raises(SupervisorLost, match="closed"):
        resolution.get_result(timeout=5)
    one.join_user_channel(USER)
    one.broadcast({"type": "n", "n": "missed"})
    one.broadcast({"type": "other"})

    two.gone = False
    two.appear()
    two._client.restore()
    two.settle()
    assert left == [1]
    assert heard == ["userChannelChanged", "missed"] or heard == ["missed"]
    heard.clear()
    assert two.get_current_channel().id == USER
    assert (own.active, own.id != own_before) == (True, True)
    one.broadcast({"type": "n", "n": 1})
    one.get_or_create_channel("own").broadcast({"type": "x"})
    two.settle()
    assert heard == [1, "own"]
    assert one.raise_intent("Look", APPLE).get_result(timeout=5) == {"type": "seen"}
    assert len(two.listeners) == 4
    assert two.reports == []


def test_a_listener_that_ends_while_it_is_asked_for_anew_stays_ended(pair):
    one, two = pair
    heard = []
    listener = two.get_or_create_channel("own").add_context_listener(None, heard.append)
    two.disappear()
    two.appear()
    two.held = []
    two._client.restore()
    listener.unsubscribe()
    two.release()
    one.get_or_create_channel("own").broadcast({"type": "x"})
    two.settle()
    assert heard == []
    assert two.listeners == ()
    assert len(two.requests("contextListenerUnsubscribeRequest")) == 1


def test_only_who_shall_count_as_open_opens(stage):
    opens, waits = stage.agent("window"), stage.agent("side", opens=False)
    for agent in (opens, waits):
        agent.get_or_create_channel("own")
    assert stage.world.router.instances == {opens.instance_id: "window"}
    waits.get_info()
    assert len(stage.world.router.instances) == 2


def test_a_side_that_does_not_wait_for_a_broadcast_hears_of_a_refusal(stage):
    one = stage.agent("one", patient=False)
    mine = one.create_private_channel()
    one.held = []
    mine.disconnect()
    mine.broadcast({"type": "x"})
    one.release()
    assert "NoChannelFound" in one.reports[0]
    assert one._client._waiting == {}
