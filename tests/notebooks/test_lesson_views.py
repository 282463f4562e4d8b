"""`AppView` on real apps, without a browser: when pictures flow, how many, what it says, and that nothing stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.apps import make_app
from support.processes import until

from labplatform.kernel.widgets import view as module
from labplatform.kernel.widgets.view import AppView, AppViews
from labplatform.kernel.widgets.words import ending_in_words
from labplatform.supervisor.endings import host_ending, renderer_ending

CLOCK = """<!doctype html><meta charset=utf-8><title>clock</title><h1>0</h1><script>
  let n = 0;
  setInterval(() => {
    document.querySelector("h1").textContent = ++n;
    document.body.style.background = `rgb(${n % 256}, 80, 80)`;
  }, 50);
  globalThis.changes = (count) => new Promise((done) => {
    const last = n + count;
    const timer = setInterval(() => n >= last && (clearInterval(timer), done(n)), 20);
  });
</script>"""
QUICKLY = {"maxRestarts": 3, "backoff": 0.01}


class Stage:
    """A platform with two apps whose pages change 20 times a second; counts the pictures that the supervisor sends."""

    def __init__(self, platform: Any) -> None:
        self.platform = platform
        self.frames: dict[str, int] = {"clock": 0, "other": 0}
        take = platform._take_frame

        def count(frame: Any) -> None:
            self.frames[frame.place] += bool(frame.data)
            take(frame)

        platform._take_frame = count
        self.app = platform.launch("clock")

    def pass_pictures(self, count: int) -> None:
        """Wait until the page has changed so often; what the supervisor sent before that has arrived then."""
        self.app.evaluate_js(f"changes({count})", timeout=20)


@pytest.fixture
def stage(platform: Callable[..., Any], tmp_path: Path) -> Stage:
    for name in ("clock", "other"):
        make_app(tmp_path, name, page=CLOCK, restart=QUICKLY)
    return Stage(platform(tmp_path))


def say(view: AppView, shown: bool = True, page: str = "a", drawn: int | None = None) -> None:
    """What the page side of a view sends."""
    content = {"page": page, "shown": shown, "drawn": view.number if drawn is None else drawn}
    view.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def clock_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "labplatform-widgets"]


def test_nothing_flows_until_a_page_shows_it(stage: Stage) -> None:
    view = stage.app.view()
    stage.pass_pictures(10)
    assert (stage.frames["clock"], view.number, view.flowing, clock_threads()) == (0, 0, False, [])
    say(view)
    until(lambda: view.number >= 3, 10, "three pictures")
    assert view.frame.startswith(b"\xff\xd8\xff")
    assert view.flowing
    assert len(clock_threads()) == 1
    view.close()


def test_close_ends_the_stream_and_the_observing(stage: Stage) -> None:
    view = stage.app.view()
    say(view)
    until(lambda: view.number >= 1, 10, "a picture")
    view.close()
    stage.platform.describe()
    frames, number, status = stage.frames["clock"], view.number, view.status
    stage.pass_pictures(20)
    assert (stage.frames["clock"], view.number) == (frames, number)
    assert not view.flowing
    assert not stage.platform._watchers["clock"]
    until(lambda: not clock_threads(), 5, "the widgets' thread to end")
    stage.app.crash("abort")
    stage.app.wait_for("running", timeout=20)
    assert view.status == status
    view.close()


def test_out_of_sight_ends_the_stream_and_another_page_keeps_it(stage: Stage) -> None:
    view = stage.app.view()
    say(view, page="a")
    say(view, page="b")
    say(view, shown=False, page="a")
    assert view.flowing
    say(view, shown=False, page="b")
    assert not view.flowing
    until(lambda: not clock_threads(), 5, "the widgets' thread to end")
    view.close()


def test_a_silent_page_counts_as_gone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE", 1.0)
    view = stage.app.view()
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        say(view)
        assert view.flowing
        stage.pass_pictures(2)
    until(lambda: not view.flowing, 5, "the stream to end after a second without a word")
    until(lambda: not clock_threads(), 5, "the widgets' thread to end")
    stage.platform.describe()
    frames = stage.frames["clock"]
    stage.pass_pictures(20)
    assert stage.frames["clock"] == frames
    view.close()


def test_a_page_that_is_behind_gets_no_more(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 60.0)
    monkeypatch.setattr(module, "IN_FLIGHT", 0.2)
    view = stage.app.view(rate=20)
    say(view, drawn=0)
    until(lambda: view.number == 4, 10, "as many pictures as may be on their way")
    frames = stage.frames["clock"]
    until(lambda: stage.frames["clock"] >= frames + 5, 10, "more pictures from the supervisor")
    assert view.number == 4
    say(view, drawn=4)
    until(lambda: view.number == 8, 10, "more pictures after the page's word")
    view.close()


def test_views_share_a_stream_and_each_keeps_its_rate(stage: Stage) -> None:
    slow, fast = stage.app.view(rate=2), stage.app.view(rate=10)
    for view in (slow, fast):
        say(view)
    until(lambda: slow.number >= 1 and fast.number >= 1, 10, "a picture in both")
    say(fast)
    started, frames, slow_before, fast_before = time.monotonic(), stage.frames["clock"], slow.number, fast.number
    until(lambda: fast.number >= fast_before + 10, 20, "ten more pictures")
    spent = time.monotonic() - started
    assert slow.number - slow_before <= spent * 2 + 1
    # A stream for each would bring both sums of pictures over the wire.
    assert stage.frames["clock"] - frames <= spent * 10 + 2
    slow.close()
    assert fast.flowing
    fast.close()


def test_it_says_what_the_app_does(stage: Stage) -> None:
    view = stage.app.view()
    pid = stage.app.pid
    assert view.status == {"state": "running", "pid": pid, "incarnation": 1, "ending": "", "shared": 0}
    seen: list[dict[str, Any]] = []
    view.observe(lambda change: seen.append(change.new), names="status")
    stage.app.crash("abort")
    stage.app.wait_for("running", timeout=20)
    until(lambda: view.status["state"] == "running" and view.status["incarnation"] == 2, 5, "the view to say so")
    assert {"state": "backing-off", "pid": None, "incarnation": 1, "ending": "Aborted", "shared": 0} in seen
    assert view.status["pid"] == stage.app.pid != pid
    stage.app.stop()
    until(lambda: view.status["state"] == "stopped", 5, "the view to say so")
    assert view.status["ending"] == ""
    view.close()


def test_pictures_come_again_after_a_crash(stage: Stage) -> None:
    view = stage.app.view()
    say(view)
    until(lambda: view.number >= 1, 10, "a picture")
    stage.app.crash("kill")
    stage.app.wait_for("running", timeout=20)
    number = view.number
    say(view)
    until(lambda: view.number >= number + 3, 10, "pictures of the new process")
    view.close()


def test_several_side_by_side(stage: Stage) -> None:
    other = stage.platform.launch("other")
    views = stage.platform.view(other, "clock", width=200)
    assert repr(views) == "AppViews('other', 'clock')"
    assert repr(views.children[1]) == "AppView('clock')"
    assert repr(stage.platform.view()) == "AppViews('clock', 'other')"
    for view in views.children:
        say(view)
    assert len(clock_threads()) == 1
    until(lambda: all(view.number for view in views.children), 10, "a picture in both")
    views.close()
    assert not any(view.flowing for view in views.children)
    until(lambda: not clock_threads(), 5, "the widgets' thread to end")
    assert isinstance(views, AppViews)


def test_a_stopped_platform_ends_quietly(stage: Stage) -> None:
    view = stage.app.view()
    say(view)
    until(lambda: view.number >= 1, 10, "a picture")
    stage.platform.stop()
    until(lambda: view.status["state"] == "stopped", 5, "the view to say so")
    say(view)
    view.close()
    until(lambda: not clock_threads(), 5, "the widgets' thread to end")


def test_wrong_options_and_messages_are_refused(stage: Stage) -> None:
    for options in ({"rate": 0}, {"rate": 31}, {"width": 10}):
        with pytest.raises(ValueError, match=next(iter(options))):
            stage.app.view(**options)
    view = stage.app.view()
    for content in (None, [], "shown", {}, {"page": 3, "shown": True}, {"shown": True}):
        view.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
        assert not view.flowing
    view.close()


SHARED = "; the process was shared with news-feed, market-data"


@pytest.mark.parametrize(
    ("reason", "detail", "words"),
    [
        (*host_ending(-6, None), "Aborted"),
        (*host_ending(-11, None), "Segmentation fault"),
        (*host_ending(-9, None), "Killed by SIGKILL"),
        (*host_ending(-99, None), "Process crashed"),
        (*host_ending(3, None), "Exit code 3"),
        (*host_ending(0, "page"), "Process ended"),
        (*renderer_ending("crashed", 11), "Renderer crashed"),
        (*renderer_ending("crashed", 6), "Renderer aborted"),
        (*renderer_ending("killed", 9), "Renderer killed by SIGKILL"),
        (*renderer_ending("abnormal", 4), "Abnormal exit"),
        (*renderer_ending("abnormal", 4, "V8 javascript OOM"), "Out of memory"),
        ("crashed", host_ending(-6, None).detail + SHARED, "Shared process aborted"),
        ("crashed", host_ending(-11, None).detail + SHARED, "Shared process crashed"),
        ("killed", host_ending(-9, None).detail + SHARED, "Shared process killed by SIGKILL"),
        ("abnormal-exit", host_ending(3, None).detail + SHARED, "Shared process exit code 3"),
        ("unresponsive", "its page left 10 pings in a row unanswered", "Hung, so it was ended"),
        ("unresponsive", "the renderer it shares with ticker-list hung", "Shared renderer hung"),
        ("killed", "the supervisor was lost", "Supervisor lost"),
        ("launch-failed", "it was not ready after 30 s", "Did not start"),
    ],
)
def test_endings_in_five_words(reason: str, detail: str, words: str) -> None:
    for state in ("crashed", "backing-off", "failed"):
        assert ending_in_words(state, reason, detail) == words
    assert len(words.split()) <= 5
    assert ending_in_words("running", reason, detail) in ("", "Supervisor lost")


def test_what_was_asked_to_go_has_no_reason() -> None:
    assert ending_in_words("stopped", *host_ending(0, "request")) == ""
    assert ending_in_words("stopped", *host_ending(-9, None)) == "Killed"
    assert ending_in_words("stopped", *host_ending(0, "user")) == "Window closed"
    assert ending_in_words("starting", *host_ending(0, "request")) == ""
    assert ending_in_words("starting", *host_ending(-6, None)) == "Aborted"
    assert ending_in_words("starting", None, "") == ""


def test_what_a_person_does_on_it_goes_to_the_app(stage: Stage) -> None:
    view, passive = stage.app.view(), stage.app.view(interactive=False)
    stage.app.evaluate_js("globalThis.keys = []; addEventListener('keydown', (event) => keys.push(event.key)); 0")
    press = {"input": "key", "what": "press"}

    def do(view: AppView, *inputs: Any) -> None:
        content = {"page": "a", "shown": False, "inputs": list(inputs)}
        view.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    do(passive, press | {"key": "n"})
    for wrong in (3, "x", {"input": "key"}, press | {"key": ""}):
        do(view, press | {"key": "n"}, wrong)
    do(view, press | {"key": "y"})
    until(lambda: stage.app.evaluate_js("keys"), 10, "the key to arrive")
    assert stage.app.evaluate_js("keys") == ["y"]
    view.close()
    passive.close()
