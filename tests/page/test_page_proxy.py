"""Where FDC3's proxy 2.2.0 does otherwise than FDC3 2.2 has it, `window.fdc3` does as FDC3 2.2 has it."""

from __future__ import annotations

import pytest

RAISER = {"appId": "news-feed", "instanceId": "n-1"}
HEAR = """async type => {
    window.heard ??= [];
    window.listener = await fdc3.addContextListener(type, (context, metadata) =>
        heard.push([context.n, metadata?.source.appId ?? null]));
}"""
OUTCOME = "promise => promise.then(value => ['ok', value ?? null], error => ['error', error.message])"


@pytest.fixture
def opened(page, web, peer):
    """The page's connection."""
    page.goto(web.page("/index.html", ""))
    connection = peer.wait_connected(1)
    page.wait_for_function("lab.connected")
    return connection


def settled(page, peer):
    """Whatever the page was told before has been acted on, and whatever it asked then has been answered."""
    for _ in range(2):
        page.evaluate("fdc3.getInfo()")


def test_who_joins_gets_the_current_context_once(page, web, peer, opened):
    peer.contexts = {"red": [{"type": "a", "n": 1}, {"type": "b", "n": 2}], "blue": [{"type": "a", "n": 3}]}
    page.evaluate(HEAR, "a")
    page.evaluate(HEAR, None)
    page.evaluate("fdc3.joinUserChannel('red')")
    settled(page, peer)
    assert sorted(page.evaluate("heard.splice(0)")) == [[1, None], [2, None]], "each listener its own, and once"
    page.evaluate("fdc3.joinUserChannel('red')")
    settled(page, peer)
    assert page.evaluate("heard") == [], "it is there already"
    # A channel picker does the same.
    peer.join("blue")
    page.wait_for_function("heard.length >= 2")
    settled(page, peer)
    assert page.evaluate("heard.splice(0)") == [[3, None], [3, None]]
    page.evaluate("fdc3.leaveCurrentChannel()")
    peer.broadcast("blue", {"type": "a", "n": 4})
    settled(page, peer)
    assert page.evaluate("heard") == []


def test_a_listener_added_while_joined_gets_the_current_context_and_follows(page, web, peer, opened):
    peer.contexts = {"red": [{"type": "a", "n": 1}, {"type": "b", "n": 2}], "blue": [{"type": "a", "n": 3}]}
    page.evaluate("fdc3.joinUserChannel('red')")
    page.evaluate(HEAR, "a")
    assert page.evaluate("heard.splice(0)") == [[1, None]]
    # Whichever channel is joined, and not the one that was joined just then.
    assert opened.requests("addContextListenerRequest") == [{"channelId": None, "contextType": "a"}]
    peer.broadcast("red", {"type": "a", "n": 5})
    peer.join("blue")
    page.wait_for_function("heard.length >= 2")
    peer.broadcast("red", {"type": "a", "n": 6})
    peer.broadcast("blue", {"type": "a", "n": 7})
    page.wait_for_function("heard.length >= 3")
    assert page.evaluate("heard.splice(0)") == [[5, "news-feed"], [3, None], [7, "news-feed"]]
    page.evaluate("listener.unsubscribe()")
    page.evaluate("fdc3.joinUserChannel('red')")
    settled(page, peer)
    assert page.evaluate("heard") == []
    # The listeners of a channel are not called with what is on it already: FDC3 wants it so.
    page.evaluate(
        "fdc3.getOrCreateChannel('red').then((c) => c.addContextListener(null, ({n}) => heard.push(n))).then(() => 0)"
    )
    settled(page, peer)
    assert page.evaluate("heard") == []


def test_a_broadcast_goes_to_the_joined_channel_and_does_not_ask_each_time(page, web, peer, opened):
    def broadcast(*numbers: int) -> None:
        page.evaluate("all => Promise.all(all.map(n => fdc3.broadcast({type: 'a', n})))", list(numbers))

    def heard() -> dict[str, list[int]]:
        """By channel, since the last look."""
        found = {channel: [context["n"] for context in contexts] for channel, contexts in peer.contexts.items()}
        peer.contexts = {}
        return found

    def asked() -> int:
        return len(opened.requests("getCurrentChannelRequest"))

    broadcast(1)
    assert heard() == {}, "on no channel it goes nowhere"
    page.evaluate("fdc3.joinUserChannel('red')")
    broadcast(2, 3, 4)
    assert heard() == {"red": [2, 3, 4]}
    before = asked()
    broadcast(5)
    # A channel picker moves it.
    peer.join("blue")
    settled(page, peer)
    broadcast(6)
    assert (heard(), asked()) == ({"red": [5], "blue": [6]}, before)
    # As the page said it, whatever of it has been answered.
    page.evaluate("""() => Promise.all([
        fdc3.broadcast({type: 'a', n: 7}), fdc3.joinUserChannel('red'), fdc3.broadcast({type: 'a', n: 8}),
        fdc3.leaveCurrentChannel(), fdc3.broadcast({type: 'a', n: 9}),
    ])""")
    assert heard()["red"] == [8]


def test_a_page_that_missed_messages_asks_again_where_it_is(page, web, peer, opened):
    page.evaluate("fdc3.joinUserChannel('red')")
    page.evaluate("fdc3.broadcast({type: 'a', n: 1})")
    peer.mute = True
    peer.join("blue")
    peer.mute = False
    peer.lose_what_was_sent("slow consumer")
    peer.drop()
    peer.wait_connected(2)
    page.wait_for_function("lab.connected")
    page.evaluate("fdc3.broadcast({type: 'a', n: 2})")
    assert [context["n"] for context in peer.contexts["blue"]] == [2]


def test_what_is_broadcast_meanwhile_is_not_overtaken_by_the_current_context(page, web, peer, opened):
    """The answer that was under way is older, or is the very context that has been heard."""

    def answer(payload):
        peer.broadcast("red", {"type": "a", "n": 2})
        return {"context": {"type": "a", "n": 1 if payload["contextType"] else 2}}

    peer.answers = {"getCurrentContextRequest": answer}
    page.evaluate(HEAR, "a")
    page.evaluate("fdc3.joinUserChannel('red')")
    settled(page, peer)
    assert page.evaluate("heard.splice(0)") == [[2, "news-feed"]]
    # Nor by that of a channel that has been left since.
    peer.answers = {"getCurrentContextRequest": lambda _: peer.join("blue") or {"context": {"type": "a", "n": 3}}}
    peer.join(None)
    peer.join("red")
    peer.wait(lambda: peer.joined == "blue", "the request")
    peer.answers = {}
    settled(page, peer)
    assert page.evaluate("heard") == []


def test_what_an_app_is_opened_with_arrives_on_a_channel_or_not(page, web, peer, opened):
    page.evaluate("fdc3.joinUserChannel('red')")
    page.evaluate(HEAR, "a")
    peer.broadcast(None, {"type": "b", "n": 1})
    peer.broadcast(None, {"type": "a", "n": 2})
    page.wait_for_function("heard.length")
    assert page.evaluate("heard") == [[2, "news-feed"]]


def test_a_change_of_channel_is_told_as_fdc3_tells_it(page, web, peer, opened):
    page.evaluate("""async () => {
        window.changes = [];
        for (const type of ["userChannelChanged", null])
            await fdc3.addEventListener(type, ({type, details}) => changes.push([type, details]));
    }""")
    peer.join("red")
    page.wait_for_function("changes.length === 2")
    assert page.evaluate("changes") == [["userChannelChanged", {"currentChannelId": "red"}]] * 2
    assert page.evaluate(f"({OUTCOME})(fdc3.addEventListener('made up', () => {{}}))") == ["error", "UnknownEventType"]


def test_intents_for_a_context_may_be_asked_for_by_result(page, web, peer, opened):
    found = [{"intent": {"name": "View"}, "apps": [{"appId": "chart"}]}]
    peer.answers = {"findIntentsByContextRequest": lambda _: {"appIntents": found}}
    assert page.evaluate("fdc3.findIntentsByContext({type: 'a'}, 'channel')") == found
    assert opened.requests("findIntentsByContextRequest") == [{"context": {"type": "a"}, "resultType": "channel"}]


def raised(page, peer, result):
    """What `getResult()` gives a page whose intent was handled with this result."""
    source = {"appId": "chart", "instanceId": "c-1"}
    peer.answers = {"raiseIntentRequest": lambda _: {"intentResolution": {"source": source, "intent": "View"}}}
    page.evaluate("fdc3.raiseIntent('View', {type: 'a'}).then((one) => { window.resolution = one; })")
    asked = next(m for m in reversed(peer.connection.messages) if m["type"] == "raiseIntentRequest")
    ids = {"requestUuid": asked["meta"]["requestUuid"], "responseUuid": "r", "timestamp": asked["meta"]["timestamp"]}
    peer.say({"type": "raiseIntentResultResponse", "meta": ids, "payload": result})
    return page.evaluate(f"({OUTCOME})(resolution.getResult())")


def test_a_result_that_failed_is_an_error(page, web, peer, opened):
    problems = []
    page.on("pageerror", lambda error: problems.append(error.message))
    assert raised(page, peer, {"intentResult": {"context": {"type": "a"}}}) == ["ok", {"type": "a"}]
    assert raised(page, peer, {"intentResult": {}}) == ["ok", None]
    for name in ("IntentHandlerRejected", "NoResultReturned"):
        assert raised(page, peer, {"error": name}) == ["error", name]
    # Nobody need ask for it.
    page.evaluate("delete window.resolution")
    settled(page, peer)
    assert problems == []


def test_an_intent_that_is_refused_leaves_nothing_waiting(page, web, peer, opened):
    problems = []
    page.on("pageerror", lambda error: problems.append(error.message))
    waiting = "Object.getOwnPropertyDescriptor(counted, 'size').value"
    page.evaluate("""() => {
        const {messaging} = fdc3.intents, {register, unregister} = messaging;
        window.counted = {size: 0};
        messaging.register = function (one) { counted.size++; return register.call(this, one); };
        messaging.unregister = function (id) { counted.size--; return unregister.call(this, id); };
    }""")
    peer.errors = {"raiseIntentRequest": "NoAppsFound"}
    assert page.evaluate(f"({OUTCOME})(fdc3.raiseIntent('View', {{type: 'a'}}))") == ["error", "NoAppsFound"]
    settled(page, peer)
    assert page.evaluate(waiting) == 0
    assert problems == []


@pytest.mark.parametrize(
    ("handler", "result", "seen"),
    [
        ("async () => ({type: 'b'})", {"context": {"type": "b"}}, []),
        ("async () => {}", {}, []),
        ("() => {}", {}, []),
        ("async () => { throw new Error('no') }", {"error": "IntentHandlerRejected"}, ["no"]),
        ("() => { throw new Error('no') }", {"error": "IntentHandlerRejected"}, ["no"]),
        ("() => ({type: 'b'})", {"error": "NoResultReturned"}, ["an intent's handler returns a promise, or nothing"]),
        ("async () => ({type: 'b', n: 1n})", {"error": "NoResultReturned"}, ["MalformedContext"]),
    ],
)
def test_whatever_an_intents_handler_does_its_raiser_is_told(page, web, peer, opened, handler, result, seen):
    problems = []
    page.on("pageerror", lambda error: problems.append(error.message))
    page.evaluate(f"fdc3.addIntentListener('View', {handler}).then(() => 0)")
    payload = {"intent": "View", "context": {"type": "a"}, "originatingApp": RAISER, "raiseIntentRequestUuid": "q-1"}
    event = peer.event("intentEvent", payload)
    answered = peer.wait(lambda: opened.requests("intentResultRequest"), "the result")
    assert answered == [{"intentEventUuid": event, "raiseIntentRequestUuid": "q-1", "intentResult": result}]
    settled(page, peer)
    assert problems == seen
