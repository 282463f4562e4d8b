"""`IntentResolver`: where a person chooses between apps, in a cell. Kernel; its page side is `static/resolver.js`.

What is asked, and how it ended, comes from `Platform.questions` and `Platform.last_question`; a click calls
`Platform.choose`. The widget tells the platform whether it is on somebody's screen, for that decides who is asked.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Literal

import anywidget
import traitlets

from ... import messages as m
from ..resolving import Outcome
from . import clock
from .page_side import page_side

if TYPE_CHECKING:
    from ..platform import Platform

BEAT = 2.0
"""Seconds between two words from a page that displays a resolver."""
SILENCE = 6.0
"""Seconds without a word after which a page that showed it counts as gone, and after which a page takes the kernel for
gone."""
HIDDEN_SILENCE = 150.0
"""The same for a page that is out of sight: browsers let such a page speak once a minute only."""


class IntentResolver(anywidget.AnyWidget):
    """Open questions as cards, each with its options and Cancel. Made by `Platform.intent_resolver`."""

    _esm = page_side("resolver.js")
    _css = page_side("resolver.css")

    questions = traitlets.List(help="What is asked, in words, the oldest first.").tag(sync=True)
    last = traitlets.Unicode("", help="How the question before ended, in words.").tag(sync=True)
    pace = traitlets.Dict({"beat": BEAT, "silence": SILENCE}, help="Seconds.").tag(sync=True)

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._guard = threading.RLock()
        self._pages: dict[str, tuple[float, bool]] = {}
        super().__init__(questions=[card(question) for question in platform.questions])
        self.add_class("labplatform-resolvers")
        self.on_msg(self._page_said)
        platform.observe(self._changed, names=["questions"])
        platform.observe(self._ended, names=["last_question"])
        # They may have changed since the first look at them.
        self._changed(None)

    @property
    def displayed(self) -> Literal["nobody", "hidden", "shown"]:
        """Whether a page has it on somebody's screen, or out of sight, or none has it."""
        if not self._pages:
            return "nobody"
        return "shown" if any(shown for _, shown in self._pages.values()) else "hidden"

    def close(self) -> None:
        """Ask nobody here any more, and take the widget off the page."""
        with self._guard:
            self._pages.clear()
            self._platform._resolving.display(self, "nobody")
        for method, name in ((self._changed, "questions"), (self._ended, "last_question")):
            try:
                self._platform.unobserve(method, names=[name])
            except ValueError:
                pass  # closed before
        super().close()
        clock.wake()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    # --- what the page says

    def _page_said(self, _: Any, content: Any, buffers: Any) -> None:
        """`{"page": id, "shown": bool, "gone"?: true, "answer"?: {"number": int, "option": int | None}}`."""
        if not isinstance(content, dict) or not isinstance(content.get("page"), str):
            return
        with self._guard:
            if self.comm is None:
                return
            if content.get("gone"):
                self._pages.pop(content["page"], None)
            else:
                self._pages[content["page"]] = (time.monotonic(), bool(content.get("shown")))
                self.send({"now": time.time()})
                clock.keep(self)
            self._platform._resolving.display(self, self.displayed)
            answer = content.get("answer")
        if isinstance(answer, dict):
            self._answer(answer.get("number"), answer.get("option"))

    def _answer(self, number: Any, index: Any) -> None:
        question = next((one for one in self._platform.questions if one.number == number), None)
        if question is None:
            return  # somebody else was faster
        if index is None:
            self._platform.choose(question, None)
        elif isinstance(index, int) and 0 <= index < len(question.options):
            self._platform.choose(question, question.options[index])

    def _tick(self) -> float | None:
        """Forget pages that have fallen silent; returns the seconds until the next one may have."""
        with self._guard:
            now = time.monotonic()
            left = {
                page: heard + (SILENCE if shown else HIDDEN_SILENCE) - now
                for page, (heard, shown) in self._pages.items()
            }
            for page in [page for page, seconds in left.items() if seconds <= 0]:
                del self._pages[page], left[page]
            self._platform._resolving.display(self, self.displayed)
            return min(left.values(), default=None)

    # --- what the platform asks

    def _changed(self, _: Any) -> None:
        with self._guard:
            if self.comm is not None:
                self.questions = [card(question) for question in self._platform.questions]

    def _ended(self, _: Any) -> None:
        with self._guard:
            outcome = self._platform.last_question
            if outcome is not None and self.comm is not None:
                self.last = in_words(outcome)


def card(question: m.IntentQuestion) -> dict[str, Any]:
    """A question as the page draws it."""
    groups: dict[str, dict[str, Any]] = {}
    for index, option in enumerate(question.options):
        group = groups.setdefault(option.intent, {"title": option.intent_title, "options": []})
        group["options"].append(
            {
                **_look(option),
                "index": index,
                "where": option.where,
                "description": option.description,
                "kind": "ended" if option.ended else "running" if option.instance_id else "new",
            }
        )
    return {
        "number": question.number,
        "title": question.title,
        "about": question.about,
        "until": question.until,
        "raiser": {**_look(question.raiser), "pid": question.raiser.pid},
        "groups": list(groups.values()),
    }


def _look(party: m.Party) -> dict[str, Any]:
    return {"title": party.title, "color": party.color or "", "glyph": party.glyph}


def in_words(outcome: Outcome) -> str:
    """How a question ended, in one sentence."""
    question, how, option = outcome
    raiser, wish = question.raiser.title, " or ".join(dict.fromkeys(one.intent_title for one in question.options))
    if option is not None:
        return f"{option.intent_title} from {raiser} went to {option.title}, {option.where}."
    return {
        "cancelled": f"{wish} from {raiser} was cancelled.",
        "withdrawn": f"{raiser} no longer waits for {wish}.",
    }.get(how, f"{wish} from {raiser} failed: nobody was left to choose.")
