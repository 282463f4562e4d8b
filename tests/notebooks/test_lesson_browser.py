"""The views and the lessons in a real JupyterLab, seen through a browser. Screenshots stay in artefacts/."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_lab import VIEWPORT, Notebook, plain_text
from lessons import LESSONS
from support.processes import below, until

from labplatform.kernel.widgets.view import IN_FLIGHT

LAUNCH = """from labplatform import Platform
platform = Platform()
apps = platform.launch_all("ticker-list", "ticker-details", "news-feed")
views = platform.view(*apps)
views"""
SLEEP = "import time; time.sleep(30)"
LOOP = "while True:\n    pass"
CRASH = 'apps[0].crash("abort")'
ANSWERS = '[app.evaluate_js("1 + 1", timeout=2) for app in apps]'
PROCESSES = "print(platform.supervisor_pid, *(app.pid for app in apps))"
FLOWING = "[view.flowing for view in views.children]"
CELLS = [LAUNCH, SLEEP, LOOP, CRASH, ANSWERS, PROCESSES, FLOWING]


def shown(notebook: Notebook) -> list[dict[str, Any]]:
    """The first three views, once each shows a picture with something on it."""

    def ready() -> list[dict[str, Any]] | None:
        boxes = notebook.boxes()[:3]
        return boxes if len(boxes) == 3 and all(box["width"] and box["colours"] > 50 for box in boxes) else None

    return until(ready, 30, "three views with a picture each")


def first(notebook: Notebook, is_so: Callable[[dict[str, Any]], bool], what: str, timeout: float) -> dict[str, Any]:
    """The first view, once it is so."""
    return until(lambda: next(filter(is_so, notebook.boxes()[:1]), None), timeout, what)


@pytest.fixture(scope="module")
def platform_open(open_notebook: Callable[..., Notebook]) -> Iterator[Notebook]:
    """A notebook whose first cell has launched three apps and shows them."""
    notebook = open_notebook(CELLS, "views")
    notebook.run(0)
    notebook.finished(0, 30)
    yield notebook


def test_three_pictures(platform_open: Notebook) -> None:
    boxes = shown(platform_open)
    assert [box["title"] for box in boxes] == ["Ticker List", "Ticker Details", "News Feed"]
    assert len({box["pid"] for box in boxes}) == 3
    for box in boxes:
        assert (box["state"], box["aside"], box["gone"], box["border"]) == ("Running", "own process", False, "solid")
        assert box["alt"] == f"Live picture of {box['title']}, running, {box['pid']}"
    for theme in ("Dark", "Light"):
        platform_open.theme(theme)
        platform_open.photograph(f"running-{theme.lower()}")


@pytest.mark.parametrize("cell", [pytest.param(SLEEP, marks=pytest.mark.long), LOOP], ids=["sleep", "loop"])
def test_pictures_move_while_a_cell_is_busy(platform_open: Notebook, cell: str) -> None:
    index = CELLS.index(cell)
    platform_open.run(index)
    until(lambda: platform_open.count(index) == "*", 10, "the cell to be busy")
    before = shown(platform_open)
    # More pictures than may be on their way unacknowledged: so the page's word reaches the busy kernel too.
    enough = 1.5 * 5.0 * IN_FLIGHT

    def moved() -> bool:
        return all(
            now["number"] - then["number"] > enough and now["print"] != then["print"]
            for now, then in zip(platform_open.boxes(), before, strict=True)
        )

    until(moved, 15, "new pictures in all views")
    assert platform_open.count(index) == "*", "the cell ended before the pictures had moved"
    platform_open.stop_cell(index)


def test_a_crash_is_seen_and_so_is_the_return(platform_open: Notebook) -> None:
    before = shown(platform_open)
    for theme in ("Dark", "Light"):
        platform_open.theme(theme)
        old = platform_open.boxes()[0]
        platform_open.run(CELLS.index(CRASH))
        # Faded for as long as the return takes; the fading itself takes 150 ms.
        gone = first(platform_open, lambda box: box["gone"] and box["opacity"] < 0.4, "ticker-list shown as gone", 10)
        platform_open.photograph(f"gone-{theme.lower()}", ".labplatform-views")
        assert gone["border"] == "dashed"
        assert gone["state"] == "Aborted"
        assert gone["live"] == "Ticker List: Aborted"
        assert gone["alt"] == "Last picture of Ticker List: Aborted"
        back = first(platform_open, lambda box: box["state"] == "Running", "ticker-list shown as running", 20)
        former, new = back["pid"].split(" → ")
        assert old["pid"].split()[-1] == former  # it may still show the change before
        assert new != former
        assert back["live"] == f"Ticker List is back, PID {former}, now {new}"
        only_new, number = f"PID {new}", old["number"] + 5
        first(platform_open, lambda box, number=number: box["number"] > number, "pictures of the new process", 10)
        platform_open.photograph(f"back-{theme.lower()}", ".labplatform-views")
    first(platform_open, lambda box: box["pid"] == only_new, "only the new PID to be shown after 6 s", 10)
    assert [box["pid"] for box in platform_open.boxes()[1:]] == [box["pid"] for box in before[1:]]


def test_narrow_page_stacks_the_views(platform_open: Notebook) -> None:
    page = platform_open.page
    lefts = "() => [...document.querySelectorAll('.labplatform-box')].map((box) => box.getBoundingClientRect().left)"
    assert len(set(page.evaluate(lefts))) == 3
    page.evaluate("() => { document.querySelector('.labplatform-views').scrollIntoView() }")
    page.set_viewport_size({"width": 900, "height": 1000})
    try:
        until(lambda: len(set(page.evaluate(lefts))) == 1, 5, "the views to stand below one another")
        platform_open.photograph("narrow")
    finally:
        page.set_viewport_size(VIEWPORT)


def test_out_of_sight_no_pictures_flow(platform_open: Notebook) -> None:
    shown(platform_open)
    page = platform_open.page
    page.evaluate("() => { document.querySelector('.labplatform-views').style.display = 'none' }")
    flowing = CELLS.index(FLOWING)

    def said(word: str) -> bool:
        platform_open.run(flowing)
        return platform_open.finished(flowing, 10) == word

    until(lambda: said("[False, False, False]"), 5, "the streams to end")
    number = platform_open.boxes()[0]["number"]
    page.evaluate("() => { document.querySelector('.labplatform-views').style.display = '' }")
    until(lambda: said("[True, True, True]"), 5, "the streams to begin again")
    first(platform_open, lambda box: box["number"] > number + 3, "new pictures", 10)


def test_interrupt_leaves_supervisor_and_apps_alone(platform_open: Notebook) -> None:
    processes, answers, busy = CELLS.index(PROCESSES), CELLS.index(ANSWERS), CELLS.index(LOOP)
    platform_open.run(processes)
    before = platform_open.finished(processes, 10)
    platform_open.run(busy)
    until(lambda: platform_open.count(busy) == "*", 10, "the cell to be busy")
    platform_open.stop_cell(busy)
    platform_open.run(answers)
    assert platform_open.finished(answers, 20) == "[2, 2, 2]"
    platform_open.run(processes)
    assert platform_open.finished(processes, 10) == before


def test_kernel_restart_leaves_no_app_process(platform_open: Notebook) -> None:
    processes = CELLS.index(PROCESSES)
    platform_open.run(processes)
    pids = {int(pid) for pid in platform_open.finished(processes, 10).split()}
    trees = {process for process in below() if process.pid in pids} | {child for pid in pids for child in below(pid)}
    assert len(trees) > len(pids)
    restart = "jupyterapp.shell.currentWidget.sessionContext.restartKernel()"
    platform_open.page.evaluate(f"() => {{ globalThis.restarted = {restart}.then(() => true) }}")
    until(lambda: not trees & set(below()), 15, "supervisor and apps to end with the kernel")
    silent = first(platform_open, lambda box: box["gone"], "the view to say that its kernel is gone", 10)
    assert silent["state"] == "No answer from kernel"
    platform_open.photograph("no-kernel", ".labplatform-views")
    # JupyterLab that is ended in the middle of a restart does not end, or leaves its kernel.
    late = "new Promise((resolve) => setTimeout(resolve, 1000, false))"
    until(lambda: platform_open.page.evaluate(f"Promise.race([restarted, {late}])"), 30, "the next kernel")


@pytest.mark.long
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda file: file.stem)
def test_lesson_from_the_first_cell_to_the_last(open_notebook: Callable[..., Notebook], lesson: Path) -> None:
    notebook = open_notebook(lesson, lesson.stem)
    cells = nbformat.read(lesson, 4).cells
    code = [index for index, cell in enumerate(cells) if cell.cell_type == "code"]
    notebook.run(code[0])
    notebook.finished(code[0], 30)
    shown(notebook)
    for theme in ("Dark", "Light"):
        notebook.theme(theme)
        notebook.photograph(f"{lesson.stem}-first-cell-{theme.lower()}")
    notebook.run_from(code[1])
    for index in code:
        text = notebook.finished(index, 90)
        if "NBVAL_CHECK_OUTPUT" in cells[index].source:
            assert text == plain_text(cells[index].outputs), f"cell {index}"
    assert notebook.text(code[-1]) == "processes left: 0\n"
    plots = [index for index in code if notebook.text(index).startswith("Figure(")]
    for theme in ("Dark", "Light"):
        notebook.theme(theme)
        for number, index in enumerate(plots, start=1):
            notebook.scroll_to(index)
            until(lambda: notebook.page.locator(".labplatform-plot .bk-Figure").count() > 0, 10, f"plot {number}")
            notebook.photograph(f"{lesson.stem}-plot{number}-{theme.lower()}")
        notebook.scroll_to(code[-2])
        notebook.page.locator("table").last.wait_for(timeout=10_000)
        notebook.photograph(f"{lesson.stem}-table-{theme.lower()}")
