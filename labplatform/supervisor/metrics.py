"""Memory and CPU of every process tree, read on a thread of its own. Supervisor.

`stat` and `statm` of each process stay open and are read with `pread`, some 10 µs together: a descriptor belongs to the
process that it was opened for, and fails when that is gone, whoever has its pid by then. Which processes have come is
asked once a second at most. PSS and USS come from `proportional`, what is made of it all is `figures`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from ..capacity import Capacity, capacity
from ..messages import ProcessInfo
from . import linux
from .newcomers import Newcomers
from .proportional import InTurn, Key, Proportional


class Known(NamedTuple):
    """What is known of a tree: which of its processes is the app host, and which are renderers."""

    host: int
    renderers: frozenset[int] = frozenset()


Trees = dict[int, Known]
"""By the pid of the root: the host itself, or the sandbox that it is in."""
LOOK_EVERY = 1.0
"""Seconds between two looks at which processes have come, and at what is left of the machine."""
LIST_EVERY = 10.0
"""Seconds between two listings of all trees; in between only what has come is looked for."""


class Sample(msgspec.Struct, frozen=True):
    """One reading. `at`: seconds since the epoch; `trees`: root pid -> its processes, the host first.

    `machine_cpu`: percent of one core that all there is on the machine has used since the reading before.
    """

    at: float
    trees: dict[int, tuple[ProcessInfo, ...]]
    capacity: Capacity
    machine_cpu: float = 0.0


class _Process:
    """One process that is watched: its files, and what it had used at the reading before."""

    def __init__(self, pid: int, booted: float) -> None:
        self.pid = pid
        self._stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._statm = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._stat)
            raise
        self._used: float | None = None
        self._at = 0.0
        stat = self.stat()
        self.key: Key = (pid, stat.started)
        self.created = linux.started_seconds(stat, booted)
        self.role: str | None = None

    def stat(self) -> linux.Stat:
        return linux.Stat(self.pid, os.pread(self._stat, 1 << 12, 0))

    def read(self, role: str, proportional: Proportional | None) -> ProcessInfo:
        """Its row. Raises `OSError` or `ValueError` when it is gone."""
        stat = self.stat()
        if stat.state in "ZX":
            raise ProcessLookupError(f"process {self.pid} has ended; its parent has not asked for it yet")
        rss, shared = linux.resident(os.pread(self._statm, 1 << 10, 0))
        now = time.monotonic()
        elapsed = now - self._at
        cpu = 0.0 if self._used is None or elapsed <= 0 else 100 * (stat.cpu - self._used) / elapsed
        self._used, self._at = stat.cpu, now
        measured = proportional is not None and proportional.pss is not None
        return ProcessInfo(
            pid=self.pid,
            created=self.created,
            role=role,
            memory=max(0, rss - shared),
            cpu=cpu,
            rss=rss,
            threads=stat.threads,
            pss=proportional.pss if measured else None,
            uss=proportional.uss if measured else None,
            measured=proportional.measured if measured else None,
        )

    def close(self) -> None:
        os.close(self._stat)
        os.close(self._statm)


class _Machine:
    """The work of all cores, whoever it is for."""

    def __init__(self) -> None:
        self._file = os.open("/proc/stat", os.O_RDONLY | os.O_CLOEXEC)
        self._used: float | None = None
        self._at = 0.0

    def read(self) -> float:
        """Percent of one core since the reading before; 0 at the first."""
        used, now = linux.busy_seconds(os.pread(self._file, 1 << 10, 0)), time.monotonic()
        before, elapsed = self._used, now - self._at
        self._used, self._at = used, now
        return 0.0 if before is None or elapsed <= 0 else 100 * (used - before) / elapsed

    def close(self) -> None:
        os.close(self._file)


class Sampler:
    """Reads the trees that `roots` names every `period` seconds and hands the sample to `tell`, on its own thread."""

    def __init__(self, period: float, roots: Callable[[], Trees], tell: Callable[[Sample], None]) -> None:
        self.period = period
        self._roots = roots
        self._tell = tell
        self._stop = threading.Event()
        self._booted = linux.boot_time()
        self._processes: dict[int, _Process] = {}
        self._members: dict[int, list[int]] = {}
        self._known: Trees = {}
        self._owners: dict[int, int] = {}
        """Process -> the root of its tree; the supervisor's own is none, for all apps are below it."""
        self._newcomers = Newcomers()
        self._looked = self._listed = 0.0
        self._capacity = capacity()
        self._in_turn = InTurn()
        self._machine = _Machine()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; returns when the thread has ended, within one reading."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(2)
        for process in self._processes.values():
            process.close()
        self._processes.clear()
        self._newcomers.close()
        self._machine.close()

    def read(self, trees: Trees) -> Sample:
        """One reading. CPU is the share of one core used since the reading before; 0 for a process seen first."""
        self._look(trees)
        self._in_turn.read({process.key for process in self._processes.values()})
        own = os.getpid()
        found: dict[int, tuple[ProcessInfo, ...]] = {}
        for root, known in trees.items():
            rows = []
            for pid in sorted(self._members.get(root, ()), key=known.host.__ne__):
                process = self._processes.get(pid)
                if process is None:
                    continue
                try:
                    role = self._role(process, root, own, known)
                    rows.append(process.read(role, self._in_turn.latest.get(process.key)))
                except (OSError, ValueError, IndexError):
                    self._processes.pop(pid).close()
                    self._members[root].remove(pid)
                    self._owners.pop(pid, None)
            found[root] = tuple(rows)
        return Sample(time.time(), found, self._capacity, self._machine.read())

    def _look(self, trees: Trees) -> None:
        """See which processes there are: those that have come once a second, a new tree or renderer at once."""
        now = time.monotonic()
        own = os.getpid()
        to_list = [root for root, known in trees.items() if known != self._known.get(root)]
        if now - self._looked >= LOOK_EVERY * 0.95:
            self._looked = now
            self._capacity = capacity()
            come = self._newcomers.below(self._owners)
            if come is None or now - self._listed >= LIST_EVERY:
                self._listed = now
                to_list = list(trees)
            else:
                for pid, parent in come:
                    if pid in self._owners:
                        continue  # in a listing that was made meanwhile
                    root = self._owners[pid] = self._owners[parent]
                    self._members[root].append(pid)
        for root in to_list:
            self._members[root] = [root] if root == own else linux.tree(root)
        self._members = {root: pids for root, pids in self._members.items() if root in trees}
        if to_list or trees.keys() != self._known.keys():
            self._owners = {pid: root for root, pids in self._members.items() if root != own for pid in pids}
        self._known = dict(trees)
        self._open(pid for pids in self._members.values() for pid in pids)

    def _open(self, pids: Iterable[int]) -> None:
        wanted = set(pids)
        for pid in [pid for pid in self._processes if pid not in wanted]:
            self._processes.pop(pid).close()
        for pid in wanted - self._processes.keys():
            try:
                self._processes[pid] = _Process(pid, self._booted)
            except (OSError, ValueError, IndexError):
                continue

    def _role(self, process: _Process, root: int, own: int, known: Known) -> str:
        if process.pid == own:
            return "supervisor"
        if process.pid == known.host:
            return "host"
        # A renderer is forked from a zygote and keeps its command line, so only Qt knows which is which.
        if process.pid in known.renderers:
            return "renderer"
        if process.role is None:
            words = linux.command_line(process.pid)
            boxes = process.pid == root or words[0].endswith("bwrap")
            process.role = "sandbox" if boxes else "zygote" if "--type=zygote" in words else "helper"
        return process.role

    def _run(self) -> None:
        while not self._stop.wait(self.period):
            self._tell(self.read(self._roots()))
