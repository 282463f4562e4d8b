"""`Part`: what every part of the panel has in common. Kernel; its page side is `static/parts.js`.

A part observes `Platform` and its `App`s, draws facts from them and sends those to the page, at most a few times a
second and only while a page shows it. What a person does on the page comes back as a word with arguments, and runs as
the method `do_WORD` on a thread of its own: a busy cell, or another action that takes its time, holds up none.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ...errors import LabError
from . import clock
from .look import look_of

if TYPE_CHECKING:
    from ..app import App
    from ..platform import Platform

BEAT = 2.0
"""Seconds between two words from a page that shows a part."""
SILENCE = 6.0
"""Seconds without a word after which a page counts as gone, and after which a page takes the kernel for gone."""
ACTIONS_AT_ONCE = 16
"""Actions of one part that may be under way; one more is refused, with words."""
ACTION_THREAD = "labplatform-action"
STILL_BYTES = 10 << 10
"""Bytes of the still picture that a saved notebook keeps of a part; a larger one is left out."""


class Part(anywidget.AnyWidget):
    """A part of the panel of one platform. Subclasses say what it shows (`_facts`), of what it wants to hear
    (`OF_PLATFORM`, `OF_APPS`), and what may be done (`do_…`).
    """

    OF_PLATFORM: tuple[str, ...] = ("state", "problem", "apps")
    """Traits of the platform that it draws its facts from."""
    OF_APPS: tuple[str, ...] = ()
    """Traits of each app that it draws its facts from."""
    GAP = 0.2
    """Seconds between two updates, at least."""

    look = traitlets.Dict(help="What does not change: beat, silence (seconds), and what the part adds.").tag(sync=True)
    facts = traitlets.Dict(help="What it shows now.").tag(sync=True)
    looks = traitlets.Dict(help="How the platform's apps are drawn, by name: see `look_of`.").tag(sync=True)

    def __init__(self, platform: Platform, **look: Any) -> None:
        self._platform = platform
        self._guard = threading.RLock()
        self._pages: dict[str, float] = {}
        self._observed: list[App] = []
        self._observing = False
        self._stale = False
        self._sent_at = 0.0
        self._actions = 0
        self._drawn: dict[str, tuple[str, ...]] = {}
        super().__init__(look={"beat": BEAT, "silence": SILENCE, **look})
        self._send_looks()
        self.facts = self._facts()
        self.add_class("labplatform-part")
        self.on_msg(self._page_said)

    # --- what subclasses give

    def _facts(self) -> dict[str, Any]:
        """What it shows now, as JSON values; asked on the widgets' thread, and must not wait."""
        raise NotImplementedError

    def _shown(self) -> None:
        """A page shows it, and none did before."""

    def _hidden(self) -> None:
        """No page shows it any more."""

    def _refresh(self) -> None:
        """Send what is new. By default the facts, if they are others; asked on the widgets' thread."""
        facts = self._facts()
        if facts != self.facts:
            self.facts = facts

    def _send_looks(self) -> None:
        """How apps are drawn goes to the page when they come, for a glyph is larger than all that changes."""
        apps = self._platform.apps
        drawn = {app.name: (app.app_id, app.title, app.color or "") for app in apps}
        if drawn != self._drawn:
            known = {name: self.looks[name] for name, words in drawn.items() if self._drawn.get(name) == words}
            self._drawn = drawn
            self.looks = {app.name: known.get(app.name) or look_of(app) for app in apps}

    def _still(self) -> str:
        """A small picture of it as SVG, for readers of a saved notebook who have no kernel; empty for none."""
        return ""

    # --- its life

    @property
    def shown(self) -> bool:
        """Whether a page shows it."""
        return bool(self._pages)

    def close(self) -> None:
        """End all that it does, and take it off the page."""
        with self._guard:
            was_shown, self._pages = bool(self._pages), {}
            self._end_observing()
        if was_shown:
            self._hidden()
        super().close()
        clock.wake()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _repr_mimebundle_(self, **more: Any) -> Any:
        bundle = super()._repr_mimebundle_(**more)
        still = self._still()
        if bundle and still and len(still.encode()) <= STILL_BYTES:
            bundle[0]["image/svg+xml"] = still
        return bundle

    # --- what it hears

    def _begin_observing(self) -> None:
        if not self._observing:
            self._observing = True
            self._platform.observe(self._changed, names=list({*self.OF_PLATFORM, "apps"}))
            self._observe_apps()

    def _observe_apps(self) -> None:
        """Observe the apps that are on the platform now."""
        apps = list(self._platform.apps) if self._observing and self.OF_APPS else []
        for app in [app for app in self._observed if app not in apps]:
            app.unobserve(self._changed, names=list(self.OF_APPS))
        for app in [app for app in apps if app not in self._observed]:
            app.observe(self._changed, names=list(self.OF_APPS))
        self._observed = apps

    def _end_observing(self) -> None:
        if self._observing:
            self._observing = False
            self._observe_apps()
            self._platform.unobserve(self._changed, names=list({*self.OF_PLATFORM, "apps"}))

    def _changed(self, change: Any) -> None:
        """Something it shows has changed; on the observers' thread."""
        with self._guard:
            if change.name == "apps":
                self._observe_apps()
            self.touch()

    def touch(self) -> None:
        """Its facts may be others now; they are looked at soon."""
        with self._guard:
            if self._pages and not self._stale:
                self._stale = True
                clock.keep(self)

    def _tick(self) -> float | None:
        """Do what time demands; returns the seconds until it wants to be asked again, None for never."""
        hidden = False
        with self._guard:
            if self.comm is None:
                return None
            now = time.monotonic()
            for page, heard in list(self._pages.items()):
                if now - heard >= SILENCE:
                    del self._pages[page]
                    hidden = not self._pages
            if not self._pages:
                self._end_observing()
            wait = min((heard + SILENCE - now for heard in self._pages.values()), default=None)
            if self._stale and wait is not None:
                left = self._sent_at + self.GAP - now
                if left > 0:
                    wait = min(wait, left)
                else:
                    self._stale, self._sent_at = False, now
                    self._send_looks()
                    self._refresh()
        if hidden:
            self._hidden()
        return wait

    # --- what the page says

    def _page_said(self, _: Any, content: Any, buffers: Any) -> None:
        """`{"page": id, "shown": bool, "do"?: {"number": int, "word": str, "with": {…}}}`; on whichever thread comms
        run.
        """
        if not isinstance(content, dict) or not isinstance(content.get("page"), str):
            return
        page, came, went = content["page"], False, False
        with self._guard:
            if self.comm is None:
                return
            if content.get("shown"):
                came = not self._pages
                self._pages[page] = time.monotonic()
                if came:
                    self._begin_observing()
                    # It may have changed while nobody looked.
                    self.touch()
                clock.keep(self)
                self.send({"heard": page})
            elif self._pages.pop(page, None) is not None and not self._pages:
                went = True
                self._end_observing()
        if came:
            self._shown()
        if went:
            self._hidden()
            clock.wake()
        do = content.get("do")
        if isinstance(do, dict) and isinstance(do.get("number"), int):
            self._begin_action(page, do["number"], do.get("word"), do.get("with"))

    def _begin_action(self, page: str, number: int, word: Any, given: Any) -> None:
        def answer(problem: str = "", value: Any = None) -> None:
            with self._guard:
                if self.comm is not None:
                    self.send({"page": page, "done": number, "problem": problem, "value": value})

        action = getattr(self, f"do_{word}", None) if isinstance(word, str) and word.isidentifier() else None
        given = given if isinstance(given, dict) else {}
        if action is None:
            answer(f"{type(self).__name__} does not know how to {word!r}")
            return
        try:
            inspect.signature(action).bind(**given)
        except TypeError as error:
            answer(f"{word}: {error}")
            return
        with self._guard:
            if self._actions >= ACTIONS_AT_ONCE:
                answer(f"{ACTIONS_AT_ONCE} actions are under way already; wait until one of them has ended")
                return
            self._actions += 1
        threading.Thread(target=self._act, args=(action, given, answer), name=ACTION_THREAD, daemon=True).start()

    def _act(self, action: Callable[..., Any], given: dict[str, Any], answer: Callable[..., None]) -> None:
        try:
            value = action(**given)
        except LabError as error:
            answer(error.message)
        except Exception as error:
            answer(str(error) or type(error).__name__)
        else:
            answer(value=value)
        finally:
            with self._guard:
                self._actions -= 1
            self.touch()
