"""Why an app died, with all the evidence, as supervisor, controllers, store and pages of it say so."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..manifest import ResourceLimits
from .briefs import CrashBrief
from .host import Bounds
from .page import Restored
from .recalled import Recalled


class ReportedExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process of it ended. `process`: "host" or "renderer". `code`: its exit code; or `signal`, by name.

    `by`: who ended it, in words; empty where that cannot be known.
    """

    process: Literal["host", "renderer"]
    pid: int | None = None
    code: int | None = None
    signal: str = ""
    by: str = ""


class ReportedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that it sent (`out`) or was sent: not what stood in it. `at`: seconds since the epoch. `peers`: names
    of the other side, and how many more they were. `type`: DACP's. `size`: bytes.
    """

    at: float
    out: bool
    peers: tuple[str, ...]
    more_peers: int = 0
    type: str
    channel: str | None = None
    intent: str | None = None
    context_type: str | None = None
    size: int = 0


class ReportedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of its page's console. `at`: seconds since the epoch. `source`: file and line."""

    at: float
    level: Literal["info", "warning", "error"]
    text: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.level}: {self.text} ({self.source})"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine or the platform had to say of it. `at`: seconds since the epoch, where that is known."""

    text: str
    at: float | None = None
    level: Literal["info", "warning", "error"] = "info"


class ReportedLook(msgspec.Struct, frozen=True, kw_only=True):
    """What one of its processes was doing (`doing`, in words), and the percent of a core it used at its last sample."""

    role: str
    pid: int
    doing: str
    cpu: float | None = None


class ReportedNeighbour(msgspec.Struct, frozen=True, kw_only=True):
    """What another app of the platform felt of it.

    `lag`: how late its loops were at worst, in seconds, from a second before the end to a few after it; `None` where
    that was not measured. `felt`: it "answered" throughout, was "silent" for a while, "ended" too, or is "unknown".
    """

    place: str
    title: str
    color: str | None = None
    felt: Literal["answered", "silent", "ended", "unknown"] = "unknown"
    lag: float | None = None


class ReportedPicture(msgspec.Struct, frozen=True, kw_only=True):
    """The last picture of its window: JPEG, base64 on the wire. `at`: seconds since the epoch."""

    data: bytes
    width: int
    height: int
    at: float


class CrashReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one end.

    `glyph`: the app's, as a `data:` address. `created`, `ready_at`: when its process was created, and when it was
    ready, in seconds since the epoch. `exit`: how its process ended. `tier`, `limits`: what it was held to. `limit`,
    `seen`: bytes or processes, where one was exceeded. `figures`: of the whole tree and of each process, the last
    minute and what came after. `looks`: what its processes were doing when it was ended for its silence. `messages`,
    `console`: oldest first. `stderr`: the last that its host printed. `traceback`: a Python traceback or JavaScript
    stack. `restored`: what the page that came after it was told. `state_size`: bytes of its saved state; the state
    itself never is in a report. `channel`, `bounds`: its user channel, and where its window was. `noticed_after`:
    seconds from its fault to its notice, where `noticed` says what that was measured from. `unheard`: contexts and
    intents sent to it that it had not said to have. `fields`, `hash`: how many fields of its forms were kept, and
    whether its address had a part behind a hash. `owed`: intents whose result it still owed. `apps`: who was lost with
    a supervisor. `lab`: the version that wrote it.
    """

    brief: CrashBrief
    glyph: str = ""
    created: float | None = None
    ready_at: float | None = None
    exit: ReportedExit | None = None
    tier: str = "off"
    limits: ResourceLimits = ResourceLimits()
    limit: int | None = None
    seen: int | None = None
    figures: Recalled = Recalled()
    looks: tuple[ReportedLook, ...] = ()
    messages: tuple[ReportedMessage, ...] = ()
    unheard: int = 0
    fields: int = 0
    hash: bool = False
    owed: tuple[str, ...] = ()
    console: tuple[ReportedLine, ...] = ()
    stderr: str = ""
    traceback: str = ""
    picture: ReportedPicture | None = None
    restored: Restored | None = None
    state_size: int | None = None
    channel: str | None = None
    bounds: Bounds | None = None
    evidence: tuple[Evidence, ...] = ()
    noticed_after: float | None = None
    noticed: str = ""
    neighbours: tuple[ReportedNeighbour, ...] = ()
    apps: tuple[str, ...] = ()
    lab: str = ""
