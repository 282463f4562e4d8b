"""PSS and USS of many processes, read in turn. Supervisor, on the sampler's thread.

`/proc/PID/smaps_rollup` makes the kernel walk a process's page tables: about a millisecond, a hundred times what
`statm` takes (https://docs.kernel.org/filesystems/proc.html). So a fixed share of a core is spent on it, the process
whose figure is oldest comes next, and every figure carries the time at which it was read.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

SHARE = 0.001
"""Of one core, that reading may take over time."""
MOST_SAVED = 0.01
"""Seconds of reading that may be saved up while there was nothing to read."""

Key = tuple[int, int]
"""A process: its pid and its start in clock ticks."""


class Proportional(NamedTuple):
    """Bytes, and when they were read, in seconds since the epoch. `None`: the system does not let them be read."""

    pss: int | None
    uss: int | None
    measured: float


class InTurn:
    """The latest figures of all processes that `read` was told of."""

    def __init__(self, share: float = SHARE) -> None:
        self.latest: dict[Key, Proportional] = {}
        self._share = share
        self._saved = 0.0
        self._at = time.monotonic()

    def read(self, keys: set[Key]) -> None:
        """Read as many as the time allows, the oldest figures first; forget processes that are not in `keys`."""
        now = time.monotonic()
        self._saved = min(MOST_SAVED, self._saved + (now - self._at) * self._share)
        self._at = now
        self.latest = {key: value for key, value in self.latest.items() if key in keys}
        for key in sorted(keys, key=self._age):
            if self._saved <= 0:
                break
            began = time.thread_time()
            self.latest[key] = measure(key[0])
            self._saved -= time.thread_time() - began

    def _age(self, key: Key) -> float:
        known = self.latest.get(key)
        return known.measured if known else 0.0


def measure(pid: int) -> Proportional:
    """One process, now."""
    pss = uss = None
    try:
        descriptor = os.open(f"/proc/{pid}/smaps_rollup", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(descriptor, 1 << 14)
        finally:
            os.close(descriptor)
    except OSError:
        text = b""
    for line in text.splitlines():
        name, _, rest = line.partition(b":")
        if name == b"Pss":
            pss = int(rest.split()[0]) << 10
        elif name in (b"Private_Clean", b"Private_Dirty", b"Private_Hugetlb"):
            uss = (uss or 0) + (int(rest.split()[0]) << 10)
    return Proportional(pss, uss, time.time())
