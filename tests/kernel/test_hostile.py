"""What users and apps do that nobody should do, and that must not cost anybody else the platform."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.apps import make_app
from support.processes import below, runs, send, until

from labplatform import Heartbeat
from labplatform import messages as m
from labplatform.connection import Connection
from labplatform.errors import LabError, LaunchError, PlatformError

FLOOD = """
def main(lab):
    channel = lab.channel("flood")
    while not lab.stopping.is_set():
        channel.broadcast({"type": "t", "text": "x" * 200})
"""
LOUD = "def main(lab):\n    lab.channel('a')\n    raise ValueError('x' * 20_000_000)\n"
CHILD = """
import subprocess
def main(lab):
    # Its parent ends at once, and it holds none of the host's pipes: nothing but its session says whose it is.
    subprocess.run(["sh", "-c", "sleep 600 >/dev/null 2>&1 &"])
    lab.channel("child")
    lab.stopping.wait()
"""
COUNTER = """
def main(lab):
    channel, n = lab.channel("count"), 0
    while not lab.stopping.wait(0.05):
        n += 1
        channel.broadcast({"type": "n", "n": n})
"""
LISTENER = """<!doctype html><meta charset=utf-8><script>
window.seen = 0;
lab.channel("count").then((c) => c.addContextListener(null, (context) => { window.seen = context.n; }));
</script>"""


def test_a_wrong_value_costs_one_call_and_not_the_platform(platform):
    with platform() as lab:
        app = lab.launch("hello")
        for wrong in (
            lambda: app.crash("segfalt"),
            lambda: app.wait_for("runing", timeout=1),
            lambda: app.evaluate_js("1", timeout=0),
            lambda: app.stop(timeout=-1),
            lambda: app.picture(width=10**9),
            lambda: lab.launch("hello", timeout=0),
            lambda: lab.launch(42),
        ):
            with pytest.raises((ValueError, TypeError)):
                wrong()
        with pytest.raises(ValueError, match="abort, kill, segfault"):
            app.crash("segfalt")
        assert app.evaluate_js("1 + 1", timeout=20) == 2
        assert lab.state == "running"
    for heartbeat in (5, Heartbeat(interval=-1), Heartbeat(silent_after=10, ended_after=5)):
        with pytest.raises(ValueError, match="heartbeat"):
            platform(heartbeat=heartbeat)


def test_large_code_and_large_answers_pass(platform):
    with platform() as lab:
        app = lab.launch("hello")
        assert len(app.evaluate_js("window.kept = " + json.dumps("x" * 2_000_000), timeout=30)) == 2_000_000
        assert len(app.evaluate_js("'y'.repeat(20_000_000)", timeout=60)) == 20_000_000
        assert lab.state == "running"


def test_a_traceback_of_any_size_is_cut(platform, tmp_path):
    home = make_app(tmp_path, "loud", page=None, python=LOUD, restart={"maxRestarts": 0})
    with platform(home) as lab:
        with pytest.raises(LaunchError):
            lab.launch("loud", timeout=30)
        assert lab.state == "running"
        assert all(len(entry.text) <= 20_000 for entry in lab.events)


def test_a_fork_of_the_kernel_takes_no_answers(platform):
    with platform() as lab:
        app = lab.launch("hello")
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                app.evaluate_js("1")
                os.write(write, b"answered")
            except PlatformError:
                os.write(write, b"refused")
            finally:
                os._exit(0)
        assert os.read(read, 100) == b"refused"
        os.waitpid(child, 0)
        assert app.evaluate_js("'mine'", timeout=20) == "mine"


def test_a_service_that_floods_harms_nobody(platform, tmp_path):
    home = make_app(tmp_path, "flood", page=None, python=FLOOD)
    with platform(home) as lab:
        flood = lab.launch("flood", timeout=30)
        first = flood.incarnation
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert lab.describe().metrics.supervisor.pid == lab.supervisor_pid
        assert (flood.state, flood.incarnation) == ("running", first)
        flood.stop(timeout=10)
        assert flood.reason == "clean-exit"


def test_page_and_python_side_are_both_heard(platform, tmp_path):
    home = make_app(tmp_path, "both", page=LISTENER, python=COUNTER)
    with platform(home) as lab:
        app = lab.launch("both")
        until(lambda: app.evaluate_js("seen", timeout=20) > 3, 20, "the page to hear its own Python side")


@pytest.mark.parametrize("isolation", ["process", "shared-process"])
def test_the_python_side_outlives_a_reload_of_its_page(platform, tmp_path, isolation):
    home = make_app(tmp_path, "both", page=LISTENER, python=COUNTER)
    with platform(home, isolation=isolation) as lab:
        app = lab.launch("both")
        until(lambda: app.evaluate_js("seen", timeout=20) > 3, 20, "the page to hear its own Python side")
        app.crash("renderer")
        app.wait_for("running", timeout=30)
        until(lambda: app.evaluate_js("seen", timeout=20) > 3, 20, "the new page to hear it again")


def test_an_orphan_of_an_app_goes_with_it(platform, tmp_path):
    home = make_app(tmp_path, "parent", page=None, python=CHILD)
    with platform(home) as lab:
        app = lab.launch("parent", timeout=30)

        def orphans():
            return [process for process, words in below().items() if words.startswith("sleep 600")]

        until(orphans, 10, "its child to be there")
        app.stop()
        until(lambda: not orphans(), 10, "its child to be gone")


@pytest.mark.parametrize(
    "seconds", [0.1, pytest.param(0.0, marks=pytest.mark.long), pytest.param(0.3, marks=pytest.mark.long)]
)
def test_a_stop_during_the_launch_is_a_stop(platform, seconds):
    with platform() as lab:
        lab.start()
        outcome: list[BaseException | None] = []

        def launch():
            try:
                lab.launch("hello")
                outcome.append(None)
            except LabError as error:
                outcome.append(error)

        thread = threading.Thread(target=launch)
        thread.start()
        until(lambda: lab.describe().apps, 10, "the launch to be under way")
        time.sleep(seconds)  # the moment within the launch is what this test is about
        subprocess.run([sys.executable, "-m", "labplatform.cli", "stop", "hello"], timeout=60, check=True)
        thread.join(30)
        entries = [entry.text for entry in lab.events]
        assert not any("did not close in time" in text for text in entries), entries
        assert len(outcome) == 1


@pytest.mark.parametrize("isolation", ["shared-process", pytest.param("shared-renderer", marks=pytest.mark.long)])
def test_a_launch_into_a_closing_host_waits_for_the_next(platform, isolation):
    with platform(isolation=isolation) as lab:
        for _ in range(3):
            app = lab.launch("hello")
            thread = threading.Thread(target=app.stop)
            thread.start()
            other = lab.launch("neighbour")
            thread.join(30)
            assert other.state == "running"
            other.stop()


def test_tokenless_visitors_do_not_fill_the_log(platform):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with platform() as lab:
        lab.start()
        port = json.loads(lab.connection_file.read_text())["port"]
        for _ in range(40):
            with connect(f"ws://127.0.0.1:{port}/", proxy=None) as stranger:
                stranger.send("nothing")
                with pytest.raises(ConnectionClosed):
                    stranger.recv(5)
        lab.describe()
        assert 1 <= sum(entry.kind == "connection" for entry in lab.events) < 10


def test_a_shutdown_goes_on_without_whoever_asked_for_it(platform):
    with platform() as lab:
        app = lab.launch("hello")
        supervisor = lab.supervisor_pid
        send(app.pid, signal.SIGSTOP)  # so that it does not close at once
        known = json.loads(lab.connection_file.read_text())
        connection = Connection(known["port"], known["token"])
        connection.tell(m.Shutdown, timeout=1.0)
        until(lambda: app.state != "running", 10, "the shutdown to begin")
        connection.close()
        until(lambda: not runs(supervisor), 20, "the supervisor to end")
        until(lambda: lab.state == "stopped", 10, "the notebook to hear of it")
        assert "somebody else has stopped this platform" in lab.problem and app.state == "stopped"


def test_an_interrupted_stop_lets_go_of_everything(nothing_left, tmp_path):
    script = """
import os, signal, sys, threading
from labplatform import Platform
platform = Platform(sys.argv[1], display="offscreen", quiet=True)
app = platform.launch("hello")
os.kill(app.pid, signal.SIGSTOP)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    platform.stop(timeout=20)
except KeyboardInterrupt:
    print("interrupted", platform.supervisor_pid, platform.state, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(make_app(tmp_path, "hello"))], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["interrupted", "None", "stopped"], done.stderr
