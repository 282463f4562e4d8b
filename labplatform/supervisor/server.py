"""The supervisor's WebSocket door on 127.0.0.1: who comes in, how much they may say, how long they may not listen.

Runs on the supervisor's loop. Everyone proves who they are by the token in their first message, never by origin. A
connection without its token has 2 s and 4 KiB, and 32 of them may wait at once.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from .. import messages as m
from .peer import CLOSE_GONE, CLOSE_PROTOCOL, CLOSE_REFUSED, CLOSE_TOO_LARGE, Peer, Speaker, hear, leave

FIRST_SECONDS = 2.0
WAITING_AT_ONCE = 32
HANDSHAKE_BYTES = 8192
"""Bytes of HTTP that may come before the first message."""
LARGEST = {"page": m.MAX_MESSAGE, "controller": m.MAX_REQUEST, "notebook": m.MAX_MESSAGE}
NOTES_EVERY = 5.0
"""Seconds between two remarks about connections without a token; those in between are counted."""

_log = logging.getLogger("labplatform.websockets")
_log.setLevel(logging.CRITICAL)
_read_hello = m.Reader(m.Hello)


class SocketPeer(Peer):
    """A peer at the other end of a WebSocket. What is sent leaves on the loop's next turn."""

    def __init__(self, connection: _Guarded, name: str, role: str) -> None:
        super().__init__(name, role)
        self.closing: asyncio.Task[None] | None = None
        """The end of the connection, once it was cut."""
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._woken = False

    def cut(self, reason: str, code: int) -> None:
        """End this connection, telling it why as far as it still listens."""
        if not self.cut_off:
            super().cut(reason, code)
            self.closing = self._loop.create_task(self._connection.close(code, reason))
            # Whoever does not read cannot be told; do not wait for its part of the closing handshake.
            self._loop.call_later(0.5, self._connection.transport.abort)

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self.write)

    def write(self) -> None:
        """Send what is queued, as far as the other side takes it."""
        self._woken = False
        while self._queue and not self._connection.full:
            # Not `await connection.send()`: for each message that costs more than all else that is done about it.
            broadcast((self._connection,), self._frame(), text=True)


class Door:
    """Accepts connections; `admit(hello)` says who a token speaks for, `None` for nobody."""

    def __init__(self, admit: Callable[[m.Hello], tuple[Speaker, str] | None], note: Callable[[str], None]) -> None:
        self._admit = admit
        self._note = note
        self._server: Server | None = None
        self._waiting: set[_Guarded] = set()
        self._unnoted = 0
        self._noted_at = -NOTES_EVERY
        self.port = 0

    async def open(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            create_connection=self._connection,
            compression=None,
            open_timeout=FIRST_SECONDS,
            ping_interval=None,
            close_timeout=1,
            max_size=m.MAX_FIRST_MESSAGE,
            max_queue=64,
            logger=_log,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server:
            self._server.close(code=CLOSE_GONE, reason="the platform was stopped")
            try:
                await asyncio.wait_for(self._server.wait_closed(), 1)
            except TimeoutError:
                pass

    def _connection(self, *arguments: Any, **options: Any) -> _Guarded:
        connection = _Guarded(*arguments, **options)
        connection.door = self
        return connection

    def _note_stranger(self, text: str) -> None:
        """A remark about somebody without a token: now and then only, for anybody on the machine can cause them."""
        now = asyncio.get_running_loop().time()
        self._unnoted += 1
        if now - self._noted_at >= NOTES_EVERY:
            more = f" (and {self._unnoted - 1} more)" if self._unnoted > 1 else ""
            self._note(text + more)
            self._noted_at, self._unnoted = now, 0

    async def _serve(self, connection: _Guarded) -> None:
        try:
            first = await connection.recv()
            hello = _read_hello(first)
        except ConnectionClosed:
            return
        except (msgspec.DecodeError, TypeError, ValueError):
            self._note_stranger("a connection was ended: its first message was not a hello")
            await connection.close(CLOSE_PROTOCOL, "the first message must be a hello with a token")
            return
        admitted = self._admit(hello)
        if admitted is None:
            self._note_stranger(f"a connection was refused: its {hello.role} token is not known")
            await connection.close(CLOSE_REFUSED, "this token is not known")
            return
        connection.known(LARGEST[hello.role])
        speaker, name = admitted
        peer = connection.peer = SocketPeer(connection, name, hello.role)
        speaker.joined(peer)
        try:
            async for data in connection:
                if isinstance(data, str):
                    hear(speaker, peer, data, self._note)
                else:
                    peer.cut("messages are JSON text, not binary", CLOSE_PROTOCOL)
                if peer.cut_off:
                    break
        except ConnectionClosed:
            if connection.protocol.close_code == CLOSE_TOO_LARGE:
                self._note(f"{name} was cut off: a message was over {LARGEST[hello.role]} bytes")
        finally:
            leave(speaker, peer, self._note)
            if peer.closing:
                await peer.closing


class _Guarded(ServerConnection):
    """A connection that is dropped unless its token comes soon and in few bytes."""

    door: Door
    peer: SocketPeer | None = None
    full = False
    """Whether the other side has yet to read what was written."""
    _deadline: asyncio.TimerHandle | None = None
    _taken = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.door._waiting) >= WAITING_AT_ONCE:
            transport.abort()
            return
        self.door._waiting.add(self)
        self._deadline = self.loop.call_later(FIRST_SECONDS, self._too_late)

    def data_received(self, data: bytes) -> None:
        if self in self.door._waiting:
            self._taken += len(data)
            if self._taken > HANDSHAKE_BYTES + m.MAX_FIRST_MESSAGE:
                self.transport.abort()
                return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.full = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self.full = False
        if self.peer:
            self.peer.write()

    def known(self, largest: int) -> None:
        """Its token was right: from now on it may send whole messages, of `largest` bytes at most."""
        self._forget()
        self.protocol.max_message_size = largest

    def _too_late(self) -> None:
        self.transport.abort()

    def _forget(self) -> None:
        self.door._waiting.discard(self)
        if self._deadline:
            self._deadline.cancel()


def same(one: str, other: str) -> bool:
    """Whether two tokens are equal, in a time that tells nothing."""
    return hmac.compare_digest(one.encode(), other.encode())
