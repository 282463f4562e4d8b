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
from websockets.asyncio.server import Server, serve

from .. import messages as m
from .peer import CLOSE_GONE, CLOSE_PROTOCOL, CLOSE_REFUSED, CLOSE_TOO_LARGE, Speaker, hear, leave
from .websocket import Connection, Message, SocketPeer

FIRST_SECONDS = 2.0
WAITING_AT_ONCE = 32
HANDSHAKE_BYTES = 8192
"""Bytes of HTTP that may come before the first message."""
NOTES_EVERY = 5.0
"""Seconds between two remarks about connections without a token; those in between are counted."""

_log = logging.getLogger("labplatform.websockets")
_log.setLevel(logging.CRITICAL)
_read_hello = m.Reader(m.Hello)


class Door:
    """Accepts connections; `admit(hello)` says who a token speaks for, `None` for nobody.

    `max_message`: bytes that an app may send in one message.
    """

    def __init__(
        self,
        admit: Callable[[m.Hello], tuple[Speaker, str] | None],
        note: Callable[[str], None],
        max_message: int = m.MAX_MESSAGE,
    ) -> None:
        self._admit = admit
        self._note = note
        self._largest = {"page": max_message, "notebook": max_message, "controller": m.MAX_REQUEST}
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
            logger=_log,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self, reason: str = m.STOPPED) -> None:
        """Stop listening and end all connections, saying why."""
        if self._server:
            self._server.close(code=CLOSE_GONE, reason=reason)
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
        first = await connection.first
        if first is None:
            return
        try:
            hello = _read_hello(first)
        except (msgspec.DecodeError, TypeError, ValueError):
            self._note_stranger("a connection was ended: its first message was not a hello")
            await connection.close(CLOSE_PROTOCOL, "the first message must be a hello with a token")
            return
        admitted = self._admit(hello)
        if admitted is None:
            self._note_stranger(f"a connection was refused: its {hello.role} token is not known")
            await connection.close(CLOSE_REFUSED, "this token is not known")
            return
        connection.known(self._largest[hello.role])
        speaker, name = admitted
        peer = SocketPeer(connection, name, hello.role)

        def take(message: Message) -> None:
            if peer.cut_off:
                return
            if isinstance(message, str):
                hear(speaker, peer, message, self._note)
            else:
                peer.cut("messages are JSON text, not binary", CLOSE_PROTOCOL)

        speaker.joined(peer)
        try:
            connection.listen(take)
            await connection.wait_closed()
            ended = connection.protocol.close_sent
            if ended and ended.code == CLOSE_TOO_LARGE:
                self._note(f"{name} was cut off: a message was over {self._largest[hello.role]} bytes")
        finally:
            leave(speaker, peer, self._note)


class _Guarded(Connection):
    """A connection that is dropped unless its token comes soon and in few bytes."""

    door: Door
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
