"""FDC3's open, findInstances, getAppMetadata and getInfo, and the tap that watches what is routed."""

from __future__ import annotations

import json
from collections import deque

import msgspec
import pytest
from support.fdc3 import App, World

import labplatform
from labplatform.dacp import AppIdentifier
from labplatform.supervisor.fdc3.post import Routed

AAPL = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}


@pytest.fixture
def opener(world: World) -> App:
    world.desk.declare("chart", ViewChart=["fdc3.instrument"])
    return world.start("list")


def begin_open(opener: App, app: str = "chart", context: object = None) -> str:
    payload = {"app": {"appId": app}}
    return opener.say("openRequest", payload | ({"context": context} if context else {}))


def test_info_says_what_there_is(world):
    world.desk.declare("list")
    info = world.start("list", "list-7", opened=False).open()
    assert info == {
        "fdc3Version": "2.2",
        "provider": "labplatform",
        "providerVersion": labplatform.__version__,
        "optionalFeatures": {
            "OriginatingAppMetadata": True,
            "UserChannelMembershipAPIs": True,
            "DesktopAgentBridging": False,
        },
        "appMetadata": {"appId": "list", "instanceId": "list-7", "title": "List"},
    }


def test_an_instance_counts_from_its_first_info_request(world, opener):
    shy = world.start("chart", "chart-1", opened=False)
    shy.listen()
    assert opener.ask("findInstancesRequest", app={"appId": "chart"}) == {"appIdentifiers": []}
    shy.open()
    world.start("chart", "chart-2")
    found = opener.ask("findInstancesRequest", app={"appId": "chart"})["appIdentifiers"]
    assert [one["instanceId"] for one in found] == ["chart-1", "chart-2"]
    shy.end()
    assert len(opener.ask("findInstancesRequest", app={"appId": "chart"})["appIdentifiers"]) == 1
    assert opener.ask("findInstancesRequest", app={"appId": "nobody"}) == {"appIdentifiers": []}


def test_open_answers_when_the_app_is_open(world, opener):
    opened = begin_open(opener)
    chart = world.start(*world.desk.launched[0], opened=False)
    assert opener.answer_to(opened) is None
    chart.open()
    chart.open()
    assert opener.answer_to(opened) == {"appIdentifier": chart.identifier}
    assert world.desk.timers == 0


@pytest.mark.parametrize("kind", ["fdc3.instrument", None])
def test_open_delivers_its_context_to_the_listener_for_it(world, opener, kind):
    opened = begin_open(opener, context=AAPL)
    chart = world.arrive()
    chart.listen("other")
    chart.ask("getOrCreateChannelRequest", channelId="prices")
    chart.listen(kind, "prices")
    assert (chart.contexts, opener.answer_to(opened)) == ([], None)
    chart.listen(kind)
    assert chart.events("broadcastEvent") == [{"channelId": None, "context": AAPL, "originatingApp": opener.identifier}]
    assert [message["type"] for message in chart.heard[-2:]] == ["addContextListenerResponse", "broadcastEvent"]
    assert opener.answer_to(opened) == {"appIdentifier": chart.identifier}
    chart.listen(kind)
    assert len(chart.contexts) == 1


def test_open_finds_the_listener_of_an_app_that_joined_a_channel_first(world, opener):
    """The official proxy then names the channel in its listener, and drops what comes over no channel."""
    begin_open(opener, context=AAPL)
    chart = world.arrive()
    chart.ask("joinUserChannelRequest", channelId="fdc3.channel.1")
    chart.listen(None, "fdc3.channel.1")
    assert [event["channelId"] for event in chart.events("broadcastEvent")] == ["fdc3.channel.1"]


def test_open_gives_each_call_an_instance_of_its_own(world, opener):
    first, second = begin_open(opener), begin_open(opener)
    for launch, opened in ((1, second), (0, first)):
        app = world.arrive(launch)
        assert opener.answer_to(opened) == {"appIdentifier": app.identifier}


@pytest.mark.parametrize(
    ("what", "context", "error"),
    [
        ("unknown", None, "AppNotFound"),
        ("broken", None, "ErrorOnLaunch"),
        ("ends before it opens", None, "ErrorOnLaunch"),
        ("ends before it listens", AAPL, "ErrorOnLaunch"),
        ("never opens", None, "AppTimeout"),
        ("never listens", AAPL, "AppTimeout"),
        ("listens to others", AAPL, "AppTimeout"),
    ],
)
def test_open_that_fails(world, opener, what, context, error):
    if what == "broken":
        world.desk.broken.add("chart")
    opened = begin_open(opener, "nobody" if what == "unknown" else "chart", context)
    if what == "ends before it opens":
        world.router.disconnect(world.desk.launched[0][1])
    elif what == "ends before it listens":
        world.arrive().end()
    elif what == "never opens":
        world.desk.pass_time(30)
    elif what in ("never listens", "listens to others"):
        chart = world.arrive()
        if what == "listens to others":
            chart.listen("other")
        world.desk.pass_time(14.9)
        assert opener.answer_to(opened) is None
        world.desk.pass_time(0.2)
        chart.listen(None)
        assert chart.contexts == []
    assert opener.answer_to(opened) == {"error": error}
    assert world.desk.timers == 0


@pytest.mark.parametrize(
    ("app", "error"),
    [
        ({"appId": "nobody"}, "TargetAppUnavailable"),
        ({"appId": "chart", "instanceId": "nobody"}, "TargetInstanceUnavailable"),
        ({"appId": "chart", "instanceId": "list"}, "TargetInstanceUnavailable"),
        ({"appId": "chart", "desktopAgent": "far"}, "NotConnectedToBridge"),
    ],
)
def test_metadata_of_who_is_not_there(opener, app, error):
    assert opener.ask("getAppMetadataRequest", app=app) == {"error": error}


def test_apps_are_known_by_their_directory_s_host_as_well(world, opener):
    """A qualified id counts where a plain one does, and the other way round; never for another directory's app."""
    for app_id, directory in (("chart", "appd.example"), ("news@other.example", "other.example"), ("plain", "")):
        world.desk.declare(app_id, View=["fdc3.instrument"])
        world.desk.records[app_id] = msgspec.structs.replace(world.desk.records[app_id], directory=directory)
    for asked, known in (
        ("chart@appd.example", "chart"),
        ("news@other.example", "news@other.example"),
        ("news", "news@other.example"),
        ("plain@anywhere.example", "plain"),
        ("list@anywhere.example", "list"),  # it has no record, but it is there
    ):
        assert opener.ask("getAppMetadataRequest", app={"appId": asked})["appMetadata"]["appId"] == known
    for asked in ("chart@other.example", "news@appd.example", "nobody@appd.example"):
        assert opener.ask("getAppMetadataRequest", app={"appId": asked}) == {"error": "TargetAppUnavailable"}
        assert opener.ask("openRequest", app={"appId": asked}) == {"error": "AppNotFound"}
    opened = begin_open(opener, "chart@appd.example")
    chart = world.arrive()
    assert chart.app_id == "chart"
    assert opener.answer_to(opened) == {"appIdentifier": chart.identifier}
    found = opener.ask("findInstancesRequest", app={"appId": "chart@appd.example"})
    assert found == {"appIdentifiers": [chart.identifier]}
    chart.handle("View")
    raised = opener.raise_intent("View", AAPL, app=chart.identifier | {"appId": "chart@appd.example"})
    assert opener.answer_to(raised)["intentResolution"]["source"] == chart.identifier


def test_metadata(world, opener):
    world.start("chart", "chart-1")
    for app in ({"appId": "chart"}, {"appId": "chart", "instanceId": "chart-1"}):
        assert opener.ask("getAppMetadataRequest", app=app)["appMetadata"] == app | {"title": "Chart"}
    # It has no record, but it is there.
    assert opener.ask("getAppMetadataRequest", app={"appId": "list"})["appMetadata"] == {"appId": "list"}


def test_who_was_not_there_says_nothing_to_anybody(world, opener):
    stranger = App(world, "chart", "chart-1")
    world.router.disconnect("chart-1")
    world.strict = False
    stranger.say("broadcastRequest", {"channelId": "fdc3.channel.1", "context": AAPL})
    assert stranger.heard == []


def test_a_tap_sees_who_told_whom_what(world, opener):
    chart, news = world.start("chart"), world.start("news")
    for app in (opener, chart, news):
        app.listen("fdc3.instrument", "fdc3.channel.1")
    seen: deque[Routed] = deque(maxlen=100)
    world.router.tap = seen
    opener.broadcast("fdc3.channel.1", AAPL)
    one = seen.pop()
    assert (one.type, one.sender.app, one.channel) == ("broadcastEvent", opener_of(opener), "fdc3.channel.1")
    assert [app.id for app in one.receivers] == ["chart", "news"]
    assert (one.context_type, one.intent) == ("fdc3.instrument", None)
    assert json.loads(one.data) == chart.heard[-1] == news.heard[-1]
    assert 0 < one.came_in < one.went_out < one.came_in + 1
    chart.handle("ViewChart")
    raised = opener.raise_intent("ViewChart", AAPL)
    chart.give_result({"context": {"type": "view"}})
    assert opener.result_of(raised) == {"intentResult": {"context": {"type": "view"}}}
    assert [(routed.type, routed.sender.id, routed.intent, routed.context_type) for routed in seen] == [
        ("intentEvent", "list", "ViewChart", "fdc3.instrument"),
        ("raiseIntentResultResponse", "chart", "ViewChart", "view"),
    ]
    # An end, and the platform itself: nobody's request.
    opener.raise_intent("ViewChart", AAPL)
    chart.end()
    world.router.join("news", "fdc3.channel.2")
    assert [(routed.type, routed.sender and routed.sender.id, routed.came_in) for routed in list(seen)[3:]] == [
        ("raiseIntentResultResponse", "chart", 0),
        ("channelChangedEvent", None, 0),
    ]
    world.router.tap = None
    opener.broadcast("fdc3.channel.1", AAPL)
    world.router.beat(["list", "news"])
    assert (len(seen), world.router.passed) == (5, 6)


def opener_of(app: App) -> object:
    return AppIdentifier(app.app_id, app.id)
