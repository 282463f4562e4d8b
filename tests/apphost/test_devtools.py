"""Developer tools in a window beside the app's own: they look into its page, and a page they stop has not hung."""

from __future__ import annotations

import pytest
from support.apps import APPS, make_app
from support.processes import until
from support.x11 import XWindow, close, display, windows

from labplatform.errors import BadRequest, LabTimeout


def _tools(name: str) -> list[XWindow]:
    return [window for window in windows(name) if window.mapped and window.title.startswith("Developer tools")]


def _stops(app) -> bool:
    """Whether a breakpoint stops its page, which it does only with tools that look into it."""
    try:
        return app.evaluate_js("debugger; 7", timeout=4) != 7
    except LabTimeout:
        return True


def test_they_open_stop_the_page_and_go_with_it(platform, monkeypatch, tmp_path):
    make_app(tmp_path, "service", page=None, python="def main(lab):\n    lab.stopping.wait()\n")
    with display() as name:
        monkeypatch.setenv("DISPLAY", name)
        lab = platform(APPS, tmp_path, display="auto", isolation="shared-process")
        app, other = lab.launch("hello"), lab.launch("neighbour")
        app.open_devtools()
        (tools,) = _tools(name)
        assert tools.title == f"Developer tools · Hello · PID {app.pid} · shared process"
        app.open_devtools()
        assert len(_tools(name)) == 1
        # The tools are there a moment before they hold the page. It may stand still for longer than one that hangs.
        until(lambda: _stops(app), 30, "the page to stop")
        assert (app.state, app.incarnation) == ("running", 1)
        assert other.evaluate_js("1 + 1") == 2
        close(name, tools)
        until(lambda: not _tools(name), 10, "the tools to go")
        assert app.evaluate_js("8", timeout=10) == 8

        app.open_devtools()
        app.crash("renderer")
        until(lambda: app.incarnation == 2 and app.state == "running", 20, "it to be back")
        until(lambda: _stops(app), 30, "the page to stop")
        assert (app.state, app.incarnation) == ("running", 2)
        app.stop()
        until(lambda: not _tools(name), 10, "the tools to go with their app")
        assert other.evaluate_js("1 + 1") == 2
        said = next(entry.text for entry in app.events if entry.kind == "devtools")
        assert said.startswith("its developer tools are open")
        with pytest.raises(BadRequest, match="service has no page"):
            lab.launch("service").open_devtools()


def test_off_screen_they_are_refused_with_the_reason(platform):
    app = platform().launch("hello")
    with pytest.raises(BadRequest, match="developer tools need a screen, and apps draw off screen here"):
        app.open_devtools()
