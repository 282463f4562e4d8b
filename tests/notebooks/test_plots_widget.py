"""`Plots` on real apps, without a browser: what flows to a page, what is filled in, and that nothing of it stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from support.apps import AT_ONCE, QUICK, make_app
from support.processes import Ground, until

from labplatform import Platform
from labplatform.errors import UnknownApp
from labplatform.kernel.widgets import part as part_module
from labplatform.kernel.widgets import plots as module
from labplatform.kernel.widgets.plots import Plots
from labplatform.kernel.widgets.recorded import APP_FIGURES, PROCESS_FIGURES

SAMPLING = 0.2
BUSY = "(() => { const end = Date.now() + %d; while (Date.now() < end); return 1 })()"


class Page:
    """The page side of plots: takes messages as `plots.js` does, and says what it has."""

    def __init__(self, plots: Plots, name: str = "a") -> None:
        self.plots, self.name = plots, name
        self.number = 0
        self.wholes = self.updates = 0
        self.sizes: list[int] = []
        self.ticks = np.array([])
        self.lines: list[list[Any]] = []
        self.columns: dict[str, dict[str, np.ndarray]] = {}
        self.told: dict[str, Any] = {}
        self.deaf = False
        self._send = plots.send
        plots.send = self._take

    def _take(self, content: Any, buffers: Any = None) -> None:
        self._send(content, buffers)
        if "plots" not in content or self.deaf:
            return
        if content["since"] not in (0, self.number):
            self.number = -1
            return
        whole = content["since"] == 0
        count, packed = content["count"], buffers[0]
        ticks = np.frombuffer(packed, "<f8", count)
        if whole:
            self.wholes += 1
            self.lines, self.ticks, self.columns = content["lines"], np.array([]), {}
        else:
            self.updates += 1
            self.sizes.append(len(packed))
        place = 8 * count
        for line in self.lines:
            key = " ".join(map(str, line))
            for figure in APP_FIGURES if len(line) == 1 else PROCESS_FIGURES:
                values = np.frombuffer(packed, "<f4", count, place)
                place += 4 * count
                own = self.columns.setdefault(key, {})
                own[figure] = values if whole else np.concatenate([own[figure], values])
        assert place == len(packed)
        self.ticks = np.concatenate([self.ticks, ticks])
        assert (np.diff(self.ticks) > 0).all(), "a tick came twice, or late"
        self.number = content["plots"]
        self.told |= {name: content[name] for name in ("marks", "spans", "words") if name in content}

    def say(self, shown: bool = True, have: int | None = None) -> None:
        content = {"page": self.name, "shown": shown, "have": self.number if have is None else have}
        self.plots.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    def close(self) -> None:
        self.plots.send = self._send
        self.plots.close()


def threads() -> list[str]:
    named = ("labplatform-widgets", part_module.ACTION_THREAD)
    return [thread.name for thread in threading.enumerate() if thread.name in named]


@pytest.fixture(scope="module")
def lab(nothing_left_by_module: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("apps")
    for name in ("one", "two"):
        make_app(folder, name, restart=AT_ONCE)
    with Platform(
        folder, display="offscreen", quiet=True, alongside=True, heartbeat=QUICK, sampling=SAMPLING
    ) as platform:
        platform.launch_all()
        yield platform


@pytest.fixture
def page(lab: Platform) -> Iterator[Page]:
    page = Page(lab.plots())
    yield page
    page.close()
    until(lambda: not threads(), 10, "the widgets' threads to end")


def test_a_page_gets_the_window_first_and_then_what_is_new(lab: Platform, page: Page) -> None:
    until(lambda: len(lab["one"].history(60)["at"]) >= 5, 20, "some samples")
    seen = lab["one"].history(60)
    lab.describe()
    assert (page.wholes, threads()) == (0, []), "something flowed, and nobody looks"
    page.say()
    until(lambda: page.wholes and len(page.ticks) >= len(seen["at"]), 10, "what was before")
    assert page.lines == [["one"], ["two"]]
    since = np.searchsorted(page.ticks, seen["at"][-5])
    own = page.columns["one"]["memory"][since : since + 5]
    assert np.allclose(own, seen["memory"][-5:].astype("f4"))
    updates = page.updates
    until(lambda: page.updates >= updates + 3, 20, "three updates")
    # Each one is of new ticks only: 8 bytes, and for each app and figure 4.
    per_tick = 8 + 2 * 4 * len(APP_FIGURES)
    assert all(size % per_tick == 0 and size <= 10 * per_tick for size in page.sizes), page.sizes
    for name in ("one", "two"):
        assert not np.isnan(page.columns[name]["memory"][-3:]).any(), "a tick was sent before all of it was there"
        assert len(page.columns[name]["lag"]) == len(page.ticks)
    assert page.told["words"] and page.plots.facts["apps"][0]["name"] == "one"


def test_what_got_lost_is_noticed_by_either_side(page: Page) -> None:
    page.say()
    until(lambda: page.updates >= 1, 20, "an update")
    # A message is lost: the page notices by the next one, and says that it has nothing.
    page.deaf = True
    number = page.plots._number
    until(lambda: page.plots._number > number, 10, "a message to be lost")
    page.deaf = False
    until(lambda: page.number == -1, 10, "the page to notice")
    wholes = page.wholes
    page.say()
    until(lambda: page.wholes > wholes, 10, "the whole again")
    # All of them are lost, as after an overrun: the kernel notices by the page's own words.
    page.deaf = True
    number = page.plots._number
    page.say()
    until(lambda: page.plots._number >= number + 2, 10, "more to be lost")
    page.deaf = False
    wholes = page.wholes
    page.say(have=number)
    page.say(have=number)
    until(lambda: page.wholes > wholes, 10, "the whole, unasked")
    # A page that has all gets no more than it needs.
    page.say()
    wholes, updates = page.wholes, page.updates
    for _ in range(4):
        page.say()
    until(lambda: page.updates >= updates + 2, 10, "updates")
    assert page.wholes == wholes


def test_a_crash_is_marked_and_breaks_the_line(lab: Platform, page: Page) -> None:
    page.say()
    until(lambda: page.updates >= 1, 20, "an update")
    incarnation = lab["one"].incarnation
    lab["one"].crash("abort")
    until(lambda: any(mark["kind"] == "end" for mark in page.told["marks"]), 10, "the mark")
    until(lambda: lab["one"].state == "running" and lab["one"].incarnation > incarnation, 30, "it to be back")
    words = until(
        lambda: next((one["words"] for one in page.told["marks"] if "back in" in one["words"]), ""),
        10,
        "the mark's end",
    )
    assert words.startswith("one aborted, back in ")
    mark = page.told["marks"][-1]
    assert mark["apps"] == ["one"] and "SIGABRT" in mark["reason"]
    until(lambda: page.columns["one"]["incarnation"][-1] == incarnation + 1, 10, "a sample of the new process")
    # Whole again, it says the same: the line has no value, or another incarnation, after the mark.
    page.say(have=-1)
    wholes = page.wholes
    until(lambda: page.wholes > wholes, 10, "the whole")
    after = page.ticks > mark["at"]
    before = page.columns["one"]["incarnation"][~after]
    assert np.nanmax(before) == incarnation
    assert np.nanmin(page.columns["one"]["incarnation"][after]) == incarnation + 1
    (down,) = [span for span in page.told["spans"]["one"] if span[2] == "down"]
    assert down[0] == mark["at"] and down[1] > down[0]
    assert "".join(map(str, page.told["words"])).startswith("one aborted at ")


def test_processes_have_lines_while_they_are_wanted(lab: Platform, page: Page) -> None:
    page.say()
    until(lambda: page.updates >= 1, 20, "an update")
    page.plots.opened = ["two"]
    until(lambda: len(page.lines) > 4, 10, "lines of processes")
    assert page.lines[:2] == [["one"], ["two"]]
    roles = {line[2]: line[1] for line in page.lines if len(line) > 1}
    assert roles["host"] == lab["two"].pid and "renderer" in roles
    key = " ".join(map(str, next(line for line in page.lines if len(line) > 1 and line[2] == "host")))
    until(lambda: len(page.columns[key]["memory"]) >= 3, 10, "its samples")
    # What was before it was opened is there as well.
    until(lambda: np.count_nonzero(~np.isnan(page.columns[key]["memory"])) >= 3, 10, "its past")
    page.plots.opened = []
    until(lambda: page.lines == [["one"], ["two"]], 10, "the lines to go")


def test_nothing_flows_while_it_is_paused(lab: Platform, page: Page) -> None:
    page.say()
    until(lambda: page.updates >= 2, 20, "updates")
    page.plots.paused = float(page.ticks[-1])
    until(lambda: not page.plots._whole and not page.plots._stale, 10, "what was on its way")
    number, at = page.plots._number, lab.metrics.at
    until(lambda: lab.metrics.at > at + 4 * SAMPLING, 20, "more samples")
    page.say()
    assert page.plots._number == number
    # A page that comes meanwhile sees what is shown.
    other = Page(page.plots, "b")
    other.say()
    until(lambda: other.wholes == 1, 10, "the whole, for the other page")
    assert other.ticks[0] <= page.plots.paused <= other.ticks[-1]
    page.plots.paused = 0.0
    until(lambda: other.ticks[-1] > at + 4 * SAMPLING, 10, "what was missed")
    page.plots.send = page._take


def test_out_of_sight_nothing_flows_and_what_was_missed_is_filled_in(lab: Platform, page: Page) -> None:
    page.say()
    until(lambda: page.updates >= 1, 20, "an update")
    page.say(shown=False)
    until(lambda: not threads(), 10, "the widgets' threads to end")
    number, at = page.plots._number, lab.metrics.at
    until(lambda: lab.metrics.at > at + 8 * SAMPLING, 20, "samples that nobody sees")
    assert page.plots._number == number
    page.say()
    until(lambda: page.ticks[-1] > at + 8 * SAMPLING, 10, "the samples of now")
    until(lambda: np.diff(page.ticks[page.ticks > at - 2]).max() < 4 * SAMPLING, 10, "the gap to be filled")


def test_only_the_apps_that_are_wanted_and_only_what_can_be_had(lab: Platform) -> None:
    page = Page(lab.plots(["two"], seconds=30))
    page.say()
    until(lambda: page.wholes, 10, "the window")
    assert page.lines == [["two"]] and [app["name"] for app in page.plots.facts["apps"]] == ["two"]
    assert (repr(page.plots), page.plots.seconds) == ("Plots()", 30)
    page.close()
    assert lab.plots([lab["one"]])._chosen == {"one"}
    with pytest.raises(UnknownApp, match="three"):
        lab.plots(["three"])
    for wrong in (5, 601, "60", None):
        with pytest.raises(ValueError, match="10 to 600"):
            lab.plots(seconds=wrong)
    until(lambda: not threads(), 10, "the widgets' threads to end")


def test_close_ends_it_and_the_saved_notebook_has_a_picture(lab: Platform) -> None:
    page = Page(lab.plots())
    bundle, _ = page.plots._repr_mimebundle_()
    picture = bundle["image/svg+xml"]
    assert len(picture.encode()) <= 10 << 10
    words = "".join(ElementTree.fromstring(picture).itertext())
    assert "one" in words and "two" in words and "CPU" in words
    page.say()
    until(lambda: page.updates >= 1, 20, "an update")
    app = lab["one"]
    page.close()
    number, at = page.plots._number, lab.metrics.at
    until(lambda: lab.metrics.at > at + 3 * SAMPLING, 20, "more samples")
    assert (page.plots._number, page.plots._observed) == (number, [])
    for of in (app, lab):
        left = [one for names in of._trait_notifiers.values() for kinds in names.values() for one in kinds]
        assert not any(getattr(one, "__self__", None) is page.plots for one in left)
    page.plots.close()
    until(lambda: not threads(), 10, "the widgets' threads to end")


def test_a_page_may_say_what_it_likes(lab: Platform, page: Page) -> None:
    for content in (None, [], {"have": 1}, {"page": "a", "have": "1"}, {"page": 3, "shown": True, "have": 1}):
        page.plots.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    for state in ({"seconds": 5}, {"seconds": "x"}, {"zoom": [1, 2, 3]}, {"paused": -1}, {"opened": [1]}):
        before = page.plots.get_state(list(state))
        with pytest.raises(Exception, match=r"trait|should|minimum|maximum"):
            page.plots.set_state(state)
        assert page.plots.get_state(list(state)) == before
    page.plots.set_state({"opened": ["nobody"], "zoom": [1.0, 2.0]})
    page.say()
    until(lambda: page.updates >= 1, 20, "an update all the same")


def test_in_a_shared_renderer_every_strip_darkens_together(lab: Platform, tmp_path: Path) -> None:
    for name in ("red", "green", "blue"):
        make_app(tmp_path, name, restart=AT_ONCE)
    options = {"display": "offscreen", "quiet": True, "alongside": True, "heartbeat": QUICK, "sampling": SAMPLING}
    with Platform(tmp_path, isolation="shared-renderer", **options) as shared:
        shared.launch_all()
        page = Page(shared.plots())
        page.say()
        until(lambda: page.updates >= 3, 20, "updates")
        began = time.time()
        shared["red"].evaluate_js(BUSY % 900, timeout=20)
        ended = time.time()
        until(lambda: page.ticks[-1] > ended + 4 * SAMPLING, 20, "samples after it")
        wholes = page.wholes
        page.say(have=-1)
        until(lambda: page.wholes > wholes, 10, "the whole")
        then = (page.ticks > began) & (page.ticks < ended + 4 * SAMPLING)
        worst = {name: np.nanmax(page.columns[name]["lag"][then]) for name in ("red", "green", "blue")}
        assert min(worst.values()) > 0.4, worst
        assert "was held up for" in "".join(map(str, page.told["words"]))
        assert "".join(map(str, page.told["words"])).count("neighbours") == 1
        page.close()
    until(lambda: not threads(), 10, "the widgets' threads to end")


def test_a_platform_that_was_never_started_is_not_started_by_looking(
    nothing_left_by_module: Ground, tmp_path: Path
) -> None:
    make_app(tmp_path, "one")
    platform = Platform(tmp_path, display="offscreen", quiet=True, alongside=True)
    page = Page(platform.plots())
    assert "image/svg+xml" not in page.plots._repr_mimebundle_()[0]
    page.say()
    until(lambda: page.wholes == 1, 10, "the empty window")
    assert (platform.state, page.plots.facts["platform"], len(page.ticks)) == ("new", "new", 0)
    assert page.told["words"] == ["No app has been launched."]
    page.close()
    platform.stop()
    assert module.LEAST == 10
