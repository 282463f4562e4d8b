"""`AppView`: an app's window, live in a cell. Kernel; its page side is `static/view.js`.

Pictures flow only while a page says that it shows the view, and no faster than the page takes them. What the app is
doing comes from `App`; the view only puts it into words. Mouse, wheel and keyboard go back to the app the same way.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets
import traitlets

from ... import messages as m
from ...errors import LabError
from . import clock
from .look import look_of
from .page_side import page_side
from .words import ending_in_words

if TYPE_CHECKING:
    from ..app import App

BEAT = 2.0
"""Seconds between two words from a page that shows a view."""
SILENCE = 6.0
"""Seconds without a word after which a page counts as gone, and with the last one the pictures end; and after which a
page takes the kernel for gone."""
IN_FLIGHT = 3.0
"""Seconds' worth of pictures that may be on their way. A page tells with each beat how many it has drawn, and not after
each: JupyterLab's busy light blinks at every message from a page."""
FIRST = 1.0
"""Seconds that a view waits for its first picture."""
PATIENCE = 1.0
"""Seconds until the next picture is sent to a page that is behind."""


class AppView(anywidget.AnyWidget):
    """A picture of one app's window, with its glyph, title, PID and state beneath. Made by `App.view`.

    `rate`: pictures a second at most; `width`: pixels of the picture on the page at most. `interactive`: what a person
    does on the picture goes to the app.
    """

    _esm = page_side("view.js")
    _css = page_side("view.css")

    frame = traitlets.Bytes(b"", help="The newest picture, JPEG.").tag(sync=True)
    number = traitlets.Int(0, help="How many pictures have been sent.").tag(sync=True)
    look = traitlets.Dict(help="What does not change: name, title, color, glyph, aspect, beat, silence.").tag(sync=True)
    status = traitlets.Dict(help="state, pid, incarnation, reason in words, and with how many it shares.").tag(
        sync=True
    )

    def __init__(self, app: App, rate: float = 8.0, width: int = 420, interactive: bool = True) -> None:
        self._app, self._rate, self._width = app, rate, int(width)
        self._guard = threading.RLock()
        self._pages: dict[str, tuple[float, int]] = {}
        self._waiting: bytes | None = None
        self._sent_at = -math.inf
        self._end_stream: Callable[[], None] | None = None
        if not 0 < rate <= 30:
            raise ValueError(f"rate is above 0 and at most 30 pictures a second, not {rate!r}")
        if not 40 <= width <= 4000:
            raise ValueError(f"width is 40 to 4000 pixels, not {width!r}")
        # The box has 8 px of padding and 1.5 px of line on either side.
        room = ipywidgets.Layout(max_width=f"{self._width + 19}px")
        super().__init__(
            look=_look(app) | {"interactive": interactive}, status=_status(app), frame=self._first(), layout=room
        )
        self.add_class("labplatform-view")
        self.on_msg(self._page_said)
        app.observe(self._app_changed, names=list(_OBSERVED))
        # It may have changed since the first look at it.
        self._app_changed(None)

    @property
    def flowing(self) -> bool:
        """Whether pictures are being asked for: a page shows this view."""
        return self._end_stream is not None

    def close(self) -> None:
        """End the pictures, stop observing the app, and take the view off the page."""
        with self._guard:
            self._pages.clear()
            self._stop()
        try:
            self._app.unobserve(self._app_changed, names=list(_OBSERVED))
        except ValueError:
            pass  # closed before
        super().close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._app.name!r})"

    # --- what the page says

    def _page_said(self, _: Any, content: Any, buffers: Any) -> None:
        """`{"page": id, "shown": bool, "drawn": number of the last picture drawn, "inputs"?: […]}`; on whichever thread
        comms run.
        """
        if not isinstance(content, dict) or not isinstance(content.get("page"), str):
            return
        with self._guard:
            if self.comm is None:
                return
            if content.get("shown"):
                drawn = content.get("drawn")
                self._pages[content["page"]] = (time.monotonic(), drawn if isinstance(drawn, int) else 0)
                self._start()
                self._send_when_due()
                self.send("heard")
            elif self._pages.pop(content["page"], None) and not self._pages:
                self._stop()
        if self.look["interactive"] and content.get("inputs"):
            try:
                self._app.send_input(*content["inputs"])
            except (ValueError, TypeError, LabError):
                pass  # not this page side's word

    # --- pictures

    def _first(self) -> bytes:
        """One picture to begin with, for a page that comes to show the view only when the app is gone."""
        if self._app.state != "running" or not self._app.url:
            return b""
        try:
            return self._app.picture(width=self._width, timeout=FIRST)
        except LabError:
            return b""

    def _start(self) -> None:
        if self._end_stream is None:
            self._end_stream = self._app.watch_pictures(self._take, rate=self._rate, width=self._width)
        clock.keep(self)

    def _stop(self) -> None:
        self._waiting = None
        if self._end_stream is not None:
            self._end_stream()
            self._end_stream = None
            clock.wake()

    def _take(self, picture: m.Frame) -> None:
        """A new picture; on the observers' thread."""
        if not picture.data:
            return  # the app's state says why there is none
        with self._guard:
            if self._end_stream is None:
                return
            self._waiting = picture.data
            if self._send_when_due() is not None:
                clock.keep(self)

    def _send_when_due(self) -> float | None:
        """Send the picture that waits, if its time has come; else how many seconds are left until then."""
        if self._waiting is None:
            return None
        behind = self.number - max((drawn for _, drawn in self._pages.values()), default=self.number)
        gap = PATIENCE if behind >= max(1, self._rate * IN_FLIGHT) else 1 / self._rate
        left = self._sent_at + gap - time.monotonic()
        if left > 0:
            return left
        self._sent_at = time.monotonic()
        with self.hold_sync():
            self.frame, self._waiting = self._waiting, None
            self.number += 1
        return None

    def _tick(self) -> float | None:
        """Do what time demands; returns the seconds until it wants to be asked again, None for never."""
        with self._guard:
            now = time.monotonic()
            for page, (heard, _) in list(self._pages.items()):
                if now - heard >= SILENCE:
                    del self._pages[page]
            if not self._pages:
                self._stop()
                return None
            until_silence = min(heard for heard, _ in self._pages.values()) + SILENCE - now
            return min(until_silence, self._send_when_due() or math.inf)

    # --- what the app does

    def _app_changed(self, _: Any) -> None:
        with self._guard:
            status = _status(self._app)
            if status != self.status and self.comm is not None:
                self.status = status


class AppViews(ipywidgets.Box):
    """Several views side by side; under 720 pixels of room they stand below one another. Made by `Platform.view`."""

    def __init__(self, apps: Iterable[App], rate: float = 5.0, width: int = 300, interactive: bool = True) -> None:
        views = tuple(AppView(app, rate, width, interactive) for app in apps)
        super().__init__(views, layout=ipywidgets.Layout(flex_flow="row wrap", width="100%", overflow="visible"))
        self.add_class("labplatform-views")

    def close(self) -> None:
        """Close every view."""
        for view in self.children:
            view.close()
        super().close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(view._app.name) for view in self.children)})"


# --- the app in words -------------------------------------------------------------------------------------------------

_OBSERVED = ("state", "pid", "incarnation", "reason", "detail", "shared_with")


def _status(app: App) -> dict[str, Any]:
    return {
        "state": app.state,
        "pid": app.pid,
        "incarnation": app.incarnation,
        "ending": ending_in_words(app.state, app.reason, app.detail),
        "shared": len(app.shared_with),
    }


def _look(app: App) -> dict[str, Any]:
    manifest = app._platform.manifests.get(app.app_id)
    aspect = "3 / 4"
    if manifest is not None:
        aspect = f"{manifest.startup_app.default_width} / {manifest.startup_app.default_height}"
    return {**look_of(app), "aspect": aspect, "beat": BEAT, "silence": SILENCE}
