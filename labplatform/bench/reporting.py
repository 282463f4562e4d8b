"""What crash reports cost: a picture of a window now and then while all is well, and a report at the end of an app.

A picture is drawn by the thread that serves the window, so its cost is that thread's time: the CPU that the app's host
used for many of them, beside as long without any. The pictures are of the sample app with the most to draw.
"""

from __future__ import annotations

import time

import psutil

from ..errors import LabError
from ..kernel.platform import Platform
from ..messages import Reporting
from .death import Killer
from .figures import Row
from .stage import Measured, Stage, wait_until

TITLE = "crash reports: a picture while all is well, and the report of an end"
APP = "ticker-details"
TARGET = 0.010
"""Seconds of CPU for one picture."""
WIDTH = Reporting().picture_width
UP_SECONDS = 60.0


def measure(stage: Stage) -> Measured:
    """Pictures and rests in turn, then one death after the other."""
    pictures = stage.times(100, 10)
    drawn: list[float] = []
    waited: list[float] = []
    rested: list[float] = []
    told: list[float] = []
    fetched: list[float] = []
    shown: list[float] = []
    quiet = Reporting(picture_interval=0, after=0.5)
    with Platform(display="offscreen", quiet=True, alongside=True, reporting=quiet) as platform:
        app = platform.launch(APP, timeout=UP_SECONDS)
        for _ in stage.rounds(stage.times(8, 2), "pictures"):
            host = psutil.Process(app.pid)
            before, began = _used(host), time.perf_counter()
            for _ in range(pictures):
                asked = time.perf_counter()
                app.picture(width=WIDTH)
                waited.append(time.perf_counter() - asked)
            spent, seconds = _used(host) - before, time.perf_counter() - began
            before = _used(host)
            time.sleep(seconds)
            rest = _used(host) - before
            drawn.append(max(0.0, spent - rest) / pictures)
            rested.append(rest / pictures)
    with stage.platform(reporting=quiet) as platform, Killer() as killer:
        app = platform.launch("tiny", timeout=UP_SECONDS)
        for _ in stage.rounds(stage.times(10, 2), "reports"):
            wait_until(app, lambda: app.state == "running", UP_SECONDS, "it to run")
            there = len(platform.crash_reports)
            killer.kill(app.pid, 0.1)
            wait_until(app, lambda there=there: len(platform.crash_reports) > there, UP_SECONDS, "its report")
            report = platform.crash_reports[-1]
            killed = killer.killed(UP_SECONDS)
            if killed is None:
                raise LabError("the bench's own process that kills did not say when it did")
            told.append(report.at - killed[0])
            asked = time.perf_counter()
            report.full()
            fetched.append(time.perf_counter() - asked)
            asked = time.perf_counter()
            report._repr_html_()
            shown.append(time.perf_counter() - asked)
    rows = (
        Row(what=f"CPU of its host for one picture, {WIDTH} pixels", unit="s", values=tuple(drawn), target=TARGET),
        Row(what="as long without one", unit="s", values=tuple(rested), beside=True),
        Row(what="until the notebook had it", unit="s", values=tuple(waited)),
        Row(what="from SIGKILL until the report was begun", unit="s", values=tuple(told)),
        Row(what="all its evidence fetched", unit="s", values=tuple(fetched)),
        Row(what="fetched again, and made a page", unit="s", values=tuple(shown)),
    )
    return rows, (
        f"{pictures} pictures in a row; reports take one each {Reporting().picture_interval:g} s by themselves.",
        "SIGKILL to the end of a process with QtWebEngine is some 25 ms of Linux's own work.",
    )


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
