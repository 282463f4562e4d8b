"""The app cpu-hog as a person uses it: have it compute here or there, and see what CPU it really gets. Kernel."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import psutil

from ..kernel.app import App
from .waiting import START, WAIT, until

Where = Literal["page", "worker", "python"]


@contextmanager
def spinning(app: App, *places: Where, timeout: float = START) -> Iterator[None]:
    """Have cpu-hog compute in these places, until the block ends or the app does. `timeout`: seconds for each."""
    until(app, "typeof spin", "function", WAIT)
    incarnation = app.incarnation
    for where in places:
        app.evaluate_js(f"spin({json.dumps(where)})", timeout=timeout)
    try:
        yield
    finally:
        if app.incarnation == incarnation and app.state in ("running", "unresponsive"):
            for where in places:
                app.evaluate_js(f"rest({json.dumps(where)})", timeout=timeout)


def cpu_used(app: App, seconds: float = 3.0) -> float:
    """Percent of one core that all processes of an app use over the next seconds, by the system's own account."""
    pids = {process.pid for process in app.processes}
    began, before = time.monotonic(), _cpu_times(pids)
    time.sleep(seconds)
    after = _cpu_times(before)
    used = sum(after[pid] - before[pid] for pid in after)
    return 100 * used / (time.monotonic() - began)


def _cpu_times(pids: set[int] | dict[int, float]) -> dict[int, float]:
    """Seconds of CPU that each of these processes has used so far; those that have ended are left out."""
    times = {}
    for pid in pids:
        try:
            used = psutil.Process(pid).cpu_times()
        except psutil.Error:
            continue
        times[pid] = used.user + used.system
    return times
