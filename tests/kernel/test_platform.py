"""The notebook's door: platforms, apps, what is observed and where, and what a call says when it cannot."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.apps import APPS, make_app
from support.processes import runs, until

from labplatform import Platform
from labplatform.errors import BlockingCallInObserver, LabTimeout, NotRunning, PlatformStopped, StartError, UnknownApp
from labplatform.kernel.observers import THREAD_NAME
from labplatform.supervisor import log as logs


def test_it_starts_on_first_use_and_stops_with_its_block(platform):
    lab = platform()
    assert (lab.state, lab.supervisor_pid, lab.guardian_pid, lab.connection_file) == ("new", None, None, None)
    app = lab.launch("hello")
    assert lab.state == "running"
    pids = [app.pid, lab.supervisor_pid, lab.guardian_pid]
    assert len(set(pids)) == 3
    assert all(map(runs, pids))
    with lab as same:
        assert same is lab
    assert lab.state == "stopped"
    assert not any(map(runs, pids))
    assert (lab.supervisor_pid, lab.connection_file) == (None, None)
    assert (app.state, app.pid) == ("stopped", None)


def test_stopped_before_it_started(platform):
    lab = platform()
    lab.stop()
    with pytest.raises(PlatformStopped, match="stopped before it started"):
        lab.start()


@pytest.mark.parametrize(
    "options",
    [
        {"isolation": "none"},
        {"display": "big"},
        {"theme": "pink"},
        {"page_transport": "pigeon"},
        {"js_heap": "1MB"},
        {"js_heap": 5 << 30},
        {"js_heap": "x"},
        {"max_message": 1000},
        {"max_message": "5MiB"},
    ],
)
def test_wrong_options_are_refused_before_anything_starts(options):
    with pytest.raises(ValueError):
        Platform(APPS, **options)


def test_a_second_platform_replaces_the_first_and_says_so(platform, capfd):
    first = platform(alongside=False, quiet=False)
    app = first.launch("hello")
    pids = [app.pid, first.supervisor_pid]
    second = platform(alongside=False, quiet=False)
    second.start()
    assert first.state == "stopped"
    assert not any(map(runs, pids))
    said = capfd.readouterr().err
    assert "labplatform: replacing the platform started before (1 of its apps were up)" in said
    assert "windows are drawn off screen" in said
    third = platform()
    third.start()
    assert (second.state, third.state) == ("running", "running")


def test_several_at_once(platform):
    labs = [platform(isolation=isolation) for isolation in ("process", "shared-process")]
    for lab in labs:
        lab.launch_all("hello", "neighbour")
    assert len({lab.supervisor_pid for lab in labs}) == 2
    assert [len({app.pid for app in lab}) for lab in labs] == [2, 1]


def test_many_launches_at_once(platform):
    with platform() as lab:
        apps = lab.launch_all("hello", "neighbour", "hello", "steward", "frames", timeout=90)
        assert [app.app_id for app in apps] == ["hello", "neighbour", "hello", "steward", "frames"]
        assert {app.name for app in apps} == {"hello", "hello-2", "neighbour", "steward", "frames"}
        assert len({app.pid for app in apps}) == 5
        assert {app.state for app in apps} == {"running"}
        assert lab["hello-2"] in lab.apps
        assert repr(lab) == "<Platform process: running, 5 of 5 apps up>"


def test_one_bad_launch_among_many(platform):
    with platform() as lab:
        with pytest.raises(UnknownApp, match="nowhere"):
            lab.launch_all("hello", "nowhere", "neighbour", timeout=60)
        assert {app.name for app in lab} == {"hello", "neighbour"}


def test_an_app_can_be_named_in_many_ways(platform, tmp_path, web):
    home = make_app(tmp_path, "named")
    with platform() as lab:
        for way in (home, str(home), home / "app.json", web.page("/page", "<title>page</title>")):
            app = lab.launch(way)
            assert app.state == "running"
            app.stop()
        manifest = lab.manifests["hello"]
        assert lab.launch(manifest).app_id == "hello"


def test_an_app_stays_the_same_object(platform):
    with platform() as lab:
        app = lab.launch("hello")
        first, pid = app.instance_id, app.pid
        assert app.uptime >= 0
        app.restart()
        assert lab["hello"] is app
        assert (app.incarnation, app.restarts) == (2, 1)
        assert (app.instance_id != first, app.pid != pid) == (True, True)
        app.stop()
        assert app.uptime is None
        assert lab.launch("hello") is app
        assert (app.incarnation, app.restarts) == (3, 0)
        assert repr(app) == "<App hello: running>"


def test_the_log_replays_to_what_is_shown(platform):
    with platform() as lab:
        app, service = lab.launch("hello"), lab.launch("steward")
        app.crash("kill")
        until(lambda: app.incarnation == 2, 20, "the next incarnation")
        app.wait_for("running", 30)
        with pytest.raises(Exception, match="no feed at this hour"):
            lab.launch("raises")
        with pytest.raises(Exception, match="no feed at this hour"):
            lab.launch("raises")
        service.restart()
        service.stop()
        lab.launch("steward")
        status = {one.place: one for one in lab.describe().apps}

        def agrees() -> bool:
            # The last entries may still be on their way.
            lives = logs.replay(lab.events)
            return {name: life.state for name, life in lives.items() if name in status} == {
                name: one.state for name, one in status.items()
            }

        until(agrees, 10, "the log to tell the same")
        lives = logs.replay(lab.events)
        for name, one in status.items():
            assert (lives[name].incarnation, lives[name].restarts) == (one.incarnation, one.restarts)
        assert [entry.seq for entry in lab.events] == list(range(1, len(lab.events) + 1))
        assert [entry.kind for entry in app.events if entry.event][:3] == ["launched", "ready", "ended"]


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_waiting_says_what_it_saw(platform):
    with platform() as lab:
        app = lab.launch("hello")
        assert app.wait_for("running") is app
        with pytest.raises(LabTimeout, match=r"waited 0\.3 s for hello to be crashed or failed; it was running"):
            app.wait_for({"crashed", "failed"}, timeout=0.3)
        stopper = threading.Timer(0.3, app.stop)
        stopper.start()
        with pytest.raises(
            NotRunning, match=r"hello is stopped \(clean-exit: it was asked to stop\) and will not be failed"
        ):
            app.wait_for("failed", timeout=30)
        stopper.join()
        assert app.wait_for(["stopped", "failed"], timeout=1) is app


def test_waiting_ends_with_the_platform(platform):
    lab = platform()
    app = lab.launch("hello")
    stopper = threading.Timer(0.3, lab.stop)
    stopper.start()
    with pytest.raises((PlatformStopped, NotRunning)):
        app.wait_for("failed", timeout=60)
    stopper.join()


# --- observing --------------------------------------------------------------------------------------------------------


def test_observers_run_on_their_own_thread_in_order(platform):
    with platform() as lab:
        app = lab.launch("hello")
        seen: list[tuple[str, str]] = []
        app.observe(lambda change: seen.append((threading.current_thread().name, change["new"])), "state")
        app.crash("kill")
        until(lambda: app.incarnation == 2, 20, "the next incarnation")
        app.wait_for("running", 30)
        app.stop()
        until(lambda: seen and seen[-1][1] == "stopped", 10, "the observer to be told")
        assert {thread for thread, _ in seen} == {THREAD_NAME}
        states = [state for _, state in seen]
        assert states[-1] == "stopped"
        assert "starting" in states
        assert states.index("starting") < states.index("running") < states.index("stopped")


def test_a_blocking_call_in_an_observer_is_refused(platform):
    with platform() as lab:
        app = lab.launch("hello")
        calls = {
            "evaluate": lambda: app.evaluate_js("1"),
            "launch": lambda: lab.launch("neighbour"),
            "wait_for": lambda: app.wait_for("running"),
            "stop": lab.stop,
            "describe": lab.describe,
            "crash": app.crash,
            "screenshot": app.screenshot,
        }
        refused: dict[str, str] = {}

        def try_all(_change) -> None:
            for name, call in calls.items():
                try:
                    call()
                except BlockingCallInObserver as error:
                    refused[name] = str(error)

        app.observe(try_all, "incarnation")
        app.restart()
        until(lambda: len(refused) == len(calls), 20, f"all calls to be refused; {refused.keys()}")
        assert all("called from an observer" in words for words in refused.values())
        assert app.state == "running"


def test_an_observer_that_raises_or_dawdles_holds_up_nobody(platform, capfd):
    with platform() as lab:
        app = lab.launch("hello")
        release = threading.Event()
        told = []

        def dawdle(_change) -> None:
            release.wait(30)
            raise ValueError("an observer's own mistake")

        app.observe(dawdle, "incarnation")
        lab.observe(told.append, "events")
        app.restart()
        assert app.evaluate_js("1 + 1", timeout=20) == 2
        assert app.incarnation == 2
        release.set()
        until(lambda: told, 10, "the next observer")
    assert "an observer's own mistake" in capfd.readouterr().err


def test_new_pictures_come_while_somebody_watches(platform):
    with platform() as lab:
        app = lab.launch("hello")
        frames = []
        end = app.watch_pictures(frames.append, rate=20, width=200)
        until(lambda: any(frame.data.startswith(b"\xff\xd8") for frame in frames), 20, "a picture")
        assert frames[-1].width == 200
        count = len(frames)
        app.evaluate_js("document.body.style.background = 'rgb(1, 2, 200)'; 0", timeout=20)
        until(lambda: len(frames) > count, 20, "a new picture of what changed")
        end()
        app.stop()
        assert app.state == "stopped"


# --- where it is used -------------------------------------------------------------------------------------------------


def test_it_works_while_an_event_loop_runs(platform):
    """As in a notebook, whose cells run inside the kernel's loop."""

    async def cell() -> int:
        with platform() as lab:
            app = lab.launch("hello")
            ticks = []
            ticker = asyncio.get_running_loop().call_later(0.01, ticks.append, 1)
            in_thread = await asyncio.to_thread(app.evaluate_js, "20 + 1", 20)
            await asyncio.sleep(0.05)
            ticker.cancel()
            assert ticks
            return in_thread + app.evaluate_js("20 + 1", timeout=20)

    assert asyncio.run(cell()) == 42


def test_it_works_in_threads(platform):
    with platform() as lab:
        app = lab.launch("hello")
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(app.evaluate_js("1 + 1", timeout=30))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [2] * 8


def test_it_works_from_any_folder_and_with_a_folder_that_is_gone(nothing_left, tmp_path):
    """The kernel's working folder is none of the platform's business."""
    script = f"""
import os, sys
from labplatform import Platform
os.mkdir("gone"); os.chdir("gone"); os.rmdir("../gone")
with Platform({str(APPS)!r}, display="offscreen", quiet=True) as platform:
    print(platform.launch("hello").evaluate_js("1 + 1", timeout=20))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=90)
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr


def test_a_module_named_like_one_of_ours_is_not_taken_for_it(nothing_left, tmp_path):
    """A notebook's folder may hold anything, and hosts must not import from it."""
    for name in ("messages", "signal", "webview", "msgspec", "labplatform"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    script = f"""
import sys
sys.path = [entry for entry in sys.path if entry not in ("", {str(tmp_path)!r})]
from labplatform import Platform
with Platform({str(APPS)!r}, display="offscreen", quiet=True) as platform:
    print(platform.launch("hello").evaluate_js("1 + 1", timeout=20))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=90
    )
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr


def test_a_busy_kernel_holds_up_no_app(platform):
    """The reason for a supervisor of its own: nothing runs in this process meanwhile, and the crash is mended."""
    with platform() as lab:
        app = lab.launch("hello")
        hold_the_interpreter = ctypes.PyDLL(None).sleep
        os.kill(app.pid, signal.SIGKILL)
        began = time.time()
        hold_the_interpreter(3)
        over = time.time()
        until(lambda: app.incarnation == 2, 20, "the next incarnation")
        ended = next(entry for entry in app.events if entry.kind == "ended")
        again = next(entry for entry in app.events if entry.kind == "timer-fired")
        assert began - 0.1 <= ended.time <= again.time < over
        app.wait_for("running", 30)


def test_a_supervisor_that_ends_at_once_is_told_in_words(tmp_path, monkeypatch):
    """Whatever it has read of its order by then: one is larger than a pipe holds."""
    intents = {f"Look{number}": {"contexts": ["fdc3.instrument"]} for number in range(2000)}
    make_app(tmp_path, "large", interop={"intents": {"listensFor": intents}})
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StartError, match=r"the supervisor ended while it started \(exit code 1\)"):
        Platform(tmp_path, display="offscreen", quiet=True, alongside=True).start()
