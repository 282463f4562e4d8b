"""The whole dashboard of eight apps in a real JupyterLab: what it costs the kernel, what is sent, how soon it is seen.

Nothing of it is played: a notebook's kernel with a platform of its own, and a page that draws.
"""

from __future__ import annotations

import time

from .figures import Row
from .jupyter import Reader, notebook
from .process_map import MOVES, SPEAKS
from .processes import cpu, cpu_between
from .rivals import TINY
from .stage import Measured, Stage

TITLE = "the whole dashboard of 8 apps in JupyterLab, once a second: kernel's CPU, bytes, from a sample to the screen"
APPS = 8
TARGET = 5.0
"""Percent of one core."""
SCREEN_TARGET = 0.15
"""Seconds, for half of the samples."""
SECONDS, QUICK_SECONDS = 20.0, 5.0
SETTLES = 3.0
"""Seconds for what comes once, when it is shown."""
SET_UP = f"""
from labplatform import Platform
platform = Platform({str(TINY)!r}, display="offscreen", quiet=True, alongside=True)
apps = platform.launch_all(*["tiny"] * {APPS}, timeout=120)
for app in apps:
    app.evaluate_js({MOVES!r}, timeout=20)
apps[0].evaluate_js({SPEAKS!r})
platform.dashboard()
"""
DRAWN = """document.querySelector(".labplatform-plots[data-tick]")?.dataset.tick > 0"""
WATCH = """(() => {
  const box = document.querySelector(".labplatform-plots[data-tick]");
  globalThis.bench = { all: 0, plots: [], late: [] };
  let last = Number(box.dataset.tick);
  new MutationObserver(() => {
    const tick = Number(box.dataset.tick);
    if (tick === last) return;
    last = tick;
    // What this frame drew is on the screen when the next begins.
    requestAnimationFrame(() => bench.late.push(Date.now() / 1000 - tick));
  }).observe(box, { attributes: true, attributeFilter: ["data-tick"] });
  const size = (message) => new TextEncoder().encode(JSON.stringify(message.content)).length
    + (message.buffers ?? []).reduce((sum, buffer) => sum + buffer.byteLength, 0);
  jupyterapp.shell.currentWidget.sessionContext.session.kernel.anyMessage.connect((_, { msg, direction }) => {
    if (direction !== "recv") return;
    bench.all += size(msg);
    if (msg.content?.data?.content?.plots && msg.content.data.content.since) bench.plots.push(size(msg));
  });
  return true;
})()"""
TAKE = "(() => { const found = bench; bench = { all: 0, plots: [], late: [] }; return found; })()"
SHOW = "jupyterapp.shell.currentWidget.node.style.display = %r; true"


def measure(stage: Stage) -> Measured:
    """In turns: shown, and not."""
    seconds = QUICK_SECONDS if stage.quick else SECONDS
    used: dict[bool, list[float]] = {True: [], False: []}
    rates: list[float] = []
    updates: list[float] = []
    late: list[float] = []
    with notebook(stage, SET_UP) as there:
        there.until(DRAWN, 180, "the plots to be drawn")
        there.ask(WATCH)
        for _ in stage.rounds(stage.times(3, 1)):
            for shown in (True, False):
                there.ask(SHOW % ("" if shown else "none"))
                time.sleep(SETTLES)
                there.ask(TAKE)
                percent, took = _cost(there, seconds)
                found = there.ask(TAKE)
                used[shown].append(percent)
                if shown:
                    rates.append(found["all"] / took)
                    updates += map(float, found["plots"])
                    late += found["late"]
    unit = "percent of one core"
    return (
        Row(what="the kernel, all parts shown", unit=unit, values=tuple(used[True]), target=TARGET),
        Row(what="not shown", unit=unit, values=tuple(used[False]), beside=True),
        Row(what="from a sample to the screen", unit="s", values=tuple(late), target=SCREEN_TARGET),
        Row(what="an update of the plots", unit="bytes", values=tuple(updates)),
        Row(what="all that the kernel sends in a second", unit="bytes", values=tuple(rates)),
    ), (
        f"over {seconds:g} s each; a picture a second of each page, all of which change; five messages a second, each "
        f"to {APPS - 1} apps. Drawing is the browser's and not in the kernel's CPU, but takes its part of the machine.",
    )


def _cost(there: Reader, seconds: float) -> tuple[float, float]:
    """Percent of a core that the kernel takes over so long, and how long that was."""
    before, began = cpu([there.kernel]), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - began
    return 100 * cpu_between(before, cpu([there.kernel])) / took, took
