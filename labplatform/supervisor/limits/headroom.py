"""How far an app is from its memory limit: when to look again, and when a cheap figure will not do. Pure; supervisor.

The cheap figure, `statm`, counts a page that a fork shares with its parent twice, and counts no shared memory. The
exact one costs a hundred times more. So exact ones are rare: between two of them the app has at most grown by what the
cheap ones grew, and only when that could have used up the room is it counted again.
"""

from __future__ import annotations

from typing import NamedTuple

PERIOD = 0.05
"""Seconds between two looks at most."""
SOONEST = 0.002
"""Seconds between two looks at least, at an app that grows."""
SOONEST_STILL = 0.01
"""Seconds between two looks at least, at one that does not grow: it may begin to."""
PACE = 4e9
"""Bytes a second that a leak at full speed may write."""
OVERSHOOT = 40e6
"""Bytes by which such a leak may overshoot, if it begins just after a look."""


class Cheap(NamedTuple):
    """Bytes, summed over all processes: resident and not shared, and resident and shared."""

    private: int
    shared: int


class Headroom:
    """The memory of one app against its limit, in bytes. `last`, `peak`: what it has and had at most, most likely."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.last = self.peak = 0
        self._exact = 0
        self._private = self._total = self._private_then = 0
        self._before = 0
        self._at: float | None = None
        self._pace = 0.0

    def estimate(self, cheap: Cheap) -> int:
        """The most that the app may have by now."""
        # From the least since the exact count: what was dropped may have been files, and what came since may not be.
        self._private = min(self._private, cheap.private)
        self._total = min(self._total, cheap.private + cheap.shared)
        grown = max(cheap.private - self._private, cheap.private + cheap.shared - self._total)
        return self._exact + grown

    def likely(self, cheap: Cheap) -> int:
        """What the app has by now, if nothing of what it shares is its own that was not before."""
        return max(0, self._exact + cheap.private - self._private_then)

    def doubtful(self, cheap: Cheap) -> bool:
        """Whether it may be over its limit, so that it has to be counted exactly."""
        return self.estimate(cheap) > self.limit

    def counted(self, exact: int, cheap: Cheap) -> bool:
        """Take an exact count, and the cheap one made beside it. Returns whether it is over the limit."""
        self._exact = exact
        self._private_then = self._private = cheap.private
        self._total = cheap.private + cheap.shared
        self.last = exact
        self.peak = max(self.peak, exact)
        return exact > self.limit

    def next_look(self, now: float, cheap: Cheap) -> float:
        """Seconds until the next look."""
        size = self.estimate(cheap)
        self.last = self.likely(cheap)
        self.peak = max(self.peak, self.last)
        room = max(0.0, self.limit - size)
        if self._at is not None and now > self._at:
            # A leak that pauses for one look is still a leak.
            self._pace = max((size - self._before) / (now - self._at), self._pace / 2)
        self._at, self._before = now, size
        still = min(PERIOD, max(SOONEST_STILL, (room + OVERSHOOT) / PACE))
        if self._pace <= 0:
            return still
        return max(SOONEST, min(still, room / 2 / self._pace))
