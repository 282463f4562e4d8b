"""What happened to apps, from the platform's log: marks on a time axis, and when each app was away. Pure; kernel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Set
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ... import messages as m
from ...reports.words import duration, listed, one_line
from .words import ending_in_words

Kind = Literal["end", "stall", "loss", "recycle", "restart", "stop"]
HARM: frozenset[Kind] = frozenset({"end", "stall", "loss"})
"""Kinds that are faults; the others were wanted."""
TOGETHER = 0.5
"""Seconds within which the same happening to several apps is one."""
MOST_MARKS = 400
"""Marks that are kept; the oldest go first."""
MOST_TOLD = 60
"""Marks that a page is told; of more the newest."""
_VERBS = ("aborted", "killed", "hung", "ended", "stopped", "recycled", "restarted", "closed", "did not")
"""What can stand behind an app's name as it is; anything else comes after a colon."""


@dataclass
class Mark:
    """One thing that happened. `at`: seconds since the epoch; `apps`: to whom; `words`: what, as it follows a name.

    `back`: seconds until all of them ran, or answered, again; `None` until they do. `over`: why they will not by
    themselves. `reason`: more, for whoever asks.
    """

    at: float
    kind: Kind
    apps: list[str]
    words: str
    reason: str = ""
    back: float | None = None
    over: str = ""
    away: set[str] = field(default_factory=set)

    @property
    def harm(self) -> bool:
        """Whether it is a fault."""
        return self.kind in HARM

    @property
    def who(self) -> str:
        """Whom it struck, in few words."""
        return self.apps[0] if len(self.apps) == 1 else listed(self.apps, 2)

    @property
    def told(self) -> str:
        """The label of its line: "ticker-list aborted, back in 0.6 s"."""
        if self.kind == "loss":
            return self.words + (f", all back in {duration(self.back)}" if self.back is not None else "")
        if self.kind == "stall" and self.back is not None:
            return f"{self.who} did not answer for {duration(self.back)}"
        words = f"{self.who} {self.words}" if is_verb(self.words) else f"{self.who}: {self.words}"
        if self.kind == "end":
            words += f", back in {duration(self.back)}" if self.back is not None else f", {self.over}" * bool(self.over)
        return words

    def as_data(self) -> dict[str, Any]:
        """For a page."""
        return {"at": self.at, "kind": self.kind, "apps": [*self.apps], "words": self.told, "reason": self.reason}


def is_verb(words: str) -> bool:
    """Whether these words can follow an app's name without a colon."""
    return words.startswith((*_VERBS, "does not"))


class Span(NamedTuple):
    """An app had no page that could answer, from `since` to `until` (`None`: still). "down": by a fault; "starting": by
    somebody's wish, or at first; "off": it is not to run.
    """

    since: float
    until: float | None
    kind: Literal["down", "starting", "off"]


class Happened:
    """Takes the log entry by entry. `version` counts what is new in it."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.spans: dict[str, list[Span]] = {}
        self.version = 0
        self._open: dict[str, list[Mark]] = {}
        self._last = 0

    def take(self, entries: Iterable[m.Entry]) -> None:
        """What is new among these, oldest first."""
        for entry in entries:
            if entry.seq <= self._last:
                continue
            self._last = entry.seq
            reading = _READINGS.get(entry.kind)
            no_news = entry.state is not None and entry.state == entry.was
            if reading is not None and not no_news and (entry.place is not None or entry.kind == "platform"):
                reading(self, entry, entry.place or "")
                self.version += 1

    def newest(self, entries: tuple[m.Entry, ...]) -> None:
        """The same of a whole log, most of which is known."""
        first = len(entries)
        while first and entries[first - 1].seq > self._last:
            first -= 1
        self.take(entries[first:])

    def forget(self, before: float) -> None:
        """What was over by then is not told any more."""
        kept = [mark for mark in self.marks if mark.at >= before][-MOST_MARKS:]
        if len(kept) < len(self.marks):
            self.marks = kept
            self.version += 1
        for name, spans in list(self.spans.items()):
            self.spans[name] = [span for span in spans if span.until is None or span.until >= before]

    def since(self, at: float, names: Set[str]) -> list[Mark]:
        """The marks of these apps, and of the platform, oldest first."""

        def concerns(mark: Mark) -> bool:
            return mark.at >= at and (mark.kind == "loss" or not names.isdisjoint(mark.apps))

        return list(filter(concerns, self.marks))[-MOST_TOLD:]

    # --- what each kind of entry means

    def _mark(self, entry: m.Entry, name: str, kind: Kind, words: str, reason: str = "") -> None:
        last = self.marks[-1] if self.marks else None
        if (
            last is not None
            and (last.kind, last.words) == (kind, words)
            and entry.time - last.at < TOGETHER
            and name not in last.apps
        ):
            mark = last
            mark.apps.append(name)
            mark.back = None
        else:
            mark = Mark(entry.time, kind, [name], words, one_line(reason))
            self.marks.append(mark)
        if kind != "stop":
            mark.away.add(name)
            self._open.setdefault(name, []).append(mark)

    def _is_back(self, name: str, at: float, kinds: Collection[Kind]) -> None:
        for mark in [mark for mark in self._open.get(name, ()) if mark.kind in kinds]:
            self._open[name].remove(mark)
            mark.away.discard(name)
            if not mark.away:
                mark.back = max(0.0, at - mark.at)

    def _span(self, name: str, at: float, kind: Literal["down", "starting", "off"] | None) -> None:
        """From here on it is away, or, with `None`, there."""
        spans = self.spans.setdefault(name, [])
        if spans and spans[-1].until is None:
            if spans[-1].kind == kind:
                return
            spans[-1] = spans[-1]._replace(until=at)
        if kind is not None:
            spans.append(Span(at, None, kind))

    def _launched(self, entry: m.Entry, name: str) -> None:
        self._span(name, entry.time, "starting")

    def _ready(self, entry: m.Entry, name: str) -> None:
        self._span(name, entry.time, None)
        self._is_back(name, entry.time, ("end", "loss", "recycle", "restart", "stall"))

    def _ended(self, entry: m.Entry, name: str) -> None:
        reason, detail = str(entry.event.get("reason", "")), str(entry.event.get("detail", ""))
        if entry.was == "stopping":
            if entry.state == "stopped":
                self._span(name, entry.time, "off")
            return
        if entry.state == "stopped":
            words = ending_in_words("stopped", reason, detail) or "ended"
            self._mark(entry, name, "stop", _small(words), detail)
            self._span(name, entry.time, "off")
        else:
            words = ending_in_words("crashed", reason, detail) or reason or "ended"
            self._mark(entry, name, "end", _small(words), detail)
            self._span(name, entry.time, "off" if reason == "launch-failed" else "down")

    def _gave_up(self, entry: m.Entry, name: str) -> None:
        for mark in self._open.pop(name, ()):
            mark.over = "not started again"
            mark.reason = one_line(f"{mark.reason}; {entry.text}" if entry.text else mark.reason)

    def _backed_off(self, entry: m.Entry, name: str) -> None:
        self._span(name, entry.time, "down")

    def _silent(self, entry: m.Entry, name: str) -> None:
        if entry.state == "unresponsive":
            self._mark(entry, name, "stall", "does not answer", f"its {entry.text}")

    def _answered(self, entry: m.Entry, name: str) -> None:
        self._is_back(name, entry.time, ("stall",))

    def _recycled(self, entry: m.Entry, name: str) -> None:
        self._mark(entry, name, "recycle", "recycled", str(entry.event.get("why", "")))
        self._span(name, entry.time, "starting")

    def _restart_asked(self, entry: m.Entry, name: str) -> None:
        self._mark(entry, name, "restart", "restarted", entry.text)
        self._span(name, entry.time, "starting")

    def _stop_asked(self, entry: m.Entry, name: str) -> None:
        self._open.pop(name, None)
        self._mark(entry, name, "stop", "killed" if entry.kind == "kill-asked" else "stopped", entry.text)
        if entry.state == "stopped":
            self._span(name, entry.time, "off")

    def _removed(self, entry: m.Entry, name: str) -> None:
        self._open.pop(name, None)
        self.spans.pop(name, None)

    def _platform(self, entry: m.Entry, _: str) -> None:
        """Written here, by `Platform`: there is no supervisor any more."""
        up = [name for name, spans in self.spans.items() if not (spans and spans[-1] == (spans[-1].since, None, "off"))]
        if entry.level != "error" or not up:
            return
        lost = "supervisor" in entry.text
        mark = Mark(
            entry.time, "loss", sorted(up), "supervisor lost" if lost else "platform stopped", one_line(entry.text)
        )
        self.marks.append(mark)
        for name in up:
            self._span(name, entry.time, "down" if lost else "off")
            mark.away.add(name)
            self._open.setdefault(name, []).append(mark)


def _small(words: str) -> str:
    return words[:1].lower() + words[1:]


_READINGS: dict[str, Callable[[Happened, m.Entry, str], None]] = {
    "launched": Happened._launched,
    "ready": Happened._ready,
    "ended": Happened._ended,
    "gave-up": Happened._gave_up,
    "backed-off": Happened._backed_off,
    "silent": Happened._silent,
    "answered": Happened._answered,
    "recycled": Happened._recycled,
    "restart-asked": Happened._restart_asked,
    "stop-asked": Happened._stop_asked,
    "kill-asked": Happened._stop_asked,
    "removed": Happened._removed,
    "platform": Happened._platform,
}
"""By the names of lifecycle events and remarks, see `supervisor/lifecycle.py` and `supervisor/log.py`."""
