"""How a supervisor is started and found: its order, its first word, its connection file. Kernel and supervisor."""

from __future__ import annotations

import uuid
from typing import Annotated

import msgspec

from ..manifest import Manifest, PageTransport
from ..network import Network
from .reports import CrashReport
from .words import (
    MAX_MESSAGE,
    MOST_RECYCLED,
    BoundaryWish,
    Isolation,
    JsHeap,
    LimitsWish,
    MessageSize,
    PlatformName,
    Theme,
    Timeout,
)

MOST_ORDER = 16 << 20
"""Bytes of an order, most of them manifests."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """How a hang is noticed: a ping every `interval` seconds; `unresponsive` after `silent_after` of them in a row went
    unanswered, ended after `ended_after`. Counting pings, not seconds, spares an app when the whole machine stalls.

    `handlers_interval`: seconds between two of FDC3's heartbeats to notebooks and Python sides, which they answer where
    their message handlers run. `silent_after` of them unanswered are noted in the log; nobody is ended for it.
    """

    interval: Timeout = 1.0
    handlers_interval: Timeout = 5.0
    silent_after: Annotated[int, msgspec.Meta(ge=1)] = 3
    ended_after: Annotated[int, msgspec.Meta(ge=2)] = 10


class Reporting(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into crash reports, and how long they are kept.

    `picture_interval`: seconds between two pictures of a running app's window, of which the last one goes into its
    report; 0 takes none. One takes some milliseconds of the thread that serves the window. `picture_width`: pixels.
    `span`: seconds before an end whose figures are told; `after`: for how long neighbours are watched for what they
    felt of it, and the app itself once it is back. `kept`: how many reports a store keeps, of all its platforms;
    `kept_seconds`: how long.
    """

    picture_interval: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 5.0
    picture_width: Annotated[int, msgspec.Meta(ge=100, le=2000)] = 420
    span: Annotated[float, msgspec.Meta(gt=0, le=600)] = 60.0
    after: Annotated[float, msgspec.Meta(gt=0, le=30)] = 3.0
    kept: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    kept_seconds: Annotated[float, msgspec.Meta(gt=0)] = 30 * 86_400.0


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor has to know that takes a lost one's place, beside what it finds in the store.

    `at`: when the loss was noticed, in seconds since the epoch. `log_behind`: the number of the last entry of the log
    that is known. `incarnations`: how far those of each place had counted; the store may not have heard of the last.
    `lost`: the report of the loss.
    """

    at: float
    log_behind: Annotated[int, msgspec.Meta(ge=0)] = 0
    incarnations: dict[str, int] = {}
    lost: CrashReport | None = None


def _new_session() -> str:
    return uuid.uuid4().hex


class SupervisorOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One line of JSON on the supervisor's standard input, which then stays open: its end is the controller's end.

    `token`: what a controller must know. `qt_platform`: as in `HostOrder`; `display`: how windows are shown, in words.
    `remarks`: what was passed over when the manifests were read, for the log. `network`: the pages' way to the web.
    `page_transport`: how pages reach the supervisor, where their manifests do not say. `max_message`: bytes that an app
    may send in one message. `sampling`: seconds between two looks at memory and CPU. `recycle_at_once`: how many apps
    may be given a fresh process at one time. `resolver_timeout`: seconds that a choice between apps may take; with a
    launch and the wait for its listener it has to stay below the 100 s that an app's side of FDC3 waits. `store`: the
    file in which apps' states are kept; empty for a memory's length. `session`: what this platform's rows in the store
    are found by, also by a supervisor that takes a lost one's place. `resume`: it takes one's place now. `detached`: it
    outlives its controller. `reporting`: of its apps' ends. `name`: what people call it, if anything.
    """

    token: str
    controller_pid: int
    folder: str
    isolation: Isolation
    manifests: dict[str, Manifest]
    remarks: tuple[str, ...] = ()
    network: Network = Network()
    qt_platform: str = ""
    display: str = ""
    chromium_flags: tuple[str, ...] = ()
    js_heap: JsHeap = 1 << 30
    limits: LimitsWish = "auto"
    boundary: BoundaryWish = "auto"
    theme: Theme = "auto"
    heartbeat: Heartbeat = Heartbeat()
    page_transport: PageTransport = "auto"
    max_message: MessageSize = MAX_MESSAGE
    sampling: Annotated[float, msgspec.Meta(ge=0.1, le=10)] = 1.0
    recycle_at_once: Annotated[int, msgspec.Meta(ge=1, le=MOST_RECYCLED)] = 1
    resolver_timeout: Annotated[float, msgspec.Meta(gt=0, le=50)] = 45.0
    store: str = ""
    session: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = msgspec.field(default_factory=_new_session)
    resume: Resumption | None = None
    detached: bool = False
    reporting: Reporting = Reporting()
    name: PlatformName = ""


class SupervisorReady(msgspec.Struct, frozen=True, kw_only=True):
    """One line of JSON on the supervisor's standard output, once it serves. `problem`: why it does not."""

    pid: int
    port: int = 0
    connection_file: str = ""
    problem: str = ""


class ConnectionFile(msgspec.Struct, frozen=True, kw_only=True):
    """What `platform-PID.json` in the runtime folder holds, readable by its owner alone. `created` guards against reuse
    of the pid: it is the supervisor's start, in seconds since the epoch. `session`, `detached`, `name`: as in the
    order.
    """

    pid: int
    created: float
    port: int
    token: str
    isolation: str
    controller_pid: int
    session: str = ""
    detached: bool = False
    name: str = ""
