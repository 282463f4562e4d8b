"""Groups whose processes are found by ancestry, for tiers that Linux gives no help. Supervisor."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from ...manifest import ResourceLimits
from ...messages import ProcessInfo, Usage
from .. import linux
from . import tree
from .tier import CannotLimit, Group, Tier

KILLS_EVERY = 0.5
"""Seconds between two looks at the machine's out-of-memory kills."""


class TreeTier(Tier):
    """A tier that sees its apps' processes from outside only."""

    def __init__(self, session: Path) -> None:
        super().__init__(session)
        self.kills = MachineKills()

    async def open(self) -> None:
        """Works everywhere."""


class MachineKills:
    """How many processes the kernel has killed lately, on the whole machine, because memory ran out."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque([(time.monotonic(), linux.oom_kills())], maxlen=2)

    def look(self) -> None:
        """Note the count; called again and again."""
        now = time.monotonic()
        if now - self._counts[-1][0] >= KILLS_EVERY:
            self._counts.append((now, linux.oom_kills()))

    def lately(self) -> int:
        """Since the last look but one: the kernel counts first and kills then, and a look may lie between the two."""
        return linux.oom_kills() - self._counts[0][1]


class TreeGroup(Group):
    """The processes below one host, found by ancestry."""

    tier: TreeTier
    root = 0
    _created = 0
    _peak = 0

    async def attach(self, pid: int) -> None:
        """The tree begins here."""
        self._created = tree.started(pid)
        self.root = pid

    @property
    def _rooted(self) -> bool:
        """Whether the host is still there; without it there is no tree to go by."""
        return self.root != 0 and tree.started(self.root) == self._created

    async def set(self, limits: ResourceLimits) -> None:
        """Raises `CannotLimit` unless there is nothing to limit."""
        if limits != ResourceLimits():
            raise CannotLimit("limits are off on this platform")

    def usage(self) -> Usage:
        """What the platform's sampler saw last."""
        memory = sum(row.memory for row in self._rows)
        self._peak = max(self._peak, memory)
        return Usage(memory=memory, peak=self._peak, processes=len(self._rows))

    def seen(self, rows: tuple[ProcessInfo, ...]) -> None:
        """Note the machine's out-of-memory kills along with it."""
        super().seen(rows)
        self.tier.kills.look()

    def oom_kills(self) -> int:
        """On the whole machine, in the last seconds: nobody tells an ordinary user whose they were."""
        return self.tier.kills.lately()

    def kill_all(self) -> None:
        """Stop the whole tree, then kill it."""
        if self._rooted:
            self.tier.soon(tree.kill, (self.root,))

    async def close(self) -> None:
        """Nothing was made."""
