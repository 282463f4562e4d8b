"""Who is at the other end of a connection that has proved whose it is: what waits for it, and how it is cut off.

Runs on the supervisor's loop. What carries the messages is for those who build on it: a WebSocket (`server`), or an
app's host (`bridge`). A peer that does not read what it is sent is cut off once too much waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from .. import messages as m

QUEUED_BYTES = {"page": 16 << 20, "controller": 32 << 20, "notebook": 32 << 20}
"""Bytes that may wait for one peer before one more message makes it a slow consumer. A kernel may be held up for long
by the user's own code, and losing its controller would cost a person the platform."""
FRAME_BYTES = 1 << 16
"""Bytes of messages to a page or notebook that go in one frame, where several wait. One may be larger."""
TOGETHER = tuple(f'{{"type":"{kind}'.encode() for kind in ("broadcastEvent", "broadcastResponse", "ack", "ping"))
"""How those begin that may share a frame. A page hears all of a frame before the code that awaits one of its messages
goes on; and any other message may be an answer after which that code listens to what comes next."""
SLOW = "slow consumer"
CLOSE_GONE, CLOSE_TOO_LARGE = 1001, 1009
CLOSE_PROTOCOL, CLOSE_REFUSED, CLOSE_REPLACED, CLOSE_SLOW = 4000, 4001, 4003, 4008
"""How a connection ends, in WebSocket's numbers and ours; a page decides by them whether to come back."""


class Peer:
    """One connection. `send` never waits. `name`: for the log."""

    through_host = False
    """Whether an app's host carries it."""

    def __init__(self, name: str, role: str) -> None:
        self.name = name
        self.cut_off = ""
        self._most = QUEUED_BYTES[role]
        self._frames = role in ("page", "notebook")
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._code = 0

    def send(self, message: Any) -> None:
        """Queue a message struct."""
        self.send_bytes(m.encode(message))

    def send_bytes(self, data: bytes) -> None:
        """Queue JSON as it is, which must be one line."""
        if self.cut_off:
            return
        # What waited before says whether it reads; one large message says nothing.
        if self._queued > self._most:
            self.cut(SLOW, CLOSE_SLOW)
            return
        self._queue.append(data)
        self._queued += len(data)
        self._wake()

    @property
    def backlog(self) -> int:
        """Bytes that wait to be sent."""
        return self._queued

    def cut(self, reason: str, code: int) -> None:
        """End this connection, telling it why as far as it still listens."""
        if not self.cut_off:
            self.cut_off, self._code = reason, code
            self._queue.clear()
            self._queued = 0
            self._wake()

    def _frame(self) -> bytes:
        """Take the oldest message that waits; for who speaks FDC3 those behind it, as far as they go together."""
        queue = self._queue
        data = queue.popleft()
        lines, size = [data], len(data)
        if self._frames and data.startswith(TOGETHER):
            while queue and size + len(queue[0]) <= FRAME_BYTES and queue[0].startswith(TOGETHER):
                lines.append(queue.popleft())
                size += len(lines[-1])
        self._queued -= size
        return data if len(lines) == 1 else b"\n".join(lines)

    def _wake(self) -> None:
        """Something waits now, or the connection is to end."""
        raise NotImplementedError


class Speaker(Protocol):
    """Who a connection speaks for: takes its messages."""

    def joined(self, peer: Peer) -> None: ...
    def said(self, peer: Peer, data: str) -> None: ...
    def left(self, peer: Peer) -> None: ...


def hear(speaker: Speaker, peer: Peer, data: str, note: Callable[[str], None]) -> None:
    """Pass one message on. Who says what cannot be understood is cut off, and the log is told."""
    try:
        speaker.said(peer, data)
    except msgspec.DecodeError as error:
        note(f"{peer.name} was cut off: {error}")
        peer.cut(f"not understood: {error}"[:120], CLOSE_PROTOCOL)


def leave(speaker: Speaker, peer: Peer, note: Callable[[str], None]) -> None:
    """This connection has ended."""
    if peer.cut_off == SLOW:
        note(f"{peer.name} was cut off as a {SLOW}")
    speaker.left(peer)
