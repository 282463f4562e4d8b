"""A fresh process for a running app: its identity, window, storage and messages stay; nobody else notices."""

from __future__ import annotations

import re
import threading
import time

import pytest
from support.apps import NO_RESTART, PAGE, make_app
from support.processes import runs, until
from support.x11 import display, windows

from labplatform.errors import AppGone, BadRequest, LabError, NotRunning

COUNTS = """<!doctype html><meta charset=utf-8><title>counts</title><h1>counts</h1><script>
window.heard = [];
(async () => {
  const channel = await fdc3.getOrCreateChannel("numbers");
  await channel.addContextListener("number", ({ n }) => heard.push(n));
})();
</script>"""
SAYS = """
from labplatform.apphost.service import Lab

def main(lab):
    channel, n = lab.channel("numbers"), 0
    while not lab.stopping.wait(0.005):
        channel.broadcast({"type": "number", "n": n})
        n += 1
"""
KEEPS = "window.kept = (window.kept || []).concat([new Uint8Array({mb} << 20).fill(1)]); kept.length"


def test_by_hand_its_identity_window_and_storage_stay(platform):
    with platform() as lab:
        app, other = lab.launch("hello"), lab.launch("hello")
        app.evaluate_js("localStorage.setItem('word', 'kept'); sessionStorage.setItem('word', 'lost')")
        before = (app.pid, app.instance_id, app.incarnation)
        untouched = (other.pid, other.incarnation)
        app.recycle()
        pid, instance, incarnation = before
        assert (app.state, app.instance_id, app.incarnation) == ("running", instance, incarnation + 1)
        assert app.pid != pid
        assert not runs(pid)
        assert (app.recycles, app.restarts) == (1, 0)
        assert app.detail == "recycled by a controller"
        assert app.evaluate_js("localStorage.getItem('word') + sessionStorage.getItem('word')") == "keptnull"
        assert app.evaluate_js("lab.instanceId") == instance
        assert (other.pid, other.incarnation) == untouched


def test_what_others_broadcast_meanwhile_is_not_lost(platform, tmp_path):
    make_app(tmp_path, "counts", page=COUNTS)
    make_app(tmp_path, "says", page=None, python=SAYS)
    with platform(tmp_path) as lab:
        counts, says = lab.launch("counts"), lab.launch("says")
        until(lambda: len(counts.evaluate_js("heard")) > 20, 20, "numbers at the page")
        last = counts.evaluate_js("heard.at(-1)")
        counts.recycle()
        until(lambda: len(counts.evaluate_js("heard")) > 100, 20, "numbers at the fresh page")
        heard = counts.evaluate_js("heard")
        assert heard == list(range(heard[0], heard[0] + len(heard)))
        # Those that the old page had while it was asked are between the two.
        assert last < heard[0]
        gap = heard[0] - last
        assert gap < 2000
        assert says.state == "running"


def test_too_large_for_long_enough(platform, tmp_path):
    make_app(tmp_path, "grows", recycle={"memory": "200MB", "breaches": 2})
    with platform(tmp_path, sampling=0.2) as lab:
        app = lab.launch("grows")
        pid = app.pid
        until(lambda: app.metrics and app.metrics.memory < 200e6, 20, "a first sample")
        app.evaluate_js(KEEPS.format(mb=160))
        until(lambda: app.recycles == 1 and app.state == "running", 40, "a fresh process")
        assert app.pid != pid
        assert re.search(r"MiB in use, 190 MiB wanted at most, \d+ samples in a row", app.detail)
        until(lambda: app.metrics and app.metrics.memory < 200e6, 20, "less memory")
        assert app.evaluate_js("typeof kept") == "undefined"


def test_it_is_not_recycled_again_and_again_where_that_does_not_help(platform, tmp_path):
    fat = PAGE + f"<script>{KEEPS.format(mb=160)}</script>"
    make_app(tmp_path, "fat", page=fat, recycle={"memory": "150MB", "breaches": 1})
    with platform(tmp_path, sampling=0.2) as lab:
        app = lab.launch("fat")
        until(lambda: app.recycles == 1 and app.state == "running", 40, "a fresh process")
        said = lambda: [entry.text for entry in app.events if "did not help" in entry.text]  # noqa: E731
        until(said, 40, "a word in the log")
        assert app.recycles == 1
        assert len(said()) == 1


def test_too_old(platform, tmp_path):
    make_app(tmp_path, "ages", recycle={"maxAge": 2})
    with platform(tmp_path, sampling=0.2) as lab:
        app = lab.launch("ages")
        until(lambda: app.recycles >= 1, 40, "a fresh process")
        assert "of the 2 s it may" in app.detail


def test_one_after_the_other(platform):
    with platform() as lab:
        apps = [lab.launch("hello") for _ in range(3)]
        errors: list[LabError] = []

        def recycle(app):
            try:
                app.recycle()
            except LabError as error:
                errors.append(error)

        threads = [threading.Thread(target=recycle, args=(app,)) for app in apps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert [app.recycles for app in apps] == [1, 1, 1]
        kinds = [entry.kind for entry in lab.events if entry.kind in ("recycled", "ready")][3:]
        assert kinds == ["recycled", "ready"] * 3


@pytest.mark.parametrize("isolation", ["shared-process", "shared-renderer"])
def test_not_where_others_would_go_with_it(platform, isolation):
    with platform(isolation=isolation) as lab:
        app, other = lab.launch("hello"), lab.launch("neighbour")
        with pytest.raises(BadRequest, match="its process is shared with neighbour, which would go with it"):
            app.recycle()
        assert (app.state, other.state, app.recycles) == ("running", "running", 0)
        app.stop()
        with pytest.raises(NotRunning, match="recycle\\(\\) needs a running app"):
            app.recycle()


def test_a_service_is_recycled_too(platform, tmp_path):
    make_app(tmp_path, "says", page=None, python=SAYS)
    with platform(tmp_path) as lab:
        app = lab.launch("says")
        pid, instance = app.pid, app.instance_id
        app.recycle()
        assert (app.state, app.instance_id, app.recycles) == ("running", instance, 1)
        assert app.pid != pid


@pytest.mark.parametrize("how", ["stop", "crash", pytest.param("kill", marks=pytest.mark.long)])
def test_one_that_ends_while_its_fresh_process_starts(platform, tmp_path, how):
    make_app(tmp_path, "plain", restart=NO_RESTART)
    with platform(tmp_path) as lab:
        app = lab.launch("plain")
        errors: list[LabError] = []

        def recycle():
            try:
                app.recycle()
            except LabError as error:
                errors.append(error)

        thread = threading.Thread(target=recycle)
        thread.start()
        # Its fresh process takes a third of a second and more.
        time.sleep(0.05)
        app.crash("kill") if how == "crash" else getattr(app, how)()
        thread.join(40)
        assert isinstance(errors[0], AppGone), errors
        assert app.state == ("failed" if how == "crash" else "stopped")
        assert app.recycles == 0


def test_a_person_sees_no_gap(platform, monkeypatch):
    with display() as name:
        monkeypatch.setenv("DISPLAY", name)
        monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
        with platform(display="auto") as lab:
            app = lab.launch("hello")
            until(lambda: any(window.mapped for window in windows(name)), 20, "its window")
            sizes = {(window.width, window.height) for window in windows(name) if window.mapped}
            seen, over = [], threading.Event()

            def look():
                while not over.is_set():
                    seen.append([window for window in windows(name) if window.mapped and window.title])
                    time.sleep(0.01)

            thread = threading.Thread(target=look)
            thread.start()
            try:
                # Where it was last is known a moment after it was shown.
                time.sleep(0.5)
                app.recycle()
            finally:
                over.set()
                thread.join(10)
            assert all(seen), "there was a moment without a window"
            titles = {window.title for shown in seen for window in shown}
            assert {"Hello"} < titles, "the picture of the old window was not seen"
            assert {(window.width, window.height) for shown in seen for window in shown} == sizes
