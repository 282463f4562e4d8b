"""FDC3's intents: who may handle one, who does, in what time, and what comes back."""

from __future__ import annotations

import asyncio

import pytest
from support.fdc3 import App, World

from labplatform.supervisor.fdc3 import intents, waits
from labplatform.supervisor.fdc3.desk import Choice, Question

INSTRUMENT = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}
CONTACT = {"type": "fdc3.contact"}


@pytest.fixture
def world(world: World) -> World:
    world.desk.declare("list")
    world.desk.declare("chart", ViewChart=["fdc3.instrument"])
    world.desk.declare("news", ViewNews=(["fdc3.instrument", "fdc3.contact"], "channel<news.item>"))
    world.desk.declare("desk-news", ViewNews=(["fdc3.instrument"], "news.item"))
    return world


@pytest.fixture
def raiser(world: World) -> App:
    return world.start("list")


def names(app_intent: dict) -> list[tuple[str, str | None]]:
    return [(app["appId"], app.get("instanceId")) for app in app_intent["apps"]]


# --- finding


def test_find_intent(world, raiser):
    found = raiser.ask("findIntentRequest", intent="ViewNews")["appIntent"]
    assert found["intent"] == {"name": "ViewNews", "displayName": "Do ViewNews"}
    assert names(found) == [("news", None), ("desk-news", None)]
    assert found["apps"][0]["title"] == "News"
    assert found["apps"][0]["resultType"] == "channel<news.item>"
    news = world.start("news", "news-9")
    news.handle("ViewNews")
    for wish, expected in (
        ({"context": CONTACT}, [("news", None), ("news", "news-9")]),
        ({"context": INSTRUMENT, "resultType": "news.item"}, [("desk-news", None)]),
        ({"resultType": "channel"}, [("news", None), ("news", "news-9")]),
        ({"resultType": "channel<news.item>"}, [("news", None), ("news", "news-9")]),
    ):
        assert names(raiser.ask("findIntentRequest", intent="ViewNews", **wish)["appIntent"]) == expected
    for intent, wish in (
        ("ViewNews", {"context": {"type": "other"}}),
        ("ViewNews", {"resultType": "channel<other>"}),
        ("Nothing", {}),
    ):
        assert raiser.ask("findIntentRequest", intent=intent, **wish) == {"error": "NoAppsFound"}


def test_null_is_as_good_as_absent(world, raiser):
    """What an app's `null` argument becomes."""
    world.strict = False
    found = raiser.ask("findIntentRequest", intent="ViewNews", context=None, resultType=None)
    assert len(found["appIntent"]["apps"]) == 2


def test_find_intents_by_context(raiser):
    found = raiser.ask("findIntentsByContextRequest", context=INSTRUMENT)["appIntents"]
    assert [(one["intent"]["name"], len(one["apps"])) for one in found] == [("ViewChart", 1), ("ViewNews", 2)]
    found = raiser.ask("findIntentsByContextRequest", context=INSTRUMENT, resultType="news.item")["appIntents"]
    assert [names(one) for one in found] == [[("desk-news", None)]]
    assert raiser.ask("findIntentsByContextRequest", context={"type": "x"}) == {"error": "NoAppsFound"}


def test_a_directory_of_many_intents_is_looked_through_once(world, raiser, monkeypatch):
    """Once for each intent that fits held everybody up for a minute."""
    for number in range(30):
        world.desk.declare(f"app-{number}", **{f"Do{number}-{way}": ["fdc3.instrument"] for way in range(30)})
    running = world.start("app-7", "running")
    running.handle("Do7-3")
    running.handle("Do7-3")
    running.handle("Undeclared")
    looks, apps = [], world.desk.apps
    monkeypatch.setattr(world.desk, "apps", lambda: looks.append(1) or apps())
    found = raiser.ask("findIntentsByContextRequest", context=INSTRUMENT)["appIntents"]
    assert len(found) == 902 and len(looks) == 1
    by_name = {one["intent"]["name"]: one for one in found}
    assert names(by_name["Do7-3"]) == [("app-7", None), ("app-7", "running")]
    assert by_name["Do7-3"]["intent"]["displayName"] == "Do Do7-3"
    monkeypatch.setattr(intents, "MOST_FOUND", 100)
    assert len(raiser.ask("findIntentsByContextRequest", context=INSTRUMENT)["appIntents"]) <= 100


def test_an_instance_that_listens_is_found_without_a_declaration(world, raiser):
    dynamic = world.start("jupyter")
    listener = dynamic.handle("Analyse")
    found = raiser.ask("findIntentRequest", intent="Analyse", context=CONTACT)["appIntent"]
    assert names(found) == [("jupyter", "jupyter")]
    assert dynamic.ask("intentListenerUnsubscribeRequest", listenerUUID=listener) == {}
    assert dynamic.ask("intentListenerUnsubscribeRequest", listenerUUID=listener) == {"error": "ListenerNotFound"}
    assert raiser.ask("findIntentRequest", intent="Analyse") == {"error": "NoAppsFound"}


# --- to whom


def test_the_one_instance_that_listens_gets_it(world, raiser):
    chart = world.start("chart")
    chart.handle("ViewChart")
    raised = raiser.raise_intent("ViewChart", INSTRUMENT)
    event = chart.events("intentEvent")[0]
    assert event == {
        "intent": "ViewChart",
        "context": INSTRUMENT,
        "originatingApp": raiser.identifier,
        "raiseIntentRequestUuid": raised,
    }
    resolution = {"intentResolution": {"source": chart.identifier, "intent": "ViewChart"}}
    assert raiser.answer_to(raised) == resolution
    assert world.desk.launched == []


def test_an_app_that_does_not_run_is_launched_for_it(world, raiser):
    raised = raiser.raise_intent("ViewChart", INSTRUMENT)
    again = raiser.raise_intent("ViewChart", INSTRUMENT)
    assert [app for app, _ in world.desk.launched] == ["chart"], "the second joins the first"
    assert raiser.answer_to(raised) is None
    chart = world.arrive()
    assert raiser.answer_to(raised) is None
    chart.handle("Other")
    chart.handle("ViewChart")
    kinds = [message["type"] for message in chart.heard[-3:]]
    assert kinds == ["addIntentListenerResponse", "intentEvent", "intentEvent"]
    for request in (raised, again):
        assert raiser.answer_to(request)["intentResolution"]["source"] == chart.identifier
    assert world.desk.timers == 0


def test_an_app_named_without_an_instance_gets_a_new_one(world, raiser):
    chart = world.start("chart")
    chart.handle("ViewChart")
    raised = raiser.raise_intent("ViewChart", INSTRUMENT, {"appId": "chart"})
    fresh = world.arrive()
    fresh.handle("ViewChart")
    assert raiser.answer_to(raised)["intentResolution"]["source"] == fresh.identifier
    assert chart.events("intentEvent") == []


def test_an_instance_that_is_named_gets_it(world, raiser):
    first, second = world.start("chart", "chart-1"), world.start("chart", "chart-2")
    first.handle("ViewChart")
    second.handle("ViewChart")
    raiser.raise_intent("ViewChart", INSTRUMENT, second.identifier)
    assert (len(first.events("intentEvent")), len(second.events("intentEvent"))) == (0, 1)


def test_an_instance_that_declares_it_may_add_its_listener_later(world, raiser):
    chart = world.start("chart")
    raised = raiser.raise_intent("ViewChart", INSTRUMENT, chart.identifier)
    world.desk.pass_time(14)
    chart.handle("ViewChart")
    assert raiser.answer_to(raised)["intentResolution"]["source"] == chart.identifier
    world.desk.pass_time(100)
    assert world.desk.timers == 0


def test_an_instance_that_has_just_opened_is_given_time_for_its_listener(world, raiser):
    chart = world.start("chart")
    raised = raiser.raise_intent("ViewChart", INSTRUMENT)
    assert world.desk.launched == []
    chart.handle("ViewChart")
    assert raiser.answer_to(raised)["intentResolution"]["source"] == chart.identifier


def test_an_instance_that_never_listened_is_left_alone(world, raiser):
    world.start("chart")
    world.desk.pass_time(15)
    raiser.raise_intent("ViewChart", INSTRUMENT)
    assert [app for app, _ in world.desk.launched] == ["chart"]


def test_the_notebook_can_be_named_though_it_cannot_be_launched(world, raiser):
    notebook = world.start("jupyter", "kernel-1")
    notebook.handle("Analyse")
    raised = raiser.raise_intent("Analyse", CONTACT, {"appId": "jupyter"})
    assert raiser.answer_to(raised)["intentResolution"]["source"] == notebook.identifier


def test_an_app_may_handle_its_own_intent(world):
    app = world.start("solo")
    app.handle("Look")
    raised = app.raise_intent("Look")
    assert len(app.events("intentEvent")) == 1
    app.give_result({"context": CONTACT})
    assert app.result_of(raised) == {"intentResult": {"context": CONTACT}}


@pytest.mark.parametrize(
    ("intent", "context", "app", "error"),
    [
        ("Nothing", INSTRUMENT, None, "NoAppsFound"),
        ("ViewChart", CONTACT, None, "NoAppsFound"),
        ("ViewChart", CONTACT, {"appId": "chart"}, "NoAppsFound"),
        ("ViewNews", INSTRUMENT, {"appId": "chart"}, "NoAppsFound"),
        ("ViewChart", CONTACT, {"appId": "chart", "instanceId": "chart-1"}, "NoAppsFound"),
        ("ViewNews", INSTRUMENT, {"appId": "chart", "instanceId": "chart-1"}, "NoAppsFound"),
        ("ViewChart", INSTRUMENT, {"appId": "nobody"}, "TargetAppUnavailable"),
        ("ViewChart", INSTRUMENT, {"appId": "chart", "instanceId": "nobody"}, "TargetInstanceUnavailable"),
        ("ViewChart", INSTRUMENT, {"appId": "news", "instanceId": "chart-1"}, "TargetInstanceUnavailable"),
        ("ViewChart", INSTRUMENT, {"appId": "chart", "instanceId": "closed"}, "TargetInstanceUnavailable"),
        ("ViewChart", INSTRUMENT, {"appId": "chart", "desktopAgent": "far"}, "NotConnectedToBridge"),
        ("ViewNews", INSTRUMENT, None, "ResolverUnavailable"),
    ],
)
def test_whom_it_cannot_reach(world, raiser, intent, context, app, error):
    world.start("chart", "chart-1").handle("ViewChart")
    world.start("chart", "closed").end()
    raised = raiser.raise_intent(intent, context, app)
    assert raiser.answer_to(raised) == {"error": error}
    assert world.desk.launched == []


# --- in time


def test_a_listener_that_does_not_come_in_time(world, raiser):
    raised = raiser.raise_intent("ViewChart", INSTRUMENT)
    world.desk.pass_time(29)
    chart = world.arrive()
    world.desk.pass_time(14.9)
    assert raiser.answer_to(raised) is None
    world.desk.pass_time(0.2)
    assert raiser.answer_to(raised) == {"error": "IntentDeliveryFailed"}
    chart.handle("ViewChart")
    assert chart.events("intentEvent") == []


def test_an_app_that_never_opens(world, raiser):
    raised = raiser.raise_intent("ViewChart", INSTRUMENT)
    world.desk.pass_time(30)
    assert raiser.answer_to(raised) == {"error": "IntentDeliveryFailed"}
    assert world.desk.timers == 0


def test_an_app_that_ends_before_it_opens(world, raiser):
    raised = raiser.raise_intent("ViewChart", INSTRUMENT)
    world.router.disconnect(world.desk.launched[0][1])
    assert raiser.answer_to(raised) == {"error": "TargetAppUnavailable"}
    assert world.desk.timers == 0


def test_an_app_that_ends_before_it_listens(world, raiser):
    raised = raiser.raise_intent("ViewChart", INSTRUMENT)
    world.arrive().end()
    assert raiser.answer_to(raised) == {"error": "IntentDeliveryFailed"}


def test_an_app_that_cannot_be_launched(world, raiser):
    world.desk.broken.add("chart")
    assert raiser.answer_to(raiser.raise_intent("ViewChart", INSTRUMENT)) == {"error": "TargetAppUnavailable"}
    assert "cannot be started" in world.desk.remarks[0][1]


def test_no_more_than_some_wait_for_one_instance(world, raiser, monkeypatch):
    monkeypatch.setattr(waits, "MOST_WAITING", 2)
    raised = [raiser.raise_intent("ViewChart", INSTRUMENT) for _ in range(3)]
    assert [raiser.answer_to(request) for request in raised] == [None, None, {"error": "IntentDeliveryFailed"}]


def test_who_raised_it_may_be_gone_when_it_arrives(world, raiser):
    raiser.raise_intent("ViewChart", INSTRUMENT)
    before = len(raiser.heard)
    raiser.end()
    chart = world.arrive()
    chart.handle("ViewChart")
    assert chart.events("intentEvent")[0]["context"] == INSTRUMENT
    assert chart.give_result({}) == {}
    assert len(raiser.heard) == before


# --- a person chooses


def choose(world: World, raiser: App, pick, intent: str = "ViewNews") -> tuple[dict | None, list[Question]]:
    """Raise an intent that several could handle, with a resolver; the answer, and what the resolver was asked."""
    asked: list[Question] = []

    async def main() -> dict | None:
        async def resolver(question: Question) -> Choice | None:
            asked.append(question)
            return await pick(question)

        world.desk.resolver = resolver
        if intent:
            raised = raiser.raise_intent(intent, INSTRUMENT)
        else:
            raised = raiser.say("raiseIntentForContextRequest", {"context": INSTRUMENT})
        for _ in range(100):
            await asyncio.sleep(0.002)
            if raiser.answer_to(raised) or world.desk.launched:
                break
        return raiser.answer_to(raised)

    return asyncio.run(main()), asked


def test_a_person_chooses_an_app(world, raiser):
    async def pick(question: Question) -> Choice:
        return Choice(intent="ViewNews", app_id="desk-news")

    answer, asked = choose(world, raiser, pick)
    assert answer is None
    assert [app for app, _ in world.desk.launched] == ["desk-news"]
    assert asked[0].raiser.app_id == "list"
    assert [app.app_id for app in asked[0].options[0].apps] == ["news", "desk-news"]


def test_a_person_chooses_an_instance_and_an_intent(world, raiser):
    news = world.start("news", "news-1")
    news.handle("ViewNews")

    async def pick(question: Question) -> Choice:
        return Choice(intent="ViewNews", app_id="news", instance_id="news-1")

    answer, asked = choose(world, raiser, pick, intent="")
    assert [option.intent.name for option in asked[0].options] == ["ViewChart", "ViewNews"]
    assert answer == {"intentResolution": {"source": news.identifier, "intent": "ViewNews"}}


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("cancel", "UserCancelledResolution"),
        ("sleep", "ResolverTimeout"),
        ("raise", "ResolverUnavailable"),
        ("invent", "ResolverUnavailable"),
        ("gone", "TargetInstanceUnavailable"),
    ],
)
def test_a_choice_that_comes_to_nothing(world, raiser, how, error):
    news = world.start("news", "news-1")
    news.handle("ViewNews")

    async def pick(question: Question) -> Choice | None:
        if how == "sleep":
            await asyncio.sleep(10)
        if how == "raise":
            raise RuntimeError("no window")
        if how == "gone":
            news.end()
        return (
            None
            if how == "cancel"
            else Choice(intent="ViewNews", app_id="news", instance_id="news-1" if how == "gone" else "invented")
        )

    answer, _ = choose(world, raiser, pick)
    assert answer == {"error": error}
    assert world.desk.launched == []


def test_nobody_is_asked_on_behalf_of_who_is_gone(world, raiser):
    cancelled = []

    async def pick(question: Question) -> None:
        raiser.end()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    assert choose(world, raiser, pick)[0] is None
    assert cancelled == [True]


# --- for a context


def test_raise_for_context_with_one_intent_and_app(world, raiser):
    news = world.start("news")
    raised = raiser.say("raiseIntentForContextRequest", {"context": CONTACT, "app": news.identifier})
    news.handle("ViewNews")
    expected = {"intentResolution": {"source": news.identifier, "intent": "ViewNews"}}
    assert raiser.answer_to(raised, "raiseIntentForContextResponse") == expected
    news.give_result({"context": CONTACT})
    assert raiser.result_of(raised) == {"intentResult": {"context": CONTACT}}


def test_raise_for_context_launches_the_one_that_could(world, raiser):
    raised = raiser.say("raiseIntentForContextRequest", {"context": CONTACT})
    assert raiser.answer_to(raised) is None
    assert [app for app, _ in world.desk.launched] == ["news"]


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"context": {"type": "x"}}, "NoAppsFound"),
        ({"context": INSTRUMENT}, "ResolverUnavailable"),
        ({"context": CONTACT, "app": {"appId": "chart"}}, "NoAppsFound"),
        ({"context": CONTACT, "app": {"appId": "nobody"}}, "TargetAppUnavailable"),
        ({"context": CONTACT, "app": {"appId": "news", "instanceId": "x"}}, "TargetInstanceUnavailable"),
        ({"context": CONTACT, "app": {"appId": "list", "instanceId": "list"}}, "NoAppsFound"),
    ],
)
def test_raise_for_context_that_reaches_nobody(raiser, payload, error):
    assert raiser.ask("raiseIntentForContextRequest", **payload) == {"error": error}


# --- results


@pytest.fixture
def handed(world: World, raiser: App) -> tuple[App, App, str]:
    chart = world.start("chart")
    chart.handle("ViewChart")
    return raiser, chart, raiser.raise_intent("ViewChart", INSTRUMENT)


@pytest.mark.parametrize("result", [{}, {"context": INSTRUMENT}, {"channel": {"id": "fdc3.channel.1", "type": "user"}}])
def test_what_comes_back(handed, result):
    raiser, chart, raised = handed
    assert raiser.result_of(raised) is None
    assert chart.give_result(result) == {}
    back = raiser.result_of(raised)["intentResult"]
    assert back.keys() == result.keys()
    assert back.get("context") == result.get("context")
    assert back.get("channel", {}).get("id") == result.get("channel", {}).get("id")
    # A second handler's result is nobody's.
    assert chart.give_result({"context": CONTACT}) == {}
    assert raiser.result_of(raised)["intentResult"] == back


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"context": "text"}, "MalformedContext"),
        ({"context": {"no": "type"}}, "MalformedContext"),
        ("text", "MalformedMessage"),
        ({"channel": {"id": 7, "type": "app"}}, "MalformedMessage"),
        ({"channel": {"id": "nowhere", "type": "app"}}, "NoChannelFound"),
        ({"channel": {"id": "nowhere", "type": "private"}}, "NoChannelFound"),
    ],
)
def test_a_result_that_is_none(world, handed, result, error):
    world.strict = False
    raiser, chart, raised = handed
    assert chart.give_result(result) == {"error": error}
    assert raiser.result_of(raised) == {"error": "NoResultReturned"}


@pytest.mark.parametrize("error", ["IntentHandlerRejected", "NoResultReturned"])
def test_a_handler_says_that_it_has_no_result(world, handed, error):
    """FDC3's protocol has no word for it; this one is ours."""
    world.strict = False
    raiser, chart, raised = handed
    assert chart.give_result({"error": error}) == {}
    assert raiser.result_of(raised) == {"error": error}


def test_a_handler_that_dies_rejects_what_it_owed_at_once(world, handed):
    raiser, chart, first = handed
    second = raiser.raise_intent("ViewChart", INSTRUMENT)
    chart.end()
    for raised in (first, second):
        assert raiser.result_of(raised) == {"error": "IntentHandlerRejected"}
    assert world.desk.timers == 0


def test_nobody_gives_a_result_for_another(world, handed):
    raiser, chart, raised = handed
    thief = world.start("news")
    event = next(message for message in chart.heard if message["type"] == "intentEvent")
    forged = {
        "intentEventUuid": event["meta"]["eventUuid"],
        "raiseIntentRequestUuid": raised,
        "intentResult": {"context": CONTACT},
    }
    thief.ask("intentResultRequest", **forged)
    assert raiser.result_of(raised) is None
    chart.ask("intentResultRequest", **(forged | {"raiseIntentRequestUuid": "other"}))
    assert raiser.result_of(raised) is None


def test_results_that_never_come_do_not_pile_up(handed, monkeypatch):
    monkeypatch.setattr(intents, "MOST_RESULTS", 3)
    raiser, chart, first = handed
    later = [raiser.raise_intent("ViewChart", INSTRUMENT) for _ in range(3)]
    assert raiser.result_of(first) == {"error": "ApiTimeout"}
    assert [raiser.result_of(raised) for raised in later] == [None] * 3
    chart.give_result({}, -1)
    assert raiser.result_of(later[-1]) == {"intentResult": {}}
