"""The page agent in a real browser, against a real WebSocket: what a page gets, and what it cannot get."""

from __future__ import annotations

import pytest

INFO = {
    "fdc3Version": "2.2",
    "provider": "harness",
    "appMetadata": {"appId": "ticker-list", "instanceId": "i-1"},
}
TOKEN = "page-token-6f1d0c"

# What a page's first script sees; read by the tests as `window.first`.
FIRST = """<script>
    window.first = {type: typeof window.lab, keys: Object.keys(window.lab ?? {}), connected: window.lab?.connected,
        fdc3: typeof window.fdc3, state: document.readyState, ready: 0};
    addEventListener('fdc3Ready', () => { first.ready++; first.state = document.readyState; });
</script>"""

LISTEN = """async ([id, type]) => {
    window.heard ??= [];
    const channel = await lab.channel(id);
    const listener = await channel.addContextListener(type, (context, metadata) =>
        heard.push([id, type, context.n, metadata.source.appId]));
    (window.listeners ??= []).push(listener);
}"""

OUTCOME = "promise => promise.then(value => ['ok', value], error => ['error', error.message])"


def opened(page, web, peer, path="/index.html", body=FIRST, headers=None):
    """The page's first connection, welcomed."""
    page.goto(web.page(path, body, headers))
    connection = peer.wait_connected(1)
    page.wait_for_function("lab.connected")
    return connection


def test_lab_is_there_before_the_pages_own_scripts_and_stays_what_it_is(page, web, peer):
    opened(page, web, peer)
    first = page.evaluate("first")
    assert first["type"] == "object"
    assert first["connected"] is False
    assert first["keys"] == [
        *("appId", "instanceId", "incarnation", "pid", "placement", "title", "color", "connected", "channel"),
        *("restored", "saveState", "getState", "stateVersion", "migrateState"),
    ]
    assert page.evaluate("({...lab, channel: 0, saveState: 0, getState: 0})") == {
        "appId": "ticker-list",
        "instanceId": "i-1",
        "incarnation": 3,
        "pid": 4711,
        "placement": "own process",
        "title": "Ticker List",
        "color": "#0072b2",
        "connected": True,
        "channel": 0,
        "restored": None,
        "saveState": 0,
        "getState": 0,
        "stateVersion": 0,
        "migrateState": None,
    }
    still_ours = page.evaluate("""() => {
        const lab = window.lab, tried = [];
        for (const change of [
            () => { 'use strict'; window.lab = 1; },
            () => { 'use strict'; delete window.lab; },
            () => { 'use strict'; lab.pid = 1; },
            () => { 'use strict'; lab.extra = 1; },
            () => Object.defineProperty(window, 'lab', {value: 1}),
        ]) try { change(); tried.push('allowed'); } catch (error) { tried.push(error.name); }
        return [tried, window.lab === lab, Object.isFrozen(lab)];
    }""")
    assert still_ours == [["TypeError"] * 5, True, True]


def test_fdc3_is_there_before_the_pages_own_scripts_and_says_so_once(page, web, peer):
    late = """<script>document.addEventListener('DOMContentLoaded', () =>
        addEventListener('fdc3Ready', () => { first.late = typeof fdc3.getInfo; }));</script>"""
    opened(page, web, peer, body=FIRST + late)
    page.wait_for_function("first.ready")
    page.wait_for_load_state("load")
    first = page.evaluate("first")
    assert (first["fdc3"], first["ready"], first["late"]) == ("object", 1, "function")
    assert page.evaluate("fdc3.getInfo()") == INFO
    # Every function of FDC3's DesktopAgent, free of its object as the proxy promises.
    names = (
        *("open", "findIntent", "findIntentsByContext", "findInstances", "broadcast", "raiseIntent"),
        *("raiseIntentForContext", "addIntentListener", "addContextListener", "addEventListener", "getUserChannels"),
        *("joinUserChannel", "getOrCreateChannel", "createPrivateChannel", "getCurrentChannel"),
        *("leaveCurrentChannel", "getInfo", "getAppMetadata", "getSystemChannels", "joinChannel"),
    )
    assert page.evaluate("names => names.filter(name => typeof fdc3[name] !== 'function')", list(names)) == []
    assert page.evaluate("(({getInfo}) => getInfo())(fdc3)") == INFO
    # A page may put there what getAgent() gave it, in strict code too.
    assert page.evaluate("() => { 'use strict'; const agent = fdc3; window.fdc3 = agent; return fdc3 === agent; }")


@pytest.mark.parametrize("when", ["at once", "after loading"])
def test_get_agent_finds_it(page, web, peer, get_agent_js, when):
    call = "window.found = getAgent().then(async agent => [agent === window.fdc3, (await agent.getInfo()).provider]);"
    if when == "after loading":
        call = f"addEventListener('load', () => setTimeout(() => {{ {call} }}, 50));"
    connection = opened(page, web, peer, body=f"<script>{get_agent_js}</script><script>{call}</script>")
    page.wait_for_function("window.found")
    assert page.evaluate("found") == [True, "harness"]
    assert [message["type"] for message in connection.messages] == ["getInfoRequest"] * 2


def test_the_first_use_tells_that_the_app_is_open(page, web, peer):
    connection = opened(page, web, peer)
    page.evaluate("Promise.all([lab.channel('prices'), fdc3.getOrCreateChannel('news')]).then(() => {})")
    kinds = [message["type"] for message in connection.messages]
    assert kinds == ["getInfoRequest", "getOrCreateChannelRequest", "getOrCreateChannelRequest"]


def test_a_heartbeat_is_acknowledged(page, web, peer):
    connection = opened(page, web, peer)
    page.evaluate("fdc3.getInfo()")
    peer.say({"type": "heartbeatEvent", "payload": {}, "meta": {"eventUuid": "beat-1", "timestamp": "2025-01-01"}})
    heard = peer.wait(lambda: connection.requests("heartbeatAcknowledgementRequest"), "the acknowledgement")
    assert heard == [{"heartbeatEventUuid": "beat-1"}]


def test_a_page_may_leave_its_desktop_agent(page, web, peer):
    connection = opened(page, web, peer)
    page.evaluate("fdc3.getInfo()")
    page.evaluate("fdc3.disconnect()")
    assert page.evaluate(f"({OUTCOME})(fdc3.getInfo())") == ["error", "AgentDisconnected"]
    peer.wait(lambda: connection.messages[-1]["type"] == "WCP6Goodbye", "the goodbye")
    assert peer.ping(connection) < 5 and page.evaluate("lab.connected"), "the platform still watches it"


def test_channels_speak_fdc3(page, web, peer):
    connection = opened(page, web, peer)
    page.evaluate(LISTEN, ["prices", "fdc3.instrument"])
    page.evaluate(LISTEN, ["prices", None])
    page.evaluate(LISTEN, ["news", None])
    context = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}
    result = page.evaluate(
        """async context => {
            const channel = await lab.channel('prices');
            return [channel.id, channel.type, await channel.getCurrentContext(),
                await channel.broadcast(context), await channel.getCurrentContext(),
                await channel.getCurrentContext('fdc3.contact')];
        }""",
        context,
    )
    assert result == ["prices", "app", None, None, context, None]
    assert connection.requests("broadcastRequest") == [{"channelId": "prices", "context": context}]
    assert connection.requests("addContextListenerRequest") == [
        {"channelId": "prices", "contextType": "fdc3.instrument"},
        {"channelId": "prices", "contextType": None},
        {"channelId": "news", "contextType": None},
    ]

    peer.broadcast("prices", {"type": "fdc3.contact", "n": 1})
    peer.broadcast("news", {"type": "fdc3.instrument", "n": 2})
    peer.broadcast("prices", {"type": "fdc3.instrument", "n": 3})
    page.wait_for_function("heard.length >= 4")
    assert page.evaluate("heard.splice(0)") == [
        ["prices", None, 1, "news-feed"],
        ["news", None, 2, "news-feed"],
        ["prices", "fdc3.instrument", 3, "news-feed"],
        ["prices", None, 3, "news-feed"],
    ]

    page.evaluate("listeners[1].unsubscribe()")
    assert len(connection.requests("contextListenerUnsubscribeRequest")) == 1
    peer.broadcast("prices", {"type": "fdc3.instrument", "n": 4})
    peer.broadcast("news", {"type": "fdc3.instrument", "n": 5})
    page.wait_for_function("heard.some(([, , n]) => n === 5)")
    assert [n for _, _, n, _ in page.evaluate("heard")] == [4, 5]


def test_what_is_said_in_one_turn_goes_together_and_in_order(page, web, peer):
    connection = opened(page, web, peer)
    page.evaluate("lab.channel('prices').then(channel => { window.prices = channel; })")
    before = connection.frames
    page.evaluate(
        """async () => {
            const all = [];
            const pad = 'x'.repeat(1e5);
            for (let n = 0; n < 500; n++) all.push(prices.broadcast({type: 'tick', n, pad: n === 300 ? pad : ''}));
            await Promise.all(all);
        }"""
    )
    assert [payload["context"]["n"] for payload in connection.requests("broadcastRequest")] == list(range(500))
    assert connection.frames - before < 30


def test_the_first_that_is_said_does_not_wait_for_what_the_page_does_next(page, web, peer):
    connection = opened(page, web, peer)
    page.evaluate("lab.channel('prices').then(channel => { window.prices = channel; })")
    page.evaluate(
        """() => setTimeout(() => {
            prices.broadcast({type: 'first'});
            prices.broadcast({type: 'second'});
            const until = performance.now() + 3000;
            while (performance.now() < until);
            window.done = true;
        })"""
    )

    def types() -> list[str]:
        return [payload["context"]["type"] for payload in connection.requests("broadcastRequest")]

    peer.wait(types, "the first broadcast", 2)
    assert types() == ["first"]
    page.wait_for_function("window.done")
    peer.wait(lambda: len(types()) == 2, "the second broadcast")


def test_what_comes_together_is_heard_one_by_one(page, web, peer):
    connection = opened(page, web, peer)
    page.evaluate(LISTEN, ["prices", None])
    first = len(peer.sent)
    peer.mute = True
    for n in range(200):
        peer.broadcast("prices", {"type": "tick", "n": n})
    lines = peer.sent[first:]
    before = peer.acknowledged
    # What is no JSON is no message, and costs those beside it nothing.
    connection.socket.send("\n".join([*lines[:100], "{", "", *lines[100:]]))
    page.wait_for_function("heard.length >= 200")
    assert page.evaluate("heard.map(([, , n]) => n)") == list(range(200))
    peer.wait(lambda: peer.acknowledged >= before + 200, "the acknowledgement")
    assert peer.acknowledged == len(peer.sent)


def test_an_error_is_named_as_fdc3_names_it(page, web, peer):
    opened(page, web, peer)
    peer.errors = {"broadcastRequest": "AccessDenied", "addContextListenerRequest": "NoChannelFound"}
    page.evaluate("lab.channel('prices').then(channel => { window.prices = channel; })")
    assert page.evaluate(f"({OUTCOME})(prices.broadcast({{type: 'x'}}))") == ["error", "AccessDenied"]
    assert page.evaluate(f"({OUTCOME})(prices.addContextListener(null, () => {{}}))") == ["error", "NoChannelFound"]
    cyclic = "(() => { const context = {type: 'x'}; context.self = context; return context; })()"
    assert page.evaluate(f"({OUTCOME})(prices.broadcast({cyclic}))") == ["error", "MalformedContext"]
    large = "prices.broadcast({type: 'x', text: 'ü'.repeat(600_000)}).catch((error) => [error.message, error.cause])"
    name, cause = page.evaluate(large)
    assert (name, cause.endswith(" bytes is over the limit of 1048576")) == ("MalformedContext", True)
    assert page.evaluate("prices.broadcast({type: 'y', text: 'ü'.repeat(40_000)}).catch((e) => e.message)") == (
        "AccessDenied"
    ), "two bytes each: this one is within the limit"
    assert page.evaluate("lab.connected")


def test_half_a_character_is_replaced_as_a_websocket_does(page, web, peer):
    """The supervisor reads UTF-8, and would cut off who sends what cannot be written so."""
    connection = opened(page, web, peer)
    page.evaluate(
        r"""lab.channel("prices").then((channel) => {
            const [high, low] = ["👍"[0], "👍"[1]];
            return channel.broadcast(
                {type: "x", a: `ok ${high}`, b: low + high + high, [`k${low}`]: "👍", c: "\\ud83d", d: `\\${high}`});
        })"""
    )
    [said] = [message for message in connection.messages if message["type"] == "broadcastRequest"]
    assert said["payload"]["context"] == {
        "type": "x",
        "a": "ok \ufffd",
        "b": "\ufffd\ufffd\ufffd",
        "k\ufffd": "👍",
        "c": "\\ud83d",
        "d": "\\\ufffd",
    }


def test_a_handler_that_throws_harms_no_other(page, web, peer):
    opened(page, web, peer)
    problems = []
    page.on("pageerror", lambda error: problems.append(error.message))
    page.evaluate(
        "lab.channel('prices').then(c => c.addContextListener(null, () => { throw new Error('the page’s own'); }))"
    )
    page.evaluate(LISTEN, ["prices", None])
    peer.broadcast("prices", {"type": "x", "n": 1})
    page.wait_for_function("heard.length === 1")
    assert problems == ["the page’s own"]


def test_pings_are_answered_while_timers_keep_the_page_busy(page, web, peer):
    connection = opened(page, web, peer)
    page.evaluate("""() => {
        window.ticks = 0;
        const work = () => { for (const end = performance.now() + 4; performance.now() < end;); ticks++; };
        for (let i = 0; i < 50; i++) setInterval(work, 1);
    }""")
    page.wait_for_function("ticks > 100", polling=50)
    before = page.evaluate("ticks")
    assert max(peer.ping(connection) for _ in range(20)) < 1
    assert page.evaluate("ticks") > before


def test_pings_are_answered_by_a_hidden_page_whose_timers_are_throttled(chromium, injected, web, peer):
    # Playwright keeps its own pages visible; this one is opened past it, so it carries the agent in itself.
    address = web.page(
        "/hidden.html",
        f"""<script>{injected}</script><script>
        let last = performance.now();
        (function tick() {{
            setTimeout(() => {{
                const gap = performance.now() - last;
                last += gap;
                if (document.hidden && gap > 900) fetch('/hidden', {{method: 'POST', body: JSON.stringify(gap)}});
                else tick();
            }}, 10);
        }})();
        </script>""",
    )
    browser = chromium.new_browser_cdp_session()
    hidden = browser.send("Target.createTarget", {"url": address})["targetId"]
    front = browser.send("Target.createTarget", {"url": "about:blank"})["targetId"]
    try:
        browser.send("Target.activateTarget", {"targetId": front})
        connection = peer.wait_connected(1)
        assert web.wait_posted("/hidden") > 900  # a timer of 10 ms took a second
        assert sorted(peer.ping(connection) for _ in range(20))[15] < 0.2
    finally:
        for target in (hidden, front):
            browser.send("Target.closeTarget", {"targetId": target})
        browser.detach()


@pytest.mark.parametrize("code", [1012, 4000, 4008])
def test_a_new_connection_goes_on_where_the_former_broke_off(page, web, peer, code):
    opened(page, web, peer)
    page.evaluate(LISTEN, ["prices", None])
    peer.broadcast("prices", {"type": "x", "n": 1})
    page.wait_for_function("heard.length === 1")
    peer.mute = True
    peer.broadcast("prices", {"type": "x", "n": 2})
    peer.drop(code)
    peer.mute = False
    peer.broadcast("prices", {"type": "x", "n": 3})
    second = peer.wait_connected(2)
    peer.broadcast("prices", {"type": "x", "n": 4})
    page.wait_for_function("heard.length >= 4")
    page.evaluate("lab.channel('prices')")
    assert [n for _, _, n, _ in page.evaluate("heard")] == [1, 2, 3, 4]
    # Its listeners are known by the names they have; none is registered again.
    assert [message["type"] for message in second.messages] == ["getOrCreateChannelRequest"]
    page.evaluate("listeners[0].unsubscribe()")
    assert len(second.requests("contextListenerUnsubscribeRequest")) == 1


def test_what_was_sent_and_not_acknowledged_is_sent_again_once_and_in_order(page, web, peer):
    opened(page, web, peer)
    page.evaluate("lab.channel('prices').then(channel => { window.prices = channel; })")
    page.evaluate("prices.broadcast({type: 'x', n: 0})")
    before = peer.received
    peer.deaf = True
    page.evaluate("""() => {
        window.sent = Promise.all(Array.from({length: 100}, (_, n) => prices.broadcast({type: 'x', n: n + 1})));
    }""")
    peer.welcoming.clear()
    peer.drop()
    page.wait_for_function("!lab.connected")
    page.evaluate("() => { window.later = prices.broadcast({type: 'x', n: 101}); }")
    peer.deaf = False
    peer.welcoming.set()
    second = peer.wait_connected(2)
    page.evaluate("Promise.all([sent, later]).then(() => {})")
    assert [context["n"] for context in peer.contexts["prices"]] == list(range(102))
    assert len(second.messages) == 101 and peer.received == before + 101
    # One that did arrive is not sent again, though its answer was lost.
    peer.mute = True
    page.evaluate("() => { window.last = prices.broadcast({type: 'x', n: 102}); }")
    peer.wait(lambda: peer.received == before + 102, "the last one")
    peer.drop()
    peer.mute = False
    third = peer.wait_connected(3)
    page.evaluate("last")
    assert [message["type"] for message in third.messages] == []


def test_both_sides_learn_what_arrived(page, web, peer):
    """Or what is kept would grow without end."""
    connection = opened(page, web, peer)
    page.evaluate(LISTEN, ["prices", None])
    for n in range(64):
        peer.broadcast("prices", {"type": "x", "n": n})
    peer.wait(lambda: peer.acknowledged >= 64, "an acknowledgement after so many messages")
    peer.broadcast("prices", {"type": "x", "text": "y" * 300_000})
    peer.wait(lambda: peer.acknowledged == len(peer.sent), "an acknowledgement after so many bytes")
    peer.broadcast("prices", {"type": "x"})
    peer.ping(connection)
    peer.wait(lambda: peer.acknowledged == len(peer.sent), "an acknowledgement with a pong")


def test_what_was_lost_is_said(page, web, peer):
    warnings = []
    page.on("console", lambda line: warnings.append(line.text) if line.type == "warning" else None)
    opened(page, web, peer)
    page.evaluate(LISTEN, ["prices", None])
    peer.mute = True
    for n in range(3):
        peer.broadcast("prices", {"type": "x", "n": n})
    peer.lose_what_was_sent("slow consumer")
    peer.drop(4008)
    peer.mute = False
    peer.wait_connected(2)
    peer.broadcast("prices", {"type": "x", "n": 3})
    page.wait_for_function("heard.length === 1")
    assert page.evaluate("heard[0][2]") == 3
    assert warnings == ["labplatform: 3 messages to this page were lost: slow consumer"]


def test_what_is_kept_for_another_connection_is_bounded(page, web, peer):
    """Sent it is in any case; only what breaks off with the connection, and was too much to keep, is lost."""
    warnings = []
    page.on("console", lambda line: warnings.append(line.text) if line.type == "warning" else None)
    opened(page, web, peer)
    page.evaluate("lab.channel('prices').then(channel => { window.prices = channel; })")
    before = peer.received
    peer.deaf = True
    page.evaluate("() => { for (let n = 0; n < 10_001; n++) prices.broadcast({type: 'x', n}).catch(() => {}); }")
    peer.drop()
    peer.deaf = False
    second = peer.wait_connected(2)
    page.evaluate("prices.getCurrentContext()")
    heard = [payload["context"]["n"] for payload in second.requests("broadcastRequest")]
    lost = 10_001 - len(heard)
    assert heard == list(range(lost, 10_001)) and 0 < lost < 3_000
    assert warnings == [f"labplatform: {lost} messages of this page may be lost: the connection broke"]
    assert peer.received == before + 10_002


def test_what_waits_for_a_connection_is_bounded(page, web, peer):
    opened(page, web, peer)
    page.evaluate("lab.channel('prices').then(channel => { window.prices = channel; })")
    peer.welcoming.clear()
    peer.drop()
    page.wait_for_function("!lab.connected")
    page.evaluate(
        """() => {
            window.sent = Promise.all(Array.from({length: 9999}, (_, n) => prices.broadcast({type: 'x', n})));
            window.last = prices.getCurrentContext();
        }"""
    )
    kind, message = page.evaluate(f"({OUTCOME})(prices.broadcast({{type: 'x', n: 'one too many'}}))")
    assert (kind, "10000 messages wait already" in message) == ("error", True)
    peer.welcoming.set()
    second = peer.wait_connected(2)
    page.evaluate("sent.then(() => {})")
    assert [payload["context"]["n"] for payload in second.requests("broadcastRequest")] == list(range(9999))
    assert page.evaluate("last") == {"type": "x", "n": 9998}


def test_what_waits_in_a_connection_is_bounded(page, web, peer):
    """64 MiB wait in the browser, 8 MiB more for room there, and what comes then is refused at once."""
    opened(page, web, peer)
    page.evaluate("lab.channel('prices').then(channel => { window.prices = channel; })")
    peer.reading.clear()
    refused = page.evaluate(
        """async () => {
            const refused = [], text = 'x'.repeat(1e6);
            for (let n = 0; n < 110; n++) {
                prices.broadcast({type: 'x', n, text}).catch(error => refused.push([n, error.message]));
                // What a turn of the loop says goes together; here each is to go by itself.
                await new Promise(resolve => setTimeout(resolve, 0));
            }
            return refused;
        }"""
    )
    refused = [number for number, message in refused if "messages wait already to be sent" in message]
    first = refused[0]
    assert refused == list(range(first, 110)) and 70 < first < 100
    peer.reading.set()
    peer.wait(lambda: len(peer.contexts.get("prices", [])) == first, "all that was taken", 60)
    assert [context["n"] for context in peer.contexts["prices"]] == list(range(first))


def test_deadlines_of_the_welcome_and_of_requests(page, web, peer):
    """A supervisor that says nothing is left for a new connection; a request given up is not carried out later."""
    opened(page, web, peer)
    peer.errors = {"getCurrentContextRequest": ""}
    page.evaluate("lab.channel('prices').then(channel => { window.prices = channel; })")
    page.evaluate(f"window.unanswered = ({OUTCOME})(prices.getCurrentContext()); null")
    peer.wait(lambda: peer.connection.requests("getCurrentContextRequest"), "the request")
    peer.welcoming.clear()
    peer.drop()
    page.wait_for_function("!lab.connected")
    page.evaluate(f"window.waited = ({OUTCOME})(prices.broadcast({{type: 'x'}})); null")
    page.evaluate(f"window.listening = ({OUTCOME})(prices.addContextListener(null, () => {{}})); null")
    page.set_default_timeout(15_000)
    for name in ("unanswered", "waited", "listening"):
        assert page.evaluate(name) == ["error", "ApiTimeout"]
    peer.wait(lambda: len(peer.connections) >= 3, "a new connection after the silent one", 10)
    peer.welcoming.set()
    peer.wait(lambda: peer.connection.welcomed, "the welcome")
    page.evaluate("lab.channel('after')")
    assert [message["type"] for message in peer.connection.messages] == ["getOrCreateChannelRequest"]


@pytest.mark.parametrize("code", [4001, 4003])
def test_a_page_that_is_refused_or_replaced_gives_up(page, web, peer, code):
    warnings = []
    page.on("console", lambda line: warnings.append(line.text) if line.type == "warning" else None)
    opened(page, web, peer)
    page.evaluate("lab.channel('prices').then(channel => { window.prices = channel; })")
    peer.errors = {"getCurrentContextRequest": ""}
    page.evaluate(f"window.waiting = ({OUTCOME})(prices.getCurrentContext()); null")
    peer.wait(lambda: peer.connection.requests("getCurrentContextRequest"), "the request")
    peer.drop(code)
    assert page.evaluate("waiting") == ["error", "AgentDisconnected"]
    for call in ("lab.channel('x')", "prices.broadcast({type: 'x'})", "prices.addContextListener(null, () => {})"):
        assert page.evaluate(f"({OUTCOME})({call})") == ["error", "AgentDisconnected"]
    assert page.evaluate("lab.connected") is False
    assert len(warnings) == 1 and warnings[0].startswith("labplatform: ")
    assert len(peer.connections) == 1


def test_only_the_main_frame_of_the_apps_own_origin_gets_an_agent(page, web, peer):
    web.page("/inner.html", "<script>window.seen = [typeof lab, typeof fdc3].join(' ')</script>")
    opened(
        page,
        web,
        peer,
        body=FIRST
        + f"""<iframe name=same src=/inner.html></iframe>
        <iframe name=other src={web.foreign_origin}/inner.html></iframe>
        <iframe name=srcdoc srcdoc="<script>window.seen = [typeof lab, typeof fdc3].join(' ')</script>"></iframe>""",
    )
    for name in ("same", "other", "srcdoc"):
        frame = page.frame(name)
        frame.wait_for_function("window.seen")
        assert frame.evaluate("seen") == "undefined undefined", name
    page.evaluate("address => { location.href = address; }", f"{web.foreign_origin}/inner.html")
    page.wait_for_url(f"{web.foreign_origin}/inner.html")
    assert page.evaluate("seen") == "undefined undefined"
    # The app's own page again: its connection is the second, so none of the others has made one.
    page.goto(web.page("/index.html", FIRST))
    peer.wait_connected(2)
    page.wait_for_function("lab.connected")
    assert len(peer.connections) == 2


def test_no_script_of_the_page_can_read_the_token(page, web, peer):
    """The page looks at everything it can reach, and has put its own ears on every way out, before a reconnect."""
    opened(
        page,
        web,
        peer,
        body="""<script>
        window.loot = [];
        const text = String;
        const record = (...values) => { for (const value of values) try { loot.push(text(value)); } catch {} };
        const ears = (object, name) => {
            const original = object[name];
            object[name] = function (...args) {
                if (!ears.on) return original.apply(this, args);
                ears.on = false;
                try { record(name, ...args, typeof this === 'string' ? this : ''); } finally { ears.on = true; }
                return Reflect_apply(original, this, args);
            };
        };
        const Reflect_apply = Reflect.apply;
        window.ears = ears;
        const RealSocket = WebSocket;
        window.WebSocket = function (...args) { record('socket', ...args); return new RealSocket(...args); };
        ears(RealSocket.prototype, 'send');
        ears(JSON, 'stringify'); ears(JSON, 'parse');
        ears(Reflect, 'apply');
        ears(Array.prototype, 'push'); ears(Array.prototype, 'indexOf');
        ears(Function.prototype, 'call');
        ears(window, 'setTimeout');
        ears(EventTarget.prototype, 'addEventListener');
        Object.defineProperty(Object.prototype, 'toJSON', {configurable: true, value() {
            record(this.token, this.hello, ...Object.values(this)); return this;
        }});
        Object.defineProperty(Object.prototype, 'token', {configurable: true, set(value) { record(value); }});
        Object.defineProperty(RealSocket.prototype, 'onmessage', {set(value) { record(value); }});
        Error.prepareStackTrace = (error, sites) => {
            for (const site of sites) record(site.getFunction(), site.getThis(), site.getFunctionName());
            return '';
        };
        function handler(context) {
            record('handler', handler.caller, arguments.callee.caller, window.event?.target);
            new Error('x').stack;
            window.handled = (window.handled ?? 0) + 1;
        }
        </script>""",
    )
    page.evaluate("""async () => {
        ears.on = true;
        window.prices = await lab.channel('prices');
        window.listener = await prices.addContextListener(null, handler);
        await prices.broadcast({type: 'x'});
    }""")
    peer.drop()
    peer.wait_connected(2)
    page.wait_for_function("lab.connected")
    peer.broadcast("prices", {"type": "x"})
    page.wait_for_function("window.handled === 1")
    loot = page.evaluate("""() => {
        ears.on = false;
        const seen = new Set();
        const walk = value => {
            if (Object(value) !== value) return loot.push(String(value));
            if (seen.has(value)) return;
            seen.add(value);
            if (typeof value === 'function') loot.push(Function.prototype.toString.call(value));
            for (const key of Reflect.ownKeys(value)) {
                loot.push(String(key));
                const {get, set, value: inner} = Object.getOwnPropertyDescriptor(value, key);
                for (const part of [get, set, inner]) walk(part);
            }
        };
        const prototypes = value => Object(value) === value && value !== Object.prototype
            ? [value, ...prototypes(Object.getPrototypeOf(value))] : [];
        for (const start of [lab, fdc3, fdc3.channels.messaging, prices, listener]) prototypes(start).forEach(walk);
        for (const key of Reflect.ownKeys(window)) if (typeof window[key] === 'string') loot.push(window[key]);
        for (const script of document.scripts) loot.push(script.src);
        return loot;
    }""")
    assert any("handler" in text for text in loot) and any("broadcast" in text for text in loot)
    assert [text for text in loot if TOKEN in text] == []


@pytest.mark.parametrize("where", ["header", "meta"])
def test_a_policy_that_forbids_the_connection_is_taken_quietly(page, web, peer, where):
    warnings, blocked, problems = [], [], []

    def note(line):
        if line.type == "warning":
            warnings.append(line.text)
        elif "Content Security Policy" in line.text:
            blocked.append(line.text)

    page.on("console", note)
    page.on("pageerror", lambda error: problems.append(error.message))
    policy = "connect-src 'self'"
    if where == "header":
        page.goto(web.page("/strict.html", FIRST, {"Content-Security-Policy": policy}))
        assert page.evaluate("first.type") == "object"
    else:
        # Read by the browser after the agent has connected: it bars only the way back.
        opened(page, web, peer, body=f'<meta http-equiv=Content-Security-Policy content="{policy}">')
        peer.drop()
        page.wait_for_function("!lab.connected")
    # Long enough for four more tries of a page that is merely without a connection.
    page.evaluate("new Promise(resolve => setTimeout(resolve, 1000))")
    assert page.evaluate("lab.connected") is False
    assert len(blocked) == 1
    assert len(warnings) == 1 and "connect-src ws://127.0.0.1:*" in warnings[0]
    assert problems == []
    assert len(peer.connections) == (where == "meta")
