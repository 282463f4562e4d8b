"""What a fault costs: until the platform knows of the end, until the app is back with its state, and how late its
neighbour's event loop ran meanwhile, beside the same of as long a time without a fault.
"""

from __future__ import annotations

import time

from ..kernel.app import App
from .figures import Row
from .stage import Measured, Stage, wait_until

TITLE = "a fault: noticed, back in `running` with its state, and what a neighbour feels"
FAULTS = ("kill", "segfault", "abort", "exit", "renderer", "renderer-kill")
TARGET = 1.0
"""Seconds, from the fault to an app that has its state again, in a process that starts cold."""
LAG_TARGET = 0.05
"""Seconds, on a machine that is idle otherwise."""
UP_SECONDS = 60.0
STATE = '{ instrument: "AAPL", filler: "x".repeat(1000) }'
BEATS = """(() => {
    clearInterval(window.beats);
    window.worst = 0;
    let due = performance.now() + 10;
    window.beats = setInterval(() => {
        const now = performance.now();
        worst = Math.max(worst, now - due);
        due = now + 10;
    }, 10);
})()"""
WORST = "worst / 1000"


def _fault(app: App, how: str) -> tuple[float, float]:
    """Break it; seconds until its end was known, and until it had its state again."""
    incarnation = app.incarnation
    app.crash(how)
    wait_until(app, lambda: app.incarnation > incarnation and app.state == "running", UP_SECONDS, "to come back")
    if (app.evaluate_js("lab.getState()", timeout=30) or {}).get("instrument") != "AAPL":
        raise RuntimeError(f"{app.name} came back from {how} without its state")
    back = time.time()
    began = max(entry.time for entry in app.events if entry.kind == "fault")
    ended = min(entry.time for entry in app.events if entry.kind == "ended" and entry.time >= began)
    return ended - began, back - began


def measure(stage: Stage) -> Measured:
    """Each fault in turn, again and again; after each as long a time with nothing in it."""
    noticed: dict[str, list[float]] = {how: [] for how in FAULTS}
    back: list[float] = []
    lag: list[float] = []
    calm: list[float] = []
    with stage.platform() as platform:
        app, neighbour = platform.launch_all("tiny", "tiny")
        app.evaluate_js(f"lab.saveState({STATE})", timeout=30)
        for _ in stage.rounds(stage.times(15, 1)):
            for how in FAULTS:
                neighbour.evaluate_js(BEATS, timeout=30)
                took, came = _fault(app, how)
                lag.append(neighbour.evaluate_js(WORST, timeout=30))
                noticed[how].append(took)
                back.append(came)
                neighbour.evaluate_js(BEATS, timeout=30)
                time.sleep(came)
                calm.append(neighbour.evaluate_js(WORST, timeout=30))
    rows = [Row(what=f"{how}: until its end is known", unit="s", values=tuple(noticed[how])) for how in FAULTS]
    rows += [
        Row(what="until it runs again and has its state", unit="s", values=tuple(back), target=TARGET),
        Row(what="its neighbour's loop, late by at most", unit="s", values=tuple(lag), target=LAG_TARGET),
        Row(what="the same with no fault in it", unit="s", values=tuple(calm), beside=True),
    ]
    return tuple(rows), (
        "The way back is a wait of 20 ms, which the policy here has, and a cold start.",
        "A hang is noticed by pings: see the table `hang`; a limit that is exceeded: see `limits`.",
    )
