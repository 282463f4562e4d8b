"""No limits at all, for who asks for it. Supervisor."""

from __future__ import annotations

from typing import ClassVar

from ...manifest import ResourceLimits
from .ancestry import TreeGroup, TreeTier
from .tier import Breached, Needs


class Off(TreeTier):
    """Holds nobody to anything; its groups still know their processes and end them whole."""

    name = "off"
    counts = "resident memory of all of its processes, less what they share with files and other processes"
    cannot: ClassVar[tuple[str, ...]] = ("no limit is enforced",)
    needs = Needs(page=1, service=1)

    def group(self, name: str, limits: ResourceLimits, breached: Breached) -> TreeGroup:
        """A group without limits, whatever is asked."""
        return TreeGroup(self, name, ResourceLimits(), breached)
