"""Process table, limit tuner and launcher in a real JupyterLab: by mouse and keyboard, and while a cell is busy.

Whether what was done was done is asked of the platform by a controller of the test's own, for the kernel may be busy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_lab import Notebook
from playwright.sync_api import Locator
from support.apps import AT_ONCE, make_app
from support.axe import axe_source, serious_faults
from support.processes import until

from labplatform import messages as m
from labplatform.connection import Connection

SERVICE = "def main(lab):\n    lab.stopping.wait()\n"
EATER = """<!doctype html><meta charset=utf-8><title>eater</title><h1>eater</h1><script>
    window.eat = () => { window.eaten = new Uint8Array(15e7).fill(1); return eaten.length; };
</script>"""
LAUNCH = """from labplatform import Platform
platform = Platform({!r}, quiet=True, sampling=0.5)
apps = platform.launch_all("alpha", "beta", "gamma", *(f"service-{{n}}" for n in range(9)), timeout=100)"""
BUSY = "while True:\n    pass"
SLEEP = "import time\ntime.sleep(600)"
MANY = "many = Platform({!r}, quiet=True, alongside=True)\nmany.launcher()"
TABLE, TUNER, LAUNCHER = "table = platform.process_table()\ntable", "platform.limit_tuner()", "platform.launcher()"
AGAIN = "table"
CELLS = [LAUNCH, TABLE, TUNER, LAUNCHER, BUSY, SLEEP, AGAIN, MANY]
pytestmark = pytest.mark.timeout(300)
PARTS = (".labplatform-table", ".labplatform-tuner", ".labplatform-launcher")


def make_apps(folder: Path) -> None:
    for name, color in (("alpha", "#0072B2"), ("beta", "#CC79A7"), ("gamma", None)):
        look = {"look": {"color": color}} if color else {}
        make_app(folder, name, page=EATER, restart=AT_ONCE, startup_app={"description": f"The app {name}."}, **look)
    for number in range(9):
        make_app(folder, f"service-{number}", page=None, python=SERVICE, restart=AT_ONCE)
    make_app(folder, "fails", url="https://127.0.0.1:9/")


class Stage:
    """The notebook with the three parts, and a controller."""

    def __init__(self, notebook: Notebook, connection: Connection, folder: Path) -> None:
        self.notebook, self.page = notebook, notebook.page
        self.connection, self.folder = connection, folder
        self.entries = self.page.locator(".labplatform-menu [role=menuitem]")
        self.table, self.tuner, self.launcher = (
            self.page.locator(f".jp-Cell {part}.labplatform-box") for part in PARTS
        )

    def app(self, name: str) -> m.AppStatus:
        status = self.connection.ask(m.Describe, m.PlatformStatus, 10)
        return next(app for app in status.apps if app.place == name)

    def row(self, name: str) -> Locator:
        return self.table.first.locator(f'tbody[data-app="{name}"]')

    def cell(self, name: str, column: str) -> str:
        return self.row(name).locator(f".labplatform-line .labplatform-col-{column}").inner_text()

    def order(self) -> list[str]:
        return self.table.first.locator("tbody.labplatform-app:visible").evaluate_all(
            "all => all.map(one => one.dataset.app)"
        )

    def sort(self, column: str) -> Locator:
        return self.table.first.locator(f"thead .labplatform-col-{column} button")

    def menu(self, name: str) -> None:
        self.page.get_by_role("button", name=f"Actions on {name}").first.click()

    def choose(self, *entries: str) -> None:
        for entry in entries:
            self.entries.filter(has_text=entry).click()

    def show(self, part: Locator) -> None:
        """Bring a part on the screen: JupyterLab draws no other, and what nobody sees is told nothing."""
        index = (self.table, self.tuner, self.launcher).index(part) + 1
        self.notebook.scroll_to(index)
        until(lambda: part.first.is_visible() and part.first.inner_text().strip(), 20, "the part on the screen")

    def expand(self, name: str, wanted: bool = True) -> Locator:
        """Show or hide the processes of an app; returns their rows."""
        opener = self.row(name).locator(".labplatform-col-open button")
        if opener.get_attribute("aria-expanded") != str(wanted).lower():
            opener.click()
        return self.row(name).locator(".labplatform-detail:visible")

    def busy(self, cell: str) -> Callable[[], None]:
        """Run a cell that does not end by itself. Returns what stops it, and proves that it was busy all the time."""
        index = CELLS.index(cell)
        self.notebook.run(index)
        until(lambda: self.notebook.count(index) == "*", 10, "the cell to be busy")

        def stop() -> None:
            assert self.notebook.count(index) == "*", "the cell ended too early"
            self.notebook.stop_cell(index)

        return stop

    def photograph(self, name: str, part: str) -> None:
        for theme in ("Dark", "Light"):
            self.notebook.theme(theme)
            self.notebook.photograph(f"{name}-{theme.lower()}", f".jp-Cell {part}.labplatform-box")


@pytest.fixture(scope="module")
def stage(
    open_notebook: Callable[..., Notebook], runtime_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A notebook whose first cells have launched twelve apps and display the parts."""
    folder, many = (tmp_path_factory.mktemp(name) for name in ("apps", "many"))
    make_apps(folder)
    for number in range(40):
        make_app(many, f"app-{number:02}", startup_app={"description": "Odd." if number % 2 else "Even."})
    cells = [LAUNCH.format(str(folder)), *CELLS[1:-1], MANY.format(str(many))]
    notebook = open_notebook(cells, "controls")
    for index in range(4):
        notebook.run(index)
        notebook.finished(index, 110)
    (file,) = runtime_folder.glob("**/platform-*.json")
    found = json.loads(file.read_text())
    connection = Connection(found["port"], found["token"])
    stage = Stage(notebook, connection, folder)
    stage.table.locator("tbody.labplatform-app").nth(11).wait_for(timeout=30_000, state="attached")
    yield stage
    connection.close()


def test_the_table_at_first_sight(stage: Stage, pytestconfig: pytest.Config) -> None:
    stage.show(stage.table)
    table = stage.table.first
    heads = table.locator("thead th:visible").all_inner_texts()
    assert [words for words in heads if words] == [
        *("Processes", "State", "App", "PID", "Memory of limit", "CPU, % of one core", "Lag", "Actions")
    ]
    assert stage.notebook.output(1)[-1]["data"]["text/plain"] == "ProcessTable()"
    assert len(stage.order()) == 12
    assert stage.table.locator(".labplatform-count").inner_text() == "12 apps, 12 running"
    until(lambda: stage.cell("alpha", "memory").endswith(" MB"), 20, "its memory")
    until(lambda: stage.cell("alpha", "lag").endswith(" ms"), 20, "its lag")
    assert stage.cell("alpha", "pid") == str(stage.app("alpha").pid)
    until(lambda: table.locator("tbody:last-child .labplatform-col-memory").inner_text(), 20, "the supervisor's row")

    opener = stage.page.get_by_role("button", name="Processes of alpha")
    opener.focus()
    stage.page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    details = stage.row("alpha").locator(".labplatform-detail:visible")
    roles = details.locator(".labplatform-col-app").all_inner_texts()
    assert {"host", "renderer", "2 zygotes"} <= set(roles), roles
    assert "JS heap" in details.nth(roles.index("renderer")).inner_text()
    source = axe_source(pytestconfig)
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        for part, shown in zip(PARTS, (stage.table, stage.tuner, stage.launcher), strict=True):
            stage.show(shown)
            assert serious_faults(stage.page, source, f".jp-Cell {part}.labplatform-box") == []
    stage.show(stage.table)
    stage.photograph("table", PARTS[0])
    assert stage.expand("alpha", False).count() == 0


def test_it_sorts_filters_and_lets_no_row_jump_away(stage: Stage) -> None:
    stage.show(stage.table)
    launched = stage.order()
    head = stage.sort("app")
    head.focus()
    for direction, names in (("ascending", sorted(launched)), ("descending", sorted(launched, reverse=True))):
        stage.page.keyboard.press("Enter")
        assert stage.table.locator("th[aria-sort]").get_attribute("aria-sort") == direction
        assert stage.order() == names
    stage.page.keyboard.press("Enter")
    assert stage.table.locator("th[aria-sort]").count() == 0 and stage.order() == launched

    # The largest first; under a pointer the order stays, whatever grows.
    stage.sort("memory").click()
    stage.table.locator(".labplatform-count").hover()
    until(lambda: set(stage.order()[:3]) == {"alpha", "beta", "gamma"}, 20, "the largest to come first")
    last = stage.order()[2]
    stage.row(last).locator(".labplatform-line").hover()
    before = stage.order()
    stage.connection.ask(m.Evaluate, Any, 10, place=last, code="eat()")
    until(lambda: stage.app(last).metrics.memory > 2.2e8, 20, "it to grow")
    until(lambda: int(stage.cell(last, "memory").split()[0]) > 220, 20, "it to be shown")
    assert stage.order() == before
    stage.table.locator(".labplatform-count").hover()
    until(lambda: stage.order()[0] == last, 10, "it to come first")
    stage.sort("memory").click()
    stage.sort("memory").click()

    field = stage.page.get_by_label("Filter the apps")
    for words, found in (
        ("gam", ["gamma"]),
        (str(stage.app("beta").pid), ["beta"]),
        ("zygote", ["alpha", "beta", "gamma"]),
    ):
        field.fill(words)
        assert stage.order() == found
    field.fill("nothing of that")
    assert "No app matches “nothing of that”." in stage.table.inner_text()
    field.fill("")
    assert len(stage.order()) == 12


def test_what_the_menu_says_is_done_and_told(stage: Stage) -> None:
    stage.show(stage.table)
    before = stage.app("alpha").pid
    keys = stage.page.keyboard
    opener = stage.page.get_by_role("button", name="Actions on alpha")
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        opener.focus()
        for key in ("Enter", "End", "ArrowUp", "ArrowRight"):
            keys.press(key)
        stage.notebook.photograph(f"table-menu-{theme.lower()}")
        keys.press("Escape")
        keys.press("Escape")
    # What scrolls elsewhere is none of its business; away from its button it closes.
    stage.menu("alpha")
    stage.page.evaluate("document.querySelector('.jp-DirListing-content').dispatchEvent(new Event('scroll'))")
    assert stage.entries.count() == 7
    stage.page.mouse.wheel(0, 60)
    until(lambda: stage.entries.count() == 0, 10, "the menu to close")
    stage.page.mouse.wheel(0, -60)
    opener.focus()
    keys.press("Enter")
    assert stage.entries.all_inner_texts() == [
        *("Stop", "Restart", "Recycle", "Picture", "Developer tools", "Break", "Kill")
    ]
    for key in ("End", "ArrowUp", "ArrowRight"):
        keys.press(key)
    assert stage.page.evaluate("document.activeElement.textContent").startswith("Abort its process")
    keys.press("Escape")
    assert stage.page.evaluate("document.activeElement.textContent") == "Break"
    keys.press("ArrowRight")
    keys.press("Enter")

    def told() -> list[str] | None:
        words = stage.cell("alpha", "pid").split()
        return words if "→" in words and words[-1] == "aborted" else None

    # Read in one go, for it is told for some seconds only, and a machine may be slow.
    change = until(told, 30, "the change and why")
    after = until(lambda: (app := stage.app("alpha")).state == "running" and app.pid, 20, "it to be back")
    assert change == [str(before), "→", str(after), "aborted"]
    until(lambda: stage.cell("alpha", "pid") == str(after), 15, "the change to have been told for long enough")
    assert f"alpha is back, PID {before}, now {after}" == stage.table.locator(".labplatform-live").first.inner_text()

    stage.menu("beta")
    stage.choose("Recycle")
    until(lambda: "recycled" in stage.cell("beta", "pid"), 30, "the recycling")
    until(lambda: stage.cell("beta", "state") == "running", 30, "it to run again")
    stage.menu("beta")
    stage.choose("Picture")
    dialog = stage.page.get_by_role("dialog")
    dialog.locator("img").wait_for()
    assert dialog.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 800
    assert dialog.inner_text().startswith(f"Beta, PID {stage.app('beta').pid}")
    keys.press("Escape")
    until(lambda: dialog.count() == 0, 5, "the picture to go")
    assert stage.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Actions on beta"

    # What cannot be done is said below the app, and can be put away.
    page = stage.folder / "gamma" / "index.html"
    page.rename(page.with_suffix(".away"))
    stage.menu("gamma")
    stage.choose("Restart")
    trouble = stage.row("gamma").locator(".labplatform-trouble")
    trouble.wait_for(timeout=40_000)
    assert "did not restart" in trouble.inner_text()
    stage.photograph("table-trouble", PARTS[0])
    trouble.get_by_role("button", name="Dismiss").click()
    assert not trouble.is_visible()
    page.with_suffix(".away").rename(page)
    until(lambda: stage.app("gamma").state == "running", 30, "it to run again")


def test_two_views_of_one_table_are_in_step(stage: Stage) -> None:
    index = CELLS.index(AGAIN)
    stage.notebook.run(index)
    stage.notebook.finished(index, 20)
    stage.notebook.scroll_to(index)
    until(lambda: stage.table.count() == 2, 20, "the second view")
    until(lambda: stage.table.nth(1).locator("tbody.labplatform-app").count() == 12, 20, "its rows")
    stage.connection.ask(m.Stop, m.AppStatus, 10, place="service-8")
    for view in (0, 1):
        row = stage.table.nth(view).locator('tbody[data-app="service-8"]')
        until(lambda row=row: "stopped" in row.inner_text(), 10, "both to show it")
    stage.notebook.command("notebook:clear-cell-output")
    until(lambda: stage.table.count() == 1, 10, "the second view to go")


def test_where_there_is_little_room_two_columns_fold(stage: Stage) -> None:
    stage.show(stage.table)
    stage.page.set_viewport_size({"width": 780, "height": 1000})
    stage.page.evaluate("jupyterapp.shell.collapseLeft()")
    table = stage.table.first
    until(lambda: table.evaluate("node => node.clientWidth") < 720, 10, "a narrow table")
    assert not table.locator("thead .labplatform-col-cpu").is_visible()
    details = stage.expand("alpha")
    assert details.locator(".labplatform-col-app").all_inner_texts()[:2] == ["CPU", "Lag"]
    assert details.nth(0).inner_text().strip().endswith("%")
    assert table.evaluate("node => node.scrollWidth <= node.clientWidth")
    shown = (stage.table, stage.tuner, stage.launcher)
    for name, part, one in zip(("table", "tuner", "launcher"), PARTS, shown, strict=True):
        stage.show(one)
        stage.photograph(f"{name}-narrow", part)
    stage.show(stage.table)
    stage.expand("alpha", False)
    stage.page.set_viewport_size({"width": 1360, "height": 1000})


def test_limits_are_tuned_by_field_slider_and_keyboard_in_a_busy_notebook(stage: Stage) -> None:
    stage.show(stage.tuner)
    field = stage.page.get_by_label("Memory limit of alpha, MB")
    slider = stage.page.get_by_label("Memory limit of alpha", exact=True)
    held = lambda: stage.app("alpha").limits  # noqa: E731
    field.wait_for()
    assert field.input_value() == "" and slider.get_attribute("aria-valuetext") == "no limit"
    field.fill("480")
    field.press("Enter")
    until(lambda: held().max_memory == 480_000_000, 10, "the limit")
    stage.show(stage.table)
    until(lambda: stage.cell("alpha", "memory").endswith(" of 480 MB"), 10, "the table to show it")
    stage.show(stage.tuner)
    field.fill("3")
    field.press("Enter")
    box = stage.tuner.locator(".labplatform-limits-row").first
    until(lambda: "3 MB is too little: an empty app needs" in box.inner_text(), 10, "the reason")
    assert field.input_value() == "480" and held().max_memory == 480_000_000
    stage.photograph("tuner-refused", PARTS[1])

    for busy in (BUSY, SLEEP):
        stop = stage.busy(busy)
        stage.show(stage.tuner)
        before = held().max_memory
        at = slider.bounding_box()
        start = at["x"] + 9 + (at["width"] - 18) * (before / 1e6 - 10) / (float(slider.get_attribute("max")) - 10)
        stage.page.mouse.move(start, at["y"] + at["height"] / 2)
        stage.page.mouse.down()
        for step in range(1, 9):
            stage.page.mouse.move(start + (step * 4 if busy is BUSY else -step * 3), at["y"] + at["height"] / 2)
        stage.page.mouse.up()
        wanted = int(slider.input_value()) * 1_000_000
        assert wanted != before and "too little" not in box.inner_text()
        until(lambda wanted=wanted: held().max_memory == wanted, 10, "what the slider says")
        until(lambda wanted=wanted: field.input_value() == str(wanted // 1_000_000), 10, "the field to say so, too")
        stop()
    slider.focus()
    stage.page.keyboard.press("ArrowLeft")
    until(lambda: held().max_memory == int(slider.input_value()) * 1_000_000, 10, "what the keyboard says")
    stage.page.get_by_label("CPU limit of alpha, percent of one core").fill("60")
    stage.page.keyboard.press("Tab")
    until(lambda: held().max_cpu == 60, 10, "the CPU's limit")
    stage.page.get_by_role("button", name="Lift the memory limit of alpha").click()
    until(lambda: held().max_memory is None, 10, "the limit to be lifted")
    assert held().max_cpu == 60
    words = stage.tuner.locator(".labplatform-held").inner_text()
    assert words.startswith("Held by ") and "within 100 ms" in words
    stage.photograph("tuner", PARTS[1])


def test_a_card_launches_in_a_busy_notebook_and_says_what_fails(stage: Stage) -> None:
    stage.show(stage.launcher)
    card = lambda title: stage.launcher.first.locator(".labplatform-card", has_text=title).first  # noqa: E731
    until(lambda: "1 running" in card("Alpha").inner_text(), 20, "how often it runs")
    assert "The app alpha." in card("Alpha").inner_text()
    stop = stage.busy(SLEEP)
    stage.show(stage.launcher)
    stage.page.get_by_role("radio", name="shared renderer").click()
    assert "none holds in a shared process" in stage.launcher.first.inner_text()
    stage.page.get_by_role("button", name="Launch Alpha").click()
    until(lambda: "starting, " in card("Alpha").inner_text(), 10, "its progress")
    assert card("Alpha").get_by_role("progressbar").is_visible()
    stage.photograph("launcher-starting", PARTS[2])
    until(lambda: "2 running" in card("Alpha").inner_text(), 30, "it to run")
    assert stage.app("alpha-2").placement.isolation == "shared-renderer"
    stop()
    stage.page.get_by_role("radio", name="own process").click()
    memory = stage.page.get_by_label("Memory limit of the next app, MB")
    memory.fill("700")
    stop = stage.busy(BUSY)
    stage.show(stage.launcher)
    stage.page.get_by_role("button", name="Launch Beta").click()
    until(lambda: "2 running" in card("Beta").inner_text(), 40, "it to run")
    stop()
    assert stage.app("beta-2").limits.max_memory == 700_000_000
    memory.fill("")
    stage.page.get_by_role("button", name="Launch Fails").click()
    trouble = card("Fails").get_by_role("group", name="What went wrong with Fails")
    trouble.wait_for(timeout=40_000)
    assert "fails did not launch" in trouble.inner_text()
    stage.photograph("launcher-error", PARTS[2])
    trouble.get_by_role("button", name="Dismiss").click()
    until(lambda: not trouble.is_visible(), 10, "the error to go")


def test_forty_apps_are_searched(stage: Stage) -> None:
    index = CELLS.index(MANY)
    stage.notebook.run(index)
    stage.notebook.finished(index, 30)
    stage.notebook.scroll_to(index)
    many = stage.launcher.last
    until(lambda: many.locator(".labplatform-card").count() == 40, 20, "forty cards")
    cards = many.locator(".labplatform-cards")
    assert cards.evaluate("node => node.scrollHeight > node.clientHeight")
    many.get_by_label("Search the apps").fill("odd")
    assert many.locator(".labplatform-card:visible").count() == 20
    many.get_by_label("Search the apps").fill("app-07")
    (card,) = many.locator(".labplatform-card:visible").all_inner_texts()
    assert "App 07" in card and "Odd." in card
    many.get_by_label("Search the apps").fill("")
    # So many at once are asked for first.
    many.get_by_role("button", name="Launch all").click()
    assert "Launch all 40 apps?" in many.inner_text()
    stage.page.keyboard.press("Escape")
    assert many.get_by_role("button", name="Launch all").is_visible()


def test_all_are_killed_while_the_notebook_computes(stage: Stage) -> None:
    stop = stage.busy(BUSY)
    stage.show(stage.table)
    until(
        lambda: stage.table.locator(".labplatform-count").inner_text() == "14 apps, 13 running", 10, "all to be shown"
    )
    for theme in ("Dark", "Light"):
        stage.notebook.theme(theme)
        stage.page.get_by_role("button", name="Kill all").click()
        assert "Kill all 13 apps?" in stage.table.inner_text()
        stage.notebook.photograph(f"table-kill-all-{theme.lower()}", f".jp-Cell {PARTS[0]}.labplatform-box")
        stage.page.get_by_role("button", name="Cancel").click()
        assert stage.app("alpha").state == "running"
    stage.page.get_by_role("button", name="Kill all").click()
    stage.page.keyboard.press("Enter")
    status = lambda: stage.connection.ask(m.Describe, m.PlatformStatus, 10).apps  # noqa: E731
    until(lambda: {app.state for app in status()} == {"stopped"}, 20, "the end of all")
    until(lambda: stage.table.locator(".labplatform-count").inner_text() == "14 apps, 0 running", 10, "it to be shown")
    stop()
