"""How fast an app's memory grows, from its last samples. Pure; kernel."""

from __future__ import annotations

from collections import deque

WINDOW = 12.0
"""Seconds that are looked at: long enough to see through a garbage collection, short enough to follow a leak."""
LEAST_SAMPLES, LEAST_SECONDS = 4, 2.5
"""What it takes to say anything."""
LEAST_GROWTH = 6e6
"""Bytes that it must have grown by in that time; less is an app that breathes."""
SETTLING = 3.0
"""Seconds after it was ready in which an app takes what it needs, and which say nothing of a leak."""
CLEAR = 3.0
"""How many times its scatter the growth must be."""


class Trend:
    """The last samples of one incarnation's memory."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def add(self, at: float, memory: float) -> None:
        """A sample, in seconds and bytes; one that is not later than the last is left out."""
        samples = self._samples
        if samples and at <= samples[-1][0]:
            return
        samples.append((at, memory))
        while at - samples[0][0] > WINDOW:
            samples.popleft()

    def clear(self) -> None:
        """Another incarnation begins."""
        self._samples.clear()

    @property
    def growth(self) -> float | None:
        """Bytes a second, by least squares; 0 where it does not clearly grow or shrink, `None` before that is known."""
        samples = list(self._samples)
        if len(samples) < LEAST_SAMPLES or samples[-1][0] - samples[0][0] < LEAST_SECONDS:
            return None
        count, span = len(samples), samples[-1][0] - samples[0][0]
        middle = sum(at for at, _ in samples) / count
        mean = sum(memory for _, memory in samples) / count
        spread = sum((at - middle) ** 2 for at, _ in samples)
        slope = sum((at - middle) * (memory - mean) for at, memory in samples) / spread
        off = sum((memory - mean - slope * (at - middle)) ** 2 for at, memory in samples)
        scatter = (off / (count - 2)) ** 0.5
        return slope if abs(slope) * span >= max(LEAST_GROWTH, CLEAR * scatter) else 0.0
