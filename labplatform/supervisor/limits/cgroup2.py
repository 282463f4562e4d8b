"""Limits by Linux's control groups, version 2, in a part of the tree that is this process's own. Supervisor.

The kernel counts and holds, and where memory runs out it ends the whole app at once (`memory.oom.group`).

Whose part it is matters more than whether it may be written. On a machine that systemd runs, the tree is systemd's but
for what it has delegated; a desktop's session is not, and gets scopes instead (`systemd`). Without systemd, as in a
container that has its groups writable, it is what this user may write. Groups that hold limits may lie only in a group
without processes of its own; where ours has some, they are moved into a leaf of it, and back when the last platform
ends, however it ends: see `guardian`. Platforms that come and go at one time do so one after the other.

A host is moved into its group while it is held. `clone3` could start it there, but `subprocess` cannot ask for that,
and `spawn` would have to do by hand what it has `subprocess` for: the descriptors, the session, the signals. A process
that is held has executed nothing of the app and has no memory of it, so there is nothing that the move comes too late
for.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import ClassVar

from ...alone import alone
from ...manifest import ResourceLimits
from . import cgroupfs
from .kernelgroup import most_threads, quota
from .tier import Breached, Needs, Tier, Unavailable
from .unified import CONTROLLERS, UnifiedGroup, missing, mount, path_of

LEAF = "labplatform-leaf"
"""The group below ours that takes in the processes that are in ours."""
ALONE_SECONDS = 5.0
"""Seconds that other platforms may take to begin or to end."""
MOST_ROUNDS = 100
"""Times that a group's processes are moved, for those that were forked meanwhile."""
SYSTEMD = Path("/run/systemd/system")
"""Is there where systemd runs the machine, see sd_booted(3)."""


class CgroupV2(Tier):
    """Groups below the nearest one that is ours."""

    name = "cgroup-v2"
    counts = (
        "memory of its own, shared memory and what the kernel keeps for it; pages of files that it was the first to "
        "read are held to the limit as well, and dropped before anything else"
    )
    cannot: ClassVar[tuple[str, ...]] = (
        "a limit little above what an app needs slows it down: its program's own pages are dropped and read again",
        "without a boundary, an app of the same user may write itself into another group",
    )
    needs = Needs(page=102_000_000, service=16_000_000)

    def __init__(self, session: Path) -> None:
        super().__init__(session)
        self.folder: Path | None = None
        """This platform's, which holds one for each app host."""
        self._above: Path | None = None
        self._count = 0

    async def open(self) -> None:
        """Make this platform's folder, which shows whether this user may. Raises `Unavailable`."""
        await self.in_thread(self._make)

    def _make(self) -> None:
        above = ours()
        folder = above / f"{cgroupfs.PREFIX}{os.getpid()}"
        self.leave_to_guardian(folder)
        self.give_back_later(above / LEAF)
        try:
            with alone(above, ALONE_SECONDS):
                self._above = above
                cgroupfs.remove_stale(above)
                enable(above)
                folder.mkdir()
                self.folder = folder
                cgroupfs.write(folder, "cgroup.subtree_control", _switch("+", CONTROLLERS))
        except OSError as error:
            self._remove()
            raise Unavailable(f"no group with limits can be made in {above}: {error.strerror}") from None

    def _remove(self) -> None:
        if self.folder is not None:
            cgroupfs.remove(self.folder)
        if self._above is not None:
            # What others hold for too long stays for the last of them.
            with contextlib.suppress(OSError), alone(self._above, ALONE_SECONDS):
                give_back(self._above)

    def group(self, name: str, limits: ResourceLimits, breached: Breached) -> CgroupV2Group:
        """A group that is made when it gets its process."""
        self._count += 1
        return CgroupV2Group(self, f"{self._count}-{name}", limits, breached)

    async def close(self) -> None:
        """Remove this platform's folder; those of its groups are gone by now."""
        await self.in_thread(self._remove)
        await super().close()


# --- whose part of the tree -------------------------------------------------------------------------------------------


def ours() -> Path:
    """The nearest group, from this process's own upwards, below which groups may be made. Raises `Unavailable`."""
    mounted = mount()
    if mounted is None:
        raise Unavailable("version 2 is not mounted")
    place, root = mounted
    if absent := missing(place):
        older = " (version 1 has them here)" if set(absent) <= _of_version_1() else ""
        raise Unavailable(f"{place} has no {', '.join(absent)} controller{'s' * (len(absent) > 1)}{older}")
    path = path_of()
    # A container sees its own group as the root of the mount, with or without a cgroup namespace.
    below = os.path.relpath(path, root) if path.startswith(root) else "."
    own = Path(os.path.normpath(place / below))
    if not own.is_dir():
        own = place
    if own.name == LEAF:
        # Another platform has moved us there.
        own = own.parent
    refusals = []
    for folder in (own, *own.parents):
        if why := _not_ours(folder):
            refusals.append(why)
        elif absent := missing(folder):
            refusals.append(f"{folder} has no {', '.join(absent)}")
        else:
            return folder
        if folder == place:
            break
    raise Unavailable(refusals[0])


def _of_version_1() -> set[str]:
    """The controllers that version 1 has, which version 2 then has not."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return {name for line in lines for name in line.split(":")[1].split(",")}


def _not_ours(folder: Path) -> str:
    """Why no groups may be made below a group; "" if they may."""
    for name in ("", "cgroup.procs", "cgroup.subtree_control"):
        if not os.access(folder / name, os.W_OK):
            return f"this user may not write {folder / name}"
    if SYSTEMD.is_dir() and not _delegated(folder):
        return f"systemd manages {folder} and has not delegated it"
    return ""


def _delegated(folder: Path) -> bool:
    """Whether systemd has handed a group over, to somebody who is not a systemd of a user's. It marks it so."""
    if re.fullmatch(r"user@\d+\.service", folder.name):
        return False
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def enable(folder: Path) -> None:
    """Have the groups below a group count and hold, its own processes out of the way if need be. Raises `OSError`."""
    absent = missing(folder, "cgroup.subtree_control")
    if not absent:
        return
    with contextlib.suppress(OSError):
        # The machine's root may have processes and groups that hold.
        cgroupfs.write(folder, "cgroup.subtree_control", _switch("+", absent))
        return
    leaf = folder / LEAF
    leaf.mkdir(exist_ok=True)
    try:
        for _ in range(MOST_ROUNDS):
            if not _move(folder, leaf):
                break
        cgroupfs.write(folder, "cgroup.subtree_control", _switch("+", absent))
    except OSError:
        give_back(folder)
        raise


def give_back(folder: Path) -> None:
    """Undo what `enable` did to a group that held processes, unless another platform's groups are in it."""
    leaf = folder / LEAF
    if not leaf.is_dir() or any(folder.glob(f"{cgroupfs.PREFIX}[0-9]*")):
        return
    with contextlib.suppress(OSError):
        on = [name for name in CONTROLLERS if name not in missing(folder, "cgroup.subtree_control")]
        cgroupfs.write(folder, "cgroup.subtree_control", _switch("-", on))
        for _ in range(MOST_ROUNDS):
            if not _move(leaf, folder):
                break
        leaf.rmdir()


def _move(there: Path, here: Path) -> int:
    """Move the processes of one group into another; how many there were. Raises `OSError`."""
    pids = cgroupfs.processes(there)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            cgroupfs.write(here, "cgroup.procs", pid)
    return len(pids)


def _switch(sign: str, controllers: list[str] | tuple[str, ...]) -> str:
    return " ".join(f"{sign}{controller}" for controller in controllers)


class CgroupV2Group(UnifiedGroup):
    """One group, made and written here."""

    tier: CgroupV2

    def __init__(self, tier: CgroupV2, name: str, limits: ResourceLimits, breached: Breached) -> None:
        super().__init__(tier, name, limits, breached)
        self.folder = tier.folder / name

    def _fill(self, pid: int) -> None:
        self.folder.mkdir()
        cgroupfs.write(self.folder, "memory.oom.group", 1)
        self._write(ResourceLimits(), self.limits)
        cgroupfs.write(self.folder, "cgroup.procs", pid)

    def _remove(self) -> None:
        self._kill()
        # An app may have made groups in its own.
        for folder in cgroupfs.below(self.folder):
            cgroupfs.remove(folder)

    def _write(self, before: ResourceLimits | None, limits: ResourceLimits) -> None:
        if before is None or limits.max_processes != before.max_processes:
            most = most_threads(limits.max_processes)
            cgroupfs.write(self.folder, "pids.max", "max" if most is None else most)
        if before is None or limits.max_cpu != before.max_cpu:
            period, share = quota(limits.max_cpu)
            cgroupfs.write(self.folder, "cpu.max", f"{'max' if share < 0 else share} {period}")
        limit = limits.max_memory
        if (before is None or limit != before.max_memory) and not self._too_low(limit):
            cgroupfs.write(self.folder, "memory.max", "max" if limit is None else limit)
            if (self.folder / "memory.swap.max").exists():
                cgroupfs.write(self.folder, "memory.swap.max", "max" if limit is None else 0)
