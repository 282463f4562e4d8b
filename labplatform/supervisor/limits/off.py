"""No limits at all: for who asks for it, and for app hosts that several apps share. Supervisor."""

from __future__ import annotations

from typing import ClassVar

from ...manifest import ResourceLimits
from ...messages import Usage
from .. import linux
from . import tree
from .tier import Breached, CannotLimit, Group, Tier


class Off(Tier):
    """Holds nobody to anything; its groups still know their processes and end them whole."""

    name = "off"
    counts = "resident memory of all of its processes, less what they share with files and other processes"
    cannot: ClassVar[tuple[str, ...]] = ("no limit is enforced",)

    async def open(self) -> None:
        """Always there."""

    def group(self, name: str, limits: ResourceLimits, breached: Breached) -> Group:
        """A group without limits, whatever is asked."""
        return TreeGroup(self, name, ResourceLimits(), breached)


class TreeGroup(Group):
    """The processes below one host, found by ancestry."""

    root = 0
    _created = 0

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
        """Read from `/proc`, a process at a time."""
        memory = processes = 0
        for pid in linux.tree(self.root) if self._rooted else ():
            try:
                memory += linux.private_memory(pid)
                processes += 1
            except (OSError, IndexError):
                continue
        return Usage(memory=memory, processes=processes)

    def oom_kills(self) -> int:
        """Not known here."""
        return 0

    def kill_all(self) -> None:
        """Stop the whole tree, then kill it."""
        if self._rooted:
            self.tier.soon(tree.kill, (self.root,))

    async def close(self) -> None:
        """Nothing was made."""
