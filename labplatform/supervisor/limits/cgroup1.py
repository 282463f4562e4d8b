"""Limits by Linux's control groups, version 1: memory, cpu, freezer and pids. For root on older machines. Supervisor.

The kernel counts and holds: memory at the page, CPU by a quota in each tenth of a second. Where memory runs out it
kills one process of the group, the renderer most likely, and tells; the rest of the app is ended from here, frozen
first so that nothing escapes. https://docs.kernel.org/admin-guide/cgroup-v1/
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
import time
from pathlib import Path
from typing import ClassVar

import msgspec

from ...manifest import ResourceLimits
from ...messages import ProcessInfo, Usage
from . import cgroupfs
from .tier import Breach, Breached, CannotLimit, Group, Needs, Tier, Unavailable

CONTROLLERS = ("memory", "cpu", "freezer", "pids")
PERIOD = 100_000
"""Microseconds of CPU's accounting: an app that has used up its quota waits for the next period."""
LONGEST_PERIOD = 1_000_000
LEAST_QUOTA = 1000
"""Microseconds; the kernel takes no less, so a very small share has a longer period."""
SLACK = 1 << 20
"""Bytes below its limit at which a group counts as full: each CPU charges some pages ahead."""
FREEZING = 0.5
"""Seconds that a freeze may take before the processes are killed as they run."""
COUNT_EVERY = 0.1
"""Seconds between two looks at how many processes an app has, where that is limited."""
THREADS_EACH, THREADS_MORE = 64, 256
"""Threads that the kernel allows at most for each process that an app may have, and beside them, so that a fork bomb
comes to an end at once. Chromium's host has some fifty."""


class CgroupV1(Tier):
    """Groups below the one that this process is in, in each hierarchy."""

    name = "cgroup-v1"
    counts = (
        "memory of its own, shared memory and what the kernel keeps for it; pages of files that it was the first to "
        "read are held to the limit as well, and dropped before anything else"
    )
    cannot: ClassVar[tuple[str, ...]] = (
        "the kernel ends one process of an app that is out of memory, the platform the others some milliseconds later",
        "a limit little above what an app needs slows it down: its program's own pages are dropped and read again",
    )
    needs = Needs(page=115_000_000, service=16_000_000)

    def __init__(self, session: Path) -> None:
        super().__init__(session)
        self.folders: dict[str, Path] = {}
        """Controller -> this platform's folder, which holds one for each app host."""
        self._count = 0

    async def open(self) -> None:
        """Make this platform's folders, which shows whether this user may. Raises `Unavailable`."""
        await self.in_thread(self._make)

    def _make(self) -> None:
        for controller in CONTROLLERS:
            own = own_folder(controller)
            if own is None:
                raise Unavailable(f"no version 1 hierarchy has the {controller} controller")
            cgroupfs.remove_stale(own)
            folder = own / f"{cgroupfs.PREFIX}{os.getpid()}"
            self.leave_to_guardian(folder)
            try:
                folder.mkdir()
            except OSError as error:
                self._remove()
                raise Unavailable(f"no group can be made in {own}: {error.strerror}") from None
            self.folders[controller] = folder

    def _remove(self) -> None:
        for folder in self.folders.values():
            cgroupfs.remove(folder)

    def group(self, name: str, limits: ResourceLimits, breached: Breached) -> CgroupV1Group:
        """A group that is made when it gets its process."""
        self._count += 1
        return CgroupV1Group(self, f"{self._count}-{name}", limits, breached)

    async def close(self) -> None:
        """Remove this platform's folders; those of its groups are gone by now."""
        await self.in_thread(self._remove)
        await super().close()


def own_folder(controller: str) -> Path | None:
    """The folder of the group that this process is in, in the hierarchy of a controller; `None` if there is none."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        kind, _, options = tail.split(" ", 2)
        if kind == "cgroup" and controller in options.split(","):
            root, place = fields.split()[3:5]
            break
    else:
        return None
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            # A container sees its own group as the root of the mount, with or without a cgroup namespace.
            below = os.path.relpath(path, root) if path.startswith(root) else "."
            folder = Path(place, below)
            return folder if folder.is_dir() else Path(place)
    return None


class CgroupV1Group(Group):
    """One group in each hierarchy."""

    tier: CgroupV1

    def __init__(self, tier: CgroupV1, name: str, limits: ResourceLimits, breached: Breached) -> None:
        super().__init__(tier, name, limits, breached)
        self._folders = {controller: folder / name for controller, folder in tier.folders.items()}
        self._memory, self._cpu = self._folders["memory"], self._folders["cpu"]
        self._changing = asyncio.Lock()
        self._made = False
        self._closed = False
        self._working = threading.Lock()
        """Held by the thread that makes the group, or ends all of it."""
        self._event: int | None = None
        self._counting: asyncio.TimerHandle | None = None
        self._usage = Usage()

    # --- in and out

    async def attach(self, pid: int) -> None:
        """Make the group, limit it, put the process in. Raises `CannotLimit`."""
        async with self._changing:
            try:
                await self.tier.in_thread(self._make, pid)
            except OSError as error:
                raise CannotLimit(f"it cannot be put into a group of its own: {_words(error)}") from None
            self._made = True
        with contextlib.suppress(OSError):
            self._listen()
        self._count_processes()

    def _make(self, pid: int) -> None:
        with self._working:
            if self._closed:
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), f"process {pid}")
            self._fill(pid)

    def _fill(self, pid: int) -> None:
        for folder in self._folders.values():
            folder.mkdir()
        self._write(ResourceLimits(), self.limits)
        for folder in self._folders.values():
            cgroupfs.write(folder, "cgroup.procs", pid)

    def _listen(self) -> None:
        """Have the kernel tell when memory runs out, before it kills."""
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        control = os.open(self._memory / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            cgroupfs.write(self._memory, "cgroup.event_control", f"{self._event} {control}")
        finally:
            os.close(control)
        self.tier.loop.add_reader(self._event, self._out_of_memory)

    async def close(self) -> None:
        """End what is still inside, and remove the group."""
        self._closed = True
        if self._counting:
            self._counting.cancel()
        if self._event is not None:
            self.tier.loop.remove_reader(self._event)
            os.close(self._event)
            self._event = None
        await self.tier.in_thread(self._remove)

    def _remove(self) -> None:
        with self._working:
            self._kill()
            for folder in self._folders.values():
                cgroupfs.remove(folder)

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
        except OSError as error:
            with contextlib.suppress(OSError):
                self._write(None, before)
            raise CannotLimit(_words(error)) from None

    def _write(self, before: ResourceLimits | None, limits: ResourceLimits) -> None:
        """Write what is not as it was `before` (`None`: everything). Raises `OSError`. From a thread that may block."""
        if before is None or limits.max_processes != before.max_processes:
            most = limits.max_processes
            cgroupfs.write(
                self._folders["pids"], "pids.max", "max" if most is None else most * THREADS_EACH + THREADS_MORE
            )
        if before is None or limits.max_cpu != before.max_cpu:
            period, quota = _quota(limits.max_cpu)
            # The period first when it grows, or the kernel refuses what they are together for a moment.
            cgroupfs.write(self._cpu, "cpu.cfs_quota_us", -1)
            cgroupfs.write(self._cpu, "cpu.cfs_period_us", period)
            cgroupfs.write(self._cpu, "cpu.cfs_quota_us", quota)
        if before is None or limits.max_memory != before.max_memory:
            self._write_memory(limits.max_memory)

    def _write_memory(self, limit: int | None) -> None:
        if limit is not None and (used := self._used()) > limit:
            self._exceed(limit, used, f"it used {_mb(used)}, and its limit was set to {_mb(limit)}")
            return
        value = -1 if limit is None else limit
        names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        if not (self._memory / names[1]).exists():
            names.pop()
        # Memory with swap may at no moment be below memory alone.
        now = cgroupfs.number(self._memory, names[0])
        if limit is None or limit > now:
            names.reverse()
        for name in names:
            try:
                cgroupfs.write(self._memory, name, value)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                # The kernel could not get it down there: that is more than it may have.
                used = self._used()
                self._exceed(
                    limit or 0, used, f"the kernel could not get it from {_mb(used)} down to {_mb(limit or 0)}"
                )
                return

    # --- what is used

    def _used(self) -> int:
        """Bytes that the kernel cannot take back: what pages of files there are, it drops."""
        stat = cgroupfs.table(self._memory, "memory.stat")
        kernel = 0
        with contextlib.suppress(OSError, ValueError):
            kernel = cgroupfs.number(self._memory, "memory.kmem.usage_in_bytes")
        return stat.get("total_rss", 0) + stat.get("total_shmem", 0) + stat.get("total_swap", 0) + kernel

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
                throttled = cgroupfs.table(self._cpu, "cpu.stat").get("nr_throttled", 0)
        return msgspec.structs.replace(self._usage, throttled=throttled)

    def oom_kills(self) -> int:
        """How many of its processes an out-of-memory killer took, this group's or the machine's."""
        try:
            return cgroupfs.table(self._memory, "memory.oom_control").get("oom_kill", 0)
        except OSError:
            return 0

    # --- what is exceeded

    def _out_of_memory(self) -> None:
        """The kernel says that memory ran out: here, or in a group above, which tells all below it."""
        if self._event is None:
            return
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        limit = self.limits.max_memory
        with contextlib.suppress(OSError, ValueError):
            if limit is not None and cgroupfs.number(self._memory, "memory.usage_in_bytes") >= limit - SLACK:
                self._exceed(limit, limit, f"it reached its limit of {_mb(limit)}, and nothing could be taken back")
                return
        self.verdict()

    def verdict(self) -> Breach | None:
        """The kernel counts a kill before it sends the signal, so this is complete once a death was seen."""
        limit = self.limits.max_memory
        if self._breach is None and self._made and limit is not None and self.oom_kills():
            with contextlib.suppress(OSError, ValueError):
                peak = cgroupfs.number(self._memory, "memory.max_usage_in_bytes")
                if peak >= limit - SLACK:
                    self._exceed(limit, peak, f"it reached its limit of {_mb(limit)}, and the kernel killed a process")
        return self._breach

    def _exceed(self, limit: int, seen: int, words: str) -> None:
        self._exceeded(Breach("memory", limit, seen, f"{words} ({self.tier.name})"))
        self.kill_all()

    def _count_processes(self) -> None:
        """Look how many there are, again and again while that is limited."""
        if self._counting:
            self._counting.cancel()
            self._counting = None
        most = self.limits.max_processes
        if most is None or self._closed or not self._made:
            return
        seen = len(cgroupfs.processes(self._memory))
        if seen > most:
            words = f"it had {seen} processes, and its limit is {most} ({self.tier.name})"
            self._exceeded(Breach("processes", most, seen, words))
            self.kill_all()
        else:
            self._counting = self.tier.loop.call_later(COUNT_EVERY, self._count_processes)

    # --- the end of all of it

    def kill_all(self) -> None:
        """Freeze, kill, thaw; until nothing is left in it."""
        if self._made:
            self.tier.soon(self._kill_once)

    def _kill_once(self) -> None:
        if self._working.acquire(blocking=False):
            try:
                self._kill()
            finally:
                self._working.release()

    def _kill(self) -> None:
        freezer = self._folders["freezer"]
        with contextlib.suppress(OSError):
            # A process needs CPU to end as well.
            cgroupfs.write(self._cpu, "cpu.cfs_quota_us", -1)
        deadline = time.monotonic() + cgroupfs.EMPTYING
        while cgroupfs.processes(freezer) and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                cgroupfs.write(freezer, "freezer.state", "FROZEN")
                frozen_by = time.monotonic() + FREEZING
                while cgroupfs.read(freezer, "freezer.state").strip() != "FROZEN" and time.monotonic() < frozen_by:
                    time.sleep(cgroupfs.PAUSE / 4)
            cgroupfs.kill(freezer)
            # What is frozen does not die before it is thawed.
            with contextlib.suppress(OSError):
                cgroupfs.write(freezer, "freezer.state", "THAWED")
            time.sleep(cgroupfs.PAUSE)


def _quota(percent: float | None) -> tuple[int, int]:
    """Period and quota, in microseconds, for a percentage of one core; a quota of -1 is none."""
    if percent is None:
        return PERIOD, -1
    period = min(LONGEST_PERIOD, max(PERIOD, int(LEAST_QUOTA * 100 / percent)))
    return period, max(LEAST_QUOTA, int(period * percent / 100))


def _mb(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


def _words(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"this user may not write {error.filename} ({error.strerror})"
    if error.errno == errno.EINVAL:
        return "the kernel does not take it: a group above this one is held to less"
    return f"{error.strerror}: {error.filename}"
