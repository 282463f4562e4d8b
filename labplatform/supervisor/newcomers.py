"""Processes that were started below given ones, found as soon as they exist and for next to nothing. Supervisor.

To list a tree is to ask each thread of each of its processes for its children: for eight apps some 350 files, and
several milliseconds. Linux tells the last pid that it gave out, so only those given out since are looked at.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Container, Iterator

from . import linux

MOST_NEW = 400
"""Pids given out between two looks from which on listing the trees costs less."""
LIST_EVERY = 0.2
"""Seconds between two listings of all trees, at least."""

# Through `PyDLL`, which keeps the interpreter's lock: giving it up for each of many short reads would mean to wait,
# each time, until the supervisor's loop lets go of it, up to 5 ms.
_libc = ctypes.PyDLL(None)
_libc.pread.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long)
_libc.pread.restype = ctypes.c_ssize_t


class Reader:
    """Reads small files of `/proc` that are open, without letting go of the interpreter. For one thread."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(4096)

    def __call__(self, descriptor: int) -> bytes:
        """What the file says; empty when its process is gone."""
        size = _libc.pread(descriptor, self._buffer, len(self._buffer), 0)
        return self._buffer.raw[:size] if size > 0 else b""


class Newcomers:
    """Pids that were given out since somebody asked last. For one thread."""

    def __init__(self) -> None:
        self._file = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        self._read = Reader()
        self._last = self._now()
        self._missed = False
        self._listed = 0.0
        self._unseen: set[int] = set()
        """Those that were no process yet when they were looked at, or none any more."""

    def _now(self) -> int:
        # The fifth field: the pid given out last. https://docs.kernel.org/filesystems/proc.html#kernel-data
        fields = self._read(self._file).split()
        return int(fields[4]) if len(fields) > 4 else -1

    def take(self) -> range | None:
        """Them, of threads as well; `None` where the trees are to be listed instead: they are too many, they began anew
        from the lowest, or the system does not tell. That costs more, and is asked for a few times a second at most.
        """
        before, self._last = self._last, self._now()
        if before < 0 or self._last < before or self._last - before > MOST_NEW:
            self._missed = True
        if self._missed:
            now = time.monotonic()
            if now - self._listed < LIST_EVERY:
                return range(0)
            self._missed, self._listed = False, now
            return None
        return range(before + 1, self._last + 1)

    def below(self, owners: Container[int]) -> Iterator[tuple[int, int]] | None:
        """(pid, parent) of the new processes whose parent is in `owners`, to which each is to be added before the next
        is asked for; `None` where the trees are to be listed instead.
        """
        pids = self.take()
        return None if pids is None else self._processes(pids, owners)

    def _processes(self, pids: range, owners: Container[int]) -> Iterator[tuple[int, int]]:
        # A fork gives the pid out some microseconds before there is a process: it is looked for once more.
        again, self._unseen = self._unseen, set()
        for pid in (*sorted(again), *pids):
            try:
                parent = linux.Stat(pid).parent
                if parent in owners and _leads(pid):
                    yield pid, parent
            except FileNotFoundError:
                if pid not in again:
                    self._unseen.add(pid)
            except (OSError, ValueError, IndexError):
                continue

    def close(self) -> None:
        """Ask no more."""
        os.close(self._file)


def _leads(pid: int) -> bool:
    """Whether this is a process; its threads have pids as well."""
    for line in linux.read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"Tgid:"):
            return int(line[5:]) == pid
    return False
