"""The control words between page and supervisor, beside FDC3's own messages, which travel untouched.

A frame holds one message or several, one a line, in both directions. So no message has a line break in it; JSON needs
none. To a page only broadcasts, their answers and control words go together.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from .controller import Welcome
from .words import MAX_URL, Message

Bytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class PageHello(msgspec.Struct, frozen=True, kw_only=True):
    """How a page that speaks through its host introduces itself; what `Hello` says over a WebSocket.

    `connection`: a name of its own for this connection. `session`, `received`, `kept_from`: as in `Hello`. `why`: why
    the page opens no WebSocket, though it might have; empty where it was not to.
    """

    connection: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    session: Annotated[str, msgspec.Meta(max_length=64)] = ""
    received: Annotated[int, msgspec.Meta(ge=0)] = 0
    kept_from: Annotated[int, msgspec.Meta(ge=0)] = 0
    why: Annotated[str, msgspec.Meta(max_length=300)] = ""


class Ping(Message, frozen=True, tag="ping"):
    """Answer at once, from `onmessage`: a hidden page's timers are throttled, its messages are not."""

    seq: int
    received: int = 0


class Pong(Message, frozen=True, tag="pong"):
    """The page's event loop reached this ping.

    `lag`: seconds that the loop was late at worst since the pong before; absent for a hidden page. `js_heap`,
    `js_heap_limit`: bytes that JavaScript fills, and may fill, in the page's renderer.
    """

    seq: int
    received: Annotated[int, msgspec.Meta(ge=0)] | None = None
    lag: Annotated[float, msgspec.Meta(ge=0)] | None = None
    js_heap: Bytes | None = None
    js_heap_limit: Bytes | None = None


class Ack(Message, frozen=True, tag="ack"):
    """`received` messages of the session came, counted from its start; pings and pongs say so as well."""

    received: Annotated[int, msgspec.Meta(ge=0)]


class SaveState(Message, frozen=True, tag="save-state"):
    """Keep this for the app, in place of what was kept before. Answered with `StateSaved`; counted in the session.

    `version`: of its form, by the app's own count.
    """

    seq: int
    state: msgspec.Raw
    version: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0


class LoadState(Message, frozen=True, tag="load-state"):
    """Tell what is kept for the app. Answered with `StateLoaded`; counted in the session."""

    seq: int


class Kept(msgspec.Struct, frozen=True):
    """What is kept of a page without a word of its own.

    `page`: path and query of its document. `hash`: the fragment of its address; `history`: the state beside that.
    `fields`: by name, what stood in the marked fields of its forms. `left`: names of those for which there was no room.
    """

    page: Annotated[str, msgspec.Meta(max_length=MAX_URL)]
    hash: str = ""
    history: msgspec.Raw = msgspec.Raw(b"null")
    fields: dict[str, bool | str | tuple[str, ...]] = {}
    left: tuple[str, ...] = ()


class Keep(Message, frozen=True, tag="keep"):
    """Keep this of the page, in place of what was kept before. Not answered; counted in the session."""

    kept: Kept


class StateAside(msgspec.Struct, frozen=True, kw_only=True):
    """What an app had saved, and what it comes without since then, for pages that had been given it crashed one after
    the other.

    `at`: when it was put aside, in seconds since the epoch; `why`, in words. `saved`: when the page had saved `state`,
    a JSON value, and of what `version` that is; `None` where it had saved none. `kept`: what was kept of the page
    without its word.
    """

    at: float
    why: str
    saved: float | None = None
    version: int | None = None
    state: Any = None
    kept: Kept | None = None


class StateSaved(Message, frozen=True, tag="state-saved"):
    """What was to be kept is on disk now; `problem`: why it is not. What was kept before is there still then."""

    seq: int
    problem: str = ""


class StateLoaded(Message, frozen=True, tag="state-loaded"):
    """What is kept; `found` is false where nothing is."""

    seq: int
    found: bool = False
    state: msgspec.Raw = msgspec.Raw(b"null")
    version: int = 0
    problem: str = ""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a page is told of the one before it in its app's place.

    `after`: why that one ended: a reason as in `AppStatus`, or "restarted" or "recycled" where somebody wanted it; or
    "launched" where the app was launched anew and has the state that it had kept for good, "workspace" where it was
    brought back as a workspace has kept it.
    `age`: how many seconds before its end the state was kept that `lab.getState()` gives, and where the app was
    launched, how many before that; `None` where there is none.
    `version`: that state's. `lost`: what is not there again, in words. `aside`: whether there was a state, and it was
    put aside because pages that had been given it crashed one after the other.
    """

    after: str
    age: float | None = None
    version: int | None = None
    lost: tuple[str, ...] = ()
    aside: bool = False


ToPage = Welcome | Ping | Ack | StateSaved | StateLoaded
FromPage = Pong | Ack | SaveState | LoadState | Keep
