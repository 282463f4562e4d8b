"""What apps say to each other, as those who watch them see it. Supervisor and controllers."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from .words import Message

MAX_OVERHEARD = 64 << 10
"""Bytes of one message that are shown; of a larger one the beginning."""
MOST_OVERHEARD = 10_000
"""Messages that a controller may keep."""

_NONE = msgspec.Raw(b"null")


class Correspondent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who said or heard something. `place`: the app's name on the platform; a notebook has none."""

    app_id: str
    instance_id: str
    place: str | None = None

    def __str__(self) -> str:
        return self.place or self.app_id


class RoutedMessage(msgspec.Struct, frozen=True, array_like=True, eq=False):
    """One message that the desktop agent passed from an app to others.

    `seq` counts from 1; a gap means messages that were too many to be told. `time`: seconds since the epoch when it had
    been passed on. `type`: its DACP type. `sender`: `None` for the platform itself, as when it moves an app to another
    channel. `receivers`: each instance once; none, where nobody listened. `channel`: the channel's id, if it went over
    one. `intent`: the intent that is raised or answered. `size`: bytes, as sent to each receiver. `latency`: seconds
    from when the supervisor took up the request that caused it until it stood in every receiver's queue to be sent, the
    wait for an app's start or a listener included; `None` where no request caused it, but an app's end.
    """

    seq: int
    time: float
    type: str
    sender: Correspondent | None
    receivers: tuple[Correspondent, ...]
    channel: str | None
    intent: str | None
    context_type: str | None
    size: int
    latency: float | None
    raw: msgspec.Raw = _NONE
    head: str = ""

    @property
    def cut(self) -> bool:
        """Whether only its beginning is here: it is larger than 64 KiB."""
        return bytes(self.raw) == b"null"

    @property
    def text(self) -> str:
        """The message as JSON, `cut` or whole."""
        return self.head if self.cut else bytes(self.raw).decode()

    @property
    def message(self) -> dict[str, Any] | None:
        """The message: `type`, `meta` and `payload`. `None` if it was `cut`."""
        return None if self.cut else msgspec.json.decode(self.raw)

    @property
    def context(self) -> dict[str, Any] | None:
        """The context it carries, if it carries one and was not `cut`."""
        payload = (self.message or {}).get("payload", {})
        return payload.get("context") or payload.get("intentResult", {}).get("context")

    def __str__(self) -> str:
        what = " ".join(filter(None, (self.type, self.intent, self.context_type)))
        to = ", ".join(map(str, self.receivers)) or "nobody"
        over = f" over {self.channel}" if self.channel else ""
        took = "" if self.latency is None else f", {self.latency * 1000:.2f} ms"
        return f"{self.sender or 'the platform'} to {to}{over}: {what}, {self.size} bytes{took}"

    def __repr__(self) -> str:
        return f"<RoutedMessage {self.seq}: {self}>"


class Overhear(Message, frozen=True, tag="overhear"):
    """Tell every message between apps from now on, in batches; the controller keeps `most`, and 0 ends it.

    Answered with the `seq` of the last message so far.
    """

    id: int
    most: Annotated[int, msgspec.Meta(ge=0, le=MOST_OVERHEARD)] = 1000


class Overheard(Message, frozen=True, tag="overheard"):
    """Messages between apps, the oldest first."""

    messages: tuple[RoutedMessage, ...] = ()
