"""FDC3's own proxy in real pages of a real platform: two apps in two processes, and what a reconnect does to them.

Once over the pages' own WebSockets, once through their hosts, and once with one of each.
"""

from __future__ import annotations

import pytest
from support.apps import NO_RESTART, make_app
from support.get_agent import bundle
from support.npm import Unreachable
from support.processes import until

from labplatform.errors import JavaScriptError

CHANNEL = "fdc3.channel.1"
PAGE = """<!doctype html><meta charset=utf-8><title>page</title><script>
    window.heard = [];
    window.seen = {fdc3: typeof window.fdc3, ready: 0};
    addEventListener("fdc3Ready", () => seen.ready++);
    const note = (context, metadata) => { heard.push([context, metadata?.source?.appId]); };
    const until = async (met) => { while (!met()) await new Promise((done) => setTimeout(done, 5)); return met(); };
    const outcome = (promise) => promise.then((value) => ["ok", value], (error) => ["error", error.message]);
    // The supervisor ends the connection of who sends this, and does not read what comes behind it.
    const breakOff = () => {
        let deep = 0;
        for (let i = 0; i < 2000; i++) deep = [deep];
        return window.ticks.broadcast({type: "deep", deep}).catch(() => {});
    };
</script><h1>page</h1>"""


@pytest.fixture
def transports(request):
    """How the two pages reach the supervisor."""
    return getattr(request, "param", ("websocket", "websocket"))


BOTH_WAYS = pytest.mark.parametrize(
    "transports",
    [
        pytest.param(("websocket", "websocket"), id="websocket"),
        pytest.param(("host", "host"), id="host"),
    ],
    indirect=True,
)


@pytest.fixture
def pair(lab_of_two):
    """The two apps alone."""
    return lab_of_two[1:]


@pytest.fixture
def lab_of_two(platform, tmp_path, transports):
    """Two apps, each a process; `bob` handles an intent."""
    interop = {"intents": {"listensFor": {"Look": {"contexts": ["fdc3.instrument"], "displayName": "Look"}}}}
    make_app(tmp_path, "alice", page=PAGE, pageTransport=transports[0])
    make_app(tmp_path, "bob", page=PAGE, interop=interop, restart=NO_RESTART, pageTransport=transports[1])
    made = platform(tmp_path)
    alice, bob = made.launch("alice"), made.launch("bob")
    assert alice.pid != bob.pid
    return made, alice, bob


def cuts(lab, app) -> int:
    """How often the connection of an app's page was ended by the supervisor."""
    return sum(f"the page of {app.app_id} was cut off: " in entry.text for entry in lab.events)


@BOTH_WAYS
def test_two_pages_in_two_processes(pair):
    alice, bob = pair

    assert alice.evaluate_js("until(() => seen.ready).then(() => seen)", timeout=20) == {"fdc3": "object", "ready": 1}
    for app in pair:
        info = app.evaluate_js("fdc3.getInfo()", timeout=20)
        assert (info["provider"], info["fdc3Version"]) == ("labplatform", "2.2")
        assert info["appMetadata"]["instanceId"] == app.instance_id
        assert info["optionalFeatures"]["OriginatingAppMetadata"] is True
    found = alice.evaluate_js("fdc3.findInstances({appId: 'bob'})", timeout=20)
    assert found == [{"appId": "bob", "instanceId": bob.instance_id}]

    # A user channel, an app channel: each hears the other, and who it was; nobody hears itself.
    bob.evaluate_js("fdc3.addContextListener('fdc3.instrument', note).then(() => 0)", timeout=20)
    for app in pair:
        app.evaluate_js(f"fdc3.joinUserChannel('{CHANNEL}')", timeout=20)
    apple = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}
    alice.evaluate_js(
        "fdc3.addContextListener(null, note)"
        ".then(() => fdc3.broadcast({type: 'other'}))"
        ".then(() => fdc3.broadcast({type: 'fdc3.instrument', id: {ticker: 'AAPL'}}))",
        timeout=20,
    )
    assert bob.evaluate_js("until(() => heard.length).then(() => heard.splice(0))", timeout=20) == [[apple, "alice"]]
    bob.evaluate_js(
        "fdc3.getOrCreateChannel('own').then((c) => c.addContextListener(null, note)).then(() => 0)", timeout=20
    )
    alice.evaluate_js("fdc3.getOrCreateChannel('own').then((c) => c.broadcast({type: 'x', n: 1}))", timeout=20)
    heard = bob.evaluate_js("until(() => heard.length).then(() => heard.splice(0))", timeout=20)
    assert heard == [[{"type": "x", "n": 1}, "alice"]]
    assert alice.evaluate_js("heard", timeout=20) == []

    # An intent whose result is a context.
    bob.evaluate_js(
        """(async () => {
            window.listener = await fdc3.addIntentListener("Look", async (context, {source}) => {
                if (context.id.ticker === "MSFT") {
                    window.ticks = await fdc3.createPrivateChannel();
                    ticks.onAddContextListener((type) => ticks.broadcast({type: "tick", asked: type}));
                    await ticks.addContextListener("back", note);
                    return ticks;
                }
                return {type: "seen", by: source.appId, ticker: context.id.ticker};
            });
        })()""",
        timeout=20,
    )
    raised = alice.evaluate_js(
        """(async () => {
            const context = {type: "fdc3.instrument", id: {ticker: "AAPL"}};
            const resolution = await fdc3.raiseIntent("Look", context, (await fdc3.findInstances({appId: "bob"}))[0]);
            return [resolution.source, resolution.intent, await resolution.getResult()];
        })()""",
        timeout=30,
    )
    assert raised == [found[0], "Look", {"type": "seen", "by": "alice", "ticker": "AAPL"}]
    assert alice.evaluate_js("outcome(fdc3.raiseIntent('Nobody', {type: 'x'}))", timeout=20) == ["error", "NoAppsFound"]

    # And one whose result is a private channel, whose owner is killed.
    kind = alice.evaluate_js(
        """(async () => {
            const context = {type: "fdc3.instrument", id: {ticker: "MSFT"}};
            const resolution = await fdc3.raiseIntent("Look", context, (await fdc3.findInstances({appId: "bob"}))[0]);
            const channel = await resolution.getResult();
            window.ended = [];
            for (const type of ["unsubscribe", "disconnect"]) channel.addEventListener(type, (e) => ended.push(e.type));
            await channel.addContextListener("tick", note);
            await until(() => heard.length);
            return [channel.type, heard.splice(0)];
        })()""",
        timeout=30,
    )
    assert kind == ["private", [[{"type": "tick", "asked": "tick"}, "bob"]]]
    bob.kill()
    assert alice.evaluate_js("until(() => ended.includes('disconnect')).then(() => ended)", timeout=20) == [
        "unsubscribe",
        "disconnect",
    ]
    assert alice.evaluate_js("fdc3.findInstances({appId: 'bob'})", timeout=20) == []


@pytest.mark.parametrize(
    ("breaks", "transports"),
    [
        pytest.param("sender", ("websocket", "websocket"), marks=pytest.mark.long),
        pytest.param("receiver", ("websocket", "websocket"), marks=pytest.mark.long),
        ("both", ("websocket", "websocket")),
        pytest.param("both", ("host", "host"), marks=pytest.mark.long),
        ("both", ("host", "websocket")),
    ],
    indirect=["transports"],
)
def test_a_reconnect_loses_and_doubles_nothing(lab_of_two, breaks):
    count = 10_000
    lab, alice, bob = lab_of_two
    for app in (alice, bob):
        app.evaluate_js("fdc3.getOrCreateChannel('ticks').then((c) => { window.ticks = c; })", timeout=20)
    bob.evaluate_js("ticks.addContextListener('tick', ({n}) => { heard.push(n); }).then(() => 0)", timeout=20)
    mine, theirs = breaks != "receiver", breaks != "sender"
    if theirs:
        # In the midst of what it hears.
        at = f"n === {count * 7 // 20} || n === {count * 7 // 10}"
        bob.evaluate_js(
            f"ticks.addContextListener('tick', ({{n}}) => {{ if ({at}) breakOff(); }}).then(() => 0)", timeout=20
        )
    alice.evaluate_js(f"window.breaksAt = {[count // 4, count * 3 // 4] if mine else []}; 0", timeout=20)
    unanswered = alice.evaluate_js(
        f"""(async () => {{
            let all = [], failed = 0;
            for (let n = 0; n < {count}; n++) {{
                all.push(ticks.broadcast({{type: "tick", n}}));
                if (breaksAt.includes(n)) breakOff();
                if (n % 100 === 0) await new Promise((done) => setTimeout(done, 0));
                if (n % 2000 !== 1999) continue;
                failed += (await Promise.allSettled(all)).filter(({{status}}) => status !== "fulfilled").length;
                all = [];
            }}
            return failed;
        }})()""",
        timeout=60,
    )
    assert unanswered == 0, "each was answered, although answers were lost on the way"
    bob.evaluate_js(f"until(() => heard.length >= {count}).then(() => 0)", timeout=60)
    # Whatever is still to come comes before this.
    alice.evaluate_js("ticks.broadcast({type: 'tick', n: 'last'})", timeout=20)
    heard = bob.evaluate_js("until(() => heard.at(-1) === 'last').then(() => heard)", timeout=20)
    assert heard == [*range(count), "last"]
    assert [cuts(lab, alice), cuts(lab, bob)] == [2 * mine, 2 * theirs]


@BOTH_WAYS
def test_a_document_that_is_loaded_anew_leaves_nothing_of_the_former(pair):
    alice, bob = pair
    bob.evaluate_js(
        """(async () => {
            const channel = await fdc3.getOrCreateChannel("own");
            await channel.addContextListener(null, note);
            await fdc3.addIntentListener("Look", async () => {});
            await fdc3.joinUserChannel("fdc3.channel.1");
        })()""",
        timeout=20,
    )
    call = "fdc3.findInstances({appId: 'bob'})"
    same = {"appId": "bob", "instanceId": bob.instance_id}
    assert alice.evaluate_js(call, timeout=20) == [same]
    instances = "fdc3.findIntent('Look').then(({apps}) => apps.filter((app) => app.instanceId).length)"
    assert alice.evaluate_js(instances, timeout=20) == 1
    bob.evaluate_js("window.old = 1; setTimeout(() => location.reload(), 0); 0", timeout=20)
    alice.evaluate_js(
        f"(async () => {{ while ((await {call}).length) await new Promise((d) => setTimeout(d, 20)); }})()", timeout=30
    )
    assert alice.evaluate_js(instances, timeout=20) == 0
    # The instance is the same one, on its channel, and open again when it says so.
    joined = bob.evaluate_js("until(() => window.fdc3 && !window.old).then(() => fdc3.getCurrentChannel())", timeout=30)
    assert joined["id"] == CHANNEL
    assert alice.evaluate_js(call, timeout=20) == [same]


@pytest.fixture
def get_agent(pytestconfig) -> str:
    """FDC3's own `getAgent()`, as a script; the test is skipped where it cannot be had."""
    try:
        return bundle(pytestconfig.cache.mkdir("get-agent"))
    except Unreachable as error:
        pytest.skip(str(error))


def test_get_agent_finds_nothing_for_who_is_not_the_app(platform, tmp_path, web, get_agent):
    """A frame inside the app's page, of its own origin or another, and a page that it was navigated to."""
    seek = """window.found = getAgent({timeoutMs: 1500}).then(() => "an agent", (error) => error.message);
        found.then((told) => parent.postMessage([location.protocol, typeof fdc3, typeof lab, told], "*"));"""
    stranger = f"<!doctype html><title>stranger</title><script>{get_agent}</script><script>{seek}</script>"
    gather = "window.told = []; addEventListener('message', ({data}) => Array.isArray(data) && told.push(data));"
    elsewhere = web.page("/elsewhere", stranger)
    frames = f"<iframe src=inner.html></iframe><iframe src={elsewhere}></iframe>"
    home = make_app(tmp_path, "framer", page=f"{PAGE}<script>{gather}</script>{frames}")
    (home / "inner.html").write_text(stranger)
    app = platform(tmp_path).launch("framer")
    told = app.evaluate_js("until(() => told.length === 2).then(() => told)", timeout=30)
    assert sorted(told) == [[scheme, "undefined", "undefined", "AgentNotFound"] for scheme in ("app:", "http:")]
    assert app.evaluate_js("fdc3.getInfo().then((info) => info.appMetadata.appId)", timeout=20) == "framer"
    app.evaluate_js(f"setTimeout(() => {{ location.href = '{elsewhere}'; }}, 0); 0", timeout=20)

    def arrived() -> bool:
        try:
            return app.evaluate_js("document.title", timeout=10) == "stranger"
        except JavaScriptError:
            return False

    until(arrived, 20, "the page to be elsewhere")
    assert app.evaluate_js("found.then((told) => [typeof fdc3, typeof lab, told])", timeout=20) == [
        *("undefined", "undefined", "AgentNotFound")
    ]


def test_get_agent_finds_the_agent(platform, tmp_path, get_agent):
    call = "<script>window.found = getAgent().then(async (a) => [a === fdc3, (await a.getInfo()).provider]);</script>"
    make_app(tmp_path, "asker", page=f"{PAGE}<script>{get_agent}</script>{call}")
    app = platform(tmp_path).launch("asker")
    assert app.evaluate_js("found", timeout=20) == [True, "labplatform"]
