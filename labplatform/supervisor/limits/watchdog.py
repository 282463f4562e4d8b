"""Limits without any privilege: a thread that reads `/proc` and acts. For containers and Binder. Supervisor.

Memory is what is resident and not shared, read often enough that a leak at full speed is met early.
"""

from __future__ import annotations

import threading
from typing import ClassVar

from ...manifest import ResourceLimits
from ...messages import Usage
from .off import TreeGroup
from .tier import Breach, Breached, Tier

PERIOD = 0.05
"""Seconds between two looks at the memory of an app that has a limit."""


class Watchdog(Tier):
    """One thread for all groups of a platform."""

    name = "watchdog"
    counts = "resident memory that its processes do not share (PSS near the limit)"
    cannot: ClassVar[tuple[str, ...]] = (
        "memory is looked at some twenty times a second: a leak at full speed overshoots",
    )

    async def open(self) -> None:
        """Start to watch. Works everywhere."""
        self._groups: set[WatchedGroup] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def group(self, name: str, limits: ResourceLimits, breached: Breached) -> WatchedGroup:
        """A group that is watched from `attach` on."""
        return WatchedGroup(self, name, limits, breached)

    async def close(self) -> None:
        """Watch no more."""
        self._stop.set()
        await self.in_thread(self._thread.join, 1.0)
        await super().close()

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            for group in list(self._groups):
                group.look()


class WatchedGroup(TreeGroup):
    """One host's tree under watch."""

    tier: Watchdog

    def __init__(self, tier: Watchdog, name: str, limits: ResourceLimits, breached: Breached) -> None:
        super().__init__(tier, name, limits, breached)
        self._peak = 0

    async def attach(self, pid: int) -> None:
        """Begin to watch, before the process has executed."""
        await super().attach(pid)
        self.tier._groups.add(self)

    async def set(self, limits: ResourceLimits) -> None:
        """Holds from the next look on."""
        self.limits = limits

    def usage(self) -> Usage:
        """Read from `/proc`, a process at a time."""
        usage = super().usage()
        self._peak = max(self._peak, usage.memory)
        return Usage(memory=usage.memory, peak=self._peak, processes=usage.processes)

    def look(self) -> None:
        """One look; on the watchdog's thread."""
        limit = self.limits.max_memory
        if limit is None:
            return
        used = self.usage().memory
        if used > limit and self._breach is None:
            words = f"its memory was {used / 1e6:.0f} MB, over its limit of {limit / 1e6:.0f} MB (watchdog)"
            self._exceeded(Breach("memory", limit, used, words))
            self.kill_all()

    async def close(self) -> None:
        """Watch it no more."""
        self.tier._groups.discard(self)
