"""One WebSocket of the supervisor's: messages handed on as they come, frames written as the other side takes them.

Runs on the supervisor's loop. `websockets` does the protocol. Its own ways to receive and send wake a task for each
message, which costs more than all else that is done about a message; so both are done here, in the loop's callbacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast
from websockets.frames import DATA_OPCODES, CloseCode, Frame, Opcode

from .peer import Peer
from .turns import read_in_turns

MOST_FRAGMENTS = 4096
"""Frames that one message may come in."""
ABORT_SECONDS = 0.5
"""Seconds that the other side has for its part of a closing handshake."""

Message = str | bytes


class Connection(ServerConnection):
    """A connection that hands its messages to whoever listens. `first`: the first one, `None` if none came."""

    peer: SocketPeer | None = None
    full = False
    """Whether the other side has yet to read what was written."""
    first: asyncio.Future[Message | None]
    _listener: Callable[[Message], None] | None = None
    _failing: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        read_in_turns(transport)
        self.first = self.loop.create_future()
        self._early: list[Message] = []
        self._fragments: list[Any] = []
        self._binary = False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.first.done():
            self.first.set_result(None)
        super().connection_lost(exc)

    def listen(self, listener: Callable[[Message], None]) -> None:
        """Call `listener` for each message behind the first; now for those that have come already."""
        early, self._early = self._early, []
        for message in early:
            listener(message)
        self._listener = listener

    def process_event(self, event: Any) -> None:
        """Take one frame; `websockets` calls this."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
            return
        if self._failing:
            return
        if event.opcode is not Opcode.CONT:
            self._binary = event.opcode is Opcode.BINARY
        if self._fragments or not event.fin:
            self._fragments.append(event.data)
            if len(self._fragments) > MOST_FRAGMENTS:
                self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message came in more than {MOST_FRAGMENTS} frames")
                return
            if not event.fin:
                return
            data, self._fragments = b"".join(self._fragments), []
        else:
            data = bytes(event.data)
        try:
            message = data if self._binary else data.decode()
        except UnicodeDecodeError as error:
            self._fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
            return
        if self._listener:
            self._listener(message)
        elif self.first.done():
            self._early.append(message)
        else:
            self.first.set_result(message)

    def _fail(self, code: int, reason: str) -> None:
        self._failing = self.loop.create_task(self.close(code, reason))

    def pause_writing(self) -> None:
        """The other side does not read as fast as is written; asyncio calls this."""
        super().pause_writing()
        self.full = True

    def resume_writing(self) -> None:
        """It has read; asyncio calls this."""
        super().resume_writing()
        self.full = False
        if self.peer:
            self.peer.write()


class SocketPeer(Peer):
    """A peer at the other end of a WebSocket."""

    def __init__(self, connection: Connection, name: str, role: str) -> None:
        super().__init__(name, role)
        self._connection = connection
        connection.peer = self
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Task[None] | None = None
        self._woken = False

    def cut(self, reason: str, code: int) -> None:
        """End this connection, telling it why as far as it still listens."""
        if not self.cut_off:
            super().cut(reason, code)
            self._closing = self._loop.create_task(self._connection.close(code, reason))
            # Whoever does not read cannot be told; do not wait for its part of the closing handshake.
            self._loop.call_later(ABORT_SECONDS, self._connection.transport.abort)

    def _wake(self) -> None:
        # The first of a turn at once, for every turn of the loop is time; what is said behind it goes together.
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._rest)
            self.write()

    def _rest(self) -> None:
        self._woken = False
        self.write()

    def write(self) -> None:
        """Send what is queued, as far as the other side takes it."""
        while self._queue and not self._connection.full:
            broadcast((self._connection,), self._frame(), text=True)
