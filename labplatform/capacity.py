"""How much memory and CPU this machine has, and the container it may be: what is there, what is left. Any process.

A container's own limits count where they are below the machine's; they are read from its control group, version 2 or 1,
from the innermost group outwards. Files: https://docs.kernel.org/admin-guide/cgroup-v2.html and `cgroup-v1/memory`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import msgspec

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = "/proc/self/cgroup"
_NO_LIMIT = 1 << 60
"""Version 1 writes "no limit" as a number of pages near 2**63."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine, or the container that holds this process, has and has left.

    `memory`, `memory_left`: bytes. `cores`: CPUs that may be used, a fraction where a quota says so. `container`: which
    of the two figures are a container's own: "memory", "cpu".
    """

    memory: int
    memory_left: int
    cores: float
    container: tuple[str, ...] = ()


def capacity() -> Capacity:
    """Read it now: some tenths of a millisecond. Never raises; what cannot be read does not limit."""
    import psutil  # half of what it takes to import this package, and an app host never needs it

    machine = psutil.virtual_memory()
    memory, left, cores = machine.total, machine.available, float(_cores())
    container = []
    for limit, used in _memory_limits():
        if limit < memory:
            memory = limit
            container = ["memory"]
        if limit <= machine.total:
            left = min(left, max(0, limit - used))
    quota = min(_cpu_quotas(), default=cores)
    if quota < cores:
        cores = quota
        container.append("cpu")
    return Capacity(memory=memory, memory_left=left, cores=cores, container=tuple(container))


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _groups(controller: str) -> tuple[Path, ...]:
    """The folders of this process's control group for a controller, innermost first. In a container with a namespace of
    its own the path says "/", and the outermost folder is the container's.
    """
    try:
        text = _text(OWN_GROUPS)
    except OSError:
        return ()
    return _folders(controller, text, CGROUPS)


@lru_cache(maxsize=8)
def _folders(controller: str, text: str, mounted: Path) -> tuple[Path, ...]:
    """The same from what `/proc/self/cgroup` says: a supervisor asks each second, and it says the same each time."""
    folders = []
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            root = next((root for root in (mounted / controllers, mounted / controller) if root.is_dir()), None)
        elif not controllers:
            root = mounted if (mounted / "cgroup.controllers").exists() else None
        else:
            continue
        if root is None:
            continue
        folder = root / path.lstrip("/")
        while folder.is_relative_to(root):
            if folder.is_dir():
                folders.append(folder)
            if folder == root:
                break
            folder = folder.parent
    return tuple(folders)


def _text(file: str) -> str:
    """A small file. Without a file object, which takes longer than the reading."""
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        return os.read(descriptor, 1 << 16).decode()
    finally:
        os.close(descriptor)


def _number(file: str) -> int | None:
    try:
        text = _text(file).split()[0]
        return None if text == "max" else int(text)
    except (OSError, ValueError, IndexError):
        return None


def _memory_limits() -> Iterator[tuple[int, int]]:
    """Limit and use, in bytes, of each group that has a limit. File pages that can be dropped do not count as used."""
    for folder in _groups("memory"):
        for limit_file, used_file, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _number(f"{folder}/{limit_file}")
            if limit is not None and limit < _NO_LIMIT:
                used = _number(f"{folder}/{used_file}") or 0
                yield limit, max(0, used - _stat(f"{folder}/memory.stat", cache))


def _stat(file: str, key: str) -> int:
    try:
        for line in _text(file).splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0


def _cpu_quotas() -> Iterator[float]:
    """Cores that each group with a quota may use."""
    for folder in _groups("cpu"):
        try:
            quota, period = _text(f"{folder}/cpu.max").split()
        except (OSError, ValueError):
            quota = str(_number(f"{folder}/cpu.cfs_quota_us") or -1)
            period = str(_number(f"{folder}/cpu.cfs_period_us") or 0)
        if quota not in ("max", "-1") and int(period) > 0:
            yield int(quota) / int(period)
