"""JSON of every message, and frames for the socketpair, each led by its length. Any process."""

from __future__ import annotations

import struct
from typing import Any

import msgspec

from ..manifest import Size
from .words import MAX_HOST_FRAME

_LENGTH = struct.Struct(">I")


def _plain(value: Any) -> Any:
    if isinstance(value, Size):
        return int(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


def _restore(kind: type, value: Any) -> Any:
    if kind is Size:
        return Size(value)
    raise NotImplementedError(kind)


encode = msgspec.json.Encoder(enc_hook=_plain).encode
"""JSON bytes of any message or of plain values."""


class Reader:
    """Decodes one union of messages; build once, use for every message. Raises `msgspec.DecodeError`."""

    def __init__(self, union: Any) -> None:
        self._decoder = msgspec.json.Decoder(union, dec_hook=_restore)

    def __call__(self, data: bytes | str) -> Any:
        return self._decoder.decode(data)


def decode(data: bytes | str | msgspec.Raw, kind: Any) -> Any:
    """One value of type `kind` from JSON. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(data, type=kind, dec_hook=_restore)


def frame(message: Any) -> bytes:
    """A message as it goes over the socketpair: four bytes of length, big-endian, then JSON."""
    body = encode(message)
    if len(body) > MAX_HOST_FRAME:
        raise ValueError(f"a frame of {len(body)} bytes is over the limit of {MAX_HOST_FRAME}")
    return _LENGTH.pack(len(body)) + body


class Unframer:
    """Takes bytes as they come from the socketpair and gives whole messages back, in order."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Messages completed by `data`. Raises `ValueError` for a frame over the limit or one that is not a message."""
        self._buffer += data
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_HOST_FRAME:
                raise ValueError(f"a frame of {length} bytes is over the limit of {MAX_HOST_FRAME}")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            messages.append(self._reader(bytes(self._buffer[_LENGTH.size : end])))
            del self._buffer[:end]
        return messages
