"""`Plots` in a real JupyterLab: what is drawn and in which colours, what goes on while a cell is busy, what a person
may do with it, and that it comes back after a reload and after messages got lost. And a `Figure`, which stands still.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_lab import Notebook
from support.apps import AT_ONCE, make_app
from support.axe import axe_source, serious_faults
from support.processes import until

from labplatform import colours

APPS = {"one": "#0072B2", "two": "#CC79A7", "three": "#009E73"}
SET_UP = """from labplatform import Platform
from labplatform.kernel.widgets import library
asked, packed = [], library.packed
library.packed = lambda: asked.append(1) or packed()
platform = Platform({!r}, display="offscreen", quiet=True, sampling=0.5)
apps = platform.launch_all("one", "two", "three")
plots = platform.plots()
plots"""
AGAIN = "plots"
CRASH = 'platform["one"].crash("abort")\nprint(platform["one"].wait_for("running", timeout=40).state)'
SLEEP = "import time\ntime.sleep(5)"
LOOP = "import time\nend = time.monotonic() + 5\nwhile time.monotonic() < end:\n    pass"
FLOOD = "for _ in range(400):\n    print('x' * 50_000)"
LIMIT = """two = platform["two"]
limit = max(two.usage.memory * 16 // 10, 150_000_000) if two.enforcement.tier != "off" else 0
two.set_resource_limits(max_memory=limit or None)
print(limit)"""
NO_LIMIT = 'platform["two"].set_resource_limits(max_memory=None)'
CLOSE = """plots.close()
import threading, time
end = time.monotonic() + 15
named = ("labplatform-widgets", "labplatform-action")
while (left := [one.name for one in threading.enumerate() if one.name in named]) and time.monotonic() < end:
    time.sleep(0.1)
print(left, plots._observed, len(asked))"""
STOP = "platform.stop()"
CELLS = [AGAIN, CRASH, SLEEP, LOOP, FLOOD, LIMIT, NO_LIMIT, CLOSE, STOP]

SHARED = """
  const inside = (one) => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])];
  const all = (root) => [...root.querySelectorAll("*")].flatMap(inside);
  const plot = document.querySelectorAll(".labplatform-plots-canvas")[number];
  const canvases = all(plot).filter((one) => one.tagName === "CANVAS");
  const near = (data, at, [red, green, blue]) =>
    Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 30;
"""
LOOK = (
    f"""([number, wanted]) => {{{SHARED}"""
    + """
  const seen = wanted.map(() => ({ count: 0, columns: 0 }));
  for (const canvas of canvases) {
    const { width, height } = canvas;
    if (!width || !height) continue;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    wanted.forEach((colour, which) => {
      for (let x = 0; x < width; x++) {
        let high = 0;
        for (let y = 0; y < height; y++) {
          const at = 4 * (y * width + x);
          if (data[at + 3] > 200 && near(data, at, colour)) high += 1;
        }
        seen[which].count += high;
        if (high > 0.8 * height) seen[which].columns += 1;
      }
    });
  }
  return seen;
}"""
)
DASHES = (
    f"""([number, top, colour]) => {{{SHARED}"""
    + """
  let most = 0;
  for (const canvas of canvases) {
    const { width, height } = canvas;
    if (!width || !height) continue;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    for (let y = Math.floor(top) - 2; y <= top + 3; y++) {
      let [dashes, before] = [0, false];
      for (let x = 0; x < width; x++) {
        const at = 4 * (y * width + x);
        const there = data[at + 3] > 100 && data[at] + data[at + 1] + data[at + 2] < 300;
        if (there && !before) dashes += 1;
        before = there;
      }
      most = Math.max(most, dashes);
    }
  }
  return most;
}"""
)
"""The most dark pieces in one of the lines of pixels around a height."""


def rgb(color: str) -> list[int]:
    return list(bytes.fromhex(color[1:]))


class Stage:
    """The notebook and the plots in it."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.box = self.page.locator(".labplatform-plots")

    def run(self, cell: str, timeout: float = 60) -> str:
        self.begin(cell)
        return self.notebook.finished(CELLS.index(cell) + 1, timeout)

    def begin(self, cell: str) -> None:
        self.notebook.run(CELLS.index(cell) + 1)

    def busy(self, cell: str) -> bool:
        return self.notebook.count(CELLS.index(cell) + 1) == "*"

    def tick(self, number: int = 0) -> float:
        return float(self.box.nth(number).get_attribute("data-tick") or 0)

    def goes_on(self, number: int = 0, ticks: int = 2) -> None:
        before = self.tick(number)
        until(lambda: self.tick(number) > before + ticks * 0.4, 30, "more samples on the screen")

    def seen(self, theme: colours.Theme, number: int = 0) -> dict[str, dict[str, int]]:
        wanted = {name: colours.line(color, theme) for name, color in APPS.items()}
        wanted["harm"] = colours.GROUNDS[theme].harm
        found = self.page.evaluate(LOOK, [number, [rgb(color) for color in wanted.values()]])
        return dict(zip(wanted, found, strict=True))

    def press(self, words: str, number: int = 0) -> None:
        self.box.nth(number).get_by_role("button", name=words, exact=True).click()


@pytest.fixture(scope="module")
def stage(open_notebook: Callable[..., Notebook], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("apps")
    for name, color in APPS.items():
        make_app(folder, name, restart=AT_ONCE, look={"color": color})
    notebook = open_notebook([SET_UP.format(str(folder)), *CELLS], "plots")
    notebook.run(0)
    notebook.finished(0, 120)
    stage = Stage(notebook)
    stage.page.wait_for_selector(".labplatform-plots[data-tick]")
    yield stage
    stage.run(STOP)


def test_every_app_has_its_line_in_its_colour_and_follows_the_theme(stage: Stage) -> None:
    stage.goes_on()
    for name, theme in (("Light", "light"), ("Dark", "dark"), ("Light", "light")):
        stage.notebook.theme(name)
        until(lambda theme=theme: all(stage.seen(theme)[app]["count"] > 40 for app in APPS), 20, f"{name} lines")
        stage.notebook.photograph(f"plots-{theme}", ".labplatform-plots")
    names = stage.box.locator(".labplatform-plots-name .labplatform-name").all_inner_texts()
    assert names == list(APPS)
    values = stage.box.locator(".labplatform-plots-value").first.inner_text()
    assert all(word in values for word in ("memory", "MB", "CPU", "%", "lag", "ms")), values
    assert "now" in stage.box.locator(".labplatform-plots-axis").inner_text()
    assert re.search(r"3 apps use|was held up for|grows by", stage.box.locator(".labplatform-plots-say").inner_text())


def test_it_goes_on_while_a_cell_is_busy(stage: Stage) -> None:
    for cell in (SLEEP, LOOP):
        stage.begin(cell)
        until(lambda cell=cell: stage.busy(cell), 10, "the cell to run")
        stage.goes_on(ticks=3)
        assert stage.busy(cell), "the cell ended before the plots went on"
        stage.notebook.finished(CELLS.index(cell) + 1, 30)


def test_a_crash_is_a_line_through_all_rows_and_its_reason_is_told(stage: Stage) -> None:
    assert stage.seen("light")["harm"]["columns"] == 0
    assert stage.run(CRASH).strip() == "running"
    until(lambda: stage.seen("light")["harm"]["columns"] >= 1, 20, "a line through all rows")
    label = stage.box.locator(".labplatform-plots-mark", has_text="one aborted, back in")
    label.wait_for()
    assert "one aborted at" in stage.box.locator(".labplatform-plots-say").inner_text()
    assert "one aborted" in (stage.box.locator(".labplatform-live").text_content() or "")
    cover = stage.box.locator(".labplatform-plots-cover")
    cover.focus()
    stage.page.keyboard.press("PageUp")
    reason = stage.box.locator(".labplatform-plots-reason")
    assert "SIGABRT" in reason.inner_text() and "one aborted" in reason.inner_text()
    assert "SIGABRT" in (stage.box.locator(".labplatform-live").text_content() or "")
    stage.notebook.photograph("plots-reason", ".labplatform-plots")
    stage.page.keyboard.press("Escape")
    assert reason.is_hidden()


def test_a_limit_that_an_app_is_near_is_dashed_and_named(stage: Stage) -> None:
    label = stage.box.locator(".labplatform-plots-limit:visible")
    assert label.count() == 0
    limit = int(stage.run(LIMIT))
    if not limit:
        pytest.skip("nothing here holds an app to a limit")
    label.wait_for()
    assert re.fullmatch(rf"limit {limit / 1e6:.0f} MB", label.inner_text()), label.inner_text()
    top = float(label.evaluate("(node) => parseFloat(node.style.top)"))
    until(lambda: stage.page.evaluate(DASHES, [0, top]) > 20, 10, "a dashed line")
    stage.notebook.photograph("plots-limit", ".labplatform-plots")
    stage.run(NO_LIMIT)
    label.wait_for(state="hidden")
    assert stage.page.evaluate(DASHES, [0, top]) < 20


def test_paused_it_stands_still_and_two_views_are_in_step(stage: Stage) -> None:
    stage.run(AGAIN)
    until(lambda: stage.box.count() == 2 and stage.tick(1), 30, "the second view")
    stage.goes_on(1)
    stage.press("Pause", 1)
    stage.box.nth(0).get_by_role("button", name="Go on").wait_for()
    assert "Paused at" in stage.box.nth(0).locator(".labplatform-plots-say").inner_text()

    def shown() -> list[object]:
        return [stage.tick(0), stage.tick(1), stage.seen("light")]

    # What was on its way is drawn in both before they stand still.
    until(lambda: stage.tick(0) == stage.tick(1), 10, "both views to stand at the same sample")
    before = until(lambda: (now := shown()) == shown() and now, 10, "the picture to stand still")
    at = json.loads(stage.page.evaluate("() => JSON.stringify(Date.now())"))
    until(lambda: json.loads(stage.page.evaluate("() => JSON.stringify(Date.now())")) > at + 2000, 10, "two seconds")
    assert shown() == before
    stage.press("Go on", 0)
    stage.goes_on(0)
    stage.goes_on(1)


def test_window_zoom_and_processes(stage: Stage) -> None:
    axis = stage.box.nth(0).locator(".labplatform-plots-axis")
    stage.box.nth(0).get_by_role("radio", name="5 min").click()
    until(lambda: "−5 min" in axis.inner_text(), 10, "five minutes")
    assert stage.box.nth(1).get_by_role("radio", name="5 min").get_attribute("aria-checked") == "true"
    stage.box.nth(0).get_by_role("radio", name="1 min").click()
    until(lambda: "−60 s" in axis.inner_text() or "−1 min" in axis.inner_text(), 10, "one minute")
    cover = stage.box.nth(0).locator(".labplatform-plots-cover")
    cover.scroll_into_view_if_needed()
    place = cover.bounding_box()
    stage.page.mouse.move(place["x"] + place["width"] * 0.9, place["y"] + 40)
    stage.page.keyboard.down("Control")
    stage.page.mouse.wheel(0, -300)
    stage.page.keyboard.up("Control")
    for number in (0, 1):
        stage.box.nth(number).get_by_role("button", name="Reset zoom").wait_for()
    zoomed = axis.inner_text()
    assert "now" not in zoomed
    stage.page.mouse.down()
    stage.page.mouse.move(place["x"] + place["width"] * 0.5, place["y"] + 40, steps=4)
    stage.page.mouse.up()
    stage.page.mouse.dblclick(place["x"] + place["width"] * 0.5, place["y"] + 40)
    until(lambda: "now" in axis.inner_text(), 10, "all of it")
    opener = stage.box.nth(0).locator(".labplatform-plots-open").nth(1)
    opener.focus()
    stage.page.keyboard.press("Enter")
    rows = stage.box.nth(1).locator(".labplatform-plots-role")
    until(lambda: rows.count() >= 2, 15, "rows of processes, in the other view")
    assert rows.first.inner_text().startswith("host ")
    opener.click()
    until(lambda: rows.count() == 0, 15, "these rows to go")


def test_the_same_as_tables(stage: Stage, pytestconfig: pytest.Config) -> None:
    stage.press("As table")
    table = stage.box.nth(0).locator("table").first
    table.wait_for()
    assert table.locator("tbody th").all_inner_texts() == list(APPS)
    cells = table.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells[0] == "running" and cells[1].endswith(" MB") and cells[-1].endswith(" ms")
    assert "one aborted" in stage.box.nth(0).locator("table").nth(1).inner_text()
    stage.goes_on(0)
    stage.notebook.photograph("plots-table", ".labplatform-plots")
    source = axe_source(pytestconfig)
    assert serious_faults(stage.page, source, ".labplatform-plots") == []
    stage.press("As table")
    stage.box.nth(0).locator(".labplatform-plots-stage").wait_for()
    assert serious_faults(stage.page, source, ".labplatform-plots") == []


def test_it_recovers_when_messages_got_lost(stage: Stage) -> None:
    stage.begin(FLOOD)
    stage.notebook.finished(CELLS.index(FLOOD) + 1, 60)
    assert "data rate exceeded" in stage.notebook.text(CELLS.index(FLOOD) + 1)
    stage.goes_on()
    until(lambda: "labplatform-lost" not in (stage.box.nth(0).get_attribute("class") or ""), 20, "it to be found again")


def test_a_saved_notebook_is_small_and_has_a_picture(stage: Stage) -> None:
    path = Path(stage.notebook.jupyter.folder) / "plots.ipynb"
    index = CELLS.index(FLOOD) + 1
    stage.page.evaluate(
        "i => jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.setOutputs([])", index
    )
    stage.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    saved = until(lambda: _saved(path), 20, "the file")
    assert len(json.dumps(saved)) < 50_000
    data = saved["cells"][0]["outputs"][-1]["data"]
    picture = "".join(data["image/svg+xml"])
    assert picture.startswith("<svg") and len(picture.encode()) <= 10 << 10
    assert "".join(data["text/plain"]) == "Plots()"


def _saved(path: Path) -> dict[str, Any] | None:
    notebook = json.loads(path.read_text())
    return notebook if notebook["cells"][0]["outputs"] else None


def test_after_a_reload_it_is_live_again(stage: Stage) -> None:
    stage.page.reload()
    stage.page.wait_for_selector(".labplatform-plots[data-tick]", timeout=60_000)
    stage.goes_on()
    until(lambda: all(stage.seen("light")[app]["count"] > 40 for app in APPS), 20, "lines")


def test_close_leaves_nothing(stage: Stage) -> None:
    # One view of two is on the screen, but both of a page have one script; after a reload it is another page.
    assert stage.run(CLOSE).split("\n")[-2] == "[] [] 2"
    until(lambda: stage.box.count() == 0, 15, "the views to go")
    assert stage.page.evaluate("() => Object.values(Bokeh).length > 0 && Bokeh.documents.length") == 0


# --- a plot that stands still ----------------------------------------------------------------------------------------

FIGURE = """from bokeh.plotting import figure
from labplatform.kernel.widgets.figure import Figure

def draw(theme):
    plot = figure(width=300, height=200, toolbar_location=None, background_fill_color=None, border_fill_color=None)
    plot.line([0, 1, 2], [0, 2, 1], line_width=12, line_color={"light": "#c00000", "dark": "#00c000"}[theme])
    return plot

Figure(draw, "Zigzag", "It goes up and down.")"""

FIGURE_LINE = """() => {
  const inside = (one) => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])];
  const all = (root) => [...root.querySelectorAll("*")].flatMap(inside);
  const plots = [...document.querySelectorAll(".labplatform-plot")];
  const canvases = plots.flatMap(all).filter((one) => one.tagName === "CANVAS");
  const seen = {};
  for (const canvas of canvases) {
    if (!canvas.width || !canvas.height) continue;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] < 255) continue;
      const name = data[at] > 150 && data[at + 1] < 60 ? "red" : data[at + 1] > 150 && data[at] < 60 ? "green" : "";
      if (name) seen[name] = (seen[name] ?? 0) + 1;
    }
  }
  return Object.keys(seen).filter((name) => seen[name] > 200).join();
}"""


def test_a_figure_is_drawn_without_the_network_and_in_the_colours_of_the_theme(
    open_notebook: Callable[..., Notebook],
) -> None:
    notebook = open_notebook([FIGURE], "figure")
    asked: list[str] = []
    notebook.page.on("request", lambda request: asked.append(request.url))
    notebook.run(0)
    assert notebook.finished(0, 30) == "Figure('Zigzag')"
    for theme, color in (("Light", "red"), ("Dark", "green"), ("Light", "red")):
        notebook.theme(theme)
        until(lambda color=color: notebook.page.evaluate(FIGURE_LINE) == color, 20, f"a {color} line, and no other")
    assert notebook.page.locator(".labplatform-words").inner_text() == "It goes up and down."
    assert notebook.page.locator('.labplatform-plot[role="img"]').get_attribute("aria-label").startswith("Zigzag. It")
    assert all(url.startswith(("blob:", "data:", notebook.jupyter.address)) for url in asked), asked
