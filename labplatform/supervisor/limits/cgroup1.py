"""Limits by Linux's control groups, version 1: memory, cpu, freezer and pids. For root on older machines. Supervisor.

The kernel counts and holds: memory at the page, CPU by a quota in each tenth of a second. Where memory runs out it
kills one process of the group, the renderer most likely, and tells; the rest of the app is ended from here, frozen
first so that nothing escapes. https://docs.kernel.org/admin-guide/cgroup-v1/
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path
from typing import ClassVar

from ...manifest import ResourceLimits, size_in_words
from . import cgroupfs
from .kernelgroup import KernelGroup, most_threads, quota
from .tier import Breach, Breached, Needs, Tier, Unavailable

CONTROLLERS = ("memory", "cpu", "freezer", "pids")
SLACK = 1 << 20
"""Bytes below its limit at which a group counts as full: each CPU charges some pages ahead."""
FREEZING = 0.5
"""Seconds that a freeze may take before the processes are killed as they run."""


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
    needs = Needs(page=102_000_000, service=16_000_000)

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


class CgroupV1Group(KernelGroup):
    """One group in each hierarchy."""

    tier: CgroupV1

    def __init__(self, tier: CgroupV1, name: str, limits: ResourceLimits, breached: Breached) -> None:
        super().__init__(tier, name, limits, breached)
        self._folders = {controller: folder / name for controller, folder in tier.folders.items()}
        self._memory, self._cpu = self._folders["memory"], self._folders["cpu"]
        self._event: int | None = None

    # --- in and out

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

    def _stop_listening(self) -> None:
        if self._event is not None:
            self.tier.loop.remove_reader(self._event)
            os.close(self._event)
            self._event = None

    def _remove(self) -> None:
        self._kill()
        for folder in self._folders.values():
            cgroupfs.remove(folder)

    # --- what holds

    def _write(self, before: ResourceLimits | None, limits: ResourceLimits) -> None:
        if before is None or limits.max_processes != before.max_processes:
            most = most_threads(limits.max_processes)
            cgroupfs.write(self._folders["pids"], "pids.max", "max" if most is None else most)
        if before is None or limits.max_cpu != before.max_cpu:
            period, share = quota(limits.max_cpu)
            # The period first when it grows, or the kernel refuses what they are together for a moment.
            cgroupfs.write(self._cpu, "cpu.cfs_quota_us", -1)
            cgroupfs.write(self._cpu, "cpu.cfs_period_us", period)
            cgroupfs.write(self._cpu, "cpu.cfs_quota_us", share)
        if before is None or limits.max_memory != before.max_memory:
            self._write_memory(limits.max_memory)

    def _write_memory(self, limit: int | None) -> None:
        if self._too_low(limit):
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
                used, most = self._used(), limit or 0
                self._exceed(
                    most, used, f"the kernel could not get it from {size_in_words(used)} down to {size_in_words(most)}"
                )
                return

    # --- what is used

    def _used(self) -> int:
        stat = cgroupfs.table(self._memory, "memory.stat")
        kernel = 0
        with contextlib.suppress(OSError, ValueError):
            kernel = cgroupfs.number(self._memory, "memory.kmem.usage_in_bytes")
        return sum(stat.get(f"total_{part}") for part in ("rss", "shmem", "swap")) + kernel

    def _throttled(self) -> int:
        return cgroupfs.table(self._cpu, "cpu.stat").get("nr_throttled")

    def _processes(self) -> list[int]:
        return cgroupfs.processes(self._memory)

    def oom_kills(self) -> int:
        """How many of its processes an out-of-memory killer took, this group's or the machine's."""
        try:
            return cgroupfs.table(self._memory, "memory.oom_control").get("oom_kill")
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
                words = f"it reached its limit of {size_in_words(limit)}, and nothing could be taken back"
                self._exceed(limit, limit, words)
                return
        self.verdict()

    def verdict(self) -> Breach | None:
        """The kernel counts a kill before it sends the signal, so this is complete once a death was seen."""
        limit = self.limits.max_memory
        if self._breach is None and self._made and limit is not None and self.oom_kills():
            with contextlib.suppress(OSError, ValueError):
                peak = cgroupfs.number(self._memory, "memory.max_usage_in_bytes")
                if peak >= limit - SLACK:
                    words = f"it reached its limit of {size_in_words(limit)}, and the kernel killed a process"
                    self._exceed(limit, peak, words)
        return self._breach

    # --- the end of all of it

    def _kill(self) -> None:
        """Freeze, kill, thaw; until nothing is left in it."""
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
