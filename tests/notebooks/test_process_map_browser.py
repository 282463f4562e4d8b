"""The process map in a real JupyterLab: pictures, pulses, a fault in each placement, busy cells, twelve apps, themes,
widths, keyboard, reload; and axe-core finds nothing serious. Screenshots stay in artefacts/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_lab import VIEWPORT, Notebook
from support.apps import AT_ONCE, make_app
from support.axe import axe_source, serious_faults
from support.processes import until

PAGE = """<!doctype html><meta charset=utf-8><title>page</title>
<body style="background:%s"><h1>0</h1><script>
  let n = 0;
  setInterval(() => (document.querySelector("h1").textContent = ++n), 200);
  fdc3.addContextListener(null, () => {});
  fdc3.joinUserChannel("fdc3.channel.1");
</script>"""
# A title that would be markup if anybody took it for that.
HOSTILE = "<img src=x onerror=\"document.title='hurt'\">"
COLOURS = ("#0072B2", "#CC79A7", "#009E73")
NAMES = ("list", "details", "news")

LAUNCH = """from labplatform import Platform, Heartbeat
quick = Heartbeat(interval=0.3, silent_after=4, ended_after=60)
platform = Platform({!r}, quiet=True, heartbeat=quick)
apps = platform.launch_all("list", "details", "news")
map = platform.process_map()
map"""
CRASH = 'apps[0].crash("abort")'
BROADCAST = """agent = platform.desktop_agent
agent.join_user_channel("fdc3.channel.1")
agent.broadcast({"type": "fdc3.instrument", "id": {"ticker": "AAPL"}})"""
SLEEP = "import time; time.sleep(60)"
SHARED = """platform = Platform({!r}, quiet=True, heartbeat=quick, isolation="shared-process")
apps = platform.launch_all("list", "details", "news")
platform.process_map()"""
TWELVE = """platform = Platform({!r}, quiet=True, heartbeat=quick, isolation="shared-renderer")
apps = [platform.launch(name) for name in ("list", "details", "news") for _ in range(4)]
platform.process_map(size="stage")"""
CLOSE = "map.close(); print(len(platform._watchers), sum(map(len, platform._watchers.values())))"
ENDED = "platform.stop()"
CELLS = [LAUNCH, CRASH, BROADCAST, SLEEP, SHARED, TWELVE, ENDED]

BOXES = """() => [...document.querySelectorAll(".labplatform-map")].at(-1).querySelectorAll(".labplatform-map-tile")
  .values().map((tile) => ({
    name: tile.querySelector(".labplatform-map-app").textContent,
    gone: tile.classList.contains("labplatform-gone"),
    stalled: tile.classList.contains("labplatform-stalled"),
    first: tile.querySelector(".labplatform-map-first").textContent,
    second: tile.querySelector(".labplatform-map-second").textContent,
    pictures: Number(tile.querySelector("img.labplatform-map-image").dataset.count ?? 0),
    width: tile.querySelector("img.labplatform-map-image").naturalWidth,
    border: getComputedStyle(tile.closest(".labplatform-map-host")).borderStyle,
    text: tile.textContent,
  })).toArray()"""
WATCH = """() => {
  window.seenPulses = 0; window.mostPulses = 0;
  new MutationObserver((records) => {
    for (const record of records) for (const node of record.addedNodes)
      if (node.classList?.contains("labplatform-pulse")) window.seenPulses += 1;
    window.mostPulses = Math.max(window.mostPulses, document.querySelectorAll(".labplatform-pulse").length);
  }).observe(document.body, { childList: true, subtree: true });
}"""


class Stage:
    """The notebook, and the map that was shown last."""

    def __init__(self, notebook: Notebook, folder: Path) -> None:
        self.notebook, self.page, self.folder = notebook, notebook.page, folder

    def run(self, cell: str, timeout: float = 60) -> str:
        index = CELLS.index(cell)
        self.notebook.run(index)
        return self.notebook.finished(index, timeout)

    def tiles(self) -> dict[str, dict[str, Any]]:
        return {tile["name"]: tile for tile in self.page.evaluate(BOXES)}

    def show(self, cell: str, count: int) -> None:
        """Run a cell that shows a map, and wait for its pictures."""
        self.run(cell, 120)
        self.notebook.scroll_to(CELLS.index(cell))

        def ready() -> bool:
            tiles = self.tiles().values()
            return len(tiles) == count and all(tile["width"] for tile in tiles)

        until(ready, 40, f"{count} tiles with a picture each")

    def photograph(self, name: str) -> None:
        for theme in ("Dark", "Light"):
            self.notebook.theme(theme)
            self.page.locator(".labplatform-map").last.scroll_into_view_if_needed()
            self.notebook.photograph(f"map-{name}-{theme.lower()}", ".labplatform-map >> nth=-1")


@pytest.fixture(scope="module")
def stage(open_notebook: Callable[..., Notebook], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("apps")
    for name, colour in zip(NAMES, COLOURS, strict=True):
        startup = {"name": HOSTILE if name == "news" else name.title(), "defaultWidth": 480, "defaultHeight": 320}
        make_app(folder, name, page=PAGE % colour, look={"color": colour}, restart=AT_ONCE, startup_app=startup)
    CELLS[:] = [cell.format(str(folder)) if "{!r}" in cell else cell for cell in CELLS]
    global LAUNCH, SHARED, TWELVE
    LAUNCH, SHARED, TWELVE = CELLS[0], CELLS[4], CELLS[5]
    stage = Stage(open_notebook(CELLS, "map"), folder)
    stage.show(LAUNCH, 3)
    yield stage


def test_pictures_move_and_nothing_hostile_is_markup(stage: Stage) -> None:
    assert stage.notebook.text(0) == "ProcessMap()"
    assert "image/svg+xml" in stage.notebook.output(0)[-1]["data"]
    before = stage.tiles()
    until(lambda: all(t["pictures"] > before[n]["pictures"] for n, t in stage.tiles().items()), 20, "newer pictures")
    assert list(before) == list(NAMES)
    assert not any(tile["gone"] or tile["stalled"] for tile in before.values())
    assert stage.page.title() != "hurt"
    stage.photograph("running")


def test_a_broadcast_is_seen_as_pulses(stage: Stage) -> None:
    stage.page.evaluate(WATCH)
    stage.run(BROADCAST)
    until(lambda: stage.page.evaluate("seenPulses") >= 4, 20, "one pulse to the supervisor and three from it")
    assert stage.page.evaluate("mostPulses") <= 20


def test_a_crash_greys_exactly_one_box(stage: Stage) -> None:
    seen = """() => {
      window.greys = new Set();
      window.stands = new Set();
      const map = document.querySelector(".labplatform-map");
      window.greyed = setInterval(() => {
        map.querySelectorAll(".labplatform-map-tile.labplatform-gone").forEach(
          (tile) => window.greys.add([tile.querySelector(".labplatform-map-app").textContent,
            tile.querySelector(".labplatform-map-first").textContent,
            getComputedStyle(tile.closest(".labplatform-map-host")).borderStyle].join()));
        const field = map.querySelector(".labplatform-map-field").getBoundingClientRect();
        window.stands.add([...map.querySelectorAll(".labplatform-map-host, .labplatform-map-tile")].map((node) => {
          const own = node.getBoundingClientRect();
          return [own.x - field.x, own.y - field.y, own.width, own.height].join();
        }).join(";"));
      }, 30);
    }"""
    stage.page.evaluate(seen)
    stage.run(CRASH)
    until(lambda: stage.tiles()["list"]["first"].startswith("back in "), 30, "its return")
    assert stage.page.evaluate("clearInterval(greyed), [...greys]") == ["list,Aborted,dashed"]
    assert stage.page.evaluate("stands.size") == 1, "something has moved"
    assert {tile["border"] for tile in stage.tiles().values()} == {"solid"}
    live = stage.page.locator(".labplatform-map .labplatform-live[role=status]").first
    assert live.text_content().startswith("list is back in ")
    assert "list (aborted) was back in " in stage.page.locator(".labplatform-map-finding").first.inner_text()


def test_it_moves_while_a_cell_is_busy_and_a_click_acts(stage: Stage) -> None:
    index = CELLS.index(SLEEP)
    stage.notebook.run(index)
    until(lambda: stage.notebook.count(index) == "*", 10, "the cell to be busy")
    kernel = stage.page.locator(".labplatform-map-kernel").first
    until(lambda: "is running" in kernel.inner_text(), 10, "the kernel's box to say so")
    before = stage.tiles()
    tile = stage.page.locator(".labplatform-map-tile").first
    tile.click()
    stage.page.get_by_role("menuitem", name="Restart").click()
    until(lambda: stage.tiles()["list"]["first"].startswith("back in "), 30, "the restart")
    until(lambda: stage.tiles()["news"]["pictures"] > before["news"]["pictures"], 20, "newer pictures")
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        tile.click()
        stage.page.get_by_role("menuitem", name="Break").click()
        stage.notebook.photograph(f"map-menu-{theme.lower()}")
        stage.page.keyboard.press("Escape")
        stage.page.keyboard.press("Escape")
    tile.click()
    stage.page.get_by_role("menuitem", name="Break").click()
    stage.page.get_by_role("menuitem", name="Loop for ever in its page").click()
    until(lambda: stage.tiles()["list"]["stalled"], 30, "the hang to show")
    assert (stage.tiles()["list"]["first"], stage.tiles()["list"]["border"]) == ("Stalled", "solid")
    stage.photograph("stalled")
    tile.click()
    stage.page.get_by_role("menuitem", name="Kill").click()
    until(lambda: stage.tiles()["list"]["first"] == "Killed", 30, "the kill")
    assert stage.notebook.count(index) == "*", "the cell ended before that was done"
    stage.notebook.stop_cell(index)
    until(lambda: "no cell is running" in kernel.inner_text(), 10, "the kernel's box to say so")
    tile.click()
    stage.page.get_by_role("menuitem", name="Start").click()
    until(lambda: stage.tiles()["list"]["first"].startswith("back in "), 30, "its start")


def test_by_keyboard_and_without_serious_faults_for_anybody(stage: Stage, pytestconfig: pytest.Config) -> None:
    card = stage.page.locator(".labplatform-map-card").first
    tile = stage.page.locator(".labplatform-map-tile").first
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        tile.focus()
        stage.page.keyboard.press("Tab")
        until(lambda: card.is_visible(), 10, "the details of the tile that has the focus")
        stage.notebook.photograph(f"map-focus-{theme.lower()}", ".labplatform-map")
    tile.focus()
    stage.page.keyboard.press("Tab")
    until(lambda: card.is_visible(), 10, "the details of the tile that has the focus")
    text = card.inner_text()
    assert text.startswith("details: running") and "renderer " in text and "CPU" in text
    stage.page.keyboard.press("Escape")
    assert card.is_hidden()
    stage.page.keyboard.press("Enter")
    assert stage.page.evaluate("document.activeElement.textContent") == "Stop"
    stage.page.keyboard.press("Escape")
    source = axe_source(pytestconfig)
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        assert serious_faults(stage.page, source, ".labplatform-map") == []


@pytest.mark.long
def test_under_720_pixels_boxes_stack(stage: Stage) -> None:
    lefts = """() => [...document.querySelector(".labplatform-map").querySelectorAll(".labplatform-map-host")]
      .map((box) => Math.round(box.getBoundingClientRect().left))"""
    assert len(set(stage.page.evaluate(lefts))) > 1
    stage.page.set_viewport_size({"width": 860, "height": 1000})
    try:
        until(lambda: len(set(stage.page.evaluate(lefts))) == 1, 10, "the boxes to stand below one another")
        stage.notebook.photograph("map-narrow", ".labplatform-map")
    finally:
        stage.page.set_viewport_size(VIEWPORT)


@pytest.mark.long
def test_with_reduced_motion_there_are_counts(stage: Stage) -> None:
    stage.page.emulate_media(reduced_motion="reduce")
    try:
        stage.page.evaluate("seenPulses = 0")
        stage.run(BROADCAST)
        until(lambda: stage.page.locator(".labplatform-map-count").count() >= 3, 20, "a count on each lane")
        assert stage.page.evaluate("seenPulses") == 0
    finally:
        stage.page.emulate_media(reduced_motion="no-preference")


@pytest.mark.long
def test_after_a_reload_it_is_there_again(stage: Stage) -> None:
    stage.notebook.command("docmanager:save")
    stage.page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")
    stage.page.reload()
    stage.page.wait_for_selector(".labplatform-map-tile", timeout=40_000)
    until(lambda: all(tile["width"] for tile in stage.tiles().values()), 30, "the pictures")


@pytest.mark.long
def test_sharing_a_process_all_are_gone(stage: Stage) -> None:
    stage.show(SHARED, 3)
    stage.notebook.run(CELLS.index(CRASH))
    until(lambda: all(tile["gone"] for tile in stage.tiles().values()), 20, "all of them to be gone")
    tiles = stage.tiles()
    stage.photograph("shared-gone")
    assert tiles["list"]["first"] == "Aborted"
    assert {(tiles[name]["first"], tiles[name]["second"]) for name in ("details", "news")} == {
        ("Taken along", "with list")
    }
    until(lambda: all(tile["first"].startswith("back in ") for tile in stage.tiles().values()), 40, "their return")


@pytest.mark.long
def test_twelve_apps_on_a_stage(stage: Stage) -> None:
    stage.show(TWELVE, 12)
    stage.photograph("twelve")
    boxes = """() => [...document.querySelectorAll(".labplatform-map")].at(-1).querySelectorAll(".labplatform-map-tile")
      .values().map((tile) => tile.getBoundingClientRect()).map(({ x, y }) => [x, y]).toArray()"""
    found = stage.page.evaluate(boxes)
    assert len({(round(x), round(y)) for x, y in found}) == 12
    stage.run(ENDED)
    until(lambda: all(tile["gone"] for tile in stage.tiles().values()), 20, "all of them to be gone")
