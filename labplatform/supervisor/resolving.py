"""Who is asked where several apps could handle an intent, and the question on its way there and back. Supervisor.

The rule:

1. A function that a controller has for it (`Platform.resolver`) answers, and nobody else is asked.
2. Without one, people are: every notebook that displays the chooser (`Platform.intent_resolver()`) shows the question;
   and unless one of them has it on somebody's screen at this moment, the window of the app that raised the intent
   shows it as well, if the apps' windows are on a screen.
3. With none of these the intent fails at once, with FDC3's `ResolverUnavailable`.

Of several that are asked the first answer counts, and the others are told that the question is over. It is over, too,
when its raiser ends or is loaded anew, at the desktop agent's deadline (`fdc3.desk.Deadlines.resolver`), and with the
platform. A chooser that is displayed while a question is open shows it at once.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any, Literal

import msgspec

from .. import messages as m
from ..errors import BadRequest, LabError
from ..fdc3.types import AppMetadata
from ..glyph import glyph_of
from ..manifest import Manifest
from .fdc3.desk import Choice, Question
from .peer import Peer
from .slot import Slot

MOST_OF_ONE = 5
"""Questions of one instance that may be open; one more is refused."""
MOST_OPTIONS = 300
"""Options of one question; those beyond are left out."""
BEHIND_BYTES = 4 << 20
"""Bytes that may wait for a controller before it is asked no more. With a question goes its context, and apps that ask
on and on while a kernel is busy would cost it its connection, and a person the platform."""
LARGEST_GLYPH = 8 << 10
"""Bytes of a glyph that goes along with a question, once for each option."""
ABOUT_LENGTH = 80
"""Characters of a context that are shown."""
NOBODY = (
    "nobody could be asked which app shall handle it: set `platform.resolver` to a function, display "
    "`platform.intent_resolver()` in a notebook, or run with a screen"
)
BEHIND = "the notebook that could be asked which app shall handle it has yet to read what it was sent before"


class _Open:
    """A question that waits for its answer: the index of one of `choices`, or `None` for "cancelled"."""

    def __init__(self, number: int, asked: Question) -> None:
        self.number = number
        self.raiser = asked.raiser
        self.offered = [(option.intent, app) for option in asked.options for app in option.apps][:MOST_OPTIONS]
        self.question: m.IntentQuestion | None = None
        """What is shown of it; `None` while that is still being put together."""
        self.to: Literal["function", "people"] | None = None
        self.told: set[Peer] = set()
        """The controllers that know of it."""
        self.waiting: set[Peer] = set()
        """Those of them that may still answer."""
        self.window: Slot | None = None
        """The app in whose window it is shown."""
        self.no_window = False
        """Its raiser's window could not show it."""
        self.answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self.how: Literal["chosen", "cancelled", "withdrawn", "failed"] = "withdrawn"

    def settle(self, option: int | None) -> None:
        """The first answer has come."""
        if not self.answer.done():
            self.how = "cancelled" if option is None else "chosen"
            self.answer.set_result(option)

    def fail(self, why: str) -> None:
        """No answer can come any more."""
        if not self.answer.done():
            self.how = "failed"
            self.answer.set_exception(LabError(why))


class Resolving:
    """The `fdc3.desk.Resolver` of one platform. `seconds`: how long its caller waits."""

    def __init__(self, platform: Any, seconds: float) -> None:
        self._platform = platform
        self._seconds = seconds
        self._numbers = itertools.count(1)
        self._offers: dict[Peer, m.ResolverKind] = {}
        self._open: dict[int, _Open] = {}
        self._glyphs: dict[str, tuple[Manifest, str]] = {}

    async def __call__(self, asked: Question) -> Choice | None:
        """Ask, and wait for the answer. Raises `LabError` if nobody can be asked, or has none to give."""
        if sum(one.raiser == asked.raiser for one in self._open.values()) >= MOST_OF_ONE:
            raise LabError(f"{MOST_OF_ONE} questions of it are open, and no more are asked")
        until = time.time() + self._seconds
        one = _Open(next(self._numbers), asked)
        self._open[one.number] = one
        try:
            one.question = await self._describe(one, asked.context, until)
            self._ask(one)
            if not one.answer.done():
                self._remark(one, f"asks {self._whom(one)}, about {one.question.about}: {one.question.title}")
            option = await one.answer
        finally:
            del self._open[one.number]
            self._close(one)
            if not one.answer.cancel():
                one.answer.exception()  # looked at, even if nobody waits for it any more
        if option is None:
            return None
        intent, app = one.offered[option]
        return Choice(intent=intent.name, app_id=app.app_id, instance_id=app.instance_id)

    # --- the rule

    def _ask(self, one: _Open) -> None:
        """Ask whoever is to be asked, as things are now, and has not been. Nobody left: the question fails."""
        if one.question is None or one.answer.done():
            return
        there = set(self._offers.values())
        one.to = one.to or ("function" if "function" in there else "people")
        if one.to == "function":
            self._tell(one, "function")
        else:
            self._tell(one, "hidden", "shown")
            if "shown" not in there:
                self._ask_in_window(one)
        if not one.waiting and one.window is None:
            one.fail(BEHIND if any(map(_is_behind, self._offers)) else NOBODY)

    def _tell(self, one: _Open, *kinds: m.ResolverKind) -> None:
        for peer, kind in self._offers.items():
            if kind in kinds and peer not in one.told and not _is_behind(peer):
                one.told.add(peer)
                one.waiting.add(peer)
                self._send(one, peer)

    def _ask_in_window(self, one: _Open) -> None:
        slot = self._platform.slot_of(one.raiser.instance_id)
        if one.window or one.no_window or slot is None or slot.host is None:
            return
        on_screen = self._platform.order.qt_platform != "offscreen" and slot.manifest.startup_app.auto_show
        if on_screen and slot.has_page and slot.window_open:
            one.window = slot
            self._send_to_window(one)

    # --- what controllers and windows say

    def offer(self, peer: Peer, kind: m.ResolverKind) -> None:
        """A controller says what it can do with a question, from now on."""
        self._offers.pop(peer, None)
        if kind != "nobody":
            self._offers[peer] = kind
        for one in tuple(self._open.values()):
            if kind == "nobody" and one.to == "people":
                one.told.discard(peer)
                one.waiting.discard(peer)
            self._ask(one)

    def left(self, peer: Peer) -> None:
        """A controller is gone."""
        if self._offers.pop(peer, None):
            for one in tuple(self._open.values()):
                one.told.discard(peer)
                one.waiting.discard(peer)
                self._ask(one)

    def answered(self, peer: Peer, number: int, option: int | None, problem: str) -> bool:
        """A controller's answer; whether it was the first. Raises `BadRequest`."""
        one = self._open.get(number)
        if one is None or one.question is None or one.answer.done():
            return peer.backlog > BEHIND_BYTES
        if option is not None and option >= len(one.offered):
            raise BadRequest(f"question {number} has {len(one.offered)} options, and no option {option}")
        if not problem:
            one.settle(option)
        elif peer in one.waiting:
            one.waiting.discard(peer)
            if not one.waiting and one.window is None:
                one.fail(problem)
        return True

    def answered_in_window(self, slot: Slot, answer: m.WindowAnswer) -> None:
        """The answer from an app's window; what it could not have been asked is passed over."""
        one = self._open.get(answer.number)
        if one is None or one.window is not slot:
            return
        if answer.problem:
            one.window, one.no_window = None, True
            self._remark(one, f"its window cannot show the chooser: {answer.problem}")
            self._ask(one)
        elif answer.option is None or 0 <= answer.option < len(one.offered):
            one.settle(answer.option)

    def ended(self, instance_id: str) -> None:
        """An instance has ended: nobody should choose it any more."""
        for one in self._open.values():
            if one.question is None or instance_id not in {option.instance_id for option in one.question.options}:
                continue
            options = tuple(
                msgspec.structs.replace(option, ended=True) if option.instance_id == instance_id else option
                for option in one.question.options
            )
            one.question = msgspec.structs.replace(one.question, options=options)
            for peer in one.told:
                self._send(one, peer)
            self._send_to_window(one)

    def close(self) -> None:
        """The platform stops: no question is answered any more."""
        for one in self._open.values():
            one.fail("the platform is being stopped")

    # --- the question, and the news of its end

    def _send(self, one: _Open, peer: Peer) -> None:
        peer.send(m.QuestionOpen(question=one.question, to=one.to))

    def _send_to_window(self, one: _Open) -> None:
        if one.window is None or one.window.host is None:
            return  # it is about to be withdrawn, with the app whose window it was
        # The context may be large, and a window shows only what it is about.
        question = msgspec.structs.replace(one.question, context=None)
        one.window.host.send(m.AskInWindow(place=one.window.name, question=question))

    def _close(self, one: _Open) -> None:
        option = one.answer.result() if one.how == "chosen" else None
        for peer in one.told:
            peer.send(m.QuestionClosed(number=one.number, how=one.how, option=option))
        if one.window and one.window.host:
            one.window.host.send(m.WithdrawQuestion(place=one.window.name, number=one.number))
        if one.question and one.to == "people":
            chosen = f": {one.question.options[option]}" if option is not None else ""
            self._remark(one, f"its question was {one.how}{chosen}")

    def _remark(self, one: _Open, text: str) -> None:
        # A function answers as often as an app asks; only what people are asked is worth a line each time.
        if one.to == "people" and one.question:
            raiser = one.question.raiser
            text = text if raiser.place else f"{raiser.title}: {text}"
            self._platform.log.remark(text, kind="intent", place=raiser.place)

    def _whom(self, one: _Open) -> str:
        return " and ".join(["a notebook"] * bool(one.waiting) + ["its window"] * bool(one.window))

    async def _describe(self, one: _Open, context: msgspec.Raw, until: float) -> m.IntentQuestion:
        app_ids = {one.raiser.app_id, *(app.app_id for _, app in one.offered)}
        await self._read_glyphs(app_ids)
        return m.IntentQuestion(
            number=one.number,
            raiser=m.Party(**self._shown(one.raiser.app_id, one.raiser.instance_id, None)),
            about=about(context),
            options=tuple(
                m.IntentOption(
                    **self._shown(app.app_id, app.instance_id, app),
                    intent=intent.name,
                    intent_title=intent.display_name or intent.name,
                    page=manifest is None or manifest.has_page,
                )
                for intent, app in one.offered
                for manifest in (self._platform.desk.manifest(app.app_id),)
            ),
            until=until,
            context=context,
        )

    def _shown(self, app_id: str, instance_id: str | None, told: AppMetadata | None) -> dict[str, Any]:
        """What is shown of an app or instance: from its manifest, or from what the directory tells of it."""
        desk = self._platform.desk
        manifest, record = desk.manifest(app_id), told or desk.app(app_id)
        slot, notebook = self._platform.slot_of(instance_id), self._platform.notebooks.get(instance_id)
        return {
            "app_id": app_id,
            "title": (notebook and notebook.title) or (record and (record.title or record.name)) or app_id,
            "description": (record and record.description) or "",
            "color": manifest.look.color if manifest else None,
            "glyph": self._glyphs[app_id][1] if app_id in self._glyphs else "",
            "instance_id": instance_id,
            "place": slot.name if slot else None,
            "pid": slot.pid if slot else None,
        }

    async def _read_glyphs(self, app_ids: set[str]) -> None:
        """Have these apps' glyphs at hand. On another thread, for a file may be slow to come."""
        manifests = {app_id: self._platform.desk.manifest(app_id) for app_id in app_ids}
        for app_id, manifest in manifests.items():
            known = self._glyphs.get(app_id)
            if manifest is not None and (known is None or known[0] is not manifest):
                self._glyphs[app_id] = (manifest, await asyncio.to_thread(glyph_of, manifest, LARGEST_GLYPH))


def _is_behind(peer: Peer) -> bool:
    return peer.backlog > BEHIND_BYTES


class _Context(msgspec.Struct):
    """What a context says of itself to people."""

    type: str
    name: Any = None
    id: Any = None


_read_context = msgspec.json.Decoder(_Context).decode


def about(context: msgspec.Raw) -> str:
    """A context in a few words: its type, and its name or first identifier. One line, whatever a page has put in it."""
    seen = _read_context(context)
    names = [seen.name, *(seen.id.values() if isinstance(seen.id, dict) else ())]
    name = next((name for name in names if isinstance(name, str) and name.strip()), "")
    text = " ".join(f"{seen.type} {name}".split())
    # No control characters, and none that turn the writing's direction.
    text = "".join(character for character in text if character.isprintable())
    return text if len(text) <= ABOUT_LENGTH else text[: ABOUT_LENGTH - 1] + "…"
