"""The platform's event log: one kind of record for the log, the widgets, the reports and the tests. Supervisor.

Bounded in memory; entries are numbered without gaps from 1, so a reader knows what it missed. They are kept as the JSON
that they are told in, which takes a third of the room.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from .. import messages as m
from ..messages import Entry
from . import lifecycle

KEPT = 10_000
"""Entries kept; older ones are forgotten."""

REMOVED = "removed"
"""The kind of the remark after which a place is new again, but for the count of its incarnations."""

_read_entry = msgspec.json.Decoder(Entry).decode
_read_event = msgspec.json.Decoder(lifecycle.Event).decode


class Log:
    """Entries, oldest first. `tell` hears of each new one. `behind`: the number of the last one of a log that this one
    goes on with.
    """

    def __init__(self, tell: Callable[[Entry], None], behind: int = 0) -> None:
        self._entries: deque[bytes] = deque(maxlen=KEPT)
        self._count = behind
        self._tell = tell

    def __iter__(self) -> Iterator[Entry]:
        return map(_read_entry, self._entries)

    def as_json(self) -> list[msgspec.Raw]:
        """All of them, as they are told."""
        return [msgspec.Raw(data) for data in self._entries]

    def since(self, at: float) -> list[Entry]:
        """Those from a moment on, in seconds since the epoch; oldest first."""
        found = []
        for entry in map(_read_entry, reversed(self._entries)):
            if entry.time < at:
                break
            found.append(entry)
        return found[::-1]

    def lifecycle(
        self, place: str, instance: str, was: lifecycle.State, life: lifecycle.Life, event: lifecycle.Event
    ) -> None:
        """A lifecycle event and the state it led to."""
        fields = msgspec.to_builtins(event)
        self._add(
            time=event.at,
            kind=fields["kind"],
            place=place,
            instance=instance,
            was=str(was),
            state=str(life.state),
            text=_words(event)[: m.MAX_TEXT],
            level="error" if life.state in ("crashed", "failed") else "info",
            event=fields,
        )

    def remark(self, text: str, *, kind: str = "remark", place: str | None = None, level: str = "info") -> None:
        """Something that changes no state but that a person should know."""
        self._add(time=time.time(), kind=kind, place=place, text=text[: m.MAX_TEXT], level=level)

    def removed(self, place: str) -> None:
        """A place is off the platform: what fills it next is another story."""
        self.remark("taken off the platform", kind=REMOVED, place=place)

    def _add(self, **fields: Any) -> None:
        self._count += 1
        entry = Entry(seq=self._count, **fields)
        self._entries.append(m.encode(entry))
        self._tell(entry)


def _words(event: lifecycle.Event) -> str:
    match event:
        case lifecycle.Ended() | lifecycle.Exceeded():
            return f"{event.reason}: {event.detail}"
        case lifecycle.BackedOff():
            return f"starts again in {event.delay:.2g} s"
        case lifecycle.GaveUp():
            return event.detail
        case lifecycle.Silent() | lifecycle.HangExpired():
            return f"{event.what}: {event.missed} pings unanswered"
        case lifecycle.StopAsked() | lifecycle.KillAsked() | lifecycle.RestartAsked():
            return f"by {event.by}"
        case lifecycle.Resumed():
            return event.detail
        case lifecycle.TimerFired():
            return event.timer
    return ""


def replay(entries: Iterable[Entry]) -> dict[str, lifecycle.Life]:
    """The life of every app that these entries lead to. Raises `ValueError` where log and replay disagree."""
    lives: dict[str, lifecycle.Life] = {}
    for entry in entries:
        if entry.place is None:
            continue
        if entry.kind == REMOVED and entry.place in lives:
            lives[entry.place] = lifecycle.Life(incarnation=lives[entry.place].incarnation)
        if not entry.event:
            continue
        event = _read_event(msgspec.json.encode(entry.event))
        # To a supervisor that takes a lost one's place every place is new.
        resumed = isinstance(event, lifecycle.Resumed)
        before = lifecycle.Life() if resumed else lives.get(entry.place, lifecycle.Life())
        life, _ = lifecycle.step(before, event)
        for said, found in ((entry.was, before.state), (entry.state, life.state)):
            if said != found:
                raise ValueError(f"entry {entry.seq}: the log says {said}, its replay {found}")
        lives[entry.place] = life
    return lives
