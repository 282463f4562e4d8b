"""What is a hang and what is not: a dialog that waits for a person, a host that was stopped, a stop that passes."""

from __future__ import annotations

import re
import signal
import threading
import time

import pytest
from support.apps import AT_ONCE, PAGE
from support.cdp import with_a_click
from support.processes import send, state_of, until

from labplatform import Heartbeat
from labplatform.errors import LabTimeout

CALM = Heartbeat(interval=0.2, silent_after=10, ended_after=18)
"""Does not end for a hang what a busy machine needs a second or two for, such as to draw its first dialog."""
PAST_THE_END = CALM.interval * (CALM.ended_after + 4)
"""Seconds after which anything that hung would have been ended."""


def _is_spared(app, seconds: float = PAST_THE_END) -> None:
    """Fails as soon as the app ends; after so long it must be running, however slow it was in between."""
    ended = threading.Event()
    app.observe(lambda change: change["new"] in ("running", "unresponsive") or ended.set(), "state")
    assert not ended.wait(seconds), f"it became {app.state}: {app.detail}"
    app.unobserve_all()
    app.wait_for("running", 20)
    assert app.incarnation == 1


@pytest.mark.parametrize(
    ("isolation", "code", "words", "transport"),
    [
        ("process", "alert('Buy 100 AAPL?')", "alert: Buy 100 AAPL?", "websocket"),
        pytest.param("process", "confirm('Sure?')", "confirm: Sure?", "websocket", marks=pytest.mark.long),
        pytest.param("process", "prompt('How many?')", "prompt: How many?", "host", marks=pytest.mark.long),
        pytest.param("shared-process", "alert('Buy?')", "alert: Buy?", "websocket", marks=pytest.mark.long),
        # One page's dialog holds up the way of all the others then.
        ("shared-process", "alert('Buy?')", "alert: Buy?", "host"),
    ],
)
def test_an_open_dialog_is_not_a_hang(platform, isolation, code, words, transport):
    with platform(isolation=isolation, heartbeat=CALM, page_transport=transport) as lab:
        other, app = lab.launch("neighbour"), lab.launch("hello")
        app.evaluate_js(f"setTimeout(() => {code}, 0); 0")
        until(lambda: app.dialog == words, 20, f"the dialog; it is {app.dialog}")
        _is_spared(app)
        with pytest.raises(LabTimeout, match=re.escape(f"a dialog is open ({words})")):
            app.evaluate_js("1", timeout=0.5)
        _stops_quickly(app)
        assert other.evaluate_js("1 + 1", timeout=10) == 2
        assert other.incarnation == 1


def _stops_quickly(app) -> None:
    asked = time.monotonic()
    app.stop(timeout=30)
    assert time.monotonic() - asked < 10
    assert (app.state, app.reason) == ("stopped", "clean-exit"), app.detail


def test_an_open_file_chooser_is_not_a_hang(platform, monkeypatch):
    with with_a_click(monkeypatch) as click, platform(heartbeat=CALM) as lab:
        app = lab.launch("hello")
        click("document.getElementById('file').click()")
        until(lambda: app.dialog == "file chooser", 20, f"the file chooser; it is {app.dialog}")
        _is_spared(app)
        _stops_quickly(app)


def test_a_dialog_in_a_shared_renderer_is_nobodys_hang(platform):
    """One renderer has one main thread: while one page asks, all pages wait."""
    with platform(isolation="shared-renderer", heartbeat=CALM) as lab:
        other, app = lab.launch("neighbour"), lab.launch("hello")
        app.evaluate_js("setTimeout(() => alert('wait'), 0); 0")
        until(lambda: app.dialog, 10, "the dialog")
        _is_spared(other)
        assert (app.state, app.incarnation) == ("running", 1)
        app.stop(timeout=20)
        assert other.evaluate_js("1 + 1", timeout=10) == 2
        assert other.incarnation == 1


def test_a_stopped_host_hangs_and_is_replaced(platform):
    with platform() as lab:
        app, other = lab.launch("hello"), lab.launch("neighbour")
        stopped = app.pid
        send(stopped, signal.SIGSTOP)
        until(lambda: app.incarnation == 2, 30, "the end of the stopped host")
        app.wait_for("running", 30)
        assert app.reason == "unresponsive"
        assert "GUI thread" in app.detail
        assert state_of(stopped) == ""
        assert [e.state for e in app.events if e.kind in ("silent", "ended")] == ["unresponsive", "crashed"]
        assert other.incarnation == 1


def test_a_host_that_goes_on_in_time_is_spared(platform):
    patient = Heartbeat(interval=0.2, silent_after=3, ended_after=150)
    with platform(heartbeat=patient) as lab:
        app = lab.launch("hello")
        send(app.pid, signal.SIGSTOP)
        app.wait_for("unresponsive", 20)
        send(app.pid, signal.SIGCONT)
        app.wait_for("running", 20)
        assert app.incarnation == 1
        assert app.evaluate_js("1 + 1", timeout=10) == 2
        assert [e.state for e in app.events if e.kind in ("silent", "answered")] == ["unresponsive", "running"]


def test_a_busy_page_that_answers_in_time_is_spared(platform):
    patient = Heartbeat(interval=0.1, silent_after=3, ended_after=600)
    with platform(heartbeat=patient) as lab:
        app = lab.launch("hello")
        app.evaluate_js("setTimeout(() => { const end = Date.now() + 1500; while (Date.now() < end); }, 0); 0")
        app.wait_for("unresponsive", 20)
        app.wait_for("running", 20)
        assert app.incarnation == 1


@pytest.mark.parametrize("page", ["connected through its host", "without an agent"])
def test_a_hang_of_a_page_without_a_websocket_is_noticed(platform, web, page):
    """Its server's policy forbids the agent's WebSocket; or it is at another address than the app's own."""
    address = web.page("/strict", PAGE, Content_Security_Policy="default-src 'self'; connect-src 'self'")
    if page == "without an agent":
        address = web.redirect("/moved", address.replace("127.0.0.1", "localhost"))
    startup = {"uuid": "guest", "name": "Guest", "url": address}
    with platform(heartbeat=CALM) as lab:
        app = lab.launch({"startup_app": startup, "restart": AT_ONCE})
        assert app.evaluate_js("window.lab?.connected ?? null") is (True if "connected" in page else None)
        _is_spared(app)
        app.crash("hang")
        until(lambda: app.incarnation == 2, 30, "the hung page's end")
        app.wait_for("running", 30)
        assert app.reason == "unresponsive"
        told = [entry.text for entry in app.events if "its host" in entry.text]
        assert len(told) == 2, "once for each incarnation"
        assert all(("connected through its host" in text) is ("connected" in page) for text in told), told
