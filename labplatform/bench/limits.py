"""What memory limits hold of an app that leaks at full speed: how far beyond, and how soon all of it is gone.

The leak writes down itself how far it came and when, in a file that outlives it; what the platform says is not used.
Measured with the best tier that works here and with the watchdog, which works everywhere. Then what watching costs a
platform whose apps do nothing.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..errors import LabTimeout
from ..kernel.app import App
from ..kernel.platform import Platform
from ..manifest import ResourceLimits
from .figures import Row
from .idle import APPS, QUICK_WINDOW, WINDOW, shares
from .rivals import TINY
from .stage import Measured, Stage, wait_until

TITLE = "a leak at full speed against its memory limit"
LEAKER = TINY.parent / "leaker"
BLOCK, MOST = 1_000_000, 4000
"""Bytes that the leak fills between two entries, and how many entries there are; as in `leaker/side.py`."""
ROOM = 100_000_000
"""Bytes that it may fill before it is over its limit."""
OVERSHOOT, OVERSHOOT_AT_MOST = 10e6, 50e6
GONE = 0.1
"""Seconds from the breach to the end of the last process."""
HOLDS = 0.1
"""Seconds until a limit that is changed holds."""
LOWERED = 140_000_000
"""Bytes that an app is held to that has more: some more than an empty one needs."""
FILL = "window.kept = Array.from({length: 15}, (_, number) => new Uint8Array(1e7).fill(number + 1)); kept.length"
UP_SECONDS = 60.0
GONE_SECONDS = 20.0


class Leak:
    """The file that the leak and the bench share."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "leak"
        self.path.write_bytes(bytes(8 * (MOST + 1)))
        self._file = self.path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 0)
        self.entries = memoryview(self._map).cast("q")

    def reset(self) -> None:
        """Forget the last one."""
        self.entries[:] = memoryview(bytes(8 * (MOST + 1))).cast("q")

    def filled(self) -> int:
        """Bytes, at its end."""
        return BLOCK * sum(1 for at in self.entries[1:] if at)

    def reached(self, size: float) -> float | None:
        """When it had filled so many bytes, in seconds on the monotonic clock; `None` if it never had."""
        at = self.entries[min(MOST, int(size // BLOCK) + 1)]
        return at / 1e9 if at else None

    def ended(self) -> float:
        """When it filled its last block, in seconds on the monotonic clock."""
        return max(self.entries[1:]) / 1e9

    def close(self) -> None:
        """Let go of it."""
        self.entries.release()
        self._map.close()
        self._file.close()


def tiers() -> list[str]:
    """The best tier that works here, and the watchdog."""
    with Platform(TINY, display="offscreen", quiet=True, alongside=True) as platform:
        best = platform.enforcement.tier
    return list(dict.fromkeys([best, "watchdog"]))


@contextlib.contextmanager
def _ends(pids: list[int]) -> Iterator[select.poll]:
    descriptors = [os.pidfd_open(pid) for pid in pids]
    try:
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        yield poll
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _all_gone(poll: select.poll, count: int) -> float:
    """When the last of them ended, on the monotonic clock."""
    deadline = time.monotonic() + GONE_SECONDS
    while count:
        left = deadline - time.monotonic()
        ended = poll.poll(max(0, left * 1000))
        if not ended:
            raise LabTimeout(f"waited {GONE_SECONDS:g} s for {count} processes of an app over its limit to end")
        for descriptor, _ in ended:
            poll.unregister(descriptor)
            count -= 1
    return time.monotonic()


def _leaks(stage: Stage, tier: str, leak: Leak, count: int) -> tuple[list[float], list[float]]:
    over: list[float] = []
    took: list[float] = []
    # Without a boundary: inside one, the app would not see the file.
    options = {"limits": tier, "boundary": "off", "sampling": 0.2}
    with Platform(LEAKER, display="offscreen", quiet=True, alongside=True, **options) as platform:
        leak.reset()
        app = platform.launch("leaker", resource_limits=ResourceLimits(max_memory="2GB"))
        for _ in stage.rounds(count, tier):
            baseline = _settled(app)
            app.set_resource_limits(max_memory=baseline + ROOM)
            incarnation, pids = app.incarnation, [process.pid for process in app.processes]
            with _ends(pids) as poll:
                leak.entries[0] = 1
                gone = _all_gone(poll, len(pids))
            # Where the kernel counts it never is over its limit: then from what it filled last.
            breach = leak.reached(ROOM) or leak.ended()
            filled = leak.filled()
            over.append(max(0.0, filled - ROOM))
            took.append(gone - breach)
            leak.reset()
            wait_until(
                app, lambda n=incarnation: app.incarnation > n and app.state == "running", UP_SECONDS, "to come back"
            )
            app.set_resource_limits(max_memory="2GB")
    return over, took


def _lowered(stage: Stage, tier: str, count: int) -> tuple[list[float], list[float]]:
    """Seconds until a change of a running app's limits holds, and until one that it is over already has ended it."""
    holds: list[float] = []
    took: list[float] = []
    with stage.platform(limits=tier, sampling=0.2) as platform:
        app = platform.launch("tiny", resource_limits=ResourceLimits(max_memory="2GB", max_cpu=100))
        for _ in stage.rounds(count, f"{tier}, lowered"):
            app.evaluate_js(FILL, timeout=UP_SECONDS)
            # The memory that it is over is seen by whoever counts it, which is not what is measured here.
            wait_until(app, lambda: app.usage.memory > LOWERED + ROOM / 2, UP_SECONDS, "to show what it filled")
            began = time.monotonic()
            app.set_resource_limits(max_memory="1GB", max_cpu=90)
            holds.append(time.monotonic() - began)
            incarnation, pids = app.incarnation, [process.pid for process in app.processes]
            with _ends(pids) as poll:
                began = time.monotonic()
                app.set_resource_limits(max_memory=LOWERED)
                took.append(_all_gone(poll, len(pids)) - began)
            wait_until(
                app, lambda n=incarnation: app.incarnation > n and app.state == "running", UP_SECONDS, "to come back"
            )
            app.set_resource_limits(max_memory="2GB", max_cpu=100)
    return holds, took


def _settled(app: App) -> int:
    """Bytes that it uses, once that does not change any more."""
    looks: list[int] = []

    def still() -> bool:
        if len(app.processes) >= 4 and app.usage.memory > 50_000_000:
            looks.append(app.usage.memory)
        return len(looks) > 3 and max(looks[-3:]) - min(looks[-3:]) < 500_000

    wait_until(app, still, UP_SECONDS, "to come to rest")
    return looks[-1]


def _costs(stage: Stage, seconds: float, limits: ResourceLimits | None) -> float:
    with stage.platform(limits="watchdog") as platform:
        for _ in range(APPS):
            platform.launch("tiny", timeout=UP_SECONDS, resource_limits=limits)
        (share,) = shares([[psutil.Process(platform.supervisor_pid)]], seconds)
    return share


def measure(stage: Stage) -> Measured:
    """Each tier in turn, then the cost of watching beside that of not watching."""
    rows: list[Row] = []
    leak = Leak(stage.folder)
    os.environ["LABPLATFORM_BENCH_LEAK"] = str(leak.path)
    try:
        for tier in tiers():
            over, took = _leaks(stage, tier, leak, stage.times(20, 2))
            rows.append(Row(what=f"{tier}: beyond its limit", unit="bytes", values=tuple(over), target=OVERSHOOT))
            rows.append(
                Row(what=f"{tier}: breach to the last process's end", unit="s", values=tuple(took), target=GONE)
            )
            holds, took = _lowered(stage, tier, stage.times(10, 2))
            rows.append(Row(what=f"{tier}: a change holds", unit="s", values=tuple(holds), target=HOLDS))
            rows.append(Row(what=f"{tier}: lowered, to the last process's end", unit="s", values=tuple(took)))
    finally:
        del os.environ["LABPLATFORM_BENCH_LEAK"]
        leak.close()
    seconds = QUICK_WINDOW if stage.quick else WINDOW
    held = ResourceLimits(max_memory="400MB", max_cpu=100, max_processes=30)
    costs: dict[bool, list[float]] = {True: [], False: []}
    for number in stage.rounds(2 * stage.times(2, 1), "supervisor"):
        costs[number % 2 == 0].append(_costs(stage, seconds, held if number % 2 == 0 else None))
    unit = "percent of one core"
    rows.append(Row(what=f"supervisor, {APPS} idle apps watched", unit=unit, values=tuple(costs[True]), target=1.0))
    rows.append(Row(what="the same, nothing limited", unit=unit, values=tuple(costs[False]), beside=True))
    return tuple(rows), (
        f"{ROOM / 1e6:.0f} MB from its baseline to its limit; at most {OVERSHOOT_AT_MOST / 1e6:.0f} MB beyond by the "
        "watchdog, nothing where the kernel counts.",
    )
