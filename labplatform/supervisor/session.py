"""What passes between a page's document and the supervisor, whatever becomes of the connection under it. Supervisor.

Both sides count the messages of the session (control words are not counted) and keep those that the other has not
acknowledged. A new connection begins with both counts, and goes on behind the last message that arrived: nothing is
lost, doubled, or out of order. What is kept is bounded; a page that lets it overflow is cut off as a slow consumer, and
told how much it has missed when it comes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from .. import messages as m
from .peer import CLOSE_SLOW, QUEUED_BYTES, SLOW, Peer

KEPT_MESSAGES = 50_000
KEPT_BYTES = QUEUED_BYTES["page"] * 3 // 4
"""What may be kept for a page that does not acknowledge it, or is away. Less than what may wait for a connection, so
that all of it can be sent again at once."""
NEWS = (b'{"type":"broadcastEvent"', b'{"type":"intentEvent"')
"""How the messages begin that other apps sent; all else is the desktop agent's own."""
ACKNOWLEDGE_AFTER = 64
ACKNOWLEDGE_BYTES = 1 << 18
"""Messages, and bytes of them, after which they are acknowledged; fewer are with the next ping."""


class Session:
    """One session. `name`: as the page calls it; empty for a client that keeps no count, and gets nothing twice.

    `overflowed` is called when a page that is away has missed something.
    """

    def __init__(self, name: str, overflowed: Callable[[], None]) -> None:
        self.name = name
        self.received = 0
        """Messages that came from the page."""
        self.cut_off = ""
        """Why the last connection was ended, if the supervisor ended it."""
        self._overflowed = overflowed
        self._peer: Peer | None = None
        self._sent = 0
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._told = 0
        self._untold = 0
        self._missing = False

    def send(self, data: bytes) -> None:
        """Send a message now, or when the page is back."""
        self._sent += 1
        if self.name and not self._missing:
            self._kept.append(data)
            self._kept_bytes += len(data)
            if self._kept_bytes > KEPT_BYTES or len(self._kept) > KEPT_MESSAGES:
                self._overflow()
        if self._peer:
            self._peer.send_bytes(data)

    def _overflow(self) -> None:
        # All of it: a hole at an unknown place is worse than a clean cut.
        self._forget(len(self._kept))
        self._missing = True
        self.cut_off = SLOW
        if self._peer:
            self._peer.cut(SLOW, CLOSE_SLOW)
        else:
            self._overflowed()

    def took(self, size: int) -> None:
        """A message of the page has come."""
        self.received += 1
        self._untold += size
        if self._peer and (self.received - self._told >= ACKNOWLEDGE_AFTER or self._untold >= ACKNOWLEDGE_BYTES):
            self._peer.send(m.Ack(received=self.tell()))

    def tell(self) -> int:
        """How many messages have come, for a word that tells the page so."""
        self._told, self._untold = self.received, 0
        return self.received

    def acknowledged(self, count: int) -> None:
        """The page has had the first `count` messages of the session."""
        self._forget(count - (self._sent - len(self._kept)))

    @property
    def unheard(self) -> int:
        """Contexts and intents from other apps that the page was sent, or is to be sent, and has not said to have."""
        return sum(data.startswith(NEWS) for data in self._kept)

    def _forget(self, count: int) -> None:
        for _ in range(min(count, len(self._kept))):
            self._kept_bytes -= len(self._kept.popleft())

    def connect(self, peer: Peer, welcome: m.Welcome, received: int, kept_from: int) -> None:
        """Go on over this connection. `received`: what the page had; `kept_from`: the oldest that it can send again."""
        self.acknowledged(received)
        first = self._sent - len(self._kept)
        welcome = msgspec.structs.replace(welcome, received=self.received, sent=first, cut_off=self.cut_off)
        # What the page gave up is not waited for; from the count before it learns how much that was.
        self.received = max(self.received, kept_from)
        self.tell()
        self.cut_off, self._missing = "", False
        peer.send(welcome)
        self._peer = peer
        for data in self._kept:
            peer.send_bytes(data)

    def disconnect(self, peer: Peer) -> None:
        """This connection is gone; the page may come back."""
        if self._peer is peer:
            self._peer = None
            self.cut_off = self.cut_off or peer.cut_off
