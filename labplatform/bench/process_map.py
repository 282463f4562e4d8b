"""The process map of eight apps that talk: what it costs the notebook, and how soon a fault is on it.

The page that shows it is played here: it says that it does. What JupyterLab needs to draw it is not in it, nor the way
through the kernel's sockets.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import psutil

from ..errors import LabTimeout
from ..kernel.widgets.part import BEAT
from ..kernel.widgets.process_map import ProcessMap
from .figures import Row
from .processes import cpu, cpu_between
from .stage import Measured, Stage

TITLE = "the process map of eight apps: its CPU, and how soon a fault is on it"
APPS = 8
SECONDS, QUICK_SECONDS = 10.0, 3.0
SHOWN = 5.0
"""Percent of a core that the whole dashboard may take, of which the map is a part."""
FAULT_SECONDS = 20.0
SOON = 0.15
"""Seconds."""
MOVES = (
    "setInterval(() => { document.body.style.background = `hsl(${performance.now() / 20 % 360} 60% 50%)` }, 200);"
    "fdc3.addContextListener(null, () => {}); fdc3.joinUserChannel('fdc3.channel.1').then(() => 0)"
)
SPEAKS = "setInterval(() => fdc3.broadcast({ type: 'bench.word' }), 200); 0"


def _say(widget: ProcessMap, shown: bool) -> None:
    content = {"page": "bench", "shown": shown}
    widget.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def _cost(widget: ProcessMap, shown: bool, seconds: float) -> float:
    """Percent of a core that this process takes meanwhile."""
    me = [psutil.Process(os.getpid())]
    _say(widget, shown)
    time.sleep(1)  # what comes once, when it is shown
    before, began = cpu(me), time.perf_counter()
    while time.perf_counter() - began < seconds:
        time.sleep(min(BEAT, seconds) / 2)
        if shown:
            _say(widget, True)
    return 100 * cpu_between(before, cpu(me)) / (time.perf_counter() - began)


def measure(stage: Stage) -> Measured:
    """In turns: shown, and not; then faults, one after the other, until the map's facts have them."""
    seconds = QUICK_SECONDS if stage.quick else SECONDS
    used: dict[bool, list[float]] = {True: [], False: []}
    late: list[float] = []
    with stage.platform() as platform:
        apps = [platform.launch("tiny", timeout=60) for _ in range(APPS)]
        for app in apps:
            app.evaluate_js(MOVES, timeout=20)
        apps[0].evaluate_js(SPEAKS)
        platform.watch_messages()
        widget = platform.process_map()
        for _ in stage.rounds(stage.times(3, 1)):
            for shown in (True, False):
                used[shown].append(_cost(widget, shown, seconds))
        _say(widget, True)
        for number in range(stage.times(10, 2)):
            late.append(_late(widget, apps[number % APPS]))
            _say(widget, True)
        widget.close()
    rows = (
        Row(
            what="CPU of the notebook's process, map shown",
            unit="percent of one core",
            values=tuple(used[True]),
            target=SHOWN,
        ),
        Row(what="not shown", unit="percent of one core", values=tuple(used[False]), beside=True),
        Row(what="from an end as the log has it to the page's facts", unit="s", values=tuple(late), target=SOON),
    )
    return rows, (
        f"CPU over {seconds:g} s each; a picture a second of each page, all of which change; five messages a second, "
        f"each to {APPS - 1} apps, watched in either case. The target is that of the whole dashboard.",
    )


def _late(widget: ProcessMap, app: Any) -> float:
    """Break an app; returns how long after its end the page was told."""
    told, at = threading.Event(), 0.0

    def changed(change: Any) -> None:
        nonlocal at
        if change.new["apps"][app.name]["gone"] and not told.is_set():
            at = time.time()
            told.set()

    widget.observe(changed, names="facts")
    app.crash("abort")
    if not told.wait(FAULT_SECONDS):
        raise LabTimeout(f"waited {FAULT_SECONDS:g} s for the map to show that {app.name} is gone")
    widget.unobserve(changed, names="facts")
    ended = next(entry.time for entry in reversed(app.events) if entry.kind == "ended")
    app.wait_for("running", 60)
    return at - ended
