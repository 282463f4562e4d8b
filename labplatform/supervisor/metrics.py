"""Memory and CPU of every process tree, read on a thread of its own. Supervisor.

`/proc` is read with plain `open` and no psutil: one reading of a process takes some 40 µs, so that a platform of eight
apps costs well under one percent of a core at one reading a second.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from ..messages import ProcessInfo
from . import linux

Trees = dict[int, frozenset[int]]
"""Root pid -> pids of its renderers."""
Sample = dict[int, tuple[ProcessInfo, ...]]
"""Root pid -> its tree, root first."""


class Sampler:
    """Reads the trees that `roots` names every `period` seconds and hands the sample to `tell`, on its own thread."""

    def __init__(self, period: float, roots: Callable[[], Trees], tell: Callable[[Sample, float], None]) -> None:
        self._period = period
        self._roots = roots
        self._tell = tell
        self._stop = threading.Event()
        self._booted = linux.boot_time()
        self._before: dict[tuple[int, int], tuple[float, float]] = {}
        self._roles: dict[tuple[int, int], str] = {}
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; returns when the thread has ended, within one reading."""
        self._stop.set()
        self._thread.join(2)

    def read(self, trees: Trees) -> Sample:
        """One reading. CPU is the share of one core used since the reading before; 0 for a process seen first."""
        now = time.monotonic()
        seen: dict[tuple[int, int], tuple[float, float]] = {}
        sample: Sample = {}
        own = os.getpid()
        for root, renderers in trees.items():
            rows = []
            for pid in [root] if root == own else linux.tree(root):
                try:
                    stat = linux.Stat(pid)
                    memory = linux.private_memory(pid)
                except (OSError, ValueError, IndexError):
                    continue
                key = (pid, stat.started)
                before = self._before.get(key)
                seen[key] = (now, stat.cpu)
                elapsed = now - before[0] if before else 0.0
                rows.append(
                    ProcessInfo(
                        pid=pid,
                        created=linux.started_seconds(stat, self._booted),
                        role=self._role(key, root, own, renderers),
                        memory=memory,
                        cpu=100 * (stat.cpu - before[1]) / elapsed if before and elapsed > 0 else 0.0,
                    )
                )
            sample[root] = tuple(rows)
        self._before = seen
        self._roles = {key: role for key, role in self._roles.items() if key in seen}
        return sample

    def _role(self, key: tuple[int, int], root: int, own: int, renderers: frozenset[int]) -> str:
        pid = key[0]
        if pid == own:
            return "supervisor"
        if pid == root:
            return "host"
        # A renderer is forked from a zygote and keeps its command line, so only Qt knows which is which.
        if pid in renderers:
            return "renderer"
        if key not in self._roles:
            zygote = any(word == "--type=zygote" for word in linux.command_line(pid))
            self._roles[key] = "zygote" if zygote else "helper"
        return self._roles[key]

    def _run(self) -> None:
        while not self._stop.wait(self._period):
            self._tell(self.read(self._roots()), time.time())
