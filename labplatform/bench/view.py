"""`App.view`: how many pictures of a page that never stands still arrive, at what cost; beside the same page unseen.

The part of the page that shows it is played here: it says that it shows the view and has drawn what came.
"""

from __future__ import annotations

import os
import time

import psutil

from ..kernel.widgets.view import BEAT, AppView
from .figures import Row
from .processes import cpu, cpu_between, tree
from .stage import Measured, Stage

TITLE = "a window shown live in the notebook: pictures a second, and their CPU"
RATE = 8.0
"""Pictures a second that are asked for, as by default."""
LEAST = 5.0
"""Pictures a second that are promised."""
SECONDS, QUICK_SECONDS = 10.0, 3.0
MOVES = "setInterval(() => { document.body.style.background = `hsl(${performance.now() / 20 % 360} 60% 50%)` }, 50); 0"


def _say(view: AppView, shown: bool) -> None:
    content = {"page": "bench", "shown": shown, "drawn": view.number}
    view.comm.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def measure(stage: Stage) -> Measured:
    """In turns: shown, and not."""
    seconds = QUICK_SECONDS if stage.quick else SECONDS
    rates: list[float] = []
    used: dict[bool, dict[str, list[float]]] = {shown: {} for shown in (True, False)}
    with stage.platform() as platform:
        app = platform.launch("tiny")
        app.evaluate_js(MOVES)
        view = app.view(rate=RATE)
        groups = {
            "the notebook's process": [psutil.Process(os.getpid())],
            "the supervisor": [psutil.Process(platform.supervisor_pid)],
            "the app": tree(app.pid),
        }
        for _ in stage.rounds(stage.times(3, 1)):
            for shown in (True, False):
                _say(view, shown)
                before = {name: cpu(group) for name, group in groups.items()}
                pictures, began = view.number, time.perf_counter()
                while time.perf_counter() - began < seconds:
                    time.sleep(min(BEAT, seconds) / 4)
                    if shown:
                        _say(view, True)
                took = time.perf_counter() - began
                if shown:
                    rates.append((view.number - pictures) / took)
                for name, group in groups.items():
                    share = 100 * cpu_between(before[name], cpu(group)) / took
                    used[shown].setdefault(name, []).append(share)
        view.close()
    rows = [Row(what="pictures", unit="pictures/s", values=tuple(rates), target=LEAST)]
    for name in groups:
        rows.append(Row(what=f"CPU of {name}", unit="percent of one core", values=tuple(used[True][name])))
        rows.append(Row(what="unseen", unit="percent of one core", values=tuple(used[False][name]), beside=True))
    return tuple(rows), (
        f"each over {seconds:g} s; asked for {RATE:g} a second, of a page that moves 20 times a second.",
    )
