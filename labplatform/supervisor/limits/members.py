"""The processes of a watched app, read for next to nothing; which there are is found by `newcomers`. Supervisor.

Reading a process costs some microseconds. What its CPU clock says costs a system call and no file; one that has not run
has not grown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from .. import linux
from ..newcomers import Reader
from .headroom import Cheap

WORTH_READING = 100_000
"""Nanoseconds of CPU in which a process cannot have written much; only after them its memory is read again."""

_PAGE = os.sysconf("SC_PAGE_SIZE")
_pread = Reader()  # all groups are read on the watchdog's thread


class Member:
    """One process. `started`: in clock ticks; `cpu`: nanoseconds that it had used itself at the last look."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.started = linux.Stat(pid).started
        self._statm = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        # Of a whole process, as glibc's clock_getcpuclockid makes it; see clock_getcpuclockid(3). One that has ended
        # and was not waited for still has one.
        self.clock = (~pid << 3) | 2
        self.cpu = 0
        self._read_at = -WORTH_READING
        self._cheap = Cheap(0, 0)
        self._stat: int | None = None
        self._waited_at = -1
        self._waited = 0.0

    def memory(self) -> Cheap:
        """Its memory, read again if it has run since."""
        if self.cpu - self._read_at >= WORTH_READING:
            self._read_at = self.cpu
            # The file stays that of this process, whoever gets its pid.
            fields = _pread(self._statm).split()
            shared = int(fields[2]) * _PAGE if len(fields) > 2 else 0
            self._cheap = Cheap(max(0, int(fields[1]) * _PAGE - shared), shared) if fields else Cheap(0, 0)
        return self._cheap

    def waited(self) -> float:
        """Seconds of CPU of children that it has waited for; read again if it has run since, as who waits has to."""
        if self.cpu != self._waited_at:
            if self._stat is None:
                self._stat = os.open(f"/proc/{self.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
            if text := _pread(self._stat):
                self._waited = linux.Stat(self.pid, text).cpu_of_children
            self._waited_at = self.cpu
        return self._waited

    def exact(self) -> int:
        """Bytes that it has of its own, its share of what is shared with forks, shared memory, and what is swapped out.

        Pages of files are left out: the system drops them when it has to. A millisecond. A system that does not let
        this be read gets the cheap figure.
        """
        found = 0
        try:
            for line in linux.read(f"/proc/{self.pid}/smaps_rollup").splitlines():
                name, _, rest = line.partition(b":")
                if name in (b"Pss_Anon", b"Pss_Shmem", b"SwapPss"):
                    found += int(rest.split()[0]) << 10
        except OSError:
            pass
        return found or self.memory().private

    def close(self) -> None:
        """Read it no more."""
        os.close(self._statm)
        if self._stat is not None:
            os.close(self._stat)


class Members:
    """The processes below one host, itself among them."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.by_pid: dict[int, Member] = {}
        self._parents = {root}
        self._lost = 0.0
        self._high = 0.0
        self._low = False
        self._lowest = 0.0
        self._changes = 0
        """How often one of them was seen to have run, to have come or to be gone. Most apps rest most of the time and
        are looked at some twenty times a second: what did not change is not summed up again."""
        self._memory: tuple[int, Cheap] = (-1, Cheap(0, 0))
        self._counted = -1
        self.add([root])

    def add(self, pids: Iterable[int]) -> list[int]:
        """Take processes in that are below the root; returns the new ones."""
        new = []
        for pid in pids:
            if pid not in self.by_pid:
                try:
                    self.by_pid[pid] = Member(pid)
                except (OSError, ValueError, IndexError):
                    continue
                new.append(pid)
        self._changes += len(new)
        return new

    def parent(self, pid: int) -> None:
        """This member has a child."""
        self._parents.add(pid)

    def look(self) -> list[int]:
        """Read the clock of each, and forget those that are gone; returns these."""
        gone = []
        for pid, member in self.by_pid.items():
            try:
                cpu = time.clock_gettime_ns(member.clock)
            except OSError:
                gone.append(pid)
                continue
            if cpu != member.cpu:
                member.cpu = cpu
                self._changes += 1
        for pid in gone:
            self.by_pid.pop(pid).close()
            self._parents.discard(pid)
            self._changes += 1
        return gone

    def memory(self) -> Cheap:
        """All of it, after a look."""
        if self._memory[0] != self._changes:
            private = shared = 0
            for member in self.by_pid.values():
                cheap = member.memory()
                private += cheap.private
                shared += cheap.shared
            self._memory = self._changes, Cheap(private, shared)
        return self._memory[1]

    def exact(self) -> int:
        """Bytes of all of them, counted exactly."""
        return sum(member.exact() for member in self.by_pid.values())

    def cpu(self) -> float:
        """Seconds used so far by all there are and were, after a look. Never less than before.

        A child's time goes over to its parent when the parent waits for it. One whose parent ignores its end takes its
        time away with it: what is missing then at two looks in a row is added for good.
        """
        if self._counted == self._changes and not self._low:
            return self._high
        self._counted = self._changes
        waited = 0.0
        for pid in self._parents:
            try:
                waited += self.by_pid[pid].waited()
            except (KeyError, OSError, ValueError, IndexError):
                continue
        total = waited + sum(member.cpu for member in self.by_pid.values()) / 1e9 + self._lost
        if total >= self._high:
            self._high, self._low = total, False
        elif not self._low:
            self._low, self._lowest = True, total
        else:
            self._lost += self._high - self._lowest
            self._high, self._low = total + self._high - self._lowest, False
        return self._high

    def close(self) -> None:
        """Read them no more."""
        for member in self.by_pid.values():
            member.close()
        self.by_pid.clear()
