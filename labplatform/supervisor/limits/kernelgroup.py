"""Groups that the kernel holds to their limits, whichever files it has for that: what they have in common. Supervisor.

The kernel counts and ends; from here come the limits, the look at what it counted, and the end of whatever it left
alive. How a group is made, written, read and ended is left to the tiers: `cgroup1`, `cgroup2`, `systemd`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from abc import abstractmethod

import msgspec

from ...manifest import ResourceLimits, size_in_words
from ...messages import ProcessInfo, Usage
from .tier import Breach, Breached, CannotLimit, Group, Tier

PERIOD = 100_000
"""Microseconds of CPU's accounting: an app that has used up its quota waits for the next period."""
LONGEST_PERIOD = 1_000_000
LEAST_QUOTA = 1000
"""Microseconds; the kernel takes no less, so a very small share has a longer period."""
COUNT_EVERY = 0.1
"""Seconds between two looks at how many processes an app has, where that is limited."""
THREADS_EACH, THREADS_MORE = 64, 256
"""Threads that the kernel allows at most for each process that an app may have, and beside them, so that a fork bomb
comes to an end at once. Chromium's host has some fifty."""


class KernelGroup(Group):
    """One app host's group. Everything with an underscore but `_count_processes` runs on a thread that may block."""

    def __init__(self, tier: Tier, name: str, limits: ResourceLimits, breached: Breached) -> None:
        super().__init__(tier, name, limits, breached)
        self._changing = asyncio.Lock()
        self._made = False
        self._closed = False
        self._working = threading.Lock()
        """Held by the thread that makes the group, or ends all of it."""
        self._counting: asyncio.TimerHandle | None = None
        self._usage = Usage()

    # --- what a tier does its own way

    @abstractmethod
    def _fill(self, pid: int) -> None:
        """Make the group, limit it, put the process in. Raises `OSError`, `CannotLimit`."""

    @abstractmethod
    def _listen(self) -> None:
        """Have the kernel tell when memory runs out. On the loop. Raises `OSError`."""

    @abstractmethod
    def _stop_listening(self) -> None:
        """Be told no more. On the loop; also when `_listen` was never called."""

    @abstractmethod
    def _write(self, before: ResourceLimits | None, limits: ResourceLimits) -> None:
        """Write what is not as it was `before` (`None`: everything). Raises `OSError`, `CannotLimit`."""

    @abstractmethod
    def _used(self) -> int:
        """Bytes that the kernel cannot take back: what pages of files there are, it drops. Raises `OSError`."""

    @abstractmethod
    def _throttled(self) -> int:
        """How often it had to wait for CPU so far. Raises `OSError`."""

    @abstractmethod
    def _processes(self) -> list[int]:
        """Pids of all of it."""

    @abstractmethod
    def _kill(self) -> None:
        """Kill until nothing is left in it, or some seconds are over."""

    @abstractmethod
    def _remove(self) -> None:
        """Kill what is left and remove the group."""

    # --- in and out

    async def attach(self, pid: int) -> None:
        """Make the group, limit it, put the process in. Raises `CannotLimit`."""
        async with self._changing:
            try:
                await self.tier.in_thread(self._make, pid)
            except OSError as error:
                raise CannotLimit(f"it cannot be put into a group of its own: {refused(error)}") from None
            self._made = True
        with contextlib.suppress(OSError):
            self._listen()
        self._count_processes()

    def _make(self, pid: int) -> None:
        with self._working:
            if self._closed:
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), f"process {pid}")
            self._fill(pid)

    async def close(self) -> None:
        """End what is still inside, and remove the group."""
        self._closed = True
        if self._counting:
            self._counting.cancel()
        self._stop_listening()
        await self.tier.in_thread(self._end)

    def _end(self) -> None:
        with self._working:
            self._remove()

    # --- what holds

    async def set(self, limits: ResourceLimits) -> None:
        """Write what differs; what was written before a refusal is written back. Raises `CannotLimit`."""
        async with self._changing:
            if self._closed:
                raise CannotLimit("its process has just ended")
            if self._made:
                await self.tier.in_thread(self._change, limits)
            self.limits = limits
        self._count_processes()

    def _change(self, limits: ResourceLimits) -> None:
        before = self.limits
        try:
            self._write(before, limits)
        except (OSError, CannotLimit) as error:
            with contextlib.suppress(OSError, CannotLimit):
                self._write(None, before)
            raise CannotLimit(refused(error) if isinstance(error, OSError) else str(error)) from None

    # --- what is used

    def seen(self, rows: tuple[ProcessInfo, ...]) -> None:
        """Look at the group whenever the sampler looks at its processes."""
        super().seen(rows)
        with contextlib.suppress(OSError, ValueError):
            used = self._used()
            self._usage = Usage(memory=used, peak=max(used, self._usage.peak), processes=len(rows))

    def usage(self) -> Usage:
        """At the last sample; how often it was throttled, now."""
        throttled = 0
        if self.limits.max_cpu is not None:
            with contextlib.suppress(OSError):
                throttled = self._throttled()
        return msgspec.structs.replace(self._usage, throttled=throttled)

    # --- what is exceeded

    def _too_low(self, limit: int | None) -> bool:
        """Whether this memory limit is below what is used already; then that is dealt with, and it is not written."""
        if limit is None or (used := self._used()) <= limit:
            return False
        self._exceed(limit, used, f"it used {size_in_words(used)}, and its limit was set to {size_in_words(limit)}")
        return True

    def _exceed(self, limit: int, seen: int, words: str) -> None:
        self._exceeded(Breach("memory", limit, seen, f"{words} ({self.tier.name})"))
        self.kill_all()

    def _count_processes(self) -> None:
        """Look how many there are, again and again while that is limited. On the loop."""
        if self._counting:
            self._counting.cancel()
            self._counting = None
        most = self.limits.max_processes
        if most is None or self._closed or not self._made:
            return
        seen = len(self._processes())
        if seen > most:
            words = f"it had {seen} processes, and its limit is {most} ({self.tier.name})"
            self._exceeded(Breach("processes", most, seen, words))
            self.kill_all()
        else:
            self._counting = self.tier.loop.call_later(COUNT_EVERY, self._count_processes)

    # --- the end of all of it

    def kill_all(self) -> None:
        """Until nothing is left in it."""
        if self._made:
            self.tier.soon(self._kill_once)

    def _kill_once(self) -> None:
        if self._working.acquire(blocking=False):
            try:
                self._kill()
            finally:
                self._working.release()


def quota(percent: float | None) -> tuple[int, int]:
    """Period and quota, in microseconds, for a percentage of one core; a quota of -1 is none."""
    if percent is None:
        return PERIOD, -1
    period = min(LONGEST_PERIOD, max(PERIOD, int(LEAST_QUOTA * 100 / percent)))
    return period, max(LEAST_QUOTA, int(period * percent / 100))


def most_threads(processes: int | None) -> int | None:
    """Threads that the kernel allows to an app that may have so many processes."""
    return None if processes is None else processes * THREADS_EACH + THREADS_MORE


def refused(error: OSError) -> str:
    """What the kernel refused, for people."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"this user may not write {error.filename} ({error.strerror})"
    if error.errno == errno.EINVAL:
        return "the kernel does not take it: a group above this one is held to less"
    return f"{error.strerror}: {error.filename}"
