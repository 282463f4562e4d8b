"""What goes wrong with one app, or is done by it, in real processes: others hear of it in FDC3's words, and go on."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from support.apps import APPS, AT_ONCE, NO_RESTART, QUICK, make_app
from support.processes import Ground, become_subreaper, until
from support.spoiled import spoiled, text_of
from support.wire import client, hello
from websockets.exceptions import ConnectionClosed

from labplatform import Platform
from labplatform import messages as m
from labplatform.errors import BadRequest
from labplatform.supervisor.fdc3.errors import Fdc3ErrorName

PAGE = """<!doctype html><meta charset=utf-8><title>page</title><h1>page</h1><script>
    window.heard = [];
    const note = (context, metadata) => { heard.push([metadata?.source.appId ?? null, context.n ?? null]); };
    const until = async (met) => { while (!met()) await new Promise((done) => setTimeout(done, 5)); return met(); };
    const outcome = (promise) => promise.then((value) => ["ok", value ?? null], (error) => ["error", error.message]);
</script>"""
SENDERS = ("one", "two", "three")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Three senders, a hub that hears them, and an app whose Python side gives its page's token away."""
    become_subreaper()
    home, runtime = tmp_path_factory.mktemp("crowd"), tmp_path_factory.mktemp("crowd-run")
    runtime.chmod(0o700)
    for name in (*SENDERS, "hub"):
        make_app(home, name, page=PAGE, restart=NO_RESTART)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        ground = Ground(runtime)
        lab = Platform(home, APPS / "informer", display="offscreen", quiet=True, alongside=True, heartbeat=QUICK)
        with lab:
            for name in (*SENDERS, "hub", "informer"):
                lab.launch(name)
            yield lab
        ground.assert_clean()


def app_of(lab: Platform, name: str) -> Any:
    return next(app for app in lab.apps if app.app_id == name)


def run(app: Any, code: str, timeout: float = 20) -> Any:
    """The value of an async function with this body, in an app's page."""
    return app.evaluate_js(f"(async () => {{ {code} }})()", timeout=timeout)


def said(lab: Platform, words: str) -> list[m.Entry]:
    return [entry for entry in lab.events if words in entry.text]


# --- between apps that mean well --------------------------------------------------------------------------------------


def test_an_app_that_crashes_in_the_middle_of_an_intent(platform, tmp_path):
    """Whoever raised it is told at once: not at a time-out, and again when the app, restarted, dies in another way."""
    make_app(tmp_path, "raiser", page=PAGE, restart=NO_RESTART)
    make_app(tmp_path, "handler", page=PAGE, restart=AT_ONCE)
    lab = platform(tmp_path)
    raiser, handler = lab.launch("raiser"), lab.launch("handler")
    for number, how in enumerate(("renderer", "kill"), start=1):
        run(handler, "await fdc3.addIntentListener('Look', (c, m) => { note(c, m); return new Promise(() => {}); });")
        target = json.dumps({"appId": "handler", "instanceId": handler.instance_id})
        run(
            raiser,
            f"const raised = await fdc3.raiseIntent('Look', {{type: 'x', n: {number}}}, {target});"
            "window.result = outcome(raised.getResult()); window.ended = null;"
            "result.then((value) => { ended = value; });",
        )
        assert run(handler, "return until(() => heard.length).then(() => heard);") == [["raiser", number]]
        assert run(raiser, "return ended;") is None
        incarnation = handler.incarnation
        handler.crash(how)
        assert run(raiser, "return result;") == ["error", "IntentHandlerRejected"]
        gone = f"outcome(fdc3.raiseIntent('Look', {{type: 'x'}}, {target}))"
        assert run(raiser, f"return {gone};") == ["error", "TargetInstanceUnavailable"]
        until(lambda last=incarnation: handler.state == "running" and handler.incarnation > last, 30, "its restart")
    assert (raiser.state, raiser.incarnation) == ("running", 1)


def test_the_order_of_each_of_three_senders_is_kept(crowd):
    count = 400
    hub = app_of(crowd, "hub")
    run(hub, "heard.length = 0; await (await fdc3.getOrCreateChannel('orders')).addContextListener('x', note);")
    burst = f"""const channel = await fdc3.getOrCreateChannel("orders"), all = [];
        for (let n = 0; n < {count}; n++) {{
            all.push(channel.broadcast({{type: "x", n}}));
            if (n % 20 === 0) await new Promise((done) => setTimeout(done, 0));
        }}
        await Promise.all(all);"""
    threads = [threading.Thread(target=run, args=(app_of(crowd, name), burst, 60)) for name in SENDERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    heard = run(hub, f"await until(() => heard.length >= {count * len(SENDERS)}); return heard;", 60)
    for name in SENDERS:
        assert [n for who, n in heard if who == name] == list(range(count)), name
    turns = sum(before[0] != after[0] for before, after in pairwise(heard))
    assert turns > len(SENDERS), "they did speak at the same time"


# --- and with one that does not ---------------------------------------------------------------------------------------


def test_a_page_that_claims_to_be_another(crowd):
    one, two, hub = (app_of(crowd, name) for name in ("one", "two", "hub"))
    run(hub, "heard.length = 0; await (await fdc3.getOrCreateChannel('claims')).addContextListener(null, note);")
    run(one, "await fdc3.getOrCreateChannel('claims');")
    for source in ({"appId": "two", "instanceId": two.instance_id}, {"appId": "one", "instanceId": two.instance_id}):
        forged = f"""const {{messaging}} = fdc3.channels;
            const meta = {{...messaging.createMeta(), source: {json.dumps(source)}}};
            const payload = {{channelId: "claims", context: {{type: "x", n: "forged"}}}};
            const request = {{type: "broadcastRequest", meta, payload}};
            return outcome(messaging.exchange(request, "broadcastResponse", 10000));"""
        assert run(one, forged) == ["error", "MalformedMessage"]
    # What is honest comes behind it, and says whose it is.
    run(one, "await (await fdc3.getOrCreateChannel('claims')).broadcast({type: 'x', n: 'honest'});")
    assert run(hub, "return until(() => heard.length).then(() => heard);") == [["one", "honest"]]
    entries = said(crowd, "its message was refused, for it claims to come from two")
    assert [(entry.place, entry.level) for entry in entries] == [("one", "warning")], "said once, and of whom"


@pytest.mark.parametrize("way", ["websocket", "host"])
def test_a_message_over_the_limit_is_refused_where_it_is_made(platform, tmp_path, way):
    """The page learns it by an error, and keeps its connection; so does a Python side, and so does the notebook."""
    service = """
from labplatform.errors import BadRequest

def main(lab):
    channel = lab.channel("sizes")
    try:
        channel.broadcast({"type": "x", "text": "x" * 70_000})
    except BadRequest as error:
        channel.broadcast({"type": "x", "n": str(error)})
    lab.stopping.wait()
"""
    for name in ("one", "two"):
        make_app(tmp_path, name, page=PAGE, restart=NO_RESTART)
    make_app(tmp_path, "side", page=None, python=service)
    lab = platform(tmp_path, max_message="64KiB", page_transport=way)
    one, two = lab.launch("one"), lab.launch("two")
    run(two, "await (await fdc3.getOrCreateChannel('sizes')).addContextListener(null, note);")
    told = run(
        one,
        """const sizes = await fdc3.getOrCreateChannel("sizes"), text = "x".repeat(70_000);
        const error = await sizes.broadcast({type: "x", n: "large", text}).catch((error) => error);
        await sizes.broadcast({type: "x", n: "small", text: text.slice(0, 60_000)});
        return [error.message, error.cause, lab.connected];""",
    )
    assert told[0] == "MalformedContext" and told[1].endswith(" bytes is over the limit of 65536") and told[2]
    lab.launch("side")
    with pytest.raises(BadRequest, match="over the limit of 65536"):
        lab.desktop_agent.get_or_create_channel("sizes").broadcast({"type": "x", "text": "x" * 70_000})
    heard = run(two, "await until(() => heard.length === 2); return heard;")
    assert heard[0] == ["one", "small"] and heard[1][0] == "side" and "over the limit of 65536" in heard[1][1]
    assert not said(lab, "was cut off")


def test_who_sends_it_all_the_same_is_cut_off(platform):
    lab = platform(max_message="64KiB")
    informer, neighbour = lab.launch("informer"), lab.launch("neighbour")
    with client(_port(lab)) as connection:
        connection.send(hello("page", _stolen(informer)))
        connection.recv(20)
        connection.send(text_of("getOrCreateChannelRequest", {"channelId": "x" * 60_000}))
        heard = (json.loads(line) for _ in range(100) for line in connection.recv(20).split("\n"))
        answer = next(message for message in heard if message["type"] == "getOrCreateChannelResponse")
        assert answer["payload"] == {"error": "CreationFailed"}
        connection.send(text_of("getOrCreateChannelRequest", {"channelId": "x" * 66_000}))
        with pytest.raises(ConnectionClosed) as end:
            while True:
                connection.recv(20)
        assert end.value.rcvd.code == 1009
    until(
        lambda: said(lab, "the page of informer was cut off: a message was over 65536 bytes"), 20, "the log to say so"
    )
    assert run(neighbour, "return (await fdc3.getInfo()).appMetadata.appId;") == "neighbour"


def _port(lab: Platform) -> int:
    return m.decode(lab.connection_file.read_bytes(), m.ConnectionFile).port


def _stolen(informer: Any) -> str:
    code = """const tokens = await lab.channel("tokens");
        for (;;) {
            const found = await tokens.getCurrentContext("test.token");
            if (found) return found.token;
            await new Promise((done) => setTimeout(done, 20));
        }"""
    return run(informer, code)


@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_malformed_messages_cost_nobody_else_a_beat(crowd, count):
    """Each gets FDC3's error, or an end with a reason that the log has; others talk on, and nobody thinks they hang."""
    one, hub, informer = (app_of(crowd, name) for name in ("one", "hub", "informer"))
    run(hub, "heard.length = 0; await (await fdc3.getOrCreateChannel('pulse')).addContextListener(null, note);")
    run(
        one,
        """const pulse = await fdc3.getOrCreateChannel("pulse");
        window.beats = 0;
        window.beating = setInterval(() => pulse.broadcast({type: "x", n: beats++}), 20);""",
    )
    states: set[str] = set()
    watched = [one, hub]

    def watch(change: Any) -> None:
        states.add(change["new"])

    for app in watched:
        app.observe(watch, "state")
    try:
        outcomes = _flood(_port(crowd), _stolen(informer), count)
    finally:
        for app in watched:
            app.unobserve(watch, "state")
    beats = run(one, "clearInterval(beating); return beats;")
    heard = run(hub, f"await until(() => heard.length >= {beats}); return heard;", 60)
    assert heard == [["one", n] for n in range(beats)] and beats > 10
    assert not states, "nobody was unresponsive meanwhile, or worse"
    errors = {outcome for kind, outcome in outcomes if kind == "error"}
    reasons = {outcome for kind, outcome in outcomes if kind == "cut off"}
    assert errors and errors <= set(Fdc3ErrorName)
    assert reasons and all(reason.startswith("not understood: ") for reason in reasons)
    logged = {entry.text.partition("the page of informer was cut off: ")[2] for entry in crowd.events}
    assert {reason.removeprefix("not understood: ")[:80] for reason in reasons} <= {text[:80] for text in logged}


def _flood(port: int, token: str, count: int) -> list[tuple[str, str]]:
    """Send spoiled messages, each with a good request behind it, and come back whenever cut off; what each came to."""
    draw, outcomes, number = random.Random(count), [], 0
    while number < count:
        with client(port) as connection:
            connection.send(hello("page", token))
            assert json.loads(connection.recv(20))["type"] == "welcome"
            try:
                while number < count:
                    number += 1
                    connection.send(spoiled(draw, number).decode(errors="replace"))
                    connection.send(text_of("getInfoRequest", {}, requestUuid=f"probe-{number}"))
                    while True:
                        for line in connection.recv(20).split("\n"):
                            answer = json.loads(line)
                            error = answer.get("payload", {}).get("error")
                            outcomes += [("error", error)] if error else []
                            if answer.get("meta", {}).get("requestUuid") == f"probe-{number}":
                                break
                        else:
                            continue
                        break
            except ConnectionClosed as end:
                assert end.rcvd is not None, "it was cut off without a word"
                outcomes.append(("cut off", end.rcvd.reason))
    return outcomes
