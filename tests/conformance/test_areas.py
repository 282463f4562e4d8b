"""The areas of FDC3's conformance suite in short: real pages, each in its own process. The suite itself is long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.apps import NO_RESTART, make_app
from support.processes import until

RED, BLUE = "fdc3.channel.1", "fdc3.channel.2"
X, Y, Z = "testContextX", "testContextY", "testContextZ"
COMMON = """<!doctype html><meta charset=utf-8><title>page</title><h1>page</h1><script>
    window.heard = [];
    const until = async (met) => { while (!met()) await new Promise((done) => setTimeout(done, 5)); return met(); };
    const outcome = (promise) => promise.then((value) => value ?? null, (error) => error.message);
    const listen = async (type, on) => (window.last =
        await (on ? await fdc3.getOrCreateChannel(on) : fdc3).addContextListener(type, (context, metadata) => {
            heard.push([context.type, context.n ?? null, metadata?.source.appId ?? null]);
        }));
</script>"""
# Says what it was opened with, and closes itself when it is asked to.
MOCK = f"""{COMMON}<script>(async () => {{
    const control = await fdc3.getOrCreateChannel("control");
    await control.addContextListener("close", async () => {{
        await control.broadcast({{type: "closing"}});
        window.close();
    }});
    const {{appId, instanceId}} = (await fdc3.getInfo()).appMetadata;
    await fdc3.addContextListener("other", () => {{}});
    await fdc3.addContextListener("fdc3.instrument", (context, {{source}}) =>
        control.broadcast({{type: "opened", id: {{appId, instanceId, by: source.appId}}, context}}));
}})();</script>"""
HANDLER = f"""{COMMON}<script>(async () => {{
    const later = (ms) => new Promise((done) => setTimeout(done, ms));
    await fdc3.addIntentListener("Answer", async (context, {{source}}) => {{
        await later(context.after ?? 0);
        if (context.fail) throw new Error(context.fail);
        if (context.nothing) return;
        if (context.channel) return fdc3.getOrCreateChannel(context.channel);
        return {{type: context.type, id: {{by: source.appId}}}};
    }});
    await fdc3.addIntentListener("Stream", async () => {{
        const stream = await fdc3.createPrivateChannel();
        await stream.addEventListener("addContextListener", async () => {{
            for (let n = 0; n < 5; n++) await stream.broadcast({{type: "tick", n}});
        }});
        for (const type of ["unsubscribe", "disconnect"])
            await stream.addEventListener(type, () => heard.push(type));
        await stream.addContextListener("back", () => heard.push("back"));
        return stream;
    }});
}})();</script>"""


def listens(**intents: Any) -> dict[str, Any]:
    """What a manifest says about intents: contexts and the type of the result, if any."""
    return {
        "intents": {
            "listensFor": {
                name: {"contexts": contexts, "displayName": name} | ({"resultType": result} if result else {})
                for name, (contexts, result) in intents.items()
            }
        }
    }


@pytest.fixture
def lab(platform, tmp_path: Path):
    make_app(tmp_path, "runner", page=COMMON)
    make_app(tmp_path, "mock", page=MOCK, restart=NO_RESTART)
    answers = listens(Answer=([X, Y], Y), Stream=([X], f"channel<{Z}>"))
    make_app(tmp_path, "handler", page=HANDLER, interop=answers, restart=NO_RESTART)
    make_app(tmp_path, "other", page=COMMON, interop=listens(Answer=([X], None), Silent=([X], "channel")))
    return platform(tmp_path)


def run(app: Any, code: str, timeout: float = 30) -> Any:
    """The value of an async function with this body, in an app's page."""
    return app.evaluate_js(f"(async () => {{ {code} }})()", timeout=timeout)


def test_open_and_close(lab):
    runner = lab.launch("runner")
    opened = run(
        runner,
        """const control = await fdc3.getOrCreateChannel("control");
        await control.addContextListener("opened", (context) => heard.push(context));
        await control.addContextListener("closing", () => { window.closing = (window.closing ?? 0) + 1; });
        const apps = [];
        for (const name of ["one", "two"])
            apps.push(await fdc3.open({appId: "mock"}, {type: "fdc3.instrument", name}));
        await until(() => heard.length === 2);
        return apps;""",
        60,
    )
    mocks = [app for app in lab.apps if app.app_id == "mock"]
    assert len({runner.pid, *(app.pid for app in mocks)}) == 3
    said = [(one["id"], one["context"]["name"]) for one in run(runner, "return heard;")]
    assert said == [({**app, "by": "runner"}, name) for app, name in zip(opened, ("one", "two"), strict=True)], (
        "the very context, with the one who opened it, to the very instance that open() told"
    )
    assert run(runner, "return fdc3.findInstances({appId: 'mock'});") == opened
    for app in opened:
        metadata = run(runner, f"return fdc3.getAppMetadata({json.dumps(app)});")
        assert (metadata["appId"], metadata["instanceId"], metadata["title"]) == ("mock", app["instanceId"], "Mock")
    assert run(runner, "return outcome(fdc3.open({appId: 'nobody'}));") == "AppNotFound"
    run(runner, "await (await fdc3.getOrCreateChannel('control')).broadcast({type: 'close'});")
    run(runner, "await until(() => window.closing === 2);")
    for app in mocks:
        app.wait_for("stopped", 20)
        assert app.detail == "its page closed the window"
    assert run(runner, "return fdc3.findInstances({appId: 'mock'});") == []


def test_channels(lab):
    runner, other = lab.launch("runner"), lab.launch("other")
    say = f"await fdc3.joinUserChannel('{RED}'); for (const type of ['a', 'b']) await fdc3.broadcast({{type, n: %d}});"

    def heard(count: int) -> list[Any]:
        return run(runner, f"await until(() => heard.length >= {count}); return heard.splice(0);")

    # Listen, join, and hear; whichever of the three comes last.
    run(runner, f"await listen('a'); await fdc3.joinUserChannel('{RED}');")
    run(other, say % 1)
    assert heard(1) == [["a", 1, "other"]]
    run(runner, f"await fdc3.leaveCurrentChannel(); await fdc3.joinUserChannel('{RED}');")
    assert heard(1) == [["a", 1, None]]
    run(runner, "await last.unsubscribe(); await listen('b');")
    assert heard(1) == [["b", 1, None]]
    run(runner, "await listen(null);")
    assert heard(1) == [["b", 1, None]], "of any type: the last one"
    run(other, say % 2)
    assert heard(3) == [["a", 2, "other"], ["b", 2, "other"], ["b", 2, "other"]]
    # Another channel, none, no listener: nothing; what follows on an app channel proves that nothing came before it.
    run(runner, "await listen('end', 'own');")
    for step in (
        f"await fdc3.joinUserChannel('{BLUE}');",
        "await fdc3.leaveCurrentChannel();",
        "await last.unsubscribe();",
    ):
        if "last" in step:
            run(runner, f"await listen('a'); {step} await fdc3.joinUserChannel('{BLUE}');")
        else:
            run(runner, step)
        run(other, say % 3)
        run(other, "await (await fdc3.getOrCreateChannel('own')).broadcast({type: 'end'});")
        assert heard(1) == [["end", None, "other"]], step
    # An app channel keeps its last contexts, each type's and the last of all.
    run(
        other,
        "const own = await fdc3.getOrCreateChannel('own');for (const n of [4, 5]) await own.broadcast({type: 'a', n});",
    )
    kept = "const own = await fdc3.getOrCreateChannel('own'); return [await own.getCurrentContext('a'), "
    kept += "await own.getCurrentContext('end'), await own.getCurrentContext(), await own.getCurrentContext('z')];"
    assert run(runner, kept) == [{"type": "a", "n": 5}, {"type": "end"}, {"type": "a", "n": 5}, None]


def test_intents(lab):
    runner, _ = lab.launch("runner"), lab.launch("other")

    def found(*wish: Any) -> Any:
        words = ", ".join(json.dumps(one) for one in wish).replace("null", "undefined")
        return run(
            runner, f"return outcome(fdc3.findIntent({words}).then(({{apps}}) => apps.map((app) => app.appId)));"
        )

    def outcome(raised: str) -> Any:
        return run(runner, f"return outcome(({raised}).then((one) => one.getResult()));", 60)

    assert found("Answer") == ["handler", "other"]
    assert found("Answer", {"type": Y}) == ["handler"]
    assert found("Answer", None, Y) == ["handler"]
    assert found("Stream", {"type": X}, "channel") == ["handler"]
    assert found("Stream", {"type": X}, f"channel<{Z}>") == ["handler"]
    assert [found("Answer", {"type": Z}), found("Nothing"), found("Answer", None, Z)] == ["NoAppsFound"] * 3
    by_context = run(runner, f"return fdc3.findIntentsByContext({{type: '{X}'}});")
    assert {one["intent"]["name"]: [app["appId"] for app in one["apps"]] for one in by_context} == {
        "Answer": ["handler", "other"],
        "Stream": ["handler"],
        "Silent": ["other"],
    }
    # Started for it, then found running; a context, nothing and a channel as results, at once or later.
    by = {"type": Y, "id": {"by": "runner"}}
    assert outcome(f"fdc3.raiseIntent('Answer', {{type: '{Y}', after: 200}})") == by
    handler = next(app for app in lab.apps if app.app_id == "handler")
    target = f"{{appId: 'handler', instanceId: '{handler.instance_id}'}}"
    assert outcome(f"fdc3.raiseIntentForContext({{type: '{Y}'}}, {target})") == by
    assert outcome(f"fdc3.raiseIntent('Answer', {{type: '{X}', nothing: true}}, {target})") is None
    channel = outcome(f"fdc3.raiseIntent('Answer', {{type: '{X}', channel: 'shared'}}, {target})")
    assert (channel["id"], channel["type"]) == ("shared", "app")
    assert len([app for app in lab.apps if app.app_id == "handler"]) == 1
    for raised, error in (
        (f"fdc3.raiseIntent('Answer', {{type: '{Z}'}})", "NoAppsFound"),
        (f"fdc3.raiseIntent('Answer', {{type: '{Z}'}}, {target})", "NoAppsFound"),
        (f"fdc3.raiseIntent('Answer', {{type: '{X}'}}, {{appId: 'nobody'}})", "TargetAppUnavailable"),
        (
            f"fdc3.raiseIntent('Answer', {{type: '{X}'}}, {{appId: 'handler', instanceId: 'x'}})",
            "TargetInstanceUnavailable",
        ),
        (f"fdc3.raiseIntent('Answer', {{type: '{X}', fail: 'no'}}, {target})", "IntentHandlerRejected"),
    ):
        assert outcome(raised) == error
    # A private channel: its events, twice over, and nobody makes an app channel of it.
    streamed = run(
        runner,
        f"""const resolution = await fdc3.raiseIntent("Stream", {{type: "{X}"}}, {target});
        const stream = await resolution.getResult(), told = [stream.type];
        told.push(await outcome(fdc3.getOrCreateChannel(stream.id)));
        for (let round = 0; round < 2; round++) {{
            await listenOn(stream);
            await until(() => heard.length === 5);
            told.push(heard.splice(0).map(([, n]) => n));
            if (round === 0) await last.unsubscribe();
            await stream.broadcast({{type: "back"}});
        }}
        await stream.disconnect();
        return told;""".replace(
            "await listenOn(stream)",
            "window.last = await stream.addContextListener('tick', ({type, n}) => heard.push([type, n]))",
        ),
        60,
    )
    assert streamed == ["private", "AccessDenied", [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    expected = ["unsubscribe", "back", "back", "unsubscribe", "disconnect"]
    until(lambda: run(handler, "return heard;") == expected, 20, "the private channel's events")
