"""The notebook among real apps: seen by them, heard and asked both ways, and gone with its platform."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.apps import NO_RESTART, make_app
from support.processes import until

from labplatform import messages as m
from labplatform.connection import Line
from labplatform.errors import BlockingCallInObserver, FDC3Error, LabError, PlatformError, PlatformStopped
from labplatform.errors import ConnectionRefused as Refused
from labplatform.fdc3.agent import DesktopAgent
from labplatform.fdc3.client import Client
from labplatform.fdc3.handlers import Handlers

USER = "fdc3.channel.1"
APPLE = {"type": "fdc3.instrument", "id": {"ticker": "AAPL"}}
LOOKS = {"intents": {"listensFor": {"Look": {"contexts": ["fdc3.instrument"], "displayName": "Look"}}}}
PAGE = """<!doctype html><meta charset=utf-8><title>page</title><script>
    window.heard = [];
    const until = async (met) => { while (!met()) await new Promise((done) => setTimeout(done, 5)); return met(); };
    const outcome = (promise) => promise.then((value) => ["ok", value], (error) => ["error", error.message]);
    const ready = fdc3.getInfo().then(() => 0);
</script><h1>page</h1>"""
VIEWS = """<script>
    fdc3.addContextListener("fdc3.instrument", (context) => { heard.push(context); });
    fdc3.addIntentListener("View", async (context) => ({type: "viewed", ticker: context.id.ticker}));
</script>"""


@pytest.fixture
def lab(platform, tmp_path):
    """A platform with `alice`, `bob` who may handle an intent, and `viewer` who does; none is launched."""
    make_app(tmp_path, "alice", page=PAGE)
    make_app(tmp_path, "bob", page=PAGE, interop=LOOKS, restart=NO_RESTART)
    interop = {"intents": {"listensFor": {"View": {"contexts": ["fdc3.instrument"]}}}}
    make_app(tmp_path, "viewer", page=PAGE + VIEWS, interop=interop)
    return platform(tmp_path)


def refused(name, call, *arguments, **named):
    with pytest.raises(FDC3Error) as caught:
        call(*arguments, **named)
    assert caught.value.name == name


def test_the_notebook_is_one_of_the_apps(lab):
    agent = lab.desktop_agent
    assert (lab.state, agent.instance_id, lab.desktop_agent is agent) == ("new", "", True)
    info = agent.get_info()
    assert lab.state == "running", "the first call starts the platform"
    alice, bob = lab.launch_all("alice", "bob")
    call = "fdc3.findInstances({appId: 'jupyter'})"
    me = {"appId": "jupyter", "instanceId": agent.instance_id}
    assert alice.evaluate_js(call, timeout=20) == [me]
    assert (info.app_metadata.app_id, info.app_metadata.instance_id) == ("jupyter", agent.instance_id)
    known = alice.evaluate_js(f"{call}.then(([app]) => fdc3.getAppMetadata(app))", timeout=20)
    assert known == {**me, "name": info.app_metadata.title, "title": info.app_metadata.title}

    # Contexts, both ways.
    heard = []
    agent.add_context_listener("n", lambda context, metadata: heard.append((context["n"], metadata.source.app_id)))
    agent.join_user_channel(USER)
    alice.evaluate_js(
        f"""(async () => {{
            await fdc3.joinUserChannel("{USER}");
            await fdc3.addContextListener(null, (context, {{source}}) => {{ heard.push([context, source.appId]); }});
            for (let n = 0; n < 100; n++) fdc3.broadcast({{type: "n", n}});
        }})()""",
        timeout=20,
    )
    until(lambda: len(heard) == 100, 20, "what the page said")
    assert heard == [(n, "alice") for n in range(100)]
    agent.broadcast(APPLE)
    assert alice.evaluate_js("until(() => heard.length).then(() => heard)", timeout=20) == [[APPLE, "jupyter"]]

    # Intents, both ways; a page that ends owes nothing.
    agent.add_intent_listener("Ask", lambda context, metadata: {"type": "answer", "to": metadata.source.app_id})
    asked = "fdc3.raiseIntent('Ask', {type: 'q'}).then(async (r) => [r.source.appId, await r.getResult()])"
    assert alice.evaluate_js(asked, timeout=20) == ["jupyter", {"type": "answer", "to": "alice"}]
    bob.evaluate_js(
        """fdc3.addIntentListener("Look", async (context, {source}) => {
            if (context.ticks) {
                const ticks = await fdc3.createPrivateChannel();
                await ticks.onAddContextListener((type) => ticks.broadcast({type: "tick", asked: type}));
                return ticks;
            }
            return context.never ? new Promise(() => {}) : {type: "seen", by: source.appId};
        }).then(() => 0)""",
        timeout=20,
    )
    resolution = agent.raise_intent("Look", APPLE, app=bob)
    assert (resolution.source.instance_id, resolution.get_result(timeout=10)) == (
        bob.instance_id,
        {"type": "seen", "by": "jupyter"},
    )
    never = agent.raise_intent("Look", APPLE | {"never": True}, app=bob)
    ticks = agent.raise_intent("Look", APPLE | {"ticks": True}, app=bob).get_result(timeout=10)
    told, left = [], threading.Event()
    ticks.on_disconnect(left.set)
    ticks.add_context_listener("tick", told.append)
    until(lambda: told == [{"type": "tick", "asked": "tick"}], 10, "a tick over the private channel")
    bob.kill()
    refused("IntentHandlerRejected", never.get_result, timeout=10)
    assert left.wait(10)
    refused("TargetInstanceUnavailable", agent.raise_intent, "Look", APPLE, app=resolution.source)


def test_an_app_is_started_for_an_intent_or_a_context(lab):
    agent = lab.desktop_agent
    refused("AppNotFound", agent.open, "nobody")
    opened = agent.open("viewer", APPLE)
    [viewer] = until(lambda: [app for app in lab if app.instance_id == opened.instance_id], 10, "its row")
    viewer.wait_for("running")
    assert viewer.evaluate_js("until(() => heard.length).then(() => heard)", timeout=20) == [APPLE]
    resolution = agent.raise_intent("View", APPLE, app="viewer")
    assert resolution.source != opened, "named without an instance it is a new one"
    assert resolution.get_result() == {"type": "viewed", "ticker": "AAPL"}
    assert len([app for app in lab if app.app_id == "viewer"]) == 2


def test_stopped_is_said_at_once_and_to_who_waits(lab):
    agent = lab.desktop_agent
    agent.add_intent_listener("Never", lambda context: threading.Event().wait(2))
    resolution = agent.raise_intent("Never", APPLE)
    raised: list[LabError] = []

    def wait() -> None:
        try:
            resolution.get_result(timeout=30)
        except LabError as error:
            raised.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    lab.stop()
    waiting.join(5)
    assert [type(error) for error in raised] == [PlatformStopped]
    for call in (agent.get_info, lambda: agent.join_user_channel(USER), lambda: agent.raise_intent("Never", APPLE)):
        with pytest.raises(PlatformStopped, match="make a new Platform"):
            call()
    assert "not connected" in repr(agent)


def test_a_lost_supervisor_is_said_too(lab):
    agent = lab.desktop_agent
    agent.get_info()
    os.kill(lab.supervisor_pid, signal.SIGKILL)
    with pytest.raises(PlatformError):
        while True:
            agent.get_user_channels()
    until(lambda: lab.state == "lost", 10, "the loss to be noticed")
    with pytest.raises(PlatformError, match="the supervisor of this platform is gone"):
        agent.get_info()


def test_handlers_run_on_the_observers_thread_and_a_blocking_call_there_raises(lab):
    agent = lab.desktop_agent
    outcome = []

    def handler(context):
        try:
            agent.get_info()
        except BlockingCallInObserver as error:
            outcome.append((threading.current_thread().name, str(error)))

    def observer(change):
        try:
            agent.get_info()
        except BlockingCallInObserver as error:
            outcome.append((threading.current_thread().name, str(error)))

    channel = agent.get_or_create_channel("own")
    channel.add_context_listener(None, handler)
    lab.launch("alice").evaluate_js("fdc3.getOrCreateChannel('own').then((c) => c.broadcast({type: 'x'}))", timeout=20)
    until(lambda: outcome, 10, "the handler")
    lab.observe(observer, "state")
    lab.set_trait("state", "running")
    lab.observe(observer, "apps")
    lab.launch("bob")
    until(lambda: len(outcome) == 2, 10, "the observer")
    assert [name for name, _ in outcome] == ["labplatform-observers"] * 2
    assert all("get_info()" in text for _, text in outcome)


def test_two_platforms_have_an_agent_each(lab, platform, tmp_path):
    other = platform(tmp_path)
    heard: dict[str, list[object]] = {"lab": [], "other": []}
    for name, one in (("lab", lab), ("other", other)):
        one.desktop_agent.get_or_create_channel("own").add_context_listener(None, heard[name].append)
    assert lab.desktop_agent.instance_id != other.desktop_agent.instance_id
    lab.launch("alice").evaluate_js("fdc3.getOrCreateChannel('own').then((c) => c.broadcast({type: 'x'}))", timeout=20)
    until(lambda: heard["lab"], 10, "the context")
    assert heard == {"lab": [{"type": "x"}], "other": []}
    other.stop()
    assert lab.desktop_agent.get_info().provider == "labplatform"


def test_each_controller_has_an_instance_that_ends_with_its_connection(lab, another):
    agent = lab.desktop_agent
    agent.get_info()
    file = m.decode(Path(lab.connection_file).read_bytes(), m.ConnectionFile)
    with pytest.raises(Refused, match="this token is not known"):
        Line(file.port, m.Hello(role="notebook", token="no"))
    other = another(lab.connection_file)
    assert other.find_instances("jupyter")[0].instance_id == agent.instance_id
    theirs = next(app for app in agent.find_instances("jupyter") if app.instance_id != agent.instance_id)
    assert agent.get_app_metadata(theirs).title == "other.ipynb"
    left = threading.Event()
    private = agent.create_private_channel()
    private.on_disconnect(left.set)
    agent.add_intent_listener("Share", lambda context: private)
    assert other.raise_intent("Share", APPLE).get_result().id == private.id
    other._client._send.__self__.close()
    assert left.wait(10)
    assert len(agent.find_instances("jupyter")) == 1
    refused("TargetInstanceUnavailable", agent.get_app_metadata, theirs)


def test_a_message_that_is_none_ends_that_notebooks_connection_alone(lab):
    lab.desktop_agent.get_info()
    file = m.decode(Path(lab.connection_file).read_bytes(), m.ConnectionFile)
    line = Line(file.port, m.Hello(role="notebook", token=file.token, title="rude.ipynb"))
    line.send(b"{")
    assert line.read(lambda data: None).startswith("not understood")
    line.close()
    until(lambda: any("rude.ipynb was cut off" in entry.text for entry in lab.events), 10, "a line in the log")
    assert lab.desktop_agent.find_instances("jupyter")[0].instance_id == lab.desktop_agent.instance_id


@pytest.mark.parametrize("call", ["get_result", "open"])
def test_an_interrupted_call_leaves_nothing_behind(lab, call):
    agent = lab.desktop_agent
    agent.get_info()
    begun = threading.Event()

    async def never(context):
        begun.set()
        await asyncio.sleep(600)

    agent.add_intent_listener("Never", never)

    def interrupt() -> None:
        begun.wait(10)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    if call == "open":
        begun.set()
    thread = threading.Timer(0.3, interrupt)
    thread.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        if call == "open":
            agent.open("bob", {"type": "nothing listens for this"}, timeout=60)
        else:
            agent.raise_intent("Never", APPLE).get_result(timeout=60)
    assert time.monotonic() - began < 20
    thread.join()
    assert agent._client._waiting == {}
    assert agent.find_instances("jupyter")[0].instance_id == agent.instance_id
    assert len(agent.listeners) == 1


BUSY = """
import sys, threading, time
from labplatform import Platform
from support.apps import QUICK

lab = Platform(sys.argv[1], display="offscreen", quiet=True, heartbeat=QUICK)
alice, bob = lab.launch_all("alice", "bob")
heard = []
agent = lab.desktop_agent
agent.get_or_create_channel("ticks").add_context_listener("tick", lambda context: heard.append(context["n"]))
bob.evaluate_js('''(async () => {
    window.times = [];
    const ticks = await fdc3.getOrCreateChannel("ticks");
    await ticks.addContextListener("tick", () => { times.push(performance.now()); });
})()''', timeout=20)
alice.evaluate_js('''(async () => {
    const ticks = await fdc3.getOrCreateChannel("ticks");
    let n = 0;
    setInterval(() => ticks.broadcast({type: "tick", n: n++}), 20);
})()''', timeout=20)
while len(heard) < 5:
    time.sleep(0.01)

def gap():
    return bob.evaluate_js("Math.max(...times.slice(1).map((at, i) => at - times[i]))", timeout=20)

def meanwhile(work):
    bob.evaluate_js("times.length = 0; 0", timeout=20)
    before, until = len(heard), time.monotonic() + 1.5
    while time.monotonic() < until:
        work()
    during = len(heard) - before
    return during, gap()

quiet = meanwhile(lambda: time.sleep(0.01))
loop = meanwhile(lambda: [None for _ in range(1000)])
numbers = list(range(2_000_000, 0, -1))
sort = meanwhile(lambda: sorted(numbers, key=lambda n: n * 7919 % 1_000_003))
deadline = time.monotonic() + 10
while heard != list(range(len(heard))) and time.monotonic() < deadline:
    time.sleep(0.01)
print(quiet[0], quiet[1], loop[0], loop[1], sort[1], heard == list(range(len(heard))), flush=True)
lab.stop()
"""


def test_a_busy_cell_holds_up_neither_the_apps_nor_the_handlers(lab, tmp_path):
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=100, env=_environment()
    )
    assert done.returncode == 0, done.stderr
    quiet, quiet_gap, loop, loop_gap, sort_gap, in_order = done.stdout.split()
    assert in_order == "True", "every context, once and in order"
    assert int(loop) > int(quiet) / 3, "a Python loop shares the interpreter"
    # Between the apps: a gap as it is without a busy kernel, where others keep the machine busy, too.
    for gap in (loop_gap, sort_gap):
        assert float(gap) < max(3 * float(quiet_gap), 250)


def _environment() -> dict[str, str]:
    tests = str(Path(__file__).resolve().parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join([tests, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])}


STALLED = """
import sys
from labplatform import Platform

lab = Platform(sys.argv[1], display="offscreen", quiet=True)
agent, heard = lab.desktop_agent, []
agent.join_user_channel("fdc3.channel.1")
agent.add_context_listener("word", lambda context: print(len(context["text"]), flush=True))
agent.add_intent_listener("Ask", lambda context: {"type": "answer", "from": agent.instance_id})
print(lab.connection_file, agent.instance_id, flush=True)
input()
lab.stop()
"""


@pytest.fixture
def another():
    """Makes a second notebook of a platform, from its connection file."""
    lines: list[Line] = []
    threads: list[threading.Thread] = []

    def make(file: str | Path) -> DesktopAgent:
        door = m.decode(Path(file).read_bytes(), m.ConnectionFile)
        lines.append(Line(door.port, m.Hello(role="notebook", token=door.token, title="other.ipynb")))
        client = Client(lines[-1].send, Handlers("labplatform-other", print))
        take = lambda data: [client.receive(one) for one in data.split(b"\n")]  # noqa: E731
        threads.append(threading.Thread(target=lines[-1].read, args=(take,)))
        threads[-1].start()
        return DesktopAgent(client)

    yield make
    for line in lines:
        line.close()
    for thread in threads:
        thread.join(5)


def test_a_stopped_kernel_is_cut_off_and_comes_back(another, tmp_path):
    """32 MB wait for a kernel that does not run; then its desktop agent is cut off, and its platform is not."""
    script = tmp_path / "stalled.py"
    script.write_text(STALLED)
    make_app(tmp_path, "alice")
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    try:
        file, instance = process.stdout.readline().split()
        other = another(file)
        there = {app.instance_id for app in other.find_instances("jupyter")}
        assert len(there) == 2
        assert instance in there
        channel = other.get_user_channels()[0]
        channel.broadcast({"type": "word", "text": "x"})
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGSTOP)
        large = {"type": "word", "text": "x" * 500_000}
        for _ in range(80):
            channel.broadcast(large, timeout=30)
        until(lambda: len(other.find_instances("jupyter")) == 1, 10, "the cut, for 40 MB cannot wait")
        process.send_signal(signal.SIGCONT)
        until(lambda: len(other.find_instances("jupyter")) == 2, 30, "its return")
        answer = until(lambda: _answer(other), 30, "its handler's return")
        assert answer["from"] not in there
        channel.broadcast({"type": "word", "text": "again"})
        until(lambda: process.stdout.readline() == "5\n", 30, "its listener's return")
        process.stdin.write("\n")
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (0, ""), err
    assert "cut off from the other apps as a slow consumer and is back" in err


def _answer(agent: DesktopAgent) -> dict[str, str] | None:
    try:
        return agent.raise_intent("Ask", {"type": "q"}).get_result(timeout=10)
    except FDC3Error:
        return None
