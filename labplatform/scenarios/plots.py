"""Plots of what apps used, for a cell: memory or CPU of several apps, or memory of each process of one. Kernel.

Lines are named at their right end, limits are dashed, and no line goes on over the end of a process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from bokeh.models import Label
from bokeh.plotting import figure

from .. import colours
from ..colours import GROUNDS, Theme
from ..kernel.app import App
from ..kernel.widgets.figure import Figure
from ..manifest import parse_size

NONE: Mapping[str, float] = MappingProxyType({})
WIDTH, HEIGHT, RIGHT, TOP = 760, 320, 170, 26
"""Pixels: of a plot, and what is left free in its frame: at the right for the names of lines, above for what happened.
Bokeh draws no label outside the frame."""
LEFT, BELOW = 60, 60
"""Pixels that the axes take, more or less."""
ROW = 15
"""Pixels that a line's name takes."""
LEAST_SHOWN = 1e6
"""Bytes; a process that never had more is left out."""


DASHES = {"host": "solid", "renderer": "solid", "zygote": "dotted", "helper": "dashed"}
WIDTHS = {"host": 1.5, "renderer": 3}


class Line(NamedTuple):
    """One line. `at`: seconds since the epoch; `values` in the plot's unit, NaN where the line is to break."""

    name: str
    color: str
    at: np.ndarray
    values: np.ndarray
    dash: str = "solid"
    width: float = 2


class Mark(NamedTuple):
    """A limit: a dashed line at this value, with its name."""

    name: str
    value: float


class Event(NamedTuple):
    """Something that happened to an app, at a time; `harm` tells an end from a recycle."""

    at: float
    words: str
    harm: bool


def memory(*apps: App, limits: Mapping[str, int | str] = NONE, seconds: float = 60.0) -> Figure:
    """Memory of apps over the last `seconds`, as their limits count it. `limits`: bytes or text such as "250MB", by the
    name that each is to have.
    """
    marks = [Mark(f"{name}, {parse_size(size) / 1e6:.0f} MB", parse_size(size) / 1e6) for name, size in limits.items()]
    lines = [_line(app, "memory", 1e-6, seconds) for app in apps]
    return _figure("Memory", "MB", lines, marks, _events(apps, seconds))


def cpu(*apps: App, limits: Mapping[str, float] = NONE, seconds: float = 60.0) -> Figure:
    """CPU of apps over the last `seconds`, in percent of one core. `limits`: percent, by the name each is to have."""
    marks = [Mark(f"{name}, {percent:g} %", percent) for name, percent in limits.items()]
    lines = [_line(app, "cpu", 1.0, seconds) for app in apps]
    return _figure("CPU", "% of one core", lines, marks, _events(apps, seconds))


def processes(app: App, seconds: float | None = None) -> Figure:
    """Memory of each process of one app, private to it, over the last `seconds`; as long as it is up, if not given."""
    seconds = (app.uptime or 60.0) if seconds is None else seconds
    found = [one for one in app.history(seconds).by_process if one["memory"].max() >= LEAST_SHOWN]
    lines = [
        Line(
            f"{one.role} {one.pid}",
            _color(app),
            one["at"],
            one["memory"] / 1e6,
            DASHES.get(one.role, "dashed"),
            WIDTHS.get(one.role, 2),
        )
        for one in found
    ]
    return _figure(f"Memory of {app.name} by process", "MB", lines, [], [])


def _color(app: App) -> str:
    return app.color or colours.NOBODY


def _line(app: App, figure: str, scale: float, seconds: float) -> Line:
    history = app.history(seconds)
    # A gap where one process ends and the next one begins.
    breaks = np.flatnonzero(np.diff(history["incarnation"])) + 1
    at = np.insert(history["at"], breaks, history["at"][breaks])
    return Line(app.name, _color(app), at, np.insert(history[figure] * scale, breaks, np.nan))


def _events(apps: Sequence[App], seconds: float) -> Iterator[Event]:
    for app in apps:
        latest = max((entry.time for entry in app.events), default=0.0)
        for entry in app.events:
            if entry.time < latest - seconds:
                continue
            if entry.kind == "exceeded":
                yield Event(entry.time, f"× {app.name}: {entry.text.partition(':')[0]}", True)
            elif entry.kind == "recycled":
                yield Event(entry.time, f"{app.name} recycled", False)


def _figure(
    what: str, unit: str, lines: list[Line], marks: list[Mark], events: Iterator[Event] | list[Event]
) -> Figure:
    events = list(events)
    lines = [line for line in lines if len(line.at)]
    begin = min((line.at[0] for line in lines), default=0.0)
    ranges = (
        f"{line.name} {np.nanmin(line.values):.0f} to {np.nanmax(line.values):.0f}"
        for line in sorted(lines, key=lambda line: -np.nanmax(line.values))
    )
    words = f"{what} in {unit}: {'; '.join(ranges)}." if lines else f"{what}: no sample yet."
    return Figure(lambda theme: _draw(theme, unit, lines, marks, events, begin), what, words)


def _draw(theme: Theme, unit: str, lines: list[Line], marks: list[Mark], events: list[Event], begin: float) -> figure:
    look = GROUNDS[theme]
    values = [np.nanmax(line.values) for line in lines] + [mark.value for mark in marks]
    top = 1.08 * max(values, default=1.0)
    right = max((line.at[-1] for line in lines), default=begin) - begin or 1.0
    plot = figure(
        width=WIDTH,
        height=HEIGHT,
        x_range=(0, right * (WIDTH - LEFT) / (WIDTH - LEFT - RIGHT)),
        y_range=(0, top * (HEIGHT - BELOW) / (HEIGHT - BELOW - TOP)),
        toolbar_location=None,
        tools="",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        x_axis_label="seconds",
        y_axis_label=unit,
    )
    plot.grid.grid_line_color = look.grid
    plot.xgrid.visible = False
    plot.xaxis.bounds = plot.ygrid.cross_bounds = (0, right)
    plot.yaxis.bounds = plot.ygrid.bounds = (0, top)
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = look.grid
    plot.axis.minor_tick_line_color = None
    plot.axis.major_label_text_color = plot.axis.axis_label_text_color = look.second
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_font_size = plot.axis.major_label_text_font_size = "12px"
    ends = {}
    for line in lines:
        color = colours.line(line.color, theme)
        plot.line(line.at - begin, line.values, line_color=color, line_dash=line.dash, line_width=line.width)
        known = np.flatnonzero(~np.isnan(line.values))
        value = line.values[known[-1]]
        ends[f"{line.name}  {value:.0f}"] = (value, color)
    for (words, (_, color)), y in zip(ends.items(), apart([value for value, _ in ends.values()], top), strict=True):
        plot.add_layout(_label(right, y, words, color=color, x_offset=8, text_baseline="middle"))
    for mark in marks:
        plot.line([0, right], [mark.value] * 2, line_color=look.ink, line_dash="dashed", line_width=1)
        plot.add_layout(
            _label(0, mark.value, mark.name, color=look.second, x_offset=6, y_offset=-3, text_baseline="top")
        )
    for event in events:
        color = look.harm if event.harm else look.second
        plot.line([event.at - begin] * 2, [0, top], line_color=color, line_width=1.5)
        plot.add_layout(
            _label(
                event.at - begin, top, event.words, color=color, y_offset=4, text_align="center", text_baseline="bottom"
            )
        )
    return plot


def _label(x: float, y: float, text: str, color: str, **more: object) -> Label:
    return Label(x=x, y=y, text=text, text_color=color, text_font_size="12px", **more)


def apart(values: list[float], top: float) -> list[float]:
    """Where the names of these values stand, so that none covers another: each at its value, or a row above."""
    row = top * ROW / (HEIGHT - TOP - BELOW)
    places = list(values)
    last = -row
    for index in sorted(range(len(values)), key=values.__getitem__):
        places[index] = last = max(values[index], last + row)
    return places
