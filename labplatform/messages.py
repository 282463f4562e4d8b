"""What kernel, supervisor, app host and page say to each other: one frozen struct a message, JSON on every wire.

Three conversations, three unions, each told apart by the field `type`:

- controller (kernel, CLI) and supervisor, over a WebSocket: `Request` one way; `Reply`, `Refusal` and `News` back;
- supervisor and app host, over the inherited socketpair: `ToHost` and `FromHost`, each frame led by its length;
- page and supervisor, over a WebSocket: `FromPage` and `ToPage`, beside FDC3's own DACP messages, which are recognised
  by their `meta` and travel untouched.

A `place` is the name of an app on the platform ("ticker-list", "ticker-list-2"); an `instance` is the FDC3
instanceId of the process or page that fills it at the moment.
"""

from __future__ import annotations

import struct
from typing import Annotated, Any, Literal

import msgspec

from .manifest import Manifest, Size

Isolation = Literal["process", "shared-process", "shared-renderer"]
CrashKind = Literal["abort", "kill", "segfault", "renderer", "oom", "hang", "exit"]
Theme = Literal["auto", "light", "dark"]
JsHeap = Annotated[int, msgspec.Meta(ge=64 << 20, le=4 << 30)]
"""Bytes of JavaScript heap a renderer may fill before V8 ends it as out of memory; V8 itself stops at 4 GiB."""
Timeout = Annotated[float, msgspec.Meta(gt=0, le=86_400)]

MAX_MESSAGE = 1 << 20
"""Bytes a page may send in one message, once its token is known."""
MAX_REQUEST = 32 << 20
"""Bytes a controller may send in one message: a person's code, or a manifest."""
MAX_TEXT = 16 << 10
"""Characters of a text that goes into the log: a traceback, a remark, a detail."""
MAX_URL = 2048
"""Characters of a page's address that are told."""
MAX_FIRST_MESSAGE = 4096
"""Bytes a connection may send before its token is known."""
MAX_HOST_FRAME = 64 << 20
"""Bytes of one frame between supervisor and app host; a picture of a large window is the largest."""

_LENGTH = struct.Struct(">I")


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """Every message: frozen, told apart by `type`."""


# --- what everybody shows ---------------------------------------------------------------------------------------------


class ProcessInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One OS process of an app's tree.

    `created`: seconds since the epoch; a pid alone is reused. `memory`: bytes resident and not shared (`statm`).
    `cpu`: percent of one core over the last sampling period. `role`: host, zygote, renderer, helper, supervisor.
    """

    pid: int
    created: float
    role: str
    memory: int
    cpu: float


class SandboxInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the running renderer really has, read from `/proc/PID/status` and its namespaces; `None` is "not known".

    `seccomp`: a system-call filter is on. `pid_namespace`, `network_namespace`, `user_namespace`: it has one of its
    own. `why`: why something is missing, where that is known.
    """

    seccomp: bool | None = None
    pid_namespace: bool | None = None
    network_namespace: bool | None = None
    user_namespace: bool | None = None
    why: str = ""

    @property
    def holds(self) -> bool:
        """Whether Chromium's renderer sandbox is on: a filter, and namespaces of its own."""
        return bool(self.seccomp and self.pid_namespace)

    def __str__(self) -> str:
        if self.seccomp is None:
            return f"not known: {self.why}" if self.why else "not known"
        parts = [
            name
            for name, on in (
                ("seccomp filter", self.seccomp),
                ("own PID namespace", self.pid_namespace),
                ("no network of its own", self.network_namespace),
                ("own user namespace", self.user_namespace),
            )
            if on
        ]
        return (", ".join(parts) if parts else "off") + (f" ({self.why})" if self.why else "")


class AppStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All that a controller shows of one app. Times are seconds since the epoch, sizes bytes.

    `revision` grows with each status the supervisor gives, so that an older one is told from a newer one. `reason` says
    why the app ended last, in Electron's process-gone words (and `unresponsive`); `detail` in plain ones.
    """

    revision: int
    place: str
    app_id: str
    title: str
    instance: str
    incarnation: int
    state: str
    pid: int | None
    shared_with: tuple[str, ...]
    restarts: int
    since: float
    ready_at: float | None
    reason: str | None
    detail: str
    url: str | None
    dialog: str | None
    processes: tuple[ProcessInfo, ...]
    sampled_at: float | None
    sandbox: SandboxInfo
    color: str | None


class PlatformStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The platform as a whole."""

    supervisor: ProcessInfo
    guardian_pid: int
    controller_pid: int
    isolation: str
    display: str
    apps: tuple[AppStatus, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the platform's event log: a lifecycle event and what it led to, or a remark.

    `seq` counts from 1 without gaps. `time`: seconds since the epoch. `event`: the lifecycle event as JSON, enough to
    replay the log; empty for a remark. `kind`: the event's name. `was` and `state`: the app's state before and after.
    """

    seq: int
    time: float
    kind: str
    place: str | None = None
    instance: str | None = None
    was: str | None = None
    state: str | None = None
    text: str = ""
    level: Literal["info", "warning", "error"] = "info"
    event: dict[str, Any] = {}


# --- starting the supervisor ------------------------------------------------------------------------------------------


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """How a hang is noticed: a ping every `interval` seconds; `unresponsive` after `silent_after` of them in a row went
    unanswered, ended after `ended_after`. Counting pings, not seconds, spares an app when the whole machine stalls.
    """

    interval: Timeout = 1.0
    silent_after: Annotated[int, msgspec.Meta(ge=1)] = 3
    ended_after: Annotated[int, msgspec.Meta(ge=2)] = 10


class SupervisorOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One line of JSON on the supervisor's standard input, which then stays open: its end is the controller's end.

    `token`: what a controller must know. `qt_platform`: as in `HostOrder`; `display`: how windows are shown, in words.
    `sampling`: seconds between two looks at memory and CPU.
    """

    token: str
    controller_pid: int
    folder: str
    isolation: Isolation
    manifests: dict[str, Manifest]
    qt_platform: str = ""
    display: str = ""
    chromium_flags: tuple[str, ...] = ()
    js_heap: JsHeap = 1 << 30
    theme: Theme = "auto"
    heartbeat: Heartbeat = Heartbeat()
    sampling: Annotated[float, msgspec.Meta(ge=0.1, le=10)] = 1.0


class SupervisorReady(msgspec.Struct, frozen=True, kw_only=True):
    """One line of JSON on the supervisor's standard output, once it serves. `problem`: why it does not."""

    pid: int
    port: int = 0
    connection_file: str = ""
    problem: str = ""


class ConnectionFile(msgspec.Struct, frozen=True, kw_only=True):
    """What `platform-PID.json` in the runtime folder holds, readable by its owner alone. `created` guards against reuse
    of the pid: it is the supervisor's start, in seconds since the epoch.
    """

    pid: int
    created: float
    port: int
    token: str
    isolation: str
    controller_pid: int


# --- controller and supervisor ----------------------------------------------------------------------------------------


class Hello(_Message, frozen=True, tag="hello"):
    """The first message of every WebSocket: who speaks, and the token that proves it.

    A page's `session` is its document, which goes on over many connections. `received`: the messages of the session
    that came; `kept_from`: the number of the oldest of its own that it can send again.
    """

    role: Literal["controller", "page"]
    token: str
    session: Annotated[str, msgspec.Meta(max_length=64)] = ""
    received: Annotated[int, msgspec.Meta(ge=0)] = 0
    kept_from: Annotated[int, msgspec.Meta(ge=0)] = 0


class Launch(_Message, frozen=True, tag="launch"):
    """Start an app: one the platform knows by id, or one given by its manifest. Answered when its page is ready.

    `timeout`: seconds until the launch is given up and undone.
    """

    id: int
    app_id: str = ""
    manifest: Manifest | None = None
    timeout: Timeout = 30.0


class Stop(_Message, frozen=True, tag="stop"):
    """Close an app's window and wait until its process is gone; killed after `timeout` seconds."""

    id: int
    place: str
    timeout: Timeout = 5.0


class Kill(_Message, frozen=True, tag="kill"):
    """End an app's processes by SIGKILL, at once; it is not started again."""

    id: int
    place: str


class Restart(_Message, frozen=True, tag="restart"):
    """Stop an app, if it runs, and start it again. Answered when its page is ready."""

    id: int
    place: str
    timeout: Timeout = 30.0


class Crash(_Message, frozen=True, tag="crash"):
    """Break an app on purpose, in one of the ways an app can break. Answered when the platform has noticed."""

    id: int
    place: str
    how: CrashKind
    timeout: Timeout = 30.0


class Evaluate(_Message, frozen=True, tag="evaluate"):
    """Run JavaScript in an app's page; answered with its JSON value, a promise's once it settles."""

    id: int
    place: str
    code: str
    timeout: Timeout = 5.0


class Capture(_Message, frozen=True, tag="capture"):
    """A picture of an app's window; answered with `Picture`. `max_width`: pixels, 0 for the window's own size."""

    id: int
    place: str
    format: Literal["png", "jpeg"] = "png"
    max_width: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    timeout: Timeout = 5.0


class Watch(_Message, frozen=True, tag="watch"):
    """Send `Frame`s of an app's window to this controller until the same is asked with `rate` 0.

    `rate`: pictures a second at most; a picture that shows nothing new is not sent.
    """

    id: int
    place: str
    rate: Annotated[float, msgspec.Meta(ge=0, le=30)] = 4.0
    max_width: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 480


class Cancel(_Message, frozen=True, tag="cancel"):
    """The controller no longer waits for the request `request`; a launch under way is undone. Not answered."""

    id: int
    request: int


class Describe(_Message, frozen=True, tag="describe"):
    """The platform and all its apps; answered with `PlatformStatus`."""

    id: int


class Subscribe(_Message, frozen=True, tag="subscribe"):
    """From now on send every new log entry and status; answered with the log so far (`list[Entry]`)."""

    id: int


class Shutdown(_Message, frozen=True, tag="shutdown"):
    """Stop every app, then the supervisor. Answered just before the connection closes."""

    id: int
    timeout: Timeout = 5.0


Request = Launch | Stop | Kill | Restart | Crash | Evaluate | Capture | Watch | Cancel | Describe | Subscribe | Shutdown


class Reply(_Message, frozen=True, tag="reply"):
    """The answer to the request with this `id`."""

    id: int
    value: msgspec.Raw = msgspec.Raw(b"null")


class Refusal(_Message, frozen=True, tag="refusal"):
    """The request with this `id` failed: the class of the error (see `errors`), its message and detail."""

    id: int
    kind: str
    message: str
    detail: dict[str, Any] = {}


class Welcome(_Message, frozen=True, tag="welcome"):
    """The token was right. For a page: who it is. `cut_off`: why its former connection was ended, if it was.

    `received`: the messages of its session that came; `sent`: the number of the one that comes next.
    """

    place: str = ""
    instance: str = ""
    app_id: str = ""
    cut_off: str = ""
    received: int = 0
    sent: int = 0


class News(_Message, frozen=True, tag="news"):
    """To subscribed controllers: new log entries, and the status of the apps that changed. `gone`: places removed."""

    entries: tuple[Entry, ...] = ()
    apps: tuple[AppStatus, ...] = ()
    gone: tuple[str, ...] = ()


class Frame(_Message, frozen=True, tag="frame"):
    """A picture of a watched window: JPEG, base64 on the wire. `problem` says why there is none, with `data` empty."""

    place: str
    data: bytes = b""
    width: int = 0
    height: int = 0
    problem: str = ""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The value of `Capture`: PNG or JPEG bytes, base64 on the wire; width and height in pixels."""

    data: bytes
    format: str
    width: int
    height: int


ToController = Reply | Refusal | Welcome | News | Frame

# --- supervisor and app host ------------------------------------------------------------------------------------------


class HostOrder(_Message, frozen=True, tag="host-order"):
    """The first frame to a new app host. Nothing secret stands in its command line or environment.

    `qt_platform`: Qt's platform plugin ("offscreen", "xcb", …), empty for Qt's own choice. `chromium_flags`: what this
    machine needs. `shared_renderer`: all pages of this host in one renderer process. `windowless`: no page is to come,
    so no GUI is started.
    """

    host: str
    title: str
    url: str
    isolation: Isolation
    qt_platform: str = ""
    chromium_flags: tuple[str, ...] = ()
    js_heap: JsHeap = 1 << 30
    shared_renderer: bool = False
    windowless: bool = False
    theme: Theme = "auto"


class OpenInstance(_Message, frozen=True, tag="open-instance"):
    """Fill a place: open its window and page, start its Python side. `profile`: where its cookies and storage lie.

    `service_instance`: who its Python side is for other apps; without a page, `instance` itself.
    """

    place: str
    instance: str
    service_instance: str
    incarnation: int
    token: str
    manifest: Manifest
    profile: str


class ReloadInstance(_Message, frozen=True, tag="reload-instance"):
    """A new incarnation in the window that is still there, after its renderer died."""

    place: str
    instance: str
    incarnation: int
    token: str


class CloseInstance(_Message, frozen=True, tag="close-instance"):
    """Close a place's window and end its Python side; the host ends with its last one."""

    place: str


class HostPing(_Message, frozen=True, tag="host-ping"):
    """Answer from the GUI thread. `pages`: places whose page has no connection of its own, to be pinged through it."""

    seq: int
    pages: tuple[str, ...] = ()


class HostEvaluate(_Message, frozen=True, tag="host-evaluate"):
    """Run JavaScript in a place's page; give up after `timeout` seconds."""

    request: int
    place: str
    code: str
    timeout: float


class HostCapture(_Message, frozen=True, tag="host-capture"):
    """Draw a place's window into a picture."""

    request: int
    place: str
    format: Literal["png", "jpeg"]
    max_width: int


class Misbehave(_Message, frozen=True, tag="misbehave"):
    """Break this place, now. (`kill` is the supervisor's own doing and never arrives here.)"""

    place: str
    how: CrashKind


class ToService(_Message, frozen=True, tag="to-service"):
    """A DACP message to the Python side of a place."""

    place: str
    message: msgspec.Raw


ToHost = (
    HostOrder
    | OpenInstance
    | ReloadInstance
    | CloseInstance
    | HostPing
    | HostEvaluate
    | HostCapture
    | Misbehave
    | ToService
)


class InstanceLoaded(_Message, frozen=True, tag="instance-loaded"):
    """The page finished loading, or did not: `problem` is empty or says why (status, missing file, Python error)."""

    place: str
    incarnation: int
    problem: str = ""
    url: str = ""


class InstanceClosed(_Message, frozen=True, tag="instance-closed"):
    """The window is gone. `by`: "request", "user", "page" (`window.close()`), or "service" (its function returned)."""

    place: str
    incarnation: int
    by: Literal["request", "user", "page", "service"]


class RendererStarted(_Message, frozen=True, tag="renderer-started"):
    """The page runs in this renderer process (pid as the host sees it)."""

    place: str
    incarnation: int
    pid: int


class RendererGone(_Message, frozen=True, tag="renderer-gone"):
    """Qt's `renderProcessTerminated`. `status`: normal, abnormal, crashed, killed. `code`: exit code or signal."""

    place: str
    incarnation: int
    pid: int
    status: str
    code: int


class ServiceFailed(_Message, frozen=True, tag="service-failed"):
    """The Python side of a place raised. `traceback` as text."""

    place: str
    incarnation: int
    traceback: str


class HostPong(_Message, frozen=True, tag="host-pong"):
    """The GUI thread answered this ping."""

    seq: int


class PagePong(_Message, frozen=True, tag="page-pong"):
    """A page without a connection of its own answered this ping through its host."""

    seq: int
    place: str
    incarnation: int


class DialogChanged(_Message, frozen=True, tag="dialog-changed"):
    """A modal dialog (alert, confirm, prompt, file) opened, with what it asks; or closed, with empty `text`."""

    place: str
    incarnation: int
    text: str = ""


class Console(_Message, frozen=True, tag="console"):
    """A line of the page's console. `source`: file and line."""

    place: str
    incarnation: int
    level: Literal["info", "warning", "error"]
    text: str
    source: str = ""


class Remark(_Message, frozen=True, tag="remark"):
    """Something a person should know, for the log. `place` empty: about the whole host."""

    text: str
    place: str = ""
    level: Literal["info", "warning", "error"] = "info"


class HostResult(_Message, frozen=True, tag="host-result"):
    """The value of `HostEvaluate` or `HostCapture`, or the error's class, message and detail."""

    request: int
    value: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    message: str = ""
    detail: dict[str, Any] = {}


class FromService(_Message, frozen=True, tag="from-service"):
    """A DACP message from the Python side of a place."""

    place: str
    message: msgspec.Raw


FromHost = (
    InstanceLoaded
    | InstanceClosed
    | RendererStarted
    | RendererGone
    | ServiceFailed
    | HostPong
    | PagePong
    | DialogChanged
    | Console
    | Remark
    | HostResult
    | FromService
)

# --- page and supervisor ----------------------------------------------------------------------------------------------


class Ping(_Message, frozen=True, tag="ping"):
    """Answer at once, from `onmessage`: a hidden page's timers are throttled, its messages are not."""

    seq: int
    received: int = 0


class Pong(_Message, frozen=True, tag="pong"):
    """The page's event loop reached this ping."""

    seq: int
    received: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Ack(_Message, frozen=True, tag="ack"):
    """`received` messages of the session came, counted from its start; pings and pongs say so as well."""

    received: Annotated[int, msgspec.Meta(ge=0)]


ToPage = Welcome | Ping | Ack
FromPage = Pong | Ack

# --- JSON -------------------------------------------------------------------------------------------------------------


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
