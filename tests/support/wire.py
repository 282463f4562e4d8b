"""A WebSocket client that can be as rude as a test needs: bytes by hand, frames cut in half, nothing read."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time
from typing import Any

from websockets.sync.client import ClientConnection, connect

TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9


def client(port: int, **options: Any) -> ClientConnection:
    """A well-behaved client, before it has said anything."""
    options = {
        "compression": None,
        "open_timeout": 10,
        "close_timeout": 2,
        "ping_interval": None,
        "proxy": None,
    } | options
    return connect(f"ws://127.0.0.1:{port}/", **options)


def hello(role: str, token: str) -> str:
    """The first message of a connection."""
    return json.dumps({"type": "hello", "role": role, "token": token})


class Raw:
    """A TCP connection to the door; `upgrade` makes it a WebSocket."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(15)
        self.socket.connect(("127.0.0.1", port))
        self.opened = time.monotonic()

    def upgrade(self) -> Raw:
        """The HTTP handshake. Fails if it is refused."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self.socket.recv(1)
        assert b" 101 " in answer, answer
        return self

    def send(self, data: bytes) -> None:
        """Bytes as they are. A connection that the other side has closed takes no notice."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def frame(self, payload: bytes, kind: int = TEXT, length: int | None = None, last: bool = True) -> None:
        """One masked frame; `length` is what its head claims, if that is not the truth. `last`: of its message."""
        size = len(payload) if length is None else length
        head = bytes([0x80 * last | kind])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        mask = b"\x11\x22\x33\x44"
        wide = (mask * (len(payload) // 4 + 1))[: len(payload)]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(wide, "big")).to_bytes(len(payload), "big")
        self.send(head + mask + masked)

    def closed_after(self) -> float:
        """Seconds from the connection's start until the other side ends it. Fails after 15 without a byte."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except TimeoutError:
            raise AssertionError("the other side did not end the connection") from None
        except OSError:
            pass
        return time.monotonic() - self.opened

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
