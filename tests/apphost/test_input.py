"""A person's mouse, wheel and keyboard from afar, in a real page: what arrives, where, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from support.apps import make_app
from support.processes import Ground, until

from labplatform import Platform
from labplatform import messages as m

PAGE = """<!doctype html><meta charset=utf-8><title>pad</title>
<style>
  body { margin: 0; height: 3000px }
  button, input { position: fixed; left: 20px; width: 200px; height: 40px }
</style>
<button style="top: 20px">press</button><input style="top: 100px"><script>
  globalThis.log = [];
  const button = document.querySelector("button");
  for (const kind of ["click", "dblclick", "contextmenu"])
    button.addEventListener(kind, (event) => (event.preventDefault(), log.push(kind)));
  document.addEventListener("keydown", (event) => log.push(`${event.ctrlKey ? "^" : ""}${event.key}`));
  let down = null;
  document.addEventListener("mousedown", (event) => (down = [event.clientX, event.clientY]));
  document.addEventListener("mousemove", (event) => event.buttons && (globalThis.dragged = [...down, event.clientX]));
</script>"""


@pytest.fixture(scope="module", autouse=True)
def _clean(nothing_left_by_module: Ground) -> None:
    """In place of the proof after each test."""


@pytest.fixture(scope="module")
def pad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """An app that notes what is done to it."""
    folder = tmp_path_factory.mktemp("pad")
    make_app(folder, "pad", page=PAGE)
    with Platform(folder, display="offscreen", quiet=True, alongside=True) as lab:
        app = lab.launch("pad")
        width, height = app.evaluate_js("[innerWidth, innerHeight]")

        def at(x: float, y: float) -> dict[str, Any]:
            return {"x": x / width, "y": y / height}

        def click(x: float, y: float, button: m.Button = "left", **more: Any) -> None:
            app.send_input(
                m.MouseInput(what="press", button=button, held=(button,), **at(x, y), **more),
                m.MouseInput(what="release", button=button, **at(x, y)),
            )

        def reads(code: str, value: Any) -> None:
            until(lambda: app.evaluate_js(code, timeout=10) == value, 10, f"{code} to be {value!r}")

        yield SimpleNamespace(app=app, at=at, click=click, reads=reads)


def test_buttons_reach_what_lies_below_the_pointer(pad):
    pad.click(60, 40)
    pad.reads("log", ["click"])
    pad.click(60, 40, clicks=2)
    pad.reads("log", ["click", "click", "dblclick"])
    pad.click(60, 40, button="right")
    pad.reads("log", ["click", "click", "dblclick", "contextmenu"])
    pad.app.send_input(
        m.MouseInput(what="press", button="left", held=("left",), **pad.at(300, 300)),
        m.MouseInput(what="move", held=("left",), **pad.at(400, 300)),
        m.MouseInput(what="release", button="left", **pad.at(400, 300)),
    )
    until(lambda: pad.app.evaluate_js("globalThis.dragged"), 10, "the drag")
    begin_x, begin_y, end = pad.app.evaluate_js("dragged")
    assert (abs(begin_x - 300), abs(begin_y - 300), abs(end - 400)) <= (2, 2, 2)


def test_keys_and_text_reach_what_has_the_focus(pad):
    pad.app.evaluate_js("log = []; 0")
    pad.click(60, 120)
    for key in "Wörd€":
        pad.app.send_input(m.KeyInput(what="press", key=key), m.KeyInput(what="release", key=key))
    pad.app.send_input(m.KeyInput(what="press", key="Backspace"), m.TextInput(text=" aus Ω"))
    pad.reads("document.querySelector('input').value", "Wörd aus Ω")
    pad.app.send_input(
        m.KeyInput(what="press", key="a", modifiers=("control",)), m.KeyInput(what="press", key="Delete")
    )
    pad.reads("document.querySelector('input').value", "")
    pad.reads("log", [*"Wörd€", "Backspace", "^a", "Delete"])
    pad.app.send_input(m.KeyInput(what="press", key="LaunchMediaPlayer"), m.KeyInput(what="press", key="F5"))
    pad.reads("log.at(-1)", "F5")
    assert len(pad.app.evaluate_js("log")) == 9


def test_the_wheel_scrolls_by_as_many_pixels_as_it_says(pad):
    pad.app.send_input(m.WheelInput(x=0.5, y=0.5, dy=300))
    pad.reads("Math.round(scrollY / 10)", 30)
    pad.app.send_input(m.WheelInput(x=0.5, y=0.5, dy=-100))
    pad.reads("Math.round(scrollY / 10)", 20)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input": "mouse", "what": "press", "x": 1.5, "y": 0},
        {"input": "mouse", "what": "press", "x": 0, "y": 0, "button": "fourth"},
        {"input": "wheel", "x": 0, "y": 0, "dy": 1e9},
        {"input": "key", "what": "press", "key": ""},
        {"input": "text", "text": "x" * 5000},
        {"input": "voice"},
        "click",
        None,
    ],
)
def test_what_is_no_input_is_refused(pad, wrong):
    with pytest.raises(ValueError, match="not an input"):
        pad.app.send_input(wrong)


def test_too_many_at_once_are_refused_and_a_stopped_app_takes_no_notice(pad):
    one = m.KeyInput(what="press", key="x")
    with pytest.raises(ValueError, match="64"):
        pad.app.send_input(*[one] * 65)
    pad.app.stop()
    pad.app.send_input(one)
    assert pad.app.state == "stopped"
