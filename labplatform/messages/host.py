"""What the supervisor and an app host say, over the inherited socketpair."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..manifest import Manifest, PageTransport
from ..network import Network
from .choosing import IntentQuestion
from .input import HostInput
from .page import PageHello, Restored
from .shown import Bounds
from .words import MAX_MESSAGE, CrashKind, Isolation, JsHeap, Message, MessageSize, Theme

LOADS = 16
"""Loads (of one frame to a page, of several from it) that may be on their way through its host in either direction."""
LOADS_TAKEN = LOADS // 2
"""Loads after which their sender is told that they were taken."""


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """All the paths that an app host may read, and may write, those below them too; it gives up the rest.

    `network`: whether it may open TCP connections, and listen for them.
    """

    readable: tuple[str, ...]
    writable: tuple[str, ...]
    network: bool = True


class HostOrder(Message, frozen=True, tag="host-order"):
    """The first frame to a new app host. Nothing secret stands in its command line or environment.

    `qt_platform`: Qt's platform plugin ("offscreen", "xcb", …), empty for Qt's own choice. `chromium_flags`: what this
    machine needs. `shared_renderer`: all pages of this host in one renderer process. `windowless`: no page is to come,
    so no GUI is started. `network`: its pages' way to the web. `confinement`: what it confines itself to, before
    anything of the app runs. `max_message`: as in `SupervisorOrder`.
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
    network: Network = Network()
    confinement: Confinement | None = None
    max_message: MessageSize = MAX_MESSAGE


class OpenInstance(Message, frozen=True, tag="open-instance"):
    """Fill a place: open its window and page, start its Python side. `profile`: where its cookies and storage lie.

    `service_instance`: who its Python side is for other apps; without a page, `instance` itself. `bounds`: where its
    window was before; else the manifest says. `restored`: what its page is told. `kept`: what was kept of the page
    before, as JSON. `page_transport`: how its page reaches the supervisor.
    """

    place: str
    instance: str
    service_instance: str
    incarnation: int
    token: str
    manifest: Manifest
    profile: str
    page_transport: PageTransport = "auto"
    bounds: Bounds | None = None
    restored: Restored | None = None
    kept: str = ""


class ShowCurtain(Message, frozen=True, tag="show-curtain"):
    """Show a picture, JPEG, in a window until the page of `place` has loaded, as if it were the old window."""

    place: str
    title: str
    picture: bytes
    bounds: Bounds


class ReloadInstance(Message, frozen=True, tag="reload-instance"):
    """A new incarnation in the window that is still there, after its renderer died."""

    place: str
    instance: str
    incarnation: int
    token: str
    restored: Restored | None = None
    kept: str = ""


class HostNumber(Message, frozen=True, tag="host-number"):
    """The host's pid as the machine's `ps` shows it; within a sandbox it sees another."""

    pid: int


class CloseInstance(Message, frozen=True, tag="close-instance"):
    """Close a place's window and end its Python side; the host ends with its last one."""

    place: str


class HostPing(Message, frozen=True, tag="host-ping"):
    """Answer from the GUI thread. `pages`: places whose page is not connected, to be asked for it."""

    seq: int
    pages: tuple[str, ...] = ()


class HostEvaluate(Message, frozen=True, tag="host-evaluate"):
    """Run JavaScript in a place's page; give up after `timeout` seconds."""

    request: int
    place: str
    code: str
    timeout: float


class HostCapture(Message, frozen=True, tag="host-capture"):
    """Draw a place's window into a picture."""

    request: int
    place: str
    format: Literal["png", "jpeg"]
    max_width: int


class HostDevtools(Message, frozen=True, tag="host-devtools"):
    """Show the developer tools for a place's page; answered when they have loaded."""

    request: int
    place: str


class AskInWindow(Message, frozen=True, tag="ask-in-window"):
    """Let the person at a place's window choose; with a number that is asked there already, the same, changed."""

    place: str
    question: IntentQuestion


class WithdrawQuestion(Message, frozen=True, tag="withdraw-question"):
    """A question in a place's window is over: take it away."""

    place: str
    number: int


class Misbehave(Message, frozen=True, tag="misbehave"):
    """Break this place, now. (What is done by a signal is the supervisor's own doing and never arrives here.)"""

    place: str
    how: CrashKind


class ToService(Message, frozen=True, tag="to-service"):
    """A DACP message to the Python side of a place."""

    place: str
    message: msgspec.Raw


class BridgeSend(Message, frozen=True, tag="bridge-send"):
    """A frame to the page that speaks through its host over this connection."""

    place: str
    connection: str
    frame: str


class BridgeTaken(Message, frozen=True, tag="bridge-taken"):
    """So many loads have been taken since this was said last; as many more may come. Said in both directions."""

    place: str
    incarnation: int
    connection: str
    loads: int


class BridgeClose(Message, frozen=True, tag="bridge-close"):
    """End this connection. `code`: why, as a WebSocket is closed with."""

    place: str
    connection: str
    code: int


ToHost = (
    HostOrder
    | HostNumber
    | OpenInstance
    | ReloadInstance
    | ShowCurtain
    | CloseInstance
    | HostPing
    | HostEvaluate
    | HostCapture
    | HostDevtools
    | HostInput
    | AskInWindow
    | WithdrawQuestion
    | Misbehave
    | ToService
    | BridgeSend
    | BridgeTaken
    | BridgeClose
)


class HostUp(Message, frozen=True, tag="host-up"):
    """The host has read its order. Its first word."""


class InstanceLoaded(Message, frozen=True, tag="instance-loaded"):
    """The page finished loading, or did not: `problem` is empty or says why (status, missing file, Python error)."""

    place: str
    incarnation: int
    problem: str = ""
    url: str = ""


class InstanceClosed(Message, frozen=True, tag="instance-closed"):
    """The window is gone. `by`: "request", "user", "page" (`window.close()`), or "service" (its function returned)."""

    place: str
    incarnation: int
    by: Literal["request", "user", "page", "service"]


class WindowMoved(Message, frozen=True, tag="window-moved"):
    """Its window is here now: when it was shown, and whenever it was moved or resized since."""

    place: str
    incarnation: int
    bounds: Bounds


class RendererStarted(Message, frozen=True, tag="renderer-started"):
    """The page runs in this renderer process (pid as the host sees it)."""

    place: str
    incarnation: int
    pid: int


class RendererGone(Message, frozen=True, tag="renderer-gone"):
    """Qt's `renderProcessTerminated`. `status`: normal, abnormal, crashed, killed. `code`: exit code or signal."""

    place: str
    incarnation: int
    pid: int
    status: str
    code: int


class ServiceFailed(Message, frozen=True, tag="service-failed"):
    """The Python side of a place raised. `traceback` as text."""

    place: str
    incarnation: int
    traceback: str


class HostPong(Message, frozen=True, tag="host-pong"):
    """The GUI thread answered this ping."""

    seq: int


class PagePong(Message, frozen=True, tag="page-pong"):
    """A page without a connection of its own answered this ping through its host."""

    seq: int
    place: str
    incarnation: int


class DialogChanged(Message, frozen=True, tag="dialog-changed"):
    """A modal dialog (alert, confirm, prompt, file) opened, with what it asks; or closed, with empty `text`."""

    place: str
    incarnation: int
    text: str = ""


class DevtoolsChanged(Message, frozen=True, tag="devtools-changed"):
    """The developer tools of a place's page were opened or closed. While they are open its page may stand still."""

    place: str
    incarnation: int
    open: bool = False


class WindowAnswer(Message, frozen=True, tag="window-answer"):
    """The person at a place's window chose an option of question `number`, or cancelled it (`None`).

    `problem`: why nobody could be asked there.
    """

    place: str
    incarnation: int
    number: int
    option: int | None = None
    problem: str = ""


class Console(Message, frozen=True, tag="console"):
    """A line of the page's console. `source`: file and line."""

    place: str
    incarnation: int
    level: Literal["info", "warning", "error"]
    text: str
    source: str = ""


class Remark(Message, frozen=True, tag="remark"):
    """Something a person should know, for the log. `place` empty: about the whole host."""

    text: str
    place: str = ""
    level: Literal["info", "warning", "error"] = "info"


class HostResult(Message, frozen=True, tag="host-result"):
    """The value of `HostEvaluate` or `HostCapture`, or the error's class, message and detail."""

    request: int
    value: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    message: str = ""
    detail: dict[str, Any] = msgspec.field(default_factory=dict)


class FromService(Message, frozen=True, tag="from-service"):
    """A DACP message from the Python side of a place."""

    place: str
    message: msgspec.Raw


class BridgeOpened(Message, frozen=True, tag="bridge-opened"):
    """The page in this place's main frame, which is of the app's own origin, begins a connection through its host."""

    place: str
    incarnation: int
    hello: PageHello


class BridgeSaid(Message, frozen=True, tag="bridge-said"):
    """Frames that the page sent, each of at most `HostOrder.max_message` bytes."""

    place: str
    incarnation: int
    connection: str
    frames: tuple[str, ...]


class BridgeClosed(Message, frozen=True, tag="bridge-closed"):
    """The page ended this connection, or has gone; `problem`: what the host has cut it off for."""

    place: str
    incarnation: int
    connection: str
    problem: str = ""


FromBridge = BridgeOpened | BridgeSaid | BridgeTaken | BridgeClosed

FromHost = (
    HostUp
    | InstanceLoaded
    | InstanceClosed
    | WindowMoved
    | RendererStarted
    | RendererGone
    | ServiceFailed
    | HostPong
    | PagePong
    | DialogChanged
    | DevtoolsChanged
    | WindowAnswer
    | Console
    | Remark
    | HostResult
    | FromService
    | FromBridge
)
