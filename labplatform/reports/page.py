"""A crash report as a page: the answer first, then the evidence. HTML with no script and nothing from elsewhere. Pure.

Whatever an app, its page or its manifest has put into a report is text here, and stays text. Colours follow those of
JupyterLab's theme, and where there is none what the reader's browser prefers. Names of classes are those of this very
look, so that pages of several versions can stand in one notebook.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import blake2b
from html import escape
from importlib.resources import files

from .. import messages as m
from ..colours import NOBODY, shades
from ..manifest import size_in_words
from . import findings
from .plot import clock, plot
from .words import duration, headline, one_line

MESSAGES, LINES = 6, 8
"""Rows that are seen at once; the others unfold."""
LONGEST_LINE = 2000
"""Characters of one line from elsewhere."""
STACK_LINES = 14
"""Lines of a traceback that are seen at once."""
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")
_GLYPH = re.compile(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+")
_USER_CHANNEL = re.compile(r"fdc3\.channel\.([1-8])")


def page(report: m.CrashReport) -> str:
    """The report as a piece of a page, with its own style."""
    style, name = _style()
    return f"<style>{style}</style>{_article(report, name)}"


def document(report: m.CrashReport) -> str:
    """The report as a whole page, in one file. No browser that reads it will load or run anything."""
    style, name = _style()
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">'
        f"<title>{text(headline(report.brief))}</title><style>{style}\n"
        f"body{{margin:0;padding:24px}}@media(max-width:720px){{body{{padding:0}}}}"
        f"@media(prefers-color-scheme:dark){{html{{background:#111315}}}}</style></head>"
        f"<body>{_article(report, f'{name} alone')}</body></html>\n"
    )


def text(value: object, longest: int = LONGEST_LINE) -> str:
    """Anything as text in a page, on one line; what cannot be seen, or turns the direction, is left out."""
    return escape(one_line(str(value), longest))


def lines(value: str, longest: int = LONGEST_LINE) -> str:
    """The same for text of several lines."""
    return "\n".join(_code(line, longest) for line in value.splitlines())


def _code(line: str, longest: int) -> str:
    line = "".join(character if character.isprintable() else " " for character in line[:longest]).rstrip()
    return escape(line)


@cache
def _style() -> tuple[str, str]:
    """The style sheet, and the name that all of it is about."""
    sheet = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    name = f"labplatform-report-{blake2b(sheet.encode(), digest_size=4).hexdigest()}"
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.S)
    # Twice, to outweigh what a notebook says of tables and headings.
    return re.sub(r"\s+", " ", sheet.replace("&", f".{name}.{name}")).strip(), name


def _article(report: m.CrashReport, name: str) -> str:
    brief = report.brief
    color = brief.color if brief.color and _COLOR.fullmatch(brief.color) else NOBODY
    own = shades(color)
    colors = ";".join(
        f"--app-{part}-{theme}:{value}" for part, themes in own.items() for theme, value in themes.items()
    )
    body = [
        _header(report),
        f'<div class="headline" role="heading" aria-level="2">{text(headline(brief))}</div>',
        _lead(report),
        _facts(report),
        _minute(report),
        _said(report),
        _words(report),
        _keep(report),
    ]
    label = text(f"Crash report: {headline(brief)}")
    return (
        f'<article class="{name}" style="--app:{color};{colors}" aria-label="{label}">'
        f'<div class="edge"></div>{"".join(body)}</article>'
    )


# --- the answer


def _header(report: m.CrashReport) -> str:
    brief = report.brief
    shared = f" with {', '.join(map(one_line, brief.shared_with))}" if brief.shared_with else ""
    parts = [
        f"PID {brief.pid}" if brief.pid else "",
        f"{brief.placement}{shared}" if brief.place else "",
        clock(brief.at),
    ]
    about = " · ".join(filter(None, parts))
    day = time.strftime("%-d %B %Y", time.localtime(brief.at))
    return (
        f'<header class="head">{_chip(report)}<b>{text(brief.title)}</b><span>{text(about)}</span>'
        f'<span class="right">Report {brief.number} · {day}</span></header>'
    )


def _chip(report: m.CrashReport) -> str:
    if _GLYPH.fullmatch(report.glyph):
        return f'<img class="chip" alt="" src="{report.glyph}">'
    letter = next((one for one in report.brief.title if one.isalnum()), "?")
    return f'<span class="chip letter" aria-hidden="true">{escape(letter.upper())}</span>'


def _lead(report: m.CrashReport) -> str:
    pieces = findings.explanation(report)
    if not pieces:
        return ""
    told = " ".join(f"<b>{text(one.text)}</b>" if one.strong else text(one.text) for one in pieces)
    return f'<p class="lead">{told}</p>'


def _facts(report: m.CrashReport) -> str:
    # No list of terms: notebooks give those a form of their own.
    facts = "".join(
        f'<div class="fact" role="listitem"><span class="term">{term}</span>'
        f'<b class="{"value harm" if harm else "value"}">{text(value)}</b></div>'
        for term, value, harm in facts_of(report)
    )
    return f'<div class="facts" role="list">{facts}</div>'


def facts_of(report: m.CrashReport) -> list[tuple[str, str, bool]]:
    """The five facts of each report: what, its value, and whether that is harm."""
    brief = report.brief
    by = report.exit.by if report.exit else ""
    if brief.reason == "killed" and not by:
        by = "not known, not the platform"
    noticed = "not measurable" if report.noticed_after is None else duration(report.noticed_after)
    if brief.back_after is not None:
        back = f"{duration(brief.back_after)}, as {brief.back_pid}"
    else:
        back = f"not back: {brief.gave_up}" if brief.gave_up else "not yet"
    return [
        ("Reason", brief.reason, True),
        ("Ended by", by or "not known", False),
        ("Lived", "was never ready" if brief.uptime is None else duration(brief.uptime), False),
        ("Noticed after", noticed, False),
        ("Back after", back, False),
    ]


# --- the evidence


def _minute(report: m.CrashReport) -> str:
    drawn = plot(report)
    if not drawn:
        return ""
    span = "minute" if report.brief.uptime is None or report.brief.uptime > 45 else "seconds"
    return (
        f'<section class="minute">{_title(f"Its last {span}", "private memory, MB")}{drawn}'
        f"{_unfold('All figures', _figures(report))}{_unfold('Its processes', _processes(report))}</section>"
    )


def _figures(report: m.CrashReport) -> str:
    rows = findings.samples(report)
    step = 1 + len(rows) // 120
    told = [
        (
            f"{row.at - report.brief.at:+.1f} s",
            _mb(row.memory),
            "" if row.cpu is None else f"{row.cpu:.0f} %",
            _mb(row.js_heap),
            "" if row.page_lag is None else duration(row.page_lag),
            "" if row.gui_lag is None else duration(row.gui_lag),
        )
        for row in rows[::-step][::-1]
    ]
    return _table(("Before the end", "Memory", "CPU", "JS heap", "Page's lag", "Window's lag"), told)


def _processes(report: m.CrashReport) -> str:
    at = report.brief.at
    told = []
    for one in report.figures.processes:
        seen = [index for index, when in enumerate(one.columns["at"]) if when is not None and when <= at]
        if seen:
            last = {name: column[seen[-1]] for name, column in one.columns.items()}
            told.append(
                (
                    one.role,
                    str(one.pid),
                    _mb(last.get("memory")),
                    _mb(last.get("pss")),
                    _mb(last.get("uss")),
                    f"{last.get('cpu') or 0:.0f} %",
                    f"{last.get('threads') or 0:.0f}",
                )
            )
    return _table(("Process", "PID", "Memory", "PSS", "USS", "CPU", "Threads"), told)


def _said(report: m.CrashReport) -> str:
    if not report.brief.place:
        return f'<section class="whole">{_machine(report)}</section>'
    beside = f'{_console(report)}<div class="machine">{_machine(report)}</div>'
    return f'<div class="two"><div>{_messages(report)}</div><div>{beside}</div></div>'


def _messages(report: m.CrashReport) -> str:
    messages = report.messages[::-1]
    if not messages:
        return f"{_title('Last messages')}<p class='none'>None, neither to it nor from it.</p>"
    shown = min(MESSAGES, len(messages))
    colors = {one.place: one.color for one in report.neighbours if one.color and _COLOR.fullmatch(one.color)}
    rows = [_message(report, message, colors) for message in messages]
    rest = _unfold(f"{len(messages) - shown} earlier", _rows(rows[shown:])) if rows[shown:] else ""
    return f"{_title('Last messages', f'{shown} of {len(messages)}')}{_rows(rows[:shown])}{rest}"


def _rows(rows: Sequence[str]) -> str:
    return f'<table class="messages"><tbody>{"".join(rows)}</tbody></table>'


def _message(report: m.CrashReport, message: m.ReportedMessage, colors: dict[str, str]) -> str:
    peers = [*message.peers, *([f"{message.more_peers} more"] if message.more_peers else [])]
    whom = ", ".join(map(one_line, peers)) or ("nobody" if message.out else "the platform")
    color = colors.get(message.peers[0]) if message.peers else None
    dot = f'<i class="peer" style="--peer:{color}"></i>' if color else '<i class="peer"></i>'
    what = message.context_type or ""
    if message.intent:
        what = f"{message.intent} {what}"
    what = what.strip() or message.type.removesuffix("Event")
    channel = _USER_CHANNEL.fullmatch(message.channel or "")
    if channel:
        over = f'<i class="channel" style="--channel:var(--ch{channel[1]})"></i>{channel[1]}'
    else:
        over = "intent" if message.intent else text(message.channel or "", 40)
    size = f"{message.size} bytes" if message.size < 10_000 else f"{message.size / 1000:.0f} kB"
    about = text(f"{clock(message.at, 3)}: {message.type}, {size}")
    return (
        f'<tr class="message" title="{about}"><td class="when">{clock(message.at, 3)[6:]}</td>'
        f'<td class="way">{"to" if message.out else "from"}</td><td class="whom">{dot}{text(whom, 80)}</td>'
        f'<td class="what">{text(what, 80)}</td><td class="over">{over}</td></tr>'
    )


def _console(report: m.CrashReport) -> str:
    said = [f"<i>{clock(line.at)}</i>{_level(line.level)}  {text(line.text)}" for line in report.console]
    if not said:
        return f"{_title('What the page said last')}<p class='none'>Nothing on its console.</p>"
    before = said[:-LINES]
    rest = _unfold(f"{len(before)} earlier", f'<pre class="said">{chr(10).join(before)}</pre>') if before else ""
    return f"{_title('What the page said last')}{rest}<pre class='said'>{chr(10).join(said[-LINES:])}</pre>"


def _level(level: str) -> str:
    return {"warning": "  <b>warn</b>", "error": '  <b class="harm">error</b>'}.get(level, "")


def _machine(report: m.CrashReport) -> str:
    told = [
        f"<i>{clock(one.at, 3) if one.at else ' ' * 12}</i>  {_marked(one)}"
        for one in findings.told_by_the_machine(report)
    ]
    parts = [_title("What the machine said", "log, kernel and processes")]
    parts.append(f'<pre class="said">{chr(10).join(told)}</pre>' if told else "<p class='none'>Nothing.</p>")
    return "".join(parts)


def _words(report: m.CrashReport) -> str:
    """The last words of its host: its stack, and what it printed."""
    parts = [_stack(report.traceback)] if report.traceback else []
    if report.stderr.strip():
        code = f'<pre class="code">{lines(report.stderr)}</pre>'
        parts.append(_unfold(f"Standard error, last {len(report.stderr)} characters", code))
    return f'<section class="whole">{"".join(parts)}</section>' if parts else ""


def _marked(one: m.Evidence) -> str:
    return f"<b>{text(one.text)}</b>" if one.level == "error" else text(one.text)


def _stack(traceback: str) -> str:
    """The stack of who died, at once; of all others on demand."""
    kind = (
        "Python's stack" if "Fatal Python error" in traceback or "Traceback" in traceback else "JavaScript's last words"
    )
    found = traceback.splitlines()
    start = next((index for index, line in enumerate(found) if line.startswith("Current thread")), 0)
    if "Traceback" in traceback:
        # Of a Python exception the last lines say it.
        start = max(0, len(found) - STACK_LINES)
    first = found[start : start + STACK_LINES]
    if blank := [index for index, line in enumerate(first) if index and not line.strip()]:
        first = first[: blank[0]] if "Current thread" in first[0] else first
    whole = "" if len(first) == len(found) else _unfold("All of it", f'<pre class="code">{lines(traceback)}</pre>')
    shown = lines("\n".join(first))
    return f'{_title(kind)}<pre class="code">{shown}</pre>{whole}'


# --- what is left of it


def _keep(report: m.CrashReport) -> str:
    if not report.brief.place:
        apps = "".join(f"<li>{text(app)}</li>" for app in report.apps) or "<li>none</li>"
        ended = f"<div>{_title('Apps that ended with it')}<ul>{apps}</ul></div>"
        return f'<footer class="keep">{ended}</footer>{_small(report)}'
    kept, lost = findings.restored(report)
    back = report.brief.back_after is not None
    parts = [
        _picture(report),
        _list("Restored" if back else "Kept for its next start", kept, "✓"),
        _list("Lost", lost, "–"),
    ]
    return f'<footer class="keep">{"".join(parts)}</footer>{_small(report)}'


def _picture(report: m.CrashReport) -> str:
    picture = report.picture
    if picture is None:
        return f'<div class="picture">{_title("Its last picture")}<p class="none">There is none.</p></div>'
    data = base64.b64encode(picture.data).decode()
    age = duration(max(0.0, report.brief.at - picture.at))
    alt = text(f"{report.brief.title} as it looked {age} before its end")
    return (
        f'<div class="picture">{_title("Its last picture")}<img class="shot" alt="{alt}" '
        f'src="data:image/jpeg;base64,{data}"><small>{age} before the end</small></div>'
    )


def _list(title: str, items: Iterable[tuple[str, str]], mark: str) -> str:
    rows = "".join(
        f'<li><i aria-hidden="true">{mark}</i>{text(what)}<span>{text(how)}</span></li>' for what, how in items
    )
    return f"<div>{_title(title)}<ul>{rows or '<li class=none>Nothing that is known of.</li>'}</ul></div>"


def _small(report: m.CrashReport) -> str:
    """What one may want to know on a second look."""
    limits = report.limits
    held = [
        f"memory {size_in_words(limits.max_memory)}" if limits.max_memory else "",
        f"CPU {limits.max_cpu:g} % of a core" if limits.max_cpu else "",
        f"{limits.max_processes} processes" if limits.max_processes else "",
    ]
    created = f"created {clock(report.created, 3)}" if report.created else ""
    parts = [
        f"{report.brief.place}, incarnation {report.brief.incarnation}" if report.brief.place else "",
        created,
        f"held to {', '.join(filter(None, held)) or 'no limits'} ({report.tier})" if report.brief.place else "",
        f"noticed: {report.noticed}" if report.noticed else "",
        f"written by labplatform {report.lab}" if report.lab else "",
        "" if report.brief.complete else "not complete yet",
    ]
    return f'<p class="small">{text(" · ".join(filter(None, parts)))}</p>'


# --- small parts


def _title(title: str, beside: str = "") -> str:
    small = f"<small>{text(beside)}</small>" if beside else ""
    return f'<div class="title" role="heading" aria-level="3">{text(title)}{small}</div>'


def _unfold(title: str, content: str) -> str:
    return f'<details class="more"><summary>{text(title)}</summary>{content}</details>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{text(one)}</th>' for one in heads)
    body = "".join(f'<tr class="line">{"".join(f"<td>{text(one)}</td>" for one in row)}</tr>' for row in rows)
    whole = f'<thead><tr class="line">{head}</tr></thead><tbody>{body}</tbody>'
    return f'<div class="scroll"><table class="figures">{whole}</table></div>'


def _mb(value: float | None) -> str:
    return "" if value is None else f"{value / 1e6:.1f} MB"
