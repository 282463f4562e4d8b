"""The whole panel in a real JupyterLab, Notebook 7 and Voilà, as a person uses it. Screenshots stay in artefacts/."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_lab import ARTEFACTS, TOKEN, VIEWPORT, Notebook, until_kernel_answers
from support.axe import axe_source, serious_faults
from support.processes import runs, until

LAUNCH = """from labplatform import Platform
platform = Platform(quiet=True)
apps = platform.launch_all("ticker-list", "ticker-details", "news-feed")"""
SHOW = "dashboard = platform.dashboard()\ndashboard"
SLEEP = "import time; time.sleep(60)"
LOOP = "while True:\n    pass"
PIDS = "print(*(app.pid for app in apps))"
VIEW = "view = apps[0].view(width=420)\nview"
FLOOD = """for n in range(40_000):
    print("a line that the notebook's server will not pass on in time", n)"""
CLOSE = """dashboard.close()
view.close()
import threading, time
clock = lambda: [thread.name for thread in threading.enumerate() if thread.name.startswith("labplatform-widget")]
deadline = time.monotonic() + 5
while clock() and time.monotonic() < deadline:
    time.sleep(0.02)
print(clock())"""
CELLS = [LAUNCH, SHOW, SLEEP, LOOP, PIDS, VIEW, FLOOD, CLOSE]
PATIENCE = 5.0
"""Seconds in which an action acts while a cell is busy, three clicks of a slow machine's browser included; how long it
takes is measured in `labplatform bench --only click`.
"""


@pytest.fixture(scope="module")
def lab(open_notebook: Callable[..., Notebook]) -> Iterator[Notebook]:
    """A notebook whose first cells have launched three apps and show the dashboard."""
    notebook = open_notebook(CELLS, "dashboard")
    notebook.page.set_viewport_size({"width": 1360, "height": 1600})
    notebook.page.evaluate("() => jupyterapp.commands.execute('application:toggle-left-area')")
    for index in (0, 1):
        notebook.run(index)
        notebook.finished(index, 60)
    notebook.scroll_to(1)
    notebook.page.wait_for_selector(".labplatform-dashboard .labplatform-masthead")
    yield notebook


def tab(notebook: Notebook, name: str) -> None:
    """Open one of the dashboard's tabs."""
    notebook.page.locator(".labplatform-dashboard .lm-TabBar-tab", has_text=name).first.click()


def words(notebook: Notebook, selector: str) -> str:
    return notebook.page.locator(selector).first.inner_text()


def pids(notebook: Notebook) -> list[int]:
    index = CELLS.index(PIDS)
    notebook.run(index)
    return [int(word) for word in notebook.finished(index, 40).split()]


def break_something(notebook: Notebook, app: str, how: str) -> None:
    """By the masthead's menus."""
    opener = notebook.page.get_by_role("button", name="Break something").first
    entry = notebook.page.get_by_role("menuitem", name=app, exact=True)
    # A page that scrolls just then closes the menu.
    until(lambda: entry.count() or (opener.click(), entry.count())[1], 20, f"{app} in the menu")
    entry.click()
    notebook.page.get_by_role("menuitem", name=re.compile(how)).click()


def test_all_parts_are_there_in_both_themes(lab: Notebook, pytestconfig: pytest.Config) -> None:
    assert "Dashboard()" in lab.text(1)
    masthead = ".labplatform-masthead-words"
    until(lambda: "of 4 running" in words(lab, masthead), 20, "the masthead to count the apps")
    assert "one process per app" in words(lab, masthead)
    tabs = lab.page.locator(".labplatform-dashboard .lm-TabBar-tab").all_inner_texts()
    assert [re.sub(r"[\d\s]+$", "", one) for one in tabs] == ["Plots", "Limits", "Messages", "Crashes", "Launch"]
    axe = axe_source(pytestconfig)
    lab.theme("Dark")
    # The other parts are looked at where they are tested.
    for name, part in (("Messages", "console"), ("Crashes", "crashes"), ("Plots", "masthead")):
        tab(lab, name)
        lab.page.wait_for_selector(f".labplatform-dashboard .labplatform-{part}", state="visible")
        lab.photograph(f"dashboard-{name.lower()}-dark", ".labplatform-dashboard")
        if part == "console":
            # Of hundreds of rows that look alike some are enough for axe, which takes its time for each.
            lab.page.get_by_role("button", name="Pause").first.click()
            lab.page.locator(".labplatform-console-filter").fill("history")
            until(lambda: lab.page.locator(".labplatform-console-row").count() < 30, 10, "the filter")
        assert serious_faults(lab.page, axe, f".labplatform-dashboard .labplatform-{part}") == []
    tab(lab, "Messages")
    lab.page.get_by_role("button", name="Go on").click()
    lab.page.locator(".labplatform-console-filter").fill("")
    tab(lab, "Plots")
    lab.theme("Light")
    lab.photograph("dashboard-light", ".labplatform-dashboard")


def test_a_crash_is_counted_told_and_opened(lab: Notebook) -> None:
    before = pids(lab)
    break_something(lab, "ticker-list", "Abort")
    until(lambda: not runs(before[0]), 10, "the app to be gone")
    crashes = lab.page.locator(".labplatform-dashboard .lm-TabBar-tab", has_text="Crashes")
    until(lambda: crashes.inner_text().split() == ["Crashes", "1"], 20, "the tab to count it")
    tab(lab, "Crashes")
    line = lab.page.locator(".labplatform-crashes-line").first
    until(lambda: "back in" in line.inner_text(), 30, "the report to say that it is back")
    assert "ticker-list" in line.inner_text()
    assert "crashed" in line.inner_text()
    line.get_by_role("button", name="Open").click()
    page = lab.page.locator(".labplatform-crashes-page")
    until(lambda: "SIGABRT" in page.inner_text(), 20, "the report")
    with lab.page.expect_download() as download:
        lab.page.locator(".labplatform-crashes-open").get_by_role("button", name="Export JSON").click()
    report = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert report["brief"]["place"] == "ticker-list"
    for theme in ("Dark", "Light"):
        lab.theme(theme)
        lab.photograph(f"dashboard-report-{theme.lower()}", ".labplatform-dashboard")
    assert pids(lab)[1:] == before[1:]

    break_something(lab, "news-feed", "Kill from outside")
    until(lambda: lab.page.locator(".labplatform-crashes-line").count() == 2, 20, "a second line")
    lab.page.locator(".labplatform-crashes-line").first.get_by_role("button", name="Compare").click()
    until(lambda: lab.page.locator(".labplatform-crashes-open").count() == 2, 20, "both reports")
    lab.page.get_by_role("button", name="Close this report").first.click()
    until(lambda: lab.page.locator(".labplatform-crashes-open").count() == 1, 5, "one of them to go")


@pytest.mark.parametrize("cell", [pytest.param(SLEEP, marks=pytest.mark.long), LOOP], ids=["sleep", "loop"])
def test_it_acts_while_a_cell_is_busy(lab: Notebook, cell: str) -> None:
    victim = pids(lab)[2]
    index = CELLS.index(cell)
    lab.run(index)
    until(lambda: lab.count(index) == "*", 10, "the cell to be busy")
    began = time.monotonic()
    break_something(lab, "news-feed", "Kill from outside")
    until(lambda: not runs(victim), PATIENCE, "the app to be gone")
    took = time.monotonic() - began
    for name in ("Messages", "Limits", "Plots"):
        tab(lab, name)
    until(lambda: "4 of 4 running" in words(lab, ".labplatform-masthead-words"), 30, "it to be back")
    assert lab.count(index) == "*", "the cell ended before the panel had acted"
    lab.stop_cell(index)
    print(f"from the first click of three until it was gone: {took:.2f} s")


def test_a_view_takes_clicks_and_keys(lab: Notebook) -> None:
    index = CELLS.index(VIEW)
    lab.run(index)
    lab.finished(index, 30)
    lab.scroll_to(index)
    picture = lab.page.locator(".labplatform-steered").last
    until(lambda: picture.locator("img").get_attribute("data-number"), 30, "a picture")
    tab(lab, "Messages")
    lab.scroll_to(index)
    box = picture.bounding_box()
    # The third row of the ticker list.
    picture.click(position={"x": box["width"] * 0.2, "y": box["height"] * 0.41})
    assert lab.page.evaluate("document.activeElement.classList.contains('labplatform-steered')")
    lab.page.keyboard.press("Shift+Escape")
    assert not lab.page.evaluate("document.activeElement.classList.contains('labplatform-steered')")
    lab.scroll_to(1)
    lab.page.locator(".labplatform-console-filter").fill("fdc3.instrument")
    until(lambda: lab.page.locator(".labplatform-console-row").count() > 0, 20, "what the click made the app send")
    assert "ticker-list" in lab.page.locator(".labplatform-console-row").first.inner_text()


def test_after_a_flood_of_output_it_goes_on(lab: Notebook) -> None:
    """The server stops passing on what comes too fast; what is shown must not stay behind for that."""
    index = CELLS.index(FLOOD)
    lab.run(index)
    lab.finished(index, 60)
    lab.command("notebook:clear-cell-output")
    lab.scroll_to(1)
    victim = pids(lab)[0]
    break_something(lab, "ticker-list", "Kill from outside")
    until(lambda: not runs(victim), 20, "the app to be gone")
    until(lambda: "4 of 4 running" in words(lab, ".labplatform-masthead-words"), 40, "the masthead to go on")


def test_it_comes_back_after_a_reload_and_twice_is_in_step(lab: Notebook) -> None:
    lab.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    lab.page.reload()
    until_kernel_answers(lab.page)
    lab.run(1)
    lab.finished(1, 40)
    until(lambda: "4 of 4 running" in words(lab, ".labplatform-masthead-words"), 40, "the masthead")
    size = len(json.dumps(lab.page.evaluate("jupyterapp.shell.currentWidget.content.model.toJSON()")))
    assert size < 50_000, f"the notebook's file has {size} bytes"


def test_in_notebook_7_and_in_voila(lab: Notebook) -> None:
    context = lab.page.context.browser
    page = context.new_page(viewport=VIEWPORT)
    page.goto(f"{lab.jupyter.address}notebooks/dashboard.ipynb?token={TOKEN}")
    cell = page.locator(".jp-CodeCell").nth(1)
    cell.locator(".cm-content").click(timeout=30_000)
    masthead = page.locator(".labplatform-masthead-words")
    until_kernel_answers(page)
    page.keyboard.press("Control+Enter")
    masthead.last.wait_for(timeout=30_000)
    until(lambda: "4 of 4 running" in masthead.last.inner_text(), 30, "it to count the apps")
    page.screenshot(path=str(_artefact("dashboard-notebook7.png")))
    page.close()
    code = [LAUNCH.replace('"ticker-list", "ticker-details", "news-feed"', '"news-feed"'), "platform.dashboard()"]
    cells = [nbformat.v4.new_code_cell(text) for text in code]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), lab.jupyter.folder / "voila.ipynb")
    page = context.new_page(viewport=VIEWPORT)
    page.goto(f"{lab.jupyter.address}voila/render/voila.ipynb?token={TOKEN}", timeout=90_000)
    page.wait_for_selector(".labplatform-masthead", timeout=90_000)
    until(lambda: "of 2 running" in page.locator(".labplatform-masthead-words").inner_text(), 30, "it in Voilà")
    page.screenshot(path=str(_artefact("dashboard-voila.png")))
    page.close()


def test_a_kernel_that_is_restarted_is_missed_and_nothing_is_left(lab: Notebook) -> None:
    index = CELLS.index(CLOSE)
    before = pids(lab)
    lab.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    until(lambda: not any(map(runs, before)), 30, "the apps to end with their kernel")
    until(lambda: lab.page.locator(".labplatform-lost").count() > 0, 30, "the panel to say that no kernel answers")
    lab.photograph("dashboard-lost", ".labplatform-dashboard")
    for number in (0, 1, CELLS.index(VIEW), index):
        lab.run(number)
        said = lab.finished(number, 60)
    assert said == "[]\n"


def _artefact(name: str) -> Path:
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return ARTEFACTS / name


# --- for long ---------------------------------------------------------------------------------------------------------

SOAK = [
    """import os
from labplatform import Platform
platform = Platform(quiet=True)
apps = platform.launch_all(*["ticker-list", "ticker-details", "news-feed"] * 2, "ticker-list", timeout=90)
print(os.getpid())""",
    *(
        f"platform.{part}()"
        for part in (
            *("process_map", "process_table", "plots", "limit_tuner"),
            *("message_console", "crash_list", "launcher"),
        )
    ),
    "apps[0].view()",
]
SETTLED, LASTS = 120, 600
"""Seconds after which memory is taken for what it is to be, and after which it still is to be that."""


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_ten_minutes_of_everything_cost_no_memory(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(SOAK, "soak")
    notebook.page.set_viewport_size({"width": 1360, "height": 5000})
    kernel = 0
    for index in range(len(SOAK)):
        notebook.run(index)
        said = notebook.finished(index, 120)
        kernel = kernel or int(said)
    session = notebook.page.context.new_cdp_session(notebook.page)
    session.send("Performance.enable")

    def used() -> dict[str, float]:
        session.send("HeapProfiler.collectGarbage")
        metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return {
            "browser": metrics["JSHeapUsedSize"] / 1e6,
            "nodes": metrics["Nodes"],
            "kernel": psutil.Process(kernel).memory_full_info().uss / 1e6,
        }

    began, taken = time.monotonic(), []
    while (passed := time.monotonic() - began) < LASTS:
        notebook.page.wait_for_timeout(10_000)
        if passed > SETTLED:
            taken.append(used())
    first = {name: sorted(one[name] for one in taken[:6])[3] for name in taken[0]}
    last = {name: sorted(one[name] for one in taken[-6:])[3] for name in taken[0]}
    print(f"MB, and nodes of the page: {first} after {SETTLED} s, {last} after {LASTS} s")
    for name in first:
        assert last[name] <= first[name] * 1.1, f"{name} grew from {first[name]:.1f} to {last[name]:.1f}"
