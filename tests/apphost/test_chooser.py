"""The chooser over a real window, with a real keyboard and mouse: a person chooses, and the page has no part in it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import x11
from support.apps import make_app
from support.choosing import RAISER, make_choosing_apps, outcome, raise_intent
from support.processes import until

from labplatform import Heartbeat

ORANGE = (230, 159, 0)
"""Of `wire`, which has no glyph: its letter stands on it."""
STEADY = Heartbeat(interval=0.2, silent_after=50, ended_after=100)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A virtual display that platforms open their windows on."""
    with x11.display() as name:
        monkeypatch.setenv("DISPLAY", name)
        yield name


@pytest.fixture
def start(platform: Callable[..., Any], screen: str, tmp_path: Path) -> Callable[..., Any]:
    """A platform on the screen, with the apps that choose and are chosen."""
    size = {"defaultWidth": 480, "defaultHeight": 420}
    make_choosing_apps(tmp_path, startup_app=size)
    make_app(tmp_path, "board", page=RAISER, startup_app=size)
    return lambda **options: platform(tmp_path, display="auto", **options)


def picture(app: Any) -> Image.Image:
    return Image.open(io.BytesIO(app.screenshot(timeout=20).data)).convert("RGB")


def orange(app: Any, width: int) -> list[tuple[int, int]]:
    """Where in the window there is so much of that colour side by side: one place in 24 lines, from the top."""
    shot = picture(app)
    line = bytes(ORANGE) * width
    found: list[tuple[int, int]] = []
    for y in range(shot.height):
        at = shot.crop((0, y, shot.width // 4, y + 1)).tobytes().find(line)
        if at >= 0 and not any(abs(y - other) < 24 for _, other in found):
            found.append((at // 3, y))
    return found


def chips(app: Any) -> list[tuple[int, int]]:
    """Where the chooser shows `wire`: in the upper lines of its letter's ground."""
    return orange(app, 8)


def marked(app: Any) -> bool:
    """Whether an option of `wire` is the marked one: it has a stroke at its left, before the letter."""
    places = chips(app)
    return bool(places) and orange(app, 3)[0][0] < places[0][0]


def asked(app: Any, count: int = 2) -> list[tuple[int, int]]:
    """Wait until the chooser is drawn over the window; where it shows `wire`."""
    return until(lambda: found if len(found := chips(app)) == count else None, 20, "the chooser over the window")


def answers(lab: Any) -> list[str]:
    """How questions that people were asked have ended, by the log."""
    return [entry.text for entry in lab.events if entry.kind == "intent" and "its question was" in entry.text]


class Person:
    """In front of one app's window."""

    def __init__(self, screen: str, lab: Any, app: Any) -> None:
        self._screen, self._lab, self._app = screen, lab, app

    @property
    def window(self) -> x11.XWindow:
        title = f"{self._app.title} · "
        return next(one for one in x11.windows(self._screen) if one.mapped and one.title.startswith(title))

    def press(self, *keys: str) -> None:
        x11.focus(self._screen, self.window)
        for key in keys:
            x11.press(self._screen, key)

    def click(self, x: int, y: int) -> None:
        window = self.window
        x11.focus(self._screen, window)
        x11.click(self._screen, window.x + x, window.y + y)

    def answer(self, do: Callable[..., None], *how: Any) -> None:
        """Do this, which ends a question; again if the chooser has not been up for long enough to take it."""
        before, deadline = len(answers(self._lab)), time.monotonic() + 30
        while time.monotonic() < deadline:
            do(*how)
            try:
                until(lambda: len(answers(self._lab)) > before, 1.5, "the answer")
            except AssertionError:
                continue
            return
        raise AssertionError("the chooser took no answer")


def test_a_person_chooses_and_the_page_has_no_part_in_it(start: Callable[..., Any], screen: str) -> None:
    lab = start()
    app, wire = lab.launch("watchlist"), lab.launch("wire")
    person = Person(screen, lab, app)
    chosen = ["ViewNews", "wire", wire.instance_id]

    # Without the chooser the page gets what a person does.
    person.press("a")
    person.click(240, 300)
    until(lambda: app.evaluate_js("[keys.join(), clicks]", timeout=20) == ["a", 1], 10, "a key and a click to arrive")

    # The keyboard. The page goes on, calls for the keyboard, clicks its own button, and gets nothing else.
    number = raise_intent(app)
    asked(app)
    person.press("Down")
    grab = "window.focus(); document.querySelector('button').focus(); document.querySelector('button').click(); 0"
    app.evaluate_js(grab, timeout=20)
    person.click(10, 300)
    person.press("Up", "Tab", "b", "End", "Up")
    person.answer(person.press, "Return")
    assert outcome(app, number) == chosen
    until(lambda: not chips(app), 10, "the chooser to go")
    assert app.evaluate_js("[keys.join(), clicks]", timeout=20) == ["a", 2], "the page had a part in it"
    assert (app.state, app.dialog, app.incarnation) == ("running", None, 1)

    # The mouse.
    number = raise_intent(app)
    x, y = asked(app)[1]
    person.answer(person.click, x + 30, y + 10)
    assert outcome(app, number) == chosen

    # Escape; for a context alone.
    number = raise_intent(app, None)
    asked(app)
    person.answer(person.press, "Escape")
    assert outcome(app, number) == "UserCancelledResolution"
    assert [text.partition(":")[0] for text in answers(lab)] == ["its question was chosen"] * 2 + [
        "its question was cancelled"
    ]

    # The page has the keyboard again.
    until(lambda: not chips(app), 10, "the chooser to go")
    person.press("c")
    until(lambda: app.evaluate_js("keys.join()", timeout=20) == "a,c", 10, "the key to arrive")


def test_what_was_meant_for_the_page_is_no_answer(start: Callable[..., Any], screen: str) -> None:
    lab = start()
    app = lab.launch("watchlist")
    person = Person(screen, lab, app)
    # Keys that were on their way while the window came to the front, for as long as the chooser has been there before.
    number = raise_intent(app)
    asked(app, 1)
    time.sleep(0.6)
    person.press("Return", "Escape", "space", "Down")
    until(lambda: marked(app), 10, "the last of the keys to have arrived")
    assert answers(lab) == []
    assert app.evaluate_js(f"outcomes[{number}]", timeout=20) is None
    person.answer(person.press, "Escape")


def test_questions_come_one_after_the_other_and_end_with_what_they_were_about(
    start: Callable[..., Any], screen: str
) -> None:
    lab = start()
    app, wire = lab.launch("watchlist"), lab.launch("wire")
    person = Person(screen, lab, app)
    numbers = [raise_intent(app), raise_intent(app)]
    asked(app)
    person.answer(person.press, "Escape")
    assert outcome(app, numbers[0]) == "UserCancelledResolution"
    # An option ends: there are two left, and the third stop is Cancel.
    wire.kill()
    asked(app, 1)
    person.press("Down", "Down")
    person.answer(person.press, "Return")
    assert outcome(app, numbers[1]) == "UserCancelledResolution"
    # The raiser: its next incarnation has a new window, and nothing over it.
    raise_intent(app)
    asked(app, 1)
    app.crash("kill")
    app.wait_for("running", timeout=30)
    assert app.evaluate_js("outcomes", timeout=20) == []
    assert not chips(app)
    # Its page is loaded anew; or closes its window.
    raise_intent(app)
    asked(app, 1)
    app.evaluate_js("location.reload(); 0", timeout=20)
    until(lambda: not chips(app), 10, "the chooser to go")
    until(lambda: app.evaluate_js("globalThis.outcomes ?? null", timeout=20) == [], 20, "the page to be back")
    raise_intent(app)
    asked(app, 1)
    app.evaluate_js("setTimeout(() => window.close(), 0); 0", timeout=20)
    app.wait_for("stopped", timeout=20)
    assert (app.reason, app.detail) == ("clean-exit", "its page closed the window")


def test_a_question_that_nobody_answers_has_a_deadline(start: Callable[..., Any], screen: str) -> None:
    app = start(resolver_timeout=10).launch("watchlist")
    number = raise_intent(app)
    asked(app, 1)
    assert outcome(app, number) == "ResolverTimeout"
    until(lambda: not chips(app), 10, "the chooser to go")


@pytest.mark.parametrize("isolation", [pytest.param("shared-process", marks=pytest.mark.long), "shared-renderer"])
def test_in_a_shared_host_each_window_has_its_own(start: Callable[..., Any], screen: str, isolation: str) -> None:
    lab = start(isolation=isolation, heartbeat=STEADY)
    one, other, _ = lab.launch("watchlist"), lab.launch("board"), lab.launch("wire")
    assert one.pid == other.pid
    raise_intent(one)
    raise_intent(other)
    asked(one)
    asked(other)
    # A page that hangs, and with it all pages of its renderer, does not hold the chooser up.
    other.evaluate_js("setTimeout(() => { for (;;); }, 100); 0", timeout=20)
    for app in (other, one):
        person = Person(screen, lab, app)
        person.press("End", "Up")
        person.answer(person.press, "Return")
        until(lambda app=app: not chips(app), 10, "the chooser to go")
    assert [text.partition(",")[0] for text in answers(lab)] == ["its question was chosen: Wire"] * 2


def test_a_window_that_is_not_shown_is_not_asked(start: Callable[..., Any], screen: str, tmp_path: Path) -> None:
    make_app(tmp_path, "unseen", page=RAISER, startup_app={"autoShow": False})
    app = start().launch(tmp_path / "unseen")
    assert outcome(app, raise_intent(app)) == "ResolverUnavailable"


def test_notebook_and_window_are_asked_by_one_rule(start: Callable[..., Any], screen: str) -> None:
    lab = start()
    app = lab.launch("watchlist")
    person = Person(screen, lab, app)
    display = lab._resolving.display

    # A notebook that shows the question is enough; out of somebody's sight it is not, and the window comes up as well.
    display("a widget", "shown")
    number = raise_intent(app)
    until(lambda: lab.questions, 10, "the question in the notebook")
    assert not chips(app)
    display("a widget", "hidden")
    asked(app, 1)
    assert len(lab.questions) == 1
    person.answer(person.press, "Escape")
    assert outcome(app, number) == "UserCancelledResolution"
    assert (lab.questions, lab.last_question.how) == ((), "cancelled")

    # The notebook answers, and the chooser goes.
    number = raise_intent(app)
    asked(app, 1)
    (question,) = until(lambda: lab.questions, 10, "the question in the notebook")
    lab.choose(question, None)
    assert outcome(app, number) == "UserCancelledResolution"
    until(lambda: not chips(app), 10, "the chooser to go")

    # A function answers alone.
    lab.resolver = lambda question: None
    assert outcome(app, raise_intent(app)) == "UserCancelledResolution"
    assert len(answers(lab)) == 2, "people were asked as well"
