"""One group of control groups' version 2, the unified hierarchy: what it holds, counts and says. Supervisor.

Who makes the group, and who writes its limits, is left to the tiers: `cgroup2` does both itself, `systemd` has both
done. What a group says of its end is exact here: `oom` counts that its own limit was reached, `oom_kill` that one of
its processes was killed for want of memory. The second without the first was the machine, or a group above.
https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from pathlib import Path

from ...manifest import ResourceLimits, size_in_words
from . import cgroupfs, tree
from .kernelgroup import KernelGroup
from .tier import Breach, Breached, Tier

CONTROLLERS = ("cpu", "memory", "pids")
FREEZING = 0.5
"""Seconds that a freeze may take before the processes are killed as they run."""


def mount() -> tuple[Path, str] | None:
    """Where the unified hierarchy is mounted, and which of its groups one sees there as the root; `None`: nowhere."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        if tail.startswith("cgroup2 "):
            root, place = fields.split()[3:5]
            return Path(place), root
    return None


def path_of(pid: int | str = "self") -> str:
    """The path of the group that a process is in, as the kernel names it. Raises `OSError`; "" if it is in none."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:]
    return ""


def missing(folder: Path, name: str = "cgroup.controllers") -> list[str]:
    """The controllers that limits take and a group has not got, or has not got for those below it."""
    try:
        offered = cgroupfs.read(folder, name).split()
    except OSError:
        offered = []
    return [controller for controller in CONTROLLERS if controller not in offered]


class UnifiedGroup(KernelGroup):
    """One group in the unified hierarchy. `folder`: of its files, known once it is made."""

    folder: Path

    def __init__(self, tier: Tier, name: str, limits: ResourceLimits, breached: Breached) -> None:
        super().__init__(tier, name, limits, breached)
        self._events: int | None = None
        self._poll: select.epoll | None = None
        self._looking = threading.Lock()
        self._last = cgroupfs.Table("")
        """What the file said when it was there last: `systemd` removes a group as soon as it is empty."""

    # --- what it says

    def _listen(self) -> None:
        """The kernel marks the file whenever one of its numbers has moved, until it is read again.

        That mark is "exceptional", and the file is always readable too: asyncio, which asks for the latter, would never
        sleep. So it watches an epoll that asks for the former alone.
        """
        self._events = os.open(self.folder / "memory.events", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.epoll()
        self._poll.register(self._events, select.EPOLLPRI)
        self.tier.loop.add_reader(self._poll.fileno(), self.verdict)
        self._look()

    def _stop_listening(self) -> None:
        if self._poll is not None:
            self.tier.loop.remove_reader(self._poll.fileno())
            self._poll.close()
            self._poll = None
        if self._events is not None:
            self._look()
        with self._looking:
            if self._events is not None:
                os.close(self._events)
                self._events = None

    def _look(self) -> cgroupfs.Table:
        """What `memory.events` says now, or said last."""
        with self._looking:
            if self._events is not None:
                try:
                    self._last = cgroupfs.Table(os.pread(self._events, 4096, 0).decode())
                except OSError:
                    # The group is gone, and its mark would stay for ever.
                    os.close(self._events)
                    self._events = None
            return self._last

    def verdict(self) -> Breach | None:
        """The kernel counts a kill before it sends the signal, so this is complete once a death was seen.

        The file is marked first when the limit is met, and once more when a process is killed for it: the next look, or
        the next mark, sees that.
        """
        events = self._look()
        limit = self.limits.max_memory
        if self._breach is None and limit is not None and events.get("oom") and events.get("oom_kill"):
            words = f"it reached its limit of {size_in_words(limit)}, and the kernel killed it"
            self._exceed(limit, self._peak(limit), words)
        return self._breach

    def _peak(self, limit: int) -> int:
        """Bytes it had at most; Linux tells from 5.19 on. Before, it is what it was held to."""
        try:
            return cgroupfs.number(self.folder, "memory.peak")
        except (OSError, ValueError):
            return limit

    def oom_kills(self) -> int:
        """How many of its processes an out-of-memory killer took, this group's or the machine's."""
        return self._look().get("oom_kill")

    # --- what is used

    def _used(self) -> int:
        stat = cgroupfs.table(self.folder, "memory.stat")
        # One sum of what the kernel keeps from Linux 5.18 on, its parts before.
        parts = ("kernel_stack", "pagetables", "percpu", "slab")
        kernel = stat.get("kernel", sum(stat.get(part) for part in parts)) - stat.get("slab_reclaimable")
        swapped = 0
        with contextlib.suppress(OSError, ValueError):
            swapped = cgroupfs.number(self.folder, "memory.swap.current")
        return stat.get("anon") + stat.get("shmem") + max(0, kernel) + swapped

    def _throttled(self) -> int:
        return cgroupfs.table(self.folder, "cpu.stat").get("nr_throttled")

    def _processes(self) -> list[int]:
        return [pid for folder in cgroupfs.below(self.folder) for pid in cgroupfs.processes(folder)]

    # --- the end of all of it

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            # A process needs CPU to end as well.
            cgroupfs.write(self.folder, "cpu.max", "max")
        deadline = time.monotonic() + cgroupfs.EMPTYING
        while populated(self.folder) and time.monotonic() < deadline:
            try:
                cgroupfs.write(self.folder, "cgroup.kill", 1)
            except FileNotFoundError:
                kill_frozen(self.folder)
            except OSError:
                break
            time.sleep(cgroupfs.PAUSE)


def populated(folder: Path) -> bool:
    """Whether a process is in a group or below it, one that has ended and was not waited for not counted."""
    try:
        return bool(cgroupfs.table(folder, "cgroup.events").get("populated"))
    except OSError:
        return False


def kill_frozen(folder: Path) -> None:
    """Freeze a group, SIGKILL what is in it, thaw it: for kernels before 5.14, which have no `cgroup.kill`."""
    with contextlib.suppress(OSError):
        cgroupfs.write(folder, "cgroup.freeze", 1)
        frozen_by = time.monotonic() + FREEZING
        while not cgroupfs.table(folder, "cgroup.events").get("frozen") and time.monotonic() < frozen_by:
            time.sleep(cgroupfs.PAUSE / 4)
    for below in cgroupfs.below(folder):
        for pid in cgroupfs.processes(below):
            tree.send(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        cgroupfs.write(folder, "cgroup.freeze", 0)
