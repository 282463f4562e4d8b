"""An app's last minute as a picture: memory, CPU and lag over one time, with the limit and the end. HTML and SVG. Pure.

The lines are an SVG that takes the width there is; what is written on it is HTML over it, and keeps its size.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape
from math import ceil, floor, log10

from .. import messages as m
from ..manifest import size_in_words
from .findings import Sample, came_back, growth, lived, samples
from .words import duration, one_line

SPANS = (5, 10, 15, 30, 60, 120, 300, 600)
"""Seconds that the time axis may show before the end."""
WIDTH, MEMORY_HEIGHT, CPU_HEIGHT = 1000, 190, 44
SHOWN_LIMIT = 2.2
"""How many times the memory that it had a limit may be, and still be in the picture."""
LAGS = (0.001, 0.004, 0.016, 0.05, 0.1)
"""Seconds from which on a lag has the next shade; from the last on it is harm."""


class Axis:
    """Seconds since the epoch as a share of the width."""

    def __init__(self, report: m.CrashReport) -> None:
        rows, at = lived(report), report.brief.at
        first = min((row.at for row in rows), default=at)
        self.end = at
        self.span = next((span for span in SPANS if span >= at - first), SPANS[-1])
        last = max((row.at for row in came_back(report)), default=at)
        self.after = min(max(last - at, 0.0), max(0.12 * self.span, 3.0))
        self.begin, self.until = at - self.span, at + max(self.after, 0.02 * self.span)

    def __call__(self, at: float) -> float:
        """0 to 1; outside of it where it is not shown."""
        return (at - self.begin) / (self.until - self.begin)

    def shows(self, at: float) -> bool:
        """Whether it is on the picture."""
        return self.begin <= at <= self.until


def plot(report: m.CrashReport) -> str:
    """The picture; empty where there is too little to draw."""
    rows = [row for row in lived(report) if row.memory is not None]
    if len(rows) < 2:
        return ""
    axis = Axis(report)
    beside = "".join(f"<li>{one}</li>" for one in _named(report, rows))
    return (
        f'<div class="plot"><div class="axes">{_memory(report, axis)}{_cpu(report, axis)}{_lag(report, axis)}'
        f'{_times(report, axis)}</div><ul class="named">{beside}</ul></div>'
    )


# --- the rows


def _memory(report: m.CrashReport, axis: Axis) -> str:
    shown = [row for row in samples(report) if axis.shows(row.at)]
    most = max((row.memory or 0 for row in shown), default=0)
    limit = report.limits.max_memory if report.tier != "off" else None
    limit = limit if limit and limit <= SHOWN_LIMIT * most else None
    top = max(most * 1.12, (limit or 0) * 1.06, 1e6)
    ticks = _ticks(top)

    def y(value: float) -> float:
        return MEMORY_HEIGHT * (1 - value / top)

    grid = "".join(f'<path class="grid" d="M0 {y(tick):.1f}H{WIDTH}"/>' for tick in ticks)
    page = _renderer(report, axis)
    area = _area(page, axis, y) + _line("page", page, axis, y)
    lines = "".join(_line(kind, points, axis, y) for kind, points in _by_incarnation(report, shown, "memory"))
    dashed = f'<path class="limit" d="M0 {y(limit):.1f}H{WIDTH}"/>' if limit else ""
    end = f'<path class="end" d="M{WIDTH * axis(axis.end):.1f} 0V{MEMORY_HEIGHT}"/>'
    labels = "".join(
        f'<span class="tick" style="top:{_percent(y(tick), MEMORY_HEIGHT)}">'
        f"{_megabytes(tick, tick == ticks[-1])}</span>"
        for tick in ticks
        if not limit or abs(y(tick) - y(limit)) > 16
    )
    if limit:
        where = _percent(y(limit), MEMORY_HEIGHT)
        labels += f'<span class="tick strong" style="top:{where}">limit {size_in_words(limit)}</span>'
    last = lived(report)[-1].memory or 0
    if report.brief.reason == "memory-limit" and report.seen:
        last = float(report.seen)
    where = f"left:{_percent(axis(axis.end))};top:{_percent(y(min(last, top)), MEMORY_HEIGHT)}"
    cross = f'<span class="cross" style="{where}">×</span>'
    return _row("memory", MEMORY_HEIGHT, grid + area + lines + dashed + end, labels + cross)


def _cpu(report: m.CrashReport, axis: Axis) -> str:
    shown = [row for row in samples(report) if axis.shows(row.at)]
    top = max(100.0, *(row.cpu or 0 for row in shown))

    def y(value: float) -> float:
        return 2 + (CPU_HEIGHT - 4) * (1 - value / top)

    grid = f'<path class="grid" d="M0 {y(0):.1f}H{WIDTH}"/><path class="grid" d="M0 {y(100):.1f}H{WIDTH}"/>'
    lines = "".join(_line(f"thin {kind}", points, axis, y) for kind, points in _by_incarnation(report, shown, "cpu"))
    end = f'<path class="end" d="M{WIDTH * axis(axis.end):.1f} 0V{CPU_HEIGHT}"/>'
    return '<div class="label">CPU; the upper line is one core</div>' + _row("cpu", CPU_HEIGHT, grid + lines + end, "")


def _lag(report: m.CrashReport, axis: Axis) -> str:
    """A cell for each sample: the darker, the later the page's loop was. One without an answer is hollow."""
    cells, before = [], axis.begin
    rows = [row for row in samples(report) if axis.shows(row.at)]
    if not any(row.page_lag is not None for row in rows):
        return ""
    for row in rows:
        left, right = axis(max(before, axis.begin)), axis(row.at)
        before = row.at
        gap = 0.0 if len(rows) > 150 else 0.001
        shade = "none" if row.page_lag is None else _shade(row.page_lag)
        if right - gap > left:
            width = WIDTH * (right - left - gap)
            cells.append(f'<rect class="lag-{shade}" x="{WIDTH * left:.1f}" width="{width:.1f}" height="12"/>')
    end = f'<path class="end" d="M{WIDTH * axis(axis.end):.1f} 0V12"/>'
    return '<div class="label">How late its page was</div>' + _row("lag", 12, "".join(cells) + end, "")


def _times(report: m.CrashReport, axis: Axis) -> str:
    marks = [(axis.end - axis.span * part, f"−{axis.span * part:g} s") for part in (1, 0.75, 0.5, 0.25)]
    spans = [f'<span style="left:{_percent(axis(at))}">{text}</span>' for at, text in marks]
    spans.append(f'<span class="now" style="left:{_percent(axis(axis.end))}">{clock(axis.end)}</span>')
    return f'<div class="times">{"".join(spans)}</div>'


def _named(report: m.CrashReport, rows: Sequence[Sample]) -> Iterable[str]:
    """What the lines are, with their last values."""
    brief = report.brief
    last = float(report.seen) if brief.reason == "memory-limit" and report.seen else rows[-1].memory or 0.0
    how = report.exit.signal or f"exit code {report.exit.code}" if report.exit else ""
    yield (
        f'<b class="harm">ended {clock(brief.at, 3)}</b>'
        f"<span>at {last / 1e6:.1f} MB{f', {escape(one_line(how))}' if how else ''}</span>"
    )
    found = growth(report)
    if found:
        told = f"+{found.rate / 1e6:.1f} MB each second"
    else:
        low = min(row.memory or 0 for row in rows)
        high = max(row.memory or 0 for row in rows)
        told = f"{low / 1e6:.0f} to {high / 1e6:.0f} MB"
    yield f'<b class="app">all its processes</b><span>{told}</span>'
    if page := _renderer_row(report):
        heap = next((row for row in reversed(rows) if row.js_heap is not None), None)
        told = f"{(page.columns['memory'][-1] or 0) / 1e6:.0f} MB"
        if heap:
            told += f", JS heap {heap.js_heap / 1e6:.0f} MB"
        yield f'<span class="app">its page alone ({page.pid})</span><span>{told}</span>'
    if brief.back_after is not None and (back := came_back(report)):
        state = ", state restored" if report.restored and report.restored.age is not None else ""
        yield (
            f"<b>back as {brief.back_pid} after {duration(brief.back_after)}</b>"
            f"<span>{(back[-1].memory or 0) / 1e6:.0f} MB{state}</span>"
        )
    limit = report.limits.max_memory if report.tier != "off" else None
    yield "<span>limit</span><span>" + (size_in_words(limit) if limit else "none") + "</span>"


# --- parts


def _row(kind: str, height: int, drawn: str, written: str) -> str:
    return (
        f'<div class="row {kind}" style="height:{height}px"><svg viewBox="0 0 {WIDTH} {height}" '
        f'preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>{written}</div>'
    )


def _by_incarnation(
    report: m.CrashReport, rows: Iterable[Sample], name: str
) -> Iterable[tuple[str, list[tuple[float, float]]]]:
    """A line for each: none is drawn across a death."""
    found: dict[float, list[tuple[float, float]]] = {}
    for row in rows:
        value = getattr(row, name)
        if value is not None and row.incarnation is not None:
            found.setdefault(row.incarnation, []).append((row.at, value))
    brief = report.brief
    for incarnation, points in found.items():
        if incarnation == brief.incarnation:
            if name == "memory" and brief.reason == "memory-limit" and report.seen:
                points.append((brief.at, float(report.seen)))
            yield "all", points
        else:
            yield ("before" if incarnation < brief.incarnation else "back"), points


def _renderer_row(report: m.CrashReport) -> m.RecalledProcess | None:
    """The renderer of the incarnation that died."""
    brief = report.brief
    found = [
        one
        for one in report.figures.processes
        if one.role == "renderer" and one.columns["at"] and (one.columns["at"][0] or 0) <= brief.at
    ]
    if report.exit and report.exit.process == "renderer":
        return next((one for one in found if one.pid == report.exit.pid), None)
    return max(found, key=lambda one: one.columns["at"][0] or 0, default=None)


def _renderer(report: m.CrashReport, axis: Axis) -> list[tuple[float, float]]:
    row = _renderer_row(report)
    if row is None:
        return []
    points = zip(row.columns["at"], row.columns["memory"], strict=True)
    return [(at, value) for at, value in points if at and value is not None and axis.shows(at) and at <= axis.end]


def _line(kind: str, points: list[tuple[float, float]], axis: Axis, y) -> str:
    if not points:
        return ""
    path = "L".join(f"{WIDTH * axis(at):.1f} {y(value):.1f}" for at, value in points)
    return f'<path class="{kind}" d="M{path}"/>'


def _area(points: list[tuple[float, float]], axis: Axis, y) -> str:
    if len(points) < 2:
        return ""
    path = "L".join(f"{WIDTH * axis(at):.1f} {y(value):.1f}" for at, value in points)
    first, last = WIDTH * axis(points[0][0]), WIDTH * axis(points[-1][0])
    return f'<path class="area" d="M{first:.1f} {y(0):.1f}L{path}L{last:.1f} {y(0):.1f}Z"/>'


def _percent(value: float, of: float = 1.0) -> str:
    return f"{100 * value / of:.2f}%"


def _shade(lag: float) -> str:
    return "harm" if lag >= LAGS[-1] else str(sum(lag >= bound for bound in LAGS[:-1]))


def _ticks(top: float) -> list[float]:
    """Three or four round figures from 0 up."""
    rough = top / 3.2
    power = 10 ** floor(log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough)
    return [step * count for count in range(ceil(top / step)) if step * count < top * 0.98]


def _megabytes(value: float, named: bool) -> str:
    return f"{value / 1e6:g}{' MB' if named else ''}"


def clock(at: float, digits: int = 0) -> str:
    """A time of day, here: "14:32:11", or with milliseconds."""
    text = time.strftime("%H:%M:%S", time.localtime(at))
    return text + (f".{int(at % 1 * 1000):03}" if digits else "")
