"""No limits at all: for who asks for it, and for app hosts that several apps share. Supervisor."""

from __future__ import annotations

from typing import ClassVar

from ...manifest import ResourceLimits
from ...messages import Usage
from . import tree
from .tier import Breached, CannotLimit, Group, Needs, Tier


class Off(Tier):
    """Holds nobody to anything; its groups still know their processes and end them whole."""

    name = "off"
    counts = "resident memory of all of its processes, less what they share with files and other processes"
    cannot: ClassVar[tuple[str, ...]] = ("no limit is enforced",)
    needs = Needs(page=1, service=1)

    async def open(self) -> None:
        """Always there."""

    def group(self, name: str, limits: ResourceLimits, breached: Breached) -> Group:
        """A group without limits, whatever is asked."""
        return TreeGroup(self, name, ResourceLimits(), breached)


class TreeGroup(Group):
    """The processes below one host, found by ancestry."""

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

    def oom_kills(self) -> int:
        """Not known here."""
        return 0

    def kill_all(self) -> None:
        """Stop the whole tree, then kill it."""
        if self._rooted:
            self.tier.soon(tree.kill, (self.root,))

    async def close(self) -> None:
        """Nothing was made."""
