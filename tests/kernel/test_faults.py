"""Faults one after the other: hosts that live on, apps that break too often, neighbours that go on working."""

from __future__ import annotations

import pytest
from support.apps import APPS, AT_ONCE, NO_RESTART, make_app
from support.processes import runs, until

from labplatform.errors import NotRunning


def _crash_often(platform, times: int) -> None:
    """Renderer crashes in one shared host, one after the other, which must not become the host's own end."""
    with platform(isolation="shared-process") as lab:
        app, other = lab.launch("hello"), lab.launch("neighbour")
        host = app.pid
        for round_ in range(times):
            app.crash("renderer")
            until(lambda count=round_ + 2: app.incarnation == count, 20, f"the end of incarnation {round_ + 1}")
            app.wait_for("running", 30)
            assert app.pid == host, app.detail
        assert (other.pid, other.incarnation) == (host, 1)
        assert other.evaluate_js("1 + 1", timeout=10) == 2
        assert app.evaluate_js("lab.incarnation", timeout=10) == times + 1


def test_a_shared_host_survives_many_renderer_crashes(platform):
    _crash_often(platform, 12)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_shared_host_survives_sixty_renderer_crashes(platform):
    _crash_often(platform, 60)


@pytest.mark.parametrize("times", [6, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_a_shared_host_survives_windows_that_come_and_go(platform, times):
    """pywebview's own process ends after some sixteen of them."""
    with platform(isolation="shared-process") as lab:
        other = lab.launch("neighbour")
        for _ in range(times):
            app = lab.launch("hello")
            assert app.pid == other.pid
            app.stop()
        assert (other.state, other.incarnation) == ("running", 1)
        assert other.evaluate_js("1 + 1", timeout=10) == 2


def test_a_former_fault_does_not_name_the_next_one(platform):
    """A host that lives on still has the out-of-memory words of one page among its last output."""
    with platform(isolation="shared-process", js_heap="64MiB") as lab:
        lab.launch("neighbour")
        app = lab.launch("hello")
        for number, (how, reason) in enumerate((("oom", "oom"), ("renderer", "crashed")), start=2):
            app.crash(how)
            until(lambda number=number: app.incarnation == number, 30, f"the end by {how}")
            app.wait_for("running", 30)
            assert app.reason == reason, app.detail


def test_who_breaks_too_often_is_left_broken(platform, tmp_path):
    home = make_app(tmp_path, "brittle", restart={"maxRestarts": 2, "withinSeconds": 60, "backoff": 0.01})
    with platform(home) as lab:
        app = lab.launch("brittle")
        for _ in range(2):
            count = app.incarnation
            app.crash("kill")
            until(lambda count=count: app.incarnation > count, 20, "the next incarnation")
            app.wait_for("running", 30)
        app.crash("kill")
        app.wait_for("failed", 20)
        assert app.pid is None
        assert "3 ends within 60 s; 2 are allowed" in app.events[-1].text
        with pytest.raises(NotRunning, match=r"brittle is failed .*restart\(\) starts it"):
            app.wait_for("running", 5)
        app.restart()
        assert app.state == "running"


@pytest.mark.parametrize("isolation", ["shared-process", pytest.param("shared-renderer", marks=pytest.mark.long)])
def test_a_failed_app_leaves_no_window_in_a_shared_host(platform, tmp_path, isolation):
    make_app(tmp_path, "brittle", restart=NO_RESTART)
    make_app(tmp_path, "sturdy", restart=AT_ONCE)
    with platform(tmp_path, isolation=isolation) as lab:
        sturdy, brittle = lab.launch("sturdy"), lab.launch("brittle")
        host = sturdy.pid
        brittle.crash("renderer")
        brittle.wait_for("failed", 20)
        sturdy.wait_for("running", 30)
        assert brittle.shared_with == ()
        assert "brittle" not in sturdy.shared_with
        again = lab.launch("brittle")
        assert again.evaluate_js("1 + 1", timeout=10) == 2
        assert again.pid == sturdy.pid == host
        again.stop()
        sturdy.stop()
        # Its last window is closed, so the host has nothing left to live for.
        until(lambda: not runs(host), 15, "the shared host's end")


def test_faults_of_one_app_while_another_works(platform):
    """The lesson's sentence: one breaks again and again, the other does not care."""
    with platform() as lab:
        app, other = lab.launch("hello"), lab.launch("neighbour")
        answers = 0
        for number, how in enumerate(("kill", "renderer", "abort"), start=2):
            app.crash(how)
            while app.incarnation < number or app.state != "running":
                answers += other.evaluate_js("1", timeout=10)
        assert answers > 0
        assert (other.incarnation, other.restarts, other.reason) == (1, 0, None)


LOOPS = """<!doctype html><meta charset=utf-8><title>looping</title><script>
    // Once it has been ready, or its launch would be what fails.
    addEventListener("load", () => setTimeout(async () => {
        const channel = await fdc3.getOrCreateChannel("end");
        setInterval(() => channel.broadcast({ type: "end" }), 20);
    }, 300));
</script>"""
ENDS = """
import os

def main(lab):
    lab.desktop_agent.get_or_create_channel("end").add_context_listener("end", lambda *_: os.abort())
    lab.stopping.wait()
"""
TELLS = """(async () => {
    for (let number = 0; number < COUNT; number++) {
        await fdc3.broadcast({ type: "test", number });
        await new Promise((done) => setTimeout(done, 20));
    }
    return COUNT;
})()"""


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
def test_a_crash_loop_of_one_app_costs_the_others_nothing(platform, tmp_path, count):
    make_app(tmp_path, "looping", page=LOOPS, python=ENDS, restart=AT_ONCE)
    with platform(APPS, tmp_path) as lab:
        one, other = lab.launch_all("hello", "neighbour")
        for app in (one, other):
            app.evaluate_js("fdc3.joinUserChannel('fdc3.channel.1')", timeout=20)
        listen = (
            "window.heard = []; fdc3.addContextListener('test', ({ number }) => { heard.push(number); }).then(() => 0)"
        )
        other.evaluate_js(listen, timeout=20)
        looping = lab.launch("looping")
        before = looping.incarnation
        assert one.evaluate_js(TELLS.replace("COUNT", str(count)), timeout=240) == count
        until(lambda: looping.incarnation > before + 1, 30, "it to break again and again meanwhile")
        heard = until(lambda: len(h := other.evaluate_js("heard", timeout=20)) == count and h, 20, "the last message")
        assert heard == list(range(count))
        # Nobody missed so many pings in a row that it would show, and nobody was started anew.
        for app in (one, other):
            assert (app.restarts, app.incarnation) == (0, 1)
            assert [entry for entry in app.events if entry.kind in ("silent", "ended")] == []
        assert lab.describe().metrics.supervisor.pid == lab.supervisor_pid
        looping.stop()
        assert looping.state == "stopped"
