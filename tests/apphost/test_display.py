"""Real windows on a real (virtual) display: mapped, titled, sized, and gone with their app."""

from __future__ import annotations

import pytest
from support.apps import make_app
from support.processes import until
from support.x11 import XWindow, display, windows


def _shown(name: str) -> dict[str, XWindow]:
    return {window.title: window for window in windows(name) if window.mapped}


@pytest.mark.parametrize(
    ("isolation", "words"),
    [("process", "own process"), ("shared-process", "shared process"), ("shared-renderer", "shared renderer")],
)
def test_windows_are_mapped_with_their_titles(platform, monkeypatch, tmp_path, isolation, words):
    make_app(tmp_path, "ticker-list", startup_app={"defaultWidth": 480, "defaultHeight": 640})
    make_app(tmp_path, "news-feed", startup_app={"defaultWidth": 320, "defaultHeight": 200})
    make_app(tmp_path, "unseen", startup_app={"autoShow": False})
    with display() as name:
        monkeypatch.setenv("DISPLAY", name)
        with platform(tmp_path, isolation=isolation, display="auto") as lab:
            assert lab.describe().display == f"windows on the X display {name}"
            tickers, news, unseen = (lab.launch(app) for app in ("ticker-list", "news-feed", "unseen"))
            titles = [f"Ticker List · PID {tickers.pid} · {words}", f"News Feed · PID {news.pid} · {words}"]
            until(lambda: set(_shown(name)) == set(titles), 20, f"two windows; there are {list(_shown(name))}")
            assert _shown(name)[titles[0]][2:4] == (480, 640)
            assert _shown(name)[titles[1]][2:4] == (320, 200)
            # Nobody sees it, and it can be asked and drawn all the same.
            assert unseen.evaluate_js("document.visibilityState", timeout=20) in ("visible", "hidden")
            assert unseen.screenshot(timeout=20).width > 0

            news.stop(timeout=20)
            until(lambda: set(_shown(name)) == {titles[0]}, 20, "the window's end")
            tickers.crash("renderer")
            until(lambda: tickers.incarnation == 2, 20, "the next incarnation")
            tickers.wait_for("running", 30)
            title = f"Ticker List · PID {tickers.pid} · {words}"
            until(lambda: set(_shown(name)) == {title}, 20, "its window")
        until(lambda: not _shown(name), 20, "all windows' end")


def test_without_a_display_it_says_so_and_draws_off_screen(platform, monkeypatch, capfd):
    monkeypatch.setenv("DISPLAY", ":7654")
    with platform(display="auto", quiet=False) as lab:
        assert lab.launch("hello").screenshot(timeout=20).width > 0
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("labplatform:")]
    assert len(said) == 1
    assert "DISPLAY is :7654, but no X server answers there" in said[0]
    assert "off screen" in said[0]
