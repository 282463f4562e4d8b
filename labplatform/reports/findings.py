"""What a crash report's evidence amounts to: how memory grew and where, what was restored and what was lost, and the
few sentences that explain the end. Only what was measured is said. Pure; any process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from .. import messages as m
from ..manifest import size_in_words
from .words import duration, listed, one_line

LEAST_GROWTH, LEAST_SHARE = 15e6, 0.15
"""Bytes, and share of what it had at last, that memory must have grown by for that to be worth a word."""
LEAST_SECONDS, LEAST_SAMPLES = 1.5, 4
"""For how long, and how often seen, at least."""
SETTLED = 2.0
"""Seconds after which what an app has is no longer what its start takes."""
STILL = 0.2
"""Share of the growth that must have come in the later half of the time, or it had ended before."""
DIP = 0.03
"""Share of it by which memory may fall from one sample to the next, and still be growing."""
STEADY, STEADY_BYTES = 0.1, 8e6
"""Share, and bytes, by which memory that is steady may differ over a minute."""
MOSTLY = 0.6
"""Share of the growth from which on one process is where it was."""
NOTICED = 0.1
"""Seconds of lag from which on a person may have noticed something."""
BUSY = 60.0
"""Percent of a core from which on a process that runs is busy."""


class Piece(NamedTuple):
    """Some words of an explanation; `strong`: the ones to read if no others."""

    text: str
    strong: bool = False


class Growth(NamedTuple):
    """How memory grew, up to the end. `rate`: bytes a second; `since`: seconds since the epoch; `first`, `last`: bytes.

    `gave_back`: whether it ever fell meanwhile.
    """

    rate: float
    since: float
    seconds: float
    first: float
    last: float
    gave_back: bool


class Sample(NamedTuple):
    """One row of an app's figures; see `AppMetrics`."""

    at: float
    memory: float | None
    cpu: float | None
    js_heap: float | None
    js_heap_limit: float | None
    page_lag: float | None
    gui_lag: float | None
    incarnation: float | None


def samples(report: m.CrashReport) -> list[Sample]:
    """All rows, oldest first."""
    columns = report.figures.columns
    times = columns.get("at", ())
    nothing = (None,) * len(times)
    rows = zip(times, *(columns.get(name, nothing) for name in Sample._fields[1:]), strict=True)
    return [Sample(at, *values) for at, *values in rows if at is not None]


def lived(report: m.CrashReport) -> list[Sample]:
    """The rows of the incarnation that died, until it did."""
    brief = report.brief
    return [row for row in samples(report) if row.incarnation == brief.incarnation and row.at <= brief.at]


def settled(report: m.CrashReport) -> list[Sample]:
    """Those among them that came after its start: a process that starts grows, and that says nothing."""
    begun = report.ready_at + SETTLED if report.ready_at else report.brief.at
    return [row for row in lived(report) if row.at >= begun]


def came_back(report: m.CrashReport) -> list[Sample]:
    """The rows of what came after it."""
    return [
        row for row in samples(report) if row.incarnation is not None and row.incarnation > report.brief.incarnation
    ]


def growth(report: m.CrashReport) -> Growth | None:
    """How its memory grew before the end; `None` where it did not, or that cannot be seen."""
    rows = _memories(settled(report))
    if report.brief.reason != "memory-limit" or not report.seen:
        return _grown_over(rows, LEAST_SAMPLES, LEAST_SECONDS)
    at_last = (report.brief.at, float(report.seen))
    # That it grew is certain here: at full speed, or right after its start, fewer samples have to do.
    return _grown_over([*rows, at_last], LEAST_SAMPLES, LEAST_SECONDS) or _grown_over(
        [*_memories([row for row in lived(report) if row.at >= (report.ready_at or 0.0)]), at_last], 2, 0.0
    )


def _memories(rows: list[Sample]) -> list[tuple[float, float]]:
    return [(row.at, row.memory) for row in rows if row.memory is not None]


def _grown_over(rows: list[tuple[float, float]], least_samples: int, least_seconds: float) -> Growth | None:
    """What these amounts of memory, each with its time, amount to."""
    first = len(rows) - 1
    while first > 0 and rows[first - 1][1] <= rows[first][1] * (1 + DIP):
        first -= 1
    rows = rows[first:]
    if len(rows) < least_samples:
        return None
    gain = rows[-1][1] - rows[0][1]
    # What was flat before it is not a part of it.
    start = max(index for index, (_, memory) in enumerate(rows) if memory <= rows[0][1] + 0.05 * gain)
    rows = rows[start:]
    (since, low), (until, high) = rows[0], rows[-1]
    seconds, gain = until - since, high - low
    if len(rows) < least_samples or seconds < least_seconds or gain < max(LEAST_GROWTH, LEAST_SHARE * high):
        return None
    if high - rows[(len(rows) - 1) // 2][1] < STILL * gain:
        return None
    gave_back = any(later < former for (_, former), (_, later) in pairwise(rows))
    return Growth(gain / seconds, since, seconds, low, high, gave_back)


def grower(report: m.CrashReport, found: Growth) -> tuple[m.RecalledProcess, float] | None:
    """Which process most of the growth was in, and what share of it all."""
    gains: list[tuple[float, m.RecalledProcess]] = []
    for process in report.figures.processes:
        seen = zip(process.columns["at"], process.columns["memory"], strict=True)
        rows = [memory for at, memory in seen if at and memory is not None and found.since <= at <= report.brief.at]
        if len(rows) > 1:
            gains.append((rows[-1] - rows[0], process))
    total = sum(max(0.0, gain) for gain, _ in gains)
    if not gains or total <= 0:
        return None
    gain, process = max(gains, key=lambda one: one[0])
    return (process, gain / total) if gain / total >= MOSTLY else None


def heap_change(report: m.CrashReport, since: float) -> tuple[float, float] | None:
    """Bytes of JavaScript heap from a moment on, and at last."""
    known = [row.js_heap for row in lived(report) if row.js_heap is not None and row.at >= since]
    return (known[0], known[-1]) if len(known) > 1 else None


def restored(report: m.CrashReport) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What of it is there again (or is kept for its next start), and what is lost: each by name, and how."""
    kept: list[tuple[str, str]] = []
    lost: list[tuple[str, str]] = []
    told = report.restored
    age = told.age if told else None
    if report.state_size is not None:
        size = _small_size(report.state_size)
        kept.append(("Saved state", size if age is None else f"{duration(age)} old, {size}"))
    if report.channel:
        kept.append((f"User channel {report.channel.removeprefix('fdc3.channel.')}", "as it was"))
    if report.bounds:
        kept.append(("Window's place", "as it was"))
    if report.hash:
        kept.append(("Address", "as it was, with its hash"))
    if report.fields:
        kept.append((_count(report.fields, "field of a form", "fields of forms"), "as they stood"))
    if age is not None:
        lost.append(("What it changed since", f"the last {duration(age)}"))
    for what in told.lost if told else ():
        what, _, how = one_line(what).partition(", ")
        what = what.removeprefix("its ")
        lost.append((what[:1].upper() + what[1:], how.removeprefix("which ")))
    if told is None and report.unheard:
        lost.append((_count(report.unheard, "message"), "on the way to it"))
    if told is None and report.owed:
        lost.append((_count(len(report.owed), "answer to an intent", "answers to intents"), "who raised it was told"))
    return kept, lost


def told_by_the_machine(report: m.CrashReport) -> list[m.Evidence]:
    """What log, kernel and processes had to say of it, in the order of time."""
    at = report.brief.at
    looks = [
        m.Evidence(
            at=at,
            text=f"{look.role} {look.pid} was {look.doing}"
            + ("" if look.cpu is None else f", {look.cpu:.0f} % of a core at its last sample"),
        )
        for look in report.looks
    ]
    return sorted([*report.evidence, *looks], key=lambda one: one.at or at)


def innermost(traceback: str) -> str:
    """Where Python was when it died: "commit (faults.py, line 41)"; empty where that cannot be told."""
    current = re.split(r"Current thread [^\n]*\n", traceback, maxsplit=1)
    frame = re.search(r'File "([^"]+)", line (\d+) in (\S+)', current[-1] if len(current) > 1 else "")
    return f"{frame[3]} ({frame[1].rpartition('/')[2]}, line {frame[2]})" if frame else ""


def explanation(report: m.CrashReport) -> list[Piece]:
    """A few sentences that say why, and what others felt; each of what was measured."""
    return [*_on_purpose(report), *_cause(report), *_others(report)]


def _on_purpose(report: m.CrashReport) -> Iterator[Piece]:
    how, _, whose = report.brief.fault.partition(" of ")
    if how:
        yield Piece(f'{whose or "It"} was broken on purpose, by crash("{how}").')


def _cause(report: m.CrashReport) -> Iterator[Piece]:
    brief = report.brief
    if brief.reason == m.SUPERVISOR_LOST:
        yield Piece(f"{listed(report.apps) or 'No app'} ended with it.")
        if brief.back_after is not None:
            yield Piece(f"What came back was up after {duration(brief.back_after)}.", strong=True)
        return
    if brief.reason == "killed" and not brief.fault and report.exit and not report.exit.by:
        yield Piece("Linux does not tell who sends a signal; the platform sent none.")
    if brief.reason == "unresponsive":
        yield from _silence(report)
    if where := innermost(report.traceback):
        yield Piece(f"Python was in {where} then.")
    if found := growth(report):
        yield from _grown(report, found)
    elif memory := [row.memory for row in lived(report) if row.memory is not None]:
        later = [row.memory for row in settled(report) if row.memory is not None]
        if len(later) > 2 and max(later) - min(later) < max(STEADY_BYTES, STEADY * max(later)):
            yield Piece(f"Its memory had been steady, at {size_in_words(memory[-1])}.")
        elif brief.reason not in ("unresponsive", "killed"):
            yield Piece(f"It had {size_in_words(memory[-1])} of memory at the last sample.")


def _grown(report: m.CrashReport, found: Growth) -> Iterator[Piece]:
    held = "" if found.gave_back else " and gave nothing back"
    yield Piece(
        f"It grew by {_rate(found.rate)} each second for its last {duration(found.seconds)}{held}, "
        f"from {size_in_words(found.first)} to {size_in_words(found.last)}."
    )
    if where := grower(report, found):
        process, share = where
        page = "its page's renderer" if process.role == "renderer" else f"its {process.role}"
        much = "Nearly all" if share >= 0.9 else f"{100 * share:.0f} %"
        yield Piece(f"{much} of that was in {page} ({process.pid}).")
        heap = heap_change(report, found.since) if process.role == "renderer" else None
        if heap and heap[1] - heap[0] > 0.5 * (found.last - found.first):
            yield Piece(f"JavaScript's heap grew with it, to {size_in_words(heap[1])}: the page itself held it.")
        elif heap and heap[1] - heap[0] < 0.1 * (found.last - found.first):
            yield Piece(f"JavaScript's heap did not, at {size_in_words(heap[1])}: what grew lies beside it.")


def _silence(report: m.CrashReport) -> Iterator[Piece]:
    looks = {look.role: look for look in report.looks}
    stuck = looks.get("renderer" if "page" in report.brief.sentence else "host")
    for look in looks.values():
        if "stopped" in look.doing:
            yield Piece(f"Its {look.role} process ({look.pid}) was {look.doing}.")
            return
    if stuck is None:
        return
    if stuck.doing == "running" and (stuck.cpu or 0) >= BUSY:
        yield Piece(f"Its {stuck.role} was busy, with {stuck.cpu:.0f} % of a core: it computed, and did not wait.")
    elif stuck.doing == "running":
        yield Piece(f"Its {stuck.role} was running when it was looked at, and not waiting.")
    elif stuck.doing == "waiting" and (stuck.cpu or 0) < BUSY / 3:
        yield Piece(f"Its {stuck.role} was waiting, with {stuck.cpu or 0:.0f} % of a core, and did not compute.")


def _others(report: m.CrashReport) -> Iterator[Piece]:
    known = [one for one in report.neighbours if one.felt != "unknown"]
    ended = [one.title or one.place for one in known if one.felt == "ended"]
    living = [one for one in known if one.felt != "ended"]
    silent = [one.title or one.place for one in living if one.felt == "silent"]
    worst = max((one.lag for one in living if one.lag is not None), default=None)
    if ended:
        yield Piece(f"{listed(ended)} ended with it.", strong=True)
    if not living:
        return
    answered = f"{len(living) - len(silent)} of {len(living)} answered throughout"
    lag = "" if worst is None else f", worst lag {duration(worst)}"
    if silent:
        yield Piece(f"{listed(silent)} fell silent meanwhile; {answered}{lag}.", strong=True)
    elif worst is None or worst < NOTICED:
        yield Piece("The others noticed nothing:")
        yield Piece(f"{answered}{lag}.", strong=True)
    else:
        yield Piece(f"Of the others {answered}{lag}.", strong=True)


def _rate(rate: float) -> str:
    return f"{rate / 1e6:.1f} MB" if rate < 9.95e6 else f"{rate / 1e6:.0f} MB"


def _small_size(size: int) -> str:
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1000:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
