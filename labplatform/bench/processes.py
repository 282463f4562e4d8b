"""What processes use, and which belong together. Runs in the bench's process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil


def tree(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu(processes: Iterable[psutil.Process]) -> dict[int, float]:
    """Seconds of CPU by pid, all threads; one that has ended is left out."""
    used = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used[process.pid] = times.user + times.system
    return used


def cpu_between(before: dict[int, float], after: dict[int, float]) -> float:
    """Seconds of CPU that processes used which are in both."""
    return sum(after[pid] - before[pid] for pid in after if pid in before)
