"""FDC3's wire protocol (Desktop Agent Communication Protocol, FDC3 2.2) as Python speaks it. Shared by all processes.

`Envelope` is what a router needs of any message; the payload stays undecoded. Who asks over it is `fdc3.client`.

Message shapes: https://fdc3.finos.org/docs/2.2/api/specs/desktopAgentCommunicationProtocol
"""

from __future__ import annotations

import functools
import os
import time

import msgspec


class AppIdentifier(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which app, and which instance of it."""

    app_id: str
    instance_id: str | None = None


class Meta(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The part of a message that says which request, response or event it is. Unknown fields pass."""

    timestamp: str
    request_uuid: str | None = None
    response_uuid: str | None = None
    event_uuid: str | None = None
    source: AppIdentifier | None = None


class Envelope(msgspec.Struct, frozen=True):
    """A DACP message with its payload left as it came."""

    type: str
    meta: Meta
    payload: msgspec.Raw = msgspec.Raw(b"{}")


read_envelope = msgspec.json.Decoder(Envelope).decode
encode = msgspec.json.encode


def now() -> str:
    """The time as DACP wants it: ISO 8601, UTC."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@functools.lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    # Every message carries a time, and most of them fall into the same second.
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def new_id() -> str:
    """A fresh identifier for a request, response, event or listener: a random UUID, made faster than `uuid` does."""
    random = os.urandom(16).hex()
    return f"{random[:8]}-{random[8:12]}-4{random[13:16]}-a{random[17:20]}-{random[20:]}"
