"""What a controller (kernel, CLI) and the supervisor say: requests one way; replies, refusals and news back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from ..manifest import Manifest, ResourceLimits
from .briefs import CrashBrief, RecallBriefs, RecallReport
from .choosing import IntentQuestion, ResolverKind
from .input import SendInput
from .overheard import Overhear, Overheard
from .shown import AppStatus, Entry, PlatformMetrics
from .words import MAX_TEXT, CrashKind, Isolation, Message, Timeout
from .workspaces import DeleteWorkspace, RestoreWorkspace, SaveWorkspace, TellWorkspaces


class Hello(Message, frozen=True, tag="hello"):
    """The first message of every WebSocket: who speaks, and the token that proves it.

    A page's `session` is its document, which goes on over many connections. `received`: the messages of the session
    that came; `kept_from`: the number of the oldest of its own that it can send again. A `notebook` speaks FDC3 only,
    for a kernel, by its controller's token; `session`: which kernel, `title`: what people call it.
    """

    role: Literal["controller", "page", "notebook"]
    token: str
    session: Annotated[str, msgspec.Meta(max_length=64)] = ""
    received: Annotated[int, msgspec.Meta(ge=0)] = 0
    kept_from: Annotated[int, msgspec.Meta(ge=0)] = 0
    title: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Launch(Message, frozen=True, tag="launch"):
    """Start an app: one the platform knows by id, or one given by its manifest. Answered when its page is ready.

    `limits`: what is given there counts instead of the manifest's. `placement`: how it is isolated, whatever the
    platform's own isolation and the manifest's `processAffinity` say. `timeout`: seconds until the launch is given up
    and undone.
    """

    id: int
    app_id: str = ""
    manifest: Manifest | None = None
    limits: ResourceLimits | None = None
    placement: Isolation | None = None
    timeout: Timeout = 30.0


class Stop(Message, frozen=True, tag="stop"):
    """Close an app's window and wait until its process is gone; killed after `timeout` seconds."""

    id: int
    place: str
    timeout: Timeout = 5.0


class Kill(Message, frozen=True, tag="kill"):
    """End an app's processes by SIGKILL, at once; it is not started again."""

    id: int
    place: str


class Restart(Message, frozen=True, tag="restart"):
    """Stop an app, if it runs, and start it again. Answered when its page is ready."""

    id: int
    place: str
    timeout: Timeout = 30.0


class Recycle(Message, frozen=True, tag="recycle"):
    """Give an app a fresh process. Answered when it is ready in it."""

    id: int
    place: str
    timeout: Timeout = 30.0


class Crash(Message, frozen=True, tag="crash"):
    """Break an app on purpose, in one of the ways an app can break. Answered when the platform has noticed."""

    id: int
    place: str
    how: CrashKind
    timeout: Timeout = 30.0


class SetLimits(Message, frozen=True, tag="set-limits"):
    """Change what an app may use, from now on; answered with `AppStatus` once it holds.

    `changes`: what is not given there stays as it is. `lifted`: names of fields that are not limited any more.
    """

    id: int
    place: str
    changes: ResourceLimits = ResourceLimits()
    lifted: tuple[Literal["max_memory", "max_cpu", "max_processes", "js_heap"], ...] = ()


class Evaluate(Message, frozen=True, tag="evaluate"):
    """Run JavaScript in an app's page; answered with its JSON value, a promise's once it settles."""

    id: int
    place: str
    code: str
    timeout: Timeout = 5.0


class Capture(Message, frozen=True, tag="capture"):
    """A picture of an app's window; answered with `Picture`. `max_width`: pixels, 0 for the window's own size."""

    id: int
    place: str
    format: Literal["png", "jpeg"] = "png"
    max_width: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    timeout: Timeout = 5.0


class OpenDevtools(Message, frozen=True, tag="open-devtools"):
    """Show Chromium's developer tools for an app's page, in a window of its host. Answered when they are there."""

    id: int
    place: str
    timeout: Timeout = 20.0


class Watch(Message, frozen=True, tag="watch"):
    """Send `Frame`s of an app's window to this controller until the same is asked with `rate` 0.

    `rate`: pictures a second at most; a picture that shows nothing new is not sent.
    """

    id: int
    place: str
    rate: Annotated[float, msgspec.Meta(ge=0, le=30)] = 4.0
    max_width: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 480


class Cancel(Message, frozen=True, tag="cancel"):
    """The controller no longer waits for the request `request`; a launch under way is undone. Not answered."""

    id: int
    request: int


class Describe(Message, frozen=True, tag="describe"):
    """The platform and all its apps; answered with `PlatformStatus`."""

    id: int


class TellOrder(Message, frozen=True, tag="tell-order"):
    """What this platform was started with; answered with its `SupervisorOrder`."""

    id: int


class Subscribe(Message, frozen=True, tag="subscribe"):
    """From now on send every new log entry and status; answered with the log so far (`list[Entry]`)."""

    id: int


class Recall(Message, frozen=True, tag="recall"):
    """Answer with the `Recalled` figures of an app, oldest first, of the last `span` seconds, or of all time after
    `after`, in seconds since the epoch.
    """

    id: int
    place: str
    span: Annotated[float, msgspec.Meta(gt=0)] = 600.0
    after: float | None = None


class RecallAside(Message, frozen=True, tag="recall-aside"):
    """Answer with the `StateAside` of an app; with `None` where nothing was put aside."""

    id: int
    place: str


class OfferResolver(Message, frozen=True, tag="offer-resolver"):
    """From now on this controller can answer, or show, which app shall handle an intent; its former offer is void."""

    id: int
    kind: ResolverKind


class AnswerQuestion(Message, frozen=True, tag="answer-question"):
    """The answer to question `number`: the index of one of its options, or `None` for "cancelled by the person".

    `problem`: instead of an answer, why this controller has none. Answered with whether it was the first to come.
    """

    id: int
    number: int
    option: Annotated[int, msgspec.Meta(ge=0)] | None = None
    problem: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] = ""


class Shutdown(Message, frozen=True, tag="shutdown"):
    """Stop every app, then the supervisor. Answered just before the connection closes. `by`: who asks, in words."""

    id: int
    timeout: Timeout = 5.0
    by: Annotated[str, msgspec.Meta(max_length=200)] = ""


Request = (
    Launch
    | Stop
    | Kill
    | Restart
    | Recycle
    | Crash
    | SetLimits
    | Evaluate
    | Capture
    | OpenDevtools
    | Watch
    | SendInput
    | Cancel
    | Describe
    | TellOrder
    | Subscribe
    | Recall
    | RecallBriefs
    | RecallReport
    | RecallAside
    | OfferResolver
    | AnswerQuestion
    | Overhear
    | SaveWorkspace
    | TellWorkspaces
    | DeleteWorkspace
    | RestoreWorkspace
    | Shutdown
)


class Reply(Message, frozen=True, tag="reply"):
    """The answer to the request with this `id`."""

    id: int
    value: msgspec.Raw = msgspec.Raw(b"null")


class Refusal(Message, frozen=True, tag="refusal"):
    """The request with this `id` failed: the class of the error (see `errors`), its message and detail."""

    id: int
    kind: str
    message: str
    detail: dict[str, Any] = msgspec.field(default_factory=dict)


class Welcome(Message, frozen=True, tag="welcome"):
    """The token was right. For a page or a notebook: who it is. `cut_off`: why its former connection was ended.

    `received`: the messages of its session that came; `sent`: the number of the one that comes next.
    """

    place: str = ""
    instance: str = ""
    app_id: str = ""
    cut_off: str = ""
    received: int = 0
    sent: int = 0


class News(Message, frozen=True, tag="news"):
    """To subscribed controllers: new log entries, and the status of the apps that changed. `gone`: places removed.
    `metrics`: of the platform as a whole, where there is a new sample. `reports`: new ones in brief, and those to which
    something was added.
    """

    entries: tuple[Entry, ...] = ()
    apps: tuple[AppStatus, ...] = ()
    gone: tuple[str, ...] = ()
    metrics: PlatformMetrics | None = None
    reports: tuple[CrashBrief, ...] = ()


class Frame(Message, frozen=True, tag="frame"):
    """A picture of a watched window: JPEG, base64 on the wire. `problem` says why there is none, with `data` empty."""

    place: str
    data: bytes = b""
    width: int = 0
    height: int = 0
    problem: str = ""


class QuestionOpen(Message, frozen=True, tag="question-open"):
    """A question to this controller, or with a known number the same one, changed.

    `to`: "function" to have it answered by code, "people" to show it.
    """

    question: IntentQuestion
    to: Literal["function", "people"]


class QuestionClosed(Message, frozen=True, tag="question-closed"):
    """A question is over; an answer to it comes too late.

    `how`: an option was "chosen" or the question "cancelled", here or elsewhere; who raised the intent has "withdrawn"
    it, by its end or because it had waited long enough; or it "failed", for nobody is left to answer.
    """

    number: int
    how: Literal["chosen", "cancelled", "withdrawn", "failed"]
    option: int | None = None


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The value of `Capture`: PNG or JPEG bytes, base64 on the wire; width and height in pixels."""

    data: bytes
    format: str
    width: int
    height: int


ToController = Reply | Refusal | Welcome | News | Frame | QuestionOpen | QuestionClosed | Overheard
