"""What became of the apps lately, read off a platform's log: who ended, whose fault it was, for how long they were
gone. Pure; kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from ... import messages as m

TOGETHER = 0.5
"""Seconds within which apps of one host end by one cause."""
BREAKS_HOST = ("hang-gui", "freeze")
"""Ways to break an app on purpose that hold up all that share its process, and not only its renderer."""
ON_PURPOSE = "fault on purpose: "


@dataclass
class Fate:
    """One app's. Times are seconds since the epoch.

    `broken`: in which way it was broken on purpose since it was last ready; empty for none. `silent_at`: since when it
    has not answered. `ended_at`: when it ended by a fault last. `back`: how it came back, unless it has ended again
    since, and `took`: within how many seconds.
    """

    host: str = ""
    broken: str = ""
    silent_at: float | None = None
    ended_at: float | None = None
    ready_at: float | None = None
    asked_at: float | None = None
    asked: Literal["", "recycled", "restarted"] = ""
    back: Literal["", "back", "recycled", "restarted"] = ""
    took: float = 0.0

    @property
    def gone(self) -> bool:
        """Whether it has ended by a fault and is not back."""
        return self.ended_at is not None and (self.ready_at is None or self.ready_at < self.ended_at)


@dataclass
class Harm:
    """Apps that ended by one cause. `cause`: the app that was broken, where that is known; `at`: when the first ended.

    `why`: each app's reason and detail, as the supervisor reported them; `gone_for`: how many seconds each
    app that is back was gone.
    """

    host: str
    at: float
    apps: list[str] = field(default_factory=list)
    cause: str | None = None
    why: dict[str, tuple[str, str]] = field(default_factory=dict)
    gone_for: dict[str, float] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether all of them are back."""
        return len(self.gone_for) == len(self.apps)

    @property
    def longest(self) -> float:
        """Seconds until the last of those that are back was so."""
        return max(self.gone_for.values(), default=0.0)


class Story:
    """Takes a log's entries as they come, and knows each app's fate and the `last` harm."""

    def __init__(self) -> None:
        self.fates: dict[str, Fate] = {}
        self.last: Harm | None = None
        self._seq = 0
        self._lost_at: float | None = None

    def take(self, entries: tuple[m.Entry, ...], host_of: Callable[[str], str]) -> None:
        """Read what is new of a log. `host_of`: the host that an app of this name belongs in."""
        for entry in self._new(entries):
            self._seq = entry.seq
            if entry.kind == "platform" and entry.level == "error":
                self._lost_at = entry.time
            elif entry.place is not None:
                fate = self.fates.setdefault(entry.place, Fate())
                fate.host = host_of(entry.place)
                self._tell(entry, entry.place, fate)

    def _new(self, entries: tuple[m.Entry, ...]) -> Iterable[m.Entry]:
        at = len(entries)
        while at and entries[at - 1].seq > self._seq:
            at -= 1
        return entries[at:]

    def fate(self, app: str) -> Fate:
        """That of an app; nothing has happened to one that is not in the log."""
        return self.fates.get(app) or Fate()

    def taken_by(self, app: str) -> str | None:
        """Whose fault it was that this app, which is gone, has ended; `None` if it was its own, or nobody knows."""
        harm = self.last
        if harm is None or app not in harm.apps or harm.cause == app:
            return None
        return harm.cause

    def waits_for(self, app: str, placement: m.Placement) -> str | None:
        """Which app of its host keeps this one, which does not answer, from doing so; `None` where nobody knows."""
        isolation = placement.isolation
        if self.fate(app).broken or isolation == "process":
            return None
        for name, fate in self.fates.items():
            holds_all = fate.broken in BREAKS_HOST or (fate.broken == "hang" and isolation == "shared-renderer")
            if name != app and fate.host == placement.host and holds_all and fate.silent_at is not None:
                return name
        return None

    # --- one entry

    def _tell(self, entry: m.Entry, app: str, fate: Fate) -> None:
        match entry.kind:
            case "fault" if entry.text.startswith(ON_PURPOSE):
                fate.broken = entry.text.removeprefix(ON_PURPOSE)
            case "silent":
                fate.silent_at = entry.time
            case "answered":
                fate.silent_at, fate.broken = None, ""
            case "recycled":
                fate.asked, fate.asked_at = "recycled", entry.time
            case "restart-asked":
                fate.asked, fate.asked_at = "restarted", entry.time
            case "ended":
                fate.silent_at = None
                if entry.state == "crashed":
                    reason, detail = (str(entry.event.get(word, "")) for word in ("reason", "detail"))
                    self._ended(entry.time, app, fate, reason, detail)
            case "resumed" if self._lost_at is not None:
                fate.ended_at, fate.silent_at, fate.broken = self._lost_at, None, ""
            case "ready":
                self._ready(entry.time, app, fate)
        if entry.state == "stopped" and fate.gone:
            # Somebody wants it to stay away.
            fate.ended_at = None
            if self.last and app in self.last.apps and len(self.last.apps) > 1:
                self.last.apps.remove(app)

    def _ended(self, at: float, app: str, fate: Fate, reason: str, detail: str) -> None:
        if fate.gone:
            return  # once more, before it was back
        fate.ended_at, fate.asked, fate.back = at, "", ""
        harm = self.last
        if harm is None or harm.host != fate.host or at - harm.at > TOGETHER or app in harm.apps:
            harm = self.last = Harm(fate.host, at)
        harm.apps.append(app)
        harm.why[app] = (reason, detail)
        if fate.broken:
            harm.cause = app
        elif harm.cause is None:
            harm.cause = next(
                (
                    name
                    for name, other in self.fates.items()
                    if name != app and f"shares with {name} hung" in detail and other.host == fate.host
                ),
                None,
            )

    def _ready(self, at: float, app: str, fate: Fate) -> None:
        gone = fate.gone
        fate.ready_at, fate.silent_at, fate.broken = at, None, ""
        if gone:
            fate.back, fate.took = "back", at - (fate.ended_at or at)
            if self.last and app in self.last.apps and app not in self.last.gone_for:
                self.last.gone_for[app] = fate.took
        elif fate.asked:
            fate.back, fate.took = fate.asked, at - (fate.asked_at or at)
        else:
            fate.back, fate.took = "", 0.0
        fate.asked = ""
