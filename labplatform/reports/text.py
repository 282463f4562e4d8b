"""A crash report as text for a terminal: the same answer and the same evidence as its page. Pure; any process.

Whatever came from an app is printable characters on lines of their own; it changes nothing about a terminal.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Iterator

from .. import messages as m
from . import findings
from .page import facts_of
from .plot import clock
from .words import duration, headline, one_line

WIDTH = 96
MESSAGES, CONSOLE, STACK = 10, 12, 24
"""Lines that are told; the page and the JSON have the others."""
BARS = " ▁▂▃▄▅▆▇█"


def text(report: m.CrashReport) -> str:
    """All of it that one wants to read in a terminal."""
    return "\n".join(map(_printable, _lines(report))) + "\n"


def _printable(line: str) -> str:
    return "".join(character if character.isprintable() else " " for character in line).rstrip()


def _lines(report: m.CrashReport) -> Iterator[str]:
    brief = report.brief
    shared = f" with {', '.join(map(one_line, brief.shared_with))}" if brief.shared_with else ""
    about = [
        one_line(brief.title),
        f"PID {brief.pid}" if brief.pid else "",
        f"{brief.placement}{shared}" if brief.place else "",
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(brief.at)),
        f"report {brief.number}",
    ]
    yield " · ".join(filter(None, about))
    yield ""
    yield from textwrap.wrap(headline(brief), WIDTH)
    yield from textwrap.wrap(" ".join(piece.text for piece in findings.explanation(report)), WIDTH)
    yield ""
    for term, value, _ in facts_of(report):
        yield from _hanging(f"{term:<15}", one_line(value))
    yield from _memory(report)
    if brief.place:
        yield from _section("Last messages", list(_messages(report))[-MESSAGES:], "none, neither to it nor from it")
        yield from _section("What the page said last", list(_console(report))[-CONSOLE:], "nothing on its console")
    yield from _section("What the machine said", _machine(report), "nothing")
    if report.traceback:
        yield from _section("Its stack", _stack(report.traceback), "")
    if brief.place:
        kept, lost = findings.restored(report)
        title = "Restored" if brief.back_after is not None else "Kept for its next start"
        yield from _section(title, [_pair(*one) for one in kept], "nothing that is known of")
        yield from _section("Lost", [_pair(*one) for one in lost], "nothing that is known of")
    else:
        yield from _section("Apps that ended with it", map(one_line, report.apps), "none")
    if report.picture:
        yield ""
        age = duration(max(0.0, brief.at - report.picture.at))
        yield f"Its last picture, {age} before the end, is on the page."


def _section(title: str, lines: Iterable[str], nothing: str) -> Iterator[str]:
    yield ""
    yield title
    some = False
    for line in lines:
        some = True
        yield from _hanging("  ", line)
    if not some:
        yield f"  {nothing}"


def _hanging(begin: str, line: str) -> list[str]:
    return textwrap.wrap(
        line, WIDTH, initial_indent=begin, subsequent_indent=" " * (len(begin) + 2), drop_whitespace=False
    ) or [begin]


def _pair(what: str, how: str) -> str:
    return f"{one_line(what)}: {one_line(how)}" if how else one_line(what)


def _memory(report: m.CrashReport) -> Iterator[str]:
    """How its memory went, in as many characters as there are samples, or fewer."""
    values = [row.memory for row in findings.lived(report) if row.memory is not None]
    if len(values) < 2:
        return
    step = 1 + len(values) // 60
    values = values[::-step][::-1]
    most = max(values) or 1.0
    bars = "".join(BARS[min(8, int(value / most * 8.999))] for value in values)
    yield ""
    yield f"Memory         {bars}  {values[0] / 1e6:.0f} to {values[-1] / 1e6:.0f} MB"


def _messages(report: m.CrashReport) -> Iterator[str]:
    for message in report.messages:
        peers = [*message.peers, *([f"{message.more_peers} more"] if message.more_peers else [])]
        whom = ", ".join(map(one_line, peers)) or ("nobody" if message.out else "the platform")
        what = " ".join(filter(None, (message.intent, message.context_type))) or message.type.removesuffix("Event")
        over = f" over {one_line(message.channel, 40)}" if message.channel else ""
        way = "to  " if message.out else "from"
        yield f"{clock(message.at, 3)}  {way}  {whom}: {one_line(what, 80)}{over}, {message.size} bytes"


def _console(report: m.CrashReport) -> Iterator[str]:
    for line in report.console:
        level = {"warning": "warn  ", "error": "error  "}.get(line.level, "")
        yield f"{clock(line.at, 3)}  {level}{one_line(line.text)}"


def _machine(report: m.CrashReport) -> Iterator[str]:
    at = report.brief.at
    for one in findings.told_by_the_machine(report):
        yield f"{clock(one.at or at, 3)}  {one_line(one.text, 500)}"


def _stack(traceback: str) -> Iterator[str]:
    found = traceback.splitlines()
    start = next((index for index, line in enumerate(found) if line.startswith("Current thread")), 0)
    for line in found[start : start + STACK]:
        if line.strip():
            yield " " * (len(line) - len(line.lstrip())) + one_line(line)
