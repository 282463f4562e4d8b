"""What a plot shows, in one or two measured sentences, for who does not see it and for who does. Pure; kernel.

A sentence is a list of pieces: a string as it stands, `{"strong": words}` for a figure, `{"at": seconds since the
epoch}` for a time of day, which the page puts into its own clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...reports.words import duration, listed
from .happened import Mark, is_verb
from .recorded import App, Record
from .words import lag_in_words

Piece = str | dict[str, Any]
HELD_UP = 0.1
"""Seconds of lag from which on it is worth a word."""
LEAST_GROWTH = 0.3e6
"""Bytes a second from which on it is worth a word."""
SOON = 600.0
"""Seconds within which a limit is in sight."""


def strong(words: str) -> Piece:
    """A figure."""
    return {"strong": words}


def plain(pieces: Sequence[Piece]) -> str:
    """The same as text, times by this process's clock."""
    return "".join(
        piece
        if isinstance(piece, str)
        else piece["strong"]
        if "strong" in piece
        else time.strftime("%H:%M:%S", time.localtime(piece["at"]))
        for piece in pieces
    )


class Told(NamedTuple):
    """An app, as far as a sentence needs it. `growth`: bytes a second; `full_in`: seconds until its limit, if it has
    one; `host`: which process it is in, the same for those who share one.
    """

    name: str
    growth: float = 0.0
    full_in: float | None = None
    host: int | None = None


def tell(record: Record, marks: Sequence[Mark], apps: Sequence[Told], since: float) -> list[Piece]:
    """What matters of these apps from `since` on, in seconds since the epoch."""
    first = record.first_after(since)
    names = [app.name for app in apps]
    faults = [mark for mark in marks if mark.harm and mark.at >= since]
    # Who ended comes before who was only slow to answer.
    worst = [mark for mark in faults if mark.kind != "stall"] or faults
    told = [_fault(worst[-1], len(worst), record, names) if worst else _held_up(record, names, first)]
    told.append(_grows(apps))
    sentences = [one for one in told if one] or [_calm(record, apps, first)]
    return [piece for number, one in enumerate(sentences) for piece in ([" "] * bool(number) + one)]


def _grows(apps: Sequence[Told]) -> list[Piece]:
    """Who grows: the one that reaches its limit first, else the one that grows fastest."""
    found = [app for app in apps if app.growth >= LEAST_GROWTH]
    if not found:
        return []
    app = min(found, key=lambda one: (math.inf if one.full_in is None else one.full_in, -one.growth))
    together = [one.name for one in apps if one is app or (app.host is not None and one.host == app.host)]
    who = app.name if len(together) == 1 else f"The process that {listed(together, 3)} share"
    pieces: list[Piece] = [f"{who} grows by {app.growth / 1e6:.1f} MB/s"]
    if app.full_in is not None and app.full_in < SOON:
        pieces += [" and reaches its limit in about ", strong(_about(app.full_in))]
    return [*pieces, "."]


def _about(seconds: float) -> str:
    if seconds < 20:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 5) * 5} s" if seconds < 120 else f"{round(seconds / 60)} min"


def _fault(mark: Mark, count: int, record: Record, names: Sequence[str]) -> list[Piece]:
    many = len(mark.apps) > 1
    when: Piece = {"at": mark.at}
    if mark.kind == "loss":
        pieces: list[Piece] = [f"{mark.words[:1].upper()}{mark.words[1:]} at ", when, ", and with it every app"]
        return [*pieces, *([", all back in ", strong(duration(mark.back))] if mark.back is not None else []), "."]
    who = listed(mark.apps, 3)
    if mark.kind == "stall":
        if mark.back is None:
            pieces = [f"{who} {'have' if many else 'has'} not answered since ", when]
        else:
            pieces = [f"{who} did not answer for ", strong(duration(mark.back)), " from ", when, " on"]
    else:
        does = mark.words if is_verb(mark.words) else "ended"
        pieces = [f"{who} {does} at ", when, "" if is_verb(mark.words) else f" ({mark.words})"]
        if mark.back is not None:
            pieces += [f" and {'were' if many else 'was'} back in ", strong(duration(mark.back))]
        else:
            pieces += [f" and {'were' if many else 'was'} {mark.over}" if mark.over else ""]
    others = [name for name in names if name not in mark.apps]
    after = record.first_after(mark.at)
    felt = _worst(
        record, others, after, len(record) if mark.back is None else record.first_after(mark.at + mark.back) + 1
    )
    if felt is not None:
        whose = "their neighbours’" if many else "its neighbours’"
        pieces += [f"; meanwhile {whose} worst lag was ", strong(lag_in_words(felt[0]))]
    before = f" ({count - 1} more before)" if count > 1 else ""
    return [*pieces, f"{before}."]


def _worst(record: Record, names: Sequence[str], first: int, last: int) -> tuple[float, int, str] | None:
    """The worst lag of these apps from tick `first` to before `last`: how much, at which tick, and whose. A tick tells
    of the time before it.
    """
    found = [
        (values[3], tick, name)
        for tick in range(first, min(last, len(record)))
        for name in names
        if (values := record.at(tick, App(name))) is not None and not math.isnan(values[3])
    ]
    return max(found, default=None)


def _held_up(record: Record, names: Sequence[str], first: int) -> list[Piece]:
    worst = _worst(record, names, first, len(record))
    if worst is None or worst[0] < HELD_UP:
        return []
    lag, tick, who = worst
    pieces: list[Piece] = [f"{who} was held up for ", strong(lag_in_words(lag)), " at ", {"at": record.ticks[tick]}]
    felt = _worst(record, [name for name in names if name != who], max(first, tick - 1), tick + 2)
    if felt is not None:
        pieces += ["; its neighbours’ worst lag then was ", strong(lag_in_words(felt[0]))]
    return [*pieces, "."]


def _calm(record: Record, apps: Sequence[Told], first: int) -> list[Piece]:
    names = [app.name for app in apps]
    now = {
        app.name: values
        for app in apps
        if len(record) and (values := record.at(len(record) - 1, App(app.name))) is not None
    }
    if not now:
        return ["No app has a figure yet." if names else "No app has been launched."]
    # Those who share a process have its figures, each of them.
    hosts = {app.name if app.host is None else app.host: now[app.name] for app in apps if app.name in now}
    memory, cpu = sum(values[0] for values in hosts.values()), sum(values[2] for values in hosts.values())
    pieces: list[Piece] = [
        f"{len(now)} app{'s use' if len(now) > 1 else ' uses'} ",
        strong(f"{memory / 1e6:.0f} MB"),
        " and ",
        strong(f"{cpu:.1f} %"),
        " of one core",
    ]
    worst = _worst(record, names, first, len(record))
    if worst is not None:
        pieces += ["; the worst lag was ", strong(lag_in_words(worst[0])), f", of {worst[2]}"]
    return [*pieces, "."]
