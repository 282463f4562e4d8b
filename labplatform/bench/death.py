"""How long a death goes unnoticed: from the SIGKILL of an app to the entry of its end in the supervisor's log.

The kernel may be idle or may hold its interpreter while it sorts a long list. The same death is also watched, by pidfd,
on a thread of the kernel: that is where a platform without a supervisor of its own would stand. A small process that is
never busy does the killing and reads the clock.

Between the signal and the end of a process lies Linux's own work: some 25 ms to unmap the 250 MB of a process that has
QtWebEngine loaded, next to nothing for a small one. Nobody is told before that is done. So an app with a window has two
figures: from the signal, and from its end.
"""

from __future__ import annotations

import asyncio
import os
import random
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import psutil

from ..kernel.app import App
from .figures import Row
from .stage import Measured, Stage, wait_until

TITLE = "from the SIGKILL of an app to its end in the log"
TARGET = 0.005
"""Seconds, whatever the kernel does."""
SORTED = 1_000_000
"""Numbers in the list; sorting it holds the interpreter for some 0.4 s."""
UP_SECONDS = 60.0

KILLER = """\
import os, select, sys, time
for line in sys.stdin:
    pid, delay = line.split()
    pidfd = os.pidfd_open(int(pid))
    time.sleep(float(delay))
    at = time.time()
    os.kill(int(pid), 9)
    select.select([pidfd], [], [])
    print(at, time.time(), flush=True)
    os.close(pidfd)
"""


class Killer:
    """A process that kills on demand, and says when it did and when Linux had ended the process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", KILLER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self) -> Killer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(5)
        self._process.stdout.close()

    def kill(self, pid: int, delay: float) -> None:
        """Kill this process after `delay` seconds."""
        self._process.stdin.write(f"{pid} {delay}\n".encode())
        self._process.stdin.flush()

    def killed(self, seconds: float) -> tuple[float, float] | None:
        """When it did and when that was done, in seconds since the epoch; `None` if not within `seconds`."""
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        at, ended = map(float, self._process.stdout.readline().split())
        return at, ended


class ThreadWatcher:
    """A loop on a thread of this process, that watches pidfds: what a platform inside the kernel would do."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bench-watcher", daemon=True)
        self._thread.start()

    def __enter__(self) -> ThreadWatcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def watch(self, pid: int) -> Callable[[float], float | None]:
        """Watch a process; returns a function that waits for the time at which its end was noticed."""
        pidfd = os.pidfd_open(pid)
        noticed: list[float] = []
        done, watching = threading.Event(), threading.Event()

        def ended() -> None:
            noticed.append(time.time())
            self._loop.remove_reader(pidfd)
            os.close(pidfd)
            done.set()

        def begin() -> None:
            self._loop.add_reader(pidfd, ended)
            watching.set()

        self._loop.call_soon_threadsafe(begin)
        watching.wait(5)
        return lambda seconds: noticed[0] if done.wait(seconds) else None


def _ended_at(app: App, incarnation: int) -> float:
    return next(
        entry.time for entry in app.events if entry.kind == "ended" and entry.event["incarnation"] == incarnation
    )


def _up_again(app: App, before: int) -> None:
    wait_until(app, lambda: app.incarnation > before and app.state == "running", UP_SECONDS, "to come back")


class Deaths(NamedTuple):
    """Seconds, one of each for a death: from the signal until the supervisor logged it, a thread of this process
    noticed it, and Linux was done; and from there until the supervisor logged it.
    """

    logged: tuple[float, ...]
    thread: tuple[float, ...]
    linux: tuple[float, ...]
    after: tuple[float, ...]


def _hosts(stage: Stage, app: App, killer: Killer, count: int, work: Callable[[], object] | None) -> Deaths:
    """Kill its host again and again, meanwhile working or not."""
    rows: list[tuple[float, float, float, float]] = []
    with ThreadWatcher() as watcher:
        for _ in stage.rounds(count, f"{app.name}, kernel {'idle' if work is None else 'sorting'}"):
            incarnation = app.incarnation
            noticed = watcher.watch(app.pid)
            killer.kill(app.pid, random.uniform(0.05, 0.3))
            if work is not None:
                while (times := killer.killed(0)) is None:
                    work()
            else:
                times = killer.killed(UP_SECONDS)
            at, ended = times
            _up_again(app, incarnation)
            logged = _ended_at(app, incarnation)
            rows.append((logged - at, noticed(UP_SECONDS) - at, ended - at, logged - ended))
    return Deaths(*zip(*rows, strict=True))


def _renderers(stage: Stage, app: App, killer: Killer, count: int) -> tuple[float, ...]:
    took: list[float] = []
    for _ in stage.rounds(count, "renderer"):

        def renderer() -> int | None:
            return next((process.pid for process in app.processes if process.role == "renderer"), None)

        # The supervisor's next sample names it.
        wait_until(app, lambda: renderer() is not None and psutil.pid_exists(renderer()), 10, "to show its renderer")
        incarnation = app.incarnation
        killer.kill(renderer(), 0.05)
        at, _ = killer.killed(UP_SECONDS)
        _up_again(app, incarnation)
        took.append(_ended_at(app, incarnation) - at)
    return tuple(took)


def _rows(kernel: str, still: Deaths, tiny: Deaths) -> list[Row]:
    thread = "pidfd on a thread of that kernel"
    linux = "Linux alone, until the process has ended"
    return [
        Row(what=f"no window, kernel {kernel}", unit="s", values=still.logged, target=TARGET),
        Row(what=linux, unit="s", values=still.linux, beside=True),
        Row(what=thread, unit="s", values=still.thread, beside=True),
        Row(what=f"window, kernel {kernel}: from its end", unit="s", values=tiny.after, target=TARGET),
        Row(what=f"window, kernel {kernel}: from the signal", unit="s", values=tiny.logged),
        Row(what=linux, unit="s", values=tiny.linux, beside=True),
        Row(what=thread, unit="s", values=tiny.thread, beside=True),
    ]


def measure(stage: Stage) -> Measured:
    """An app without a window and one with, an idle kernel and one that sorts; then a page's renderer."""
    numbers = [random.random() for _ in range(SORTED)]
    works: dict[str, Callable[[], object] | None] = {"idle": None, "sorting": lambda: sorted(numbers)}
    rows: list[Row] = []
    with stage.platform() as platform, Killer() as killer:
        apps = {app.app_id: app for app in platform.launch_all("still", "tiny")}
        for kernel, work in works.items():
            still = _hosts(stage, apps["still"], killer, stage.times(100, 3), work)
            tiny = _hosts(stage, apps["tiny"], killer, stage.times(30, 3), work)
            rows += _rows(kernel, still, tiny)
        renderer = _renderers(stage, apps["tiny"], killer, stage.times(20, 2))
    rows.append(Row(what="a page's renderer, kernel idle", unit="s", values=renderer))
    return tuple(rows), ("A bare pywebview script is told nothing when its page's renderer dies.",)
