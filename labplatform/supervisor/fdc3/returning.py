"""What is kept for an instance that will be back: broadcasts to where it listened, until it listens there again.

An instance whose process is replaced keeps its identity, as a page does that is loaded anew; others go on talking to it
meanwhile. Supervisor, fdc3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

KEPT_MESSAGES = 1000
KEPT_BYTES = 4 << 20
"""What is kept for one instance; for more, the oldest is given up."""

Ear = tuple[str, str | None]
"""Where something was listened for: a channel's id and a context type, or any."""


class Returning:
    """What one instance misses. `ears`: where it listened before it went."""

    def __init__(self, ears: set[Ear], deliver: Callable[[bytes], None]) -> None:
        self.given_up = 0
        """Messages that were too many to keep."""
        self._ears = ears
        self._deliver = deliver
        self._missed: deque[tuple[str, str, bytes]] = deque()
        self._bytes = 0

    @property
    def lost(self) -> int:
        """Messages that it will not get: too many, or for listeners that did not come back."""
        return self.given_up + len(self._missed)

    def also(self, ears: set[Ear]) -> None:
        """It goes once more, having listened there."""
        self._ears |= ears

    @property
    def all_back(self) -> bool:
        """Whether it listens again wherever it did before, and has all that came meanwhile."""
        return not self._ears and not self._missed

    def misses(self, channel: str, context_type: str) -> bool:
        """Whether it would have heard this before it went, and does not listen for it again yet."""
        return (channel, context_type) in self._ears or (channel, None) in self._ears

    def keep(self, channel: str, context_type: str, message: bytes) -> None:
        """One that it misses."""
        self._missed.append((channel, context_type, message))
        self._bytes += len(message)
        while self._bytes > KEPT_BYTES or len(self._missed) > KEPT_MESSAGES:
            self._bytes -= len(self._missed.popleft()[2])
            self.given_up += 1

    def listens(self, channel: str, context_type: str | None) -> None:
        """It listens there again: it gets what it missed, in order, and nothing twice."""
        self._ears.discard((channel, context_type))
        if context_type is None:
            self._ears -= {ear for ear in self._ears if ear[0] == channel}
        for message in self._take(channel, context_type):
            self._deliver(message)

    def _take(self, channel: str, context_type: str | None) -> Iterator[bytes]:
        before, self._missed = self._missed, deque()
        for entry in before:
            if entry[0] == channel and context_type in (None, entry[1]):
                self._bytes -= len(entry[2])
                yield entry[2]
            else:
                self._missed.append(entry)
