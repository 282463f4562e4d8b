"""The app cpu-hog as a person uses it: have it compute here or there, and see what CPU it really gets. Kernel."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


def cpu_used(app: App, seconds: float = 3.0, above: float | None = None, timeout: float = START) -> float:
    """Percent of one core that all processes of an app use over the next seconds, by the system's own account.

    `above`: measure again until it is more than this, for at most `timeout` seconds: a machine that has other work to
    do may give it less for a while.
    """
    end = time.monotonic() + timeout
    while True:
        began, before = time.monotonic(), _cpu_times(app)
        time.sleep(seconds)
        after = _cpu_times(app)
        used = 100 * sum(after[pid] - before.get(pid, 0.0) for pid in after) / (time.monotonic() - began)
        if above is None or used > above or time.monotonic() > end:
            return used


def _cpu_times(app: App) -> dict[int, float]:
    """Seconds of CPU that each process of an app has used so far, by pid; those that have ended are left out."""
    pids = {process.pid for process in app.processes}
    times = {}
    with suppress(psutil.Error):
        # The platform looks once a second which there are; one that began since then counts as well.
        pids |= {child.pid for child in psutil.Process(app.pid).children(recursive=True)}
    for pid in pids:
        with suppress(psutil.Error):
            used = psutil.Process(pid).cpu_times()
            times[pid] = used.user + used.system
    return times
