"""How closely a CPU limit is kept by an app that wants two cores: what its processes use, by their own clocks."""

from __future__ import annotations

import time

from ..kernel.app import App
from .figures import Row
from .limits import tiers
from .stage import Measured, Stage, wait_until

TITLE = "CPU of a page with two busy workers against its limit"
BUSY = """(() => {
    window.busy = [1, 2].map(() => new Worker(URL.createObjectURL(new Blob(["for (;;) {}"]))));
    return busy.length;
})()"""
PERCENTS = (50, 25)
POINTS = 2.0
"""By which it may use more."""
SECONDS, QUICK_SECONDS = 10.0, 2.0
SETTLE = 1.0


def _used(app: App) -> float:
    """Seconds of CPU of all its processes, all threads; see clock_getcpuclockid(3)."""
    return sum(time.clock_gettime((~process.pid << 3) | 2) for process in app.processes)


def _share(app: App, seconds: float) -> float:
    time.sleep(SETTLE)
    began, used = time.monotonic(), _used(app)
    time.sleep(seconds)
    return 100 * (_used(app) - used) / (time.monotonic() - began)


def measure(stage: Stage) -> Measured:
    """Each tier, each limit, and what the same app uses without one."""
    seconds = QUICK_SECONDS if stage.quick else SECONDS
    rows: list[Row] = []
    notes: list[str] = []
    unit = "percent of one core"
    for tier in tiers():
        shares: dict[int | None, list[float]] = {percent: [] for percent in (*PERCENTS, None)}
        throttled = dict.fromkeys(PERCENTS, 0)
        with stage.platform(limits=tier, sampling=0.5) as platform:
            app = platform.launch("tiny", timeout=60)
            app.evaluate_js(BUSY, timeout=30)
            wait_until(app, lambda app=app: len(app.processes) >= 4, 20, "to show its processes")
            for _ in stage.rounds(stage.times(3, 1), tier):
                for percent in (*PERCENTS, None):
                    before = app.usage.throttled if percent else 0
                    app.set_resource_limits(max_cpu=percent)
                    shares[percent].append(_share(app, seconds))
                    if percent:
                        throttled[percent] += max(0, app.usage.throttled - before)
        for percent in PERCENTS:
            what = f"{tier}, limit {percent} %"
            rows.append(Row(what=what, unit=unit, values=tuple(shares[percent]), target=percent + POINTS))
            rows.append(Row(what="no limit, just then", unit=unit, values=tuple(shares[None]), beside=True))
            notes.append(f"{what}: throttled {throttled[percent]} times")
    notes.append(f"each over {seconds:g} s; a machine that has no core to give gives less than the limit")
    return tuple(rows), tuple(notes)
