"""A person chooses between apps in a real JupyterLab: by mouse and keyboard, in a busy cell, and out of sight.

The intents are raised from here, as a page does it, while the notebook's kernel may be busy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_lab import TOKEN, Notebook, until_kernel_answers
from support.choosing import make_choosing_apps, outcome, raise_intent
from support.processes import until

from labplatform import messages
from labplatform.connection import Connection

LAUNCH = """from labplatform import Platform
platform = Platform({!r}, quiet=True)
watchlist, wire = platform.launch("watchlist"), platform.launch("wire")
resolver = platform.intent_resolver()
resolver"""
BUSY = "while True:\n    pass"
OFFER = "print(platform._resolving._offered)"
SHOW = "resolver"
KILL = "wire.kill()"
CRASH = 'watchlist.crash("kill")\nwatchlist.wait_for("running").state'
LONG = "\n".join(["# Far below"] * 80)
CELLS = [BUSY, OFFER, SHOW, KILL, CRASH]


class Page:
    """An app's page, spoken to by a controller of the test's own."""

    def __init__(self, connection: Connection, place: str) -> None:
        self._connection, self._place = connection, place

    def evaluate_js(self, code: str, timeout: float) -> Any:
        return self._connection.ask(messages.Evaluate, Any, timeout, place=self._place, code=code, timeout=timeout)


class Stage:
    """The notebook, its resolver, and the page that raises."""

    def __init__(self, notebook: Notebook, connection: Connection) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.watchlist = Page(connection, "watchlist")
        self.box = self.page.locator(".labplatform-resolvers .labplatform-box")
        self.cards = self.box.locator(".labplatform-ask")
        self.options = self.box.locator(".labplatform-option")

    def ask(self, intent: str | None = "ViewNews") -> int:
        """Raise an intent, and wait for its card."""
        before = self.cards.count()
        number = raise_intent(self.watchlist, intent)
        until(lambda: self.cards.count() == before + 1, 20, "a card")
        return number

    def outcome(self, number: int) -> Any:
        return outcome(self.watchlist, number)

    def run(self, cell: str) -> str:
        index = CELLS.index(cell) + 1
        self.notebook.run(index)
        return self.notebook.finished(index, 40)

    def focus(self) -> str:
        return self.page.evaluate("document.activeElement.textContent.trim()")

    def live(self) -> str:
        return self.box.locator(".labplatform-live").text_content() or ""


@pytest.fixture(scope="module")
def stage(
    open_notebook: Callable[..., Notebook], runtime_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A notebook whose first cell has launched the apps and displays the resolver."""
    folder = make_choosing_apps(tmp_path_factory.mktemp("apps"))
    notebook = open_notebook([LAUNCH.format(str(folder)), *CELLS, LONG, OFFER], "resolver")
    notebook.run(0)
    notebook.finished(0, 40)
    (file,) = runtime_folder.glob("**/platform-*.json")
    found = json.loads(file.read_text())
    connection = Connection(found["port"], found["token"])
    stage = Stage(notebook, connection)
    stage.box.wait_for(timeout=20_000)
    yield stage
    connection.close()


def test_a_click_chooses(stage: Stage) -> None:
    assert stage.notebook.output(0)[-1]["data"]["text/plain"] == "IntentResolver()"
    assert "No app is waiting for a choice." in stage.box.inner_text()
    until(lambda: stage.run(OFFER) == "shown\n", 20, "the platform to know of it")
    first = stage.ask()
    assert stage.cards.locator(".labplatform-ask-title").inner_text() == "Choose an app for View News"
    assert stage.cards.locator(".labplatform-ask-about").inner_text() == "Watchlist sends fdc3.instrument Apple Inc."
    shown = [text.split("\n") for text in stage.options.all_inner_texts()]
    assert shown[:2] == [["News", "new window"], ["W", "Wire", "new process"]]
    assert shown[2][1] == "Wire" and shown[2][2].startswith("running, PID ")
    until(lambda: stage.box.locator(".labplatform-ask-left").inner_text().endswith(" s left"), 10, "the time left")
    assert stage.live() == "Watchlist asks: Choose an app for View News. 3 options."
    second = stage.ask(None)
    assert stage.box.locator(".labplatform-ask-intent").all_inner_texts() == ["View News", "View Chart"]
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        stage.notebook.photograph(f"resolver-{theme.lower()}", ".labplatform-resolvers")
    stage.options.nth(2).click()
    assert stage.outcome(first)[:2] == ["ViewNews", "wire"]
    until(lambda: stage.cards.count() == 1, 10, "the card to go")
    assert stage.live().startswith("View News from Watchlist went to Wire, running, PID ")
    stage.box.get_by_role("button", name="Cancel").click()
    assert stage.outcome(second) == "UserCancelledResolution"
    until(lambda: stage.cards.count() == 0, 10, "the card to go")
    words = stage.box.inner_text()
    assert "View News or View Chart from Watchlist was cancelled." in words
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        stage.notebook.photograph(f"resolver-idle-{theme.lower()}", ".labplatform-resolvers")


def test_by_keyboard_alone(stage: Stage) -> None:
    active = "jupyterapp.shell.currentWidget.content.activeCellIndex"
    first, second = stage.ask(), stage.ask()
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        stage.options.first.focus()
        stage.page.keyboard.press("ArrowDown")
        stage.notebook.photograph(f"resolver-focus-{theme.lower()}", ".labplatform-ask")
    stage.page.evaluate(f"{active} = 0")
    stage.options.first.focus()
    assert stage.focus().startswith("News")
    moves = {"ArrowDown": "W", "End": "Cancel", "Home": "News", "ArrowUp": "Cancel"}
    for key, words in moves.items():
        stage.page.keyboard.press(key)
        assert stage.focus().startswith(words), key
    stage.page.keyboard.press("Home")
    stage.page.keyboard.press("ArrowDown")
    stage.page.keyboard.press("ArrowDown")
    assert "running, PID " in stage.focus()
    stage.page.keyboard.press("Enter")
    assert stage.outcome(first)[:2] == ["ViewNews", "wire"]
    # The keyboard goes on in the next card, and the notebook has taken none of the keys.
    until(lambda: stage.focus().startswith("News"), 10, "the next card to have the focus")
    stage.page.keyboard.press("Escape")
    assert stage.outcome(second) == "UserCancelledResolution"
    until(lambda: stage.cards.count() == 0, 10, "the card to go")
    assert stage.page.evaluate(active) == 0
    assert stage.page.evaluate("jupyterapp.shell.currentWidget.content.mode") == "command"


def test_in_notebook_7_as_well(stage: Stage) -> None:
    page = stage.page.context.browser.new_page()
    page.goto(f"{stage.notebook.jupyter.address}notebooks/resolver.ipynb?token={TOKEN}")
    cell = page.locator(".jp-CodeCell").nth(CELLS.index(SHOW) + 1)
    cell.locator(".cm-content").click(timeout=30_000)
    box = page.locator(".labplatform-resolvers .labplatform-box")
    until_kernel_answers(page)
    page.keyboard.press("Control+Enter")
    box.wait_for(timeout=30_000)
    number = stage.ask()
    options = box.locator(".labplatform-option")
    options.first.focus()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert stage.outcome(number)[:2] == ["ViewNews", "wire"], "Notebook 7 took the keys for its own"
    until(lambda: stage.cards.count() == 0, 10, "the card to go in JupyterLab, too")
    page.close()


def test_during_a_busy_cell(stage: Stage) -> None:
    index = CELLS.index(BUSY) + 1
    stage.notebook.run(index)
    until(lambda: stage.notebook.count(index) == "*", 10, "the cell to be busy")
    number = stage.ask()
    stage.options.nth(2).click()
    assert stage.outcome(number)[:2] == ["ViewNews", "wire"]
    until(lambda: stage.cards.count() == 0, 10, "the card to go")
    assert stage.notebook.count(index) == "*", "the cell ended before the choice was made"
    stage.notebook.stop_cell(index)


def test_out_of_sight_it_still_asks(stage: Stage) -> None:
    below = len(CELLS) + 2

    def offered() -> str:
        stage.notebook.run(below)
        return stage.notebook.finished(below, 20)

    stage.notebook.scroll_to(below)
    until(lambda: offered() == "hidden\n", 20, "the platform to know that it is out of sight")
    number = raise_intent(stage.watchlist)
    stage.notebook.scroll_to(0)
    until(lambda: stage.cards.count() == 1, 20, "the card")
    stage.options.nth(0).click()
    assert stage.outcome(number)[:2] == ["ViewNews", "news"]
    until(lambda: stage.cards.count() == 0, 10, "the card to go")
    until(lambda: stage.run(OFFER) == "shown\n", 20, "the platform to know that it is shown")


def test_what_ends_meanwhile_is_seen_to(stage: Stage) -> None:
    number = stage.ask()
    stage.options.nth(2).focus()
    stage.run(KILL)
    until(lambda: stage.options.nth(2).is_disabled(), 10, "the option to be out of reach")
    assert stage.options.nth(2).inner_text().endswith("ended")
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        stage.notebook.photograph(f"resolver-ended-{theme.lower()}", ".labplatform-resolvers")
    stage.box.get_by_role("button", name="Cancel").click()
    assert stage.outcome(number) == "UserCancelledResolution"
    until(lambda: stage.cards.count() == 0, 10, "the card to go")
    stage.ask()
    assert stage.run(CRASH) == "'running'"
    until(lambda: stage.cards.count() == 0, 10, "the card to go")
    assert stage.live() == "Watchlist no longer waits for View News."


def test_with_its_page_gone_nobody_is_asked(stage: Stage) -> None:
    stage.page.close()
    until(lambda: stage.outcome(raise_intent(stage.watchlist)) == "ResolverUnavailable", 30, "nobody to be asked")
