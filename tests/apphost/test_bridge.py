"""The bridge from a page to the supervisor through its host: who may use it, when it is used, and what it bears."""

from __future__ import annotations

import json
import re
import signal
import threading

import pytest
from support.apps import NO_RESTART, QUICK, make_app
from support.processes import send, until

from labplatform import Heartbeat
from labplatform.errors import JavaScriptError

PATIENT = Heartbeat(interval=0.2, silent_after=10, ended_after=600)
FORBIDDEN = "default-src 'self' 'unsafe-inline'; connect-src 'self'"
PAGE = """<!doctype html><meta charset=utf-8><title>page</title><script>
    window.seen = [typeof fdc3, typeof lab, typeof qt];
    window.heard = [];
    const until = async (met) => { while (!met()) await new Promise((done) => setTimeout(done, 5)); return met(); };
    // The supervisor ends the connection of who sends this.
    const breakOff = () => {
        let deep = 0;
        for (let i = 0; i < 2000; i++) deep = [deep];
        return fdc3.getOrCreateChannel("deep").then((c) => c.broadcast({type: "deep", deep})).catch(() => {});
    };
</script>"""
LISTEN = """fdc3.getOrCreateChannel('x').then((c) => c.addContextListener('x', ({n}) => { heard.push(n); }))
    .then(() => 0)"""
SAY = "fdc3.getOrCreateChannel('x').then((c) => c.broadcast({{type: 'x', n: {n}}})).then(() => 0)"
HEARD = "until(() => heard.length >= {count}).then(() => heard)"


def through_host(lab) -> list[str]:
    """What the log says of pages that took the bridge though they might have had a WebSocket."""
    return [entry.text for entry in lab.events if "connected through its host" in entry.text]


# --- when it is used --------------------------------------------------------------------------------------------------


def test_where_a_header_forbids_the_websocket_the_agent_comes_through_the_host(platform, web):
    address = web.page("/strict", PAGE, Content_Security_Policy=FORBIDDEN)
    with platform() as lab:
        guest = {"uuid": "guest", "name": "Guest", "url": address}
        app, other = lab.launch({"startup_app": guest}), lab.launch("hello")
        assert app.evaluate_js("[lab.connected, ...seen]", timeout=20) == [True, "object", "object", "undefined"]
        assert len(through_host(lab)) == 1 and "security policy forbids" in through_host(lab)[0]
        # It is an app as any other: in both directions, and its event loop is watched.
        app.evaluate_js(LISTEN, timeout=20)
        other.evaluate_js(SAY.format(n=1), timeout=20)
        assert app.evaluate_js(HEARD.format(count=1), timeout=20) == [1]
        other.evaluate_js("window.heard = []; " + LISTEN, timeout=20)
        app.evaluate_js(SAY.format(n=2), timeout=20)
        until(lambda: other.evaluate_js("heard", timeout=10) == [2], 20, "the other to hear it")
        until(lambda: app.metrics and app.metrics.js_heap, 20, "what its pongs tell of its heap")


def test_where_a_meta_element_forbids_the_way_back_the_session_goes_on_through_the_host(platform):
    with platform() as lab:
        app, other = lab.launch("strict"), lab.launch("hello")
        assert app.evaluate_js("lab.connected", timeout=20)
        assert through_host(lab) == [], "its first connection was there before the policy was read"
        # No eval in this page, so these are expressions.
        app.evaluate_js("window.heard = []", timeout=20)
        app.evaluate_js(LISTEN, timeout=20)
        cut = """fdc3.getOrCreateChannel('x').then((c) => c.broadcast({type: 'deep',
            deep: Array.from({length: 2000}).reduce((deep) => [deep], 0)})).catch(() => 0)"""
        app.evaluate_js(cut, timeout=20)
        until(lambda: through_host(lab), 20, "the page to come back through its host")
        assert app.evaluate_js("lab.connected", timeout=20)
        # Its listener is known still: the session is the same.
        other.evaluate_js(SAY.format(n=3), timeout=20)
        until(lambda: app.evaluate_js("heard", timeout=10) == [3], 20, "the page to hear it")
        assert len(through_host(lab)) == 1


def test_where_nobody_answers_on_the_websocket_the_agent_comes_through_the_host(platform, tmp_path, monkeypatch):
    """As in a sandbox without network: the connection is refused."""
    flags = "--proxy-server=127.0.0.1:9 --proxy-bypass-list=<-loopback>"
    monkeypatch.setenv("QTWEBENGINE_CHROMIUM_FLAGS", flags)
    make_app(tmp_path, "alone", page=PAGE)
    with platform(tmp_path) as lab:
        app = lab.launch("alone")
        assert app.evaluate_js("lab.connected", timeout=20)
        assert len(through_host(lab)) == 1 and "WebSocket" in through_host(lab)[0]


@pytest.mark.parametrize("isolation", ["process", "shared-process"])
def test_each_document_and_each_renderer_has_its_own_connection(platform, tmp_path, isolation):
    for uuid in ("alice", "bob"):
        make_app(tmp_path, uuid, page=PAGE, pageTransport="host")
    with platform(tmp_path, isolation=isolation) as lab:
        alice, bob = lab.launch("alice"), lab.launch("bob")
        assert through_host(lab) == [], "it was told to"
        bob.evaluate_js(LISTEN, timeout=20)
        bob.evaluate_js("window.old = 1; setTimeout(() => location.reload(), 0); 0", timeout=20)
        until(lambda: _evaluated(bob, "window.old === undefined && lab.connected"), 20, "the new document")
        bob.evaluate_js(LISTEN, timeout=20)
        alice.evaluate_js(SAY.format(n=1), timeout=20)
        assert bob.evaluate_js(HEARD.format(count=1), timeout=20) == [1]
        bob.crash("renderer")
        bob.wait_for("running", 30)
        assert (bob.incarnation, bob.evaluate_js("lab.connected", timeout=20)) == (2, True)
        bob.evaluate_js(LISTEN, timeout=20)
        alice.evaluate_js(SAY.format(n=2), timeout=20)
        assert bob.evaluate_js(HEARD.format(count=1), timeout=20) == [2]
        assert (alice.incarnation, alice.state) == (1, "running")


def _evaluated(app, code: str):
    try:
        return app.evaluate_js(code, timeout=10)
    except JavaScriptError:
        return None


def test_a_page_that_an_error_has_replaced_is_not_taken_for_the_one_that_spoke(platform, web):
    """The address is the same; the document is the browser's own, and its host answers for it."""
    address = web.page("/soon-gone", PAGE)
    startup = {"uuid": "guest", "name": "Guest", "url": address}
    with platform() as lab:
        app = lab.launch({"startup_app": startup, "pageTransport": "host", "restart": NO_RESTART})
        assert app.evaluate_js("lab.connected", timeout=20)
        web.break_off("/soon-gone")
        app.evaluate_js("setTimeout(() => location.reload(), 0); 0", timeout=20)
        until(lambda: _evaluated(app, "typeof seen") == "undefined", 20, "the error page")
        ended = threading.Event()
        app.observe(lambda change: change["new"] in ("running", "unresponsive") or ended.set(), "state")
        assert not ended.wait(QUICK.interval * (QUICK.ended_after + 4)), f"it became {app.state}: {app.detail}"
        app.unobserve_all()
        app.wait_for("running", 20)


# --- what it bears ----------------------------------------------------------------------------------------------------


def test_who_does_not_read_is_cut_off_and_told_so(platform, tmp_path):
    for uuid in ("alice", "bob"):
        make_app(tmp_path, uuid, page=PAGE, pageTransport="host")
    with platform(tmp_path, heartbeat=PATIENT) as lab:
        alice, bob = lab.launch("alice"), lab.launch("bob")
        bob.evaluate_js(LISTEN, timeout=20)
        # Until the platform has cut it off, for who else could end this: it looks at a file of its own.
        bob.evaluate_js(
            """setTimeout(() => {
                for (;;) {
                    const ask = new XMLHttpRequest();
                    ask.open("GET", "go-on.txt?" + Math.random(), false);
                    try { ask.send(); } catch { continue; }
                    if (ask.responseText === "go on") break;
                }
            }, 0); 0""",
            timeout=20,
        )
        flood = """(async () => {
            const channel = await fdc3.getOrCreateChannel("x");
            for (let n = 0; n < 16; n++) await channel.broadcast({type: "x", n, text: "x".repeat(1e6)});
        })()"""
        alice.evaluate_js(flood, timeout=60)
        until(lambda: any("bob was cut off as a slow consumer" in entry.text for entry in lab.events), 30, "the cut")
        assert alice.evaluate_js("lab.connected", timeout=20)
        # What was on its way is bounded, and so is what its host holds.
        (tmp_path / "bob" / "go-on.txt").write_text("go on")
        until(lambda: _evaluated(bob, "lab.connected"), 30, "it to come back")
        alice.evaluate_js(SAY.format(n=99), timeout=20)
        heard = bob.evaluate_js("until(() => heard.at(-1) === 99).then(() => heard)", timeout=20)
        assert heard == [*range(len(heard) - 1), 99] and len(heard) < 16, "a clean cut, and not a hole"
        assert (bob.incarnation, bob.state) == (1, "running")


def test_a_burst_arrives_whole_and_in_order(platform, tmp_path):
    for uuid in ("alice", "bob"):
        make_app(tmp_path, uuid, page=PAGE, pageTransport="host")
    with platform(tmp_path, heartbeat=PATIENT) as lab:
        alice, bob = lab.launch("alice"), lab.launch("bob")
        bob.evaluate_js(LISTEN, timeout=20)
        burst = """fdc3.getOrCreateChannel('x').then((channel) => Promise.all(Array.from({length: 5000},
            (_, n) => channel.broadcast({type: 'x', n, text: 'y'.repeat(n % 7 ? 100 : 5000)})))).then(() => 0)"""
        alice.evaluate_js(burst, timeout=60)
        assert bob.evaluate_js(HEARD.format(count=5000), timeout=60) == list(range(5000))
        error = "fdc3.getOrCreateChannel('x').then((c) => c.broadcast({type: 'x', text: 'y'.repeat(2 ** 20)}))"
        with pytest.raises(JavaScriptError, match="MalformedContext"):
            alice.evaluate_js(error, timeout=20)
        assert alice.evaluate_js("lab.connected", timeout=20)


def test_a_page_whose_host_is_held_up_waits_and_then_is_told(platform, tmp_path):
    make_app(tmp_path, "alice", page=PAGE, pageTransport="host")
    with platform(tmp_path, heartbeat=PATIENT) as lab:
        alice = lab.launch("alice")
        # 16 are on their way, 64 MiB wait for that, 8 MiB more for room there; what comes then is refused at once.
        alice.evaluate_js(
            """fdc3.getOrCreateChannel("x").then((channel) => {
                window.refused = [];
                window.channel = channel;
                setTimeout(() => {
                    const text = "x".repeat(1e6);
                    for (let n = 0; n < 110; n++) {
                        channel.broadcast({type: "x", n, text}).catch((error) => refused.push([n, error.message]));
                    }
                }, 500);
            })""",
            timeout=20,
        )
        send(alice.pid, signal.SIGSTOP)
        alice.wait_for("unresponsive", 60)
        send(alice.pid, signal.SIGCONT)
        refused = alice.evaluate_js("until(() => refused.length).then(() => refused)", timeout=60)
        refused = [number for number, message in refused if "messages wait already to be sent" in message]
        assert refused == list(range(refused[0], 110)) and 85 < refused[0] < 100
        # What was not refused arrives.
        last = "channel.getCurrentContext().then((context) => context?.n ?? null)"
        until(lambda: alice.evaluate_js(last, timeout=20) == refused[0] - 1, 60, "all to arrive that was taken")
        assert (alice.state, alice.incarnation) == ("running", 1)


# --- who may use it ---------------------------------------------------------------------------------------------------

BREAK_IN = """(() => {{
    if (typeof qt === "undefined") return "no channel";
    globalThis.stolen = [];
    globalThis.answered = 0;
    const {{webChannelTransport}} = qt;
    const send = (message) => webChannelTransport.send(JSON.stringify(message));
    const call = (method, ...args) => send({{type: 6, id: 1, object: "host", method, args}});
    webChannelTransport.onmessage = ({{data}}) => {{
        const message = JSON.parse(data);
        if (message.type === 1) stolen.push(...message.args);
        if (message.type !== 10) return;
        answered++;
        if (answered > 1) return;
        for (const [, signal] of message.data.host.signals) send({{type: 7, object: "host", signal}});
        call("open", JSON.stringify({{connection: "stolen", session: "mine", received: 0, kept_from: 0}}));
        call("say", "stolen", {frames});
    }};
    const meta = {{requestUuid: "r", timestamp: "2025-01-01T00:00:00.000Z"}};
    const say = (type, payload) => JSON.stringify({{type, meta, payload}});
    send({{type: 3, id: 0}});
    return "tried";
}})()"""
"""Speaks Qt's web channel by itself, as far as that is needed."""
TALK = """[say("getOrCreateChannelRequest", {channelId: "x"}),
    say("broadcastRequest", {channelId: "x", context: {type: "x", n: "stolen"}})]"""
ACK = """'{"type":"ack","received":0}'"""
STOLEN = "JSON.stringify(globalThis.stolen)"


@pytest.fixture
def burglary(platform, request):
    """An app whose Python side runs code in the relay's world of its page; another, that listens; and how to try."""
    lab = platform(page_transport=getattr(request, "param", "auto"))
    burglar, other = lab.launch("burglar"), lab.launch("hello")
    ask = """(where, code) => fdc3.getOrCreateChannel("burglary").then((channel) => new Promise(async (done) => {
        const listener = await channel.addContextListener("burglary.found", async ({value}) => {
            await listener.unsubscribe();
            done(value ?? null);
        });
        await channel.broadcast({type: "burglary.try", where, code});
    }))"""
    other.evaluate_js("window.heard = []; " + LISTEN, timeout=20)

    def run(where: str, code: str):
        return other.evaluate_js(f"({ask})({json.dumps(where)}, {json.dumps(code)})", timeout=20)

    def attempt(where: str, frames: str = TALK) -> bool:
        """Whether there was a channel to try it on. The host has done with it when this returns."""
        if run(where, BREAK_IN.format(frames=frames)) == "no channel":
            return False
        until(lambda: run(where, "globalThis.answered") >= 3, 20, "the host to have answered all")
        return True

    return lab, burglar, run, attempt, lambda: other.evaluate_js("heard", timeout=20)


def test_the_main_frame_at_home_is_heard_and_no_frame_in_it_and_no_popup(burglary):
    _, burglar, run, attempt, heard = burglary
    assert not attempt("frame")
    burglar.evaluate_js("window.popup = open('inner.html', '', 'width=300,height=200'); 0", timeout=20)
    until(lambda: _evaluated(burglar, "popup.document.title") == "inner", 20, "the popup")
    assert not attempt("popup")
    for world in ("top", "frames[0]", "popup"):
        assert burglar.evaluate_js(f"typeof {world}.qt", timeout=20) == "undefined"
    assert burglar.evaluate_js("lab.connected", timeout=20) is True
    # Or the other attempts would prove nothing.
    assert attempt("page")
    until(lambda: heard() == ["stolen"], 20, "the page at home to be heard")
    until(lambda: "welcome" in run("page", STOLEN), 20, "the page at home to be spoken to")
    # A newer connection replaces the older, over whatever they came.
    until(lambda: burglar.evaluate_js("lab.connected", timeout=20) is False, 20, "its agent to hear of it")


def test_a_page_elsewhere_is_not_heard(burglary, web):
    lab, burglar, run, attempt, heard = burglary
    for address in (web.page("/elsewhere", PAGE), "about:blank", "http://127.0.0.1:9/"):
        burglar.evaluate_js(f"setTimeout(() => {{ location.href = {json.dumps(address)}; }}, 0); 0", timeout=20)
        until(lambda: _evaluated(burglar, "typeof lab") == "undefined", 20, "the page to be elsewhere")
        assert attempt("page"), "the channel is there; it is the host that does not hear"
        assert run("page", STOLEN) == "[]"
        assert heard() == []
        burglar.restart()
    refusals = [entry.text for entry in lab.events if "tried to speak for this app" in entry.text]
    assert len(refusals) == 3 and web.address in refusals[0], refusals


MISUSE = {
    '["x".repeat(2 ** 20 + 1)]': (1009, "a message was over 1048576 bytes"),
    "[1]": (1009, "what it sent was not text"),
    "[null]": (1009, "what it sent was not text"),
    "[]": (1009, "what it sent was not text"),
    "['nonsense']": (4000, "JSON is malformed"),
    # What its agent's relay would not do.
    f"[{ACK}]); for (let n = 0; n < 5000; n++) call('say', 'stolen', [{ACK}]": (1013, "it did not wait until"),
}


def test_misuse_is_the_end_of_the_connection(burglary):
    lab, _, run, attempt, _ = burglary
    for frames, (code, why) in MISUSE.items():
        before = len(lab.events)
        assert attempt("page", frames)
        said = lambda: [e.text for e in lab.events[before:] if f"cut off: {why}" in e.text]  # noqa: B023, E731
        until(said, 20, f"{why!r} for {frames}")
        until(lambda: run("page", STOLEN).endswith(f'"stolen",{code}]'), 20, f"its end by {code}")  # noqa: B023
    assert all((app.state, app.incarnation) == ("running", 1) for app in lab.apps)


@pytest.mark.parametrize("burglary", ["auto", "host"], indirect=True)
def test_a_page_that_goes_through_its_host_has_no_token(burglary):
    lab, _, run, _, _ = burglary
    tokens = [found for text in run("scripts", "") for found in re.findall(r'"token": "([^"]*)"', text)]
    assert len(tokens) == 1 and bool(tokens[0]) is (lab.page_transport == "auto")
