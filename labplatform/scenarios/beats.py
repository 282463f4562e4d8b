"""A plot of heartbeats for a cell: for each app, one cell after the other, how late it answered, or that it did not.
Kernel.

A cell is a sample of the platform's. It is the darker the later the app ran; one in which it was silent is hollow;
where there was no process to answer, there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from bokeh.models import Label
from bokeh.plotting import figure

from .. import colours
from ..colours import GROUNDS, Theme
from ..kernel.app import App
from ..kernel.widgets.figure import Figure
from .silence import Silence, silences

WIDTH, LEFT, RIGHT = 760, 130, 16
"""Pixels: of a plot, and what is left free in it beside the cells, at the left for the names of apps."""
ROW, CELL, BELOW = 46, 20, 46
"""Pixels: of a row, of the cells in it, and what the axis takes."""
STEPS = (0.001, 0.004, 0.016, 0.05)
"""Seconds of lag from which on a cell has the next shade."""
HARM = 0.1
"""Seconds of lag from which on it has harm's colour."""
SHADES: dict[Theme, tuple[str, ...]] = {
    "light": ("#E9EDF0", "#C9D0D7", "#9AA5AF", "#66717C", "#333B43"),
    "dark": ("#22272B", "#3A4249", "#626D77", "#98A3AD", "#D5DBE0"),
}


class Cell(NamedTuple):
    """From when to when, in seconds since the epoch, and how late the app ran at worst; `None`: it was silent."""

    since: float
    until: float
    lag: float | None


class Beats(NamedTuple):
    """One app's row. `words`: what happened to it, and when."""

    name: str
    color: str
    cells: list[Cell]
    words: list[tuple[float, str, bool]]
    silent: list[Silence]


def heartbeats(*apps: App, seconds: float = 60.0) -> Figure:
    """How late each app answered over the last `seconds`, when it was silent, and when it was gone."""
    rows = [_beats(app, seconds) for app in apps]
    said = [_in_words(row) for row in rows]
    words = f"Heartbeats: {'; '.join(said)}." if any(row.cells for row in rows) else "Heartbeats: no sample yet."
    return Figure(lambda theme: _draw(theme, rows), "Heartbeats", words)


def _beats(app: App, seconds: float) -> Beats:
    history = app.history(seconds)
    at, lives = history["at"], history["incarnation"]
    began = at[0] if len(at) else 0.0
    silent = [one for one in silences(app, 0.0) if one.at + (one.seconds or seconds) > began]
    # Neither is known while it starts: nobody asks it yet.
    lags = np.fmax(history["page_lag"], history["gui_lag"])
    cells = []
    for before, now, same, lag in zip(at, at[1:], lives[1:] == lives[:-1], lags[1:], strict=False):
        if same and not np.isnan(lag):
            hushed = any(one.at <= now and (one.seconds is None or now <= one.at + one.seconds) for one in silent)
            cells.append(Cell(before, now, None if hushed else float(lag)))
    return Beats(app.name, app.color or colours.NOBODY, cells, _words(app, began), silent)


def _words(app: App, began: float) -> list[tuple[float, str, bool]]:
    """What happened to it: faults on purpose, and that its next process was ready."""
    found = []
    for entry in app.events:
        if entry.time < began:
            continue
        if entry.kind == "fault":
            found.append((entry.time, entry.text.partition(": ")[2], True))
        elif entry.kind == "ready":
            found.append((entry.time, "ready", False))
    return found


def _in_words(row: Beats) -> str:
    known = [cell.lag for cell in row.cells if cell.lag is not None]
    worst = f"at worst {1000 * max(known):.0f} ms late" if known else "never answered"
    return f"{row.name} {', '.join([*(str(one) for one in row.silent), worst])}"


def _draw(theme: Theme, rows: Sequence[Beats]) -> figure:
    look = GROUNDS[theme]
    ends = [cell for row in rows for cell in row.cells]
    began = min((cell.since for cell in ends), default=0.0)
    right = max((cell.until for cell in ends), default=began + 1.0) - began
    height = ROW * len(rows) + BELOW
    plot = figure(
        width=WIDTH,
        height=height,
        x_range=(-right * LEFT / (WIDTH - LEFT - RIGHT), right * (1 + RIGHT / (WIDTH - LEFT - RIGHT))),
        y_range=(-len(rows) * ROW, 0),
        toolbar_location=None,
        tools="",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        x_axis_label="seconds",
    )
    plot.grid.visible = False
    plot.yaxis.visible = False
    plot.xaxis.bounds = (0, right)
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = look.grid
    plot.axis.minor_tick_line_color = None
    plot.axis.major_label_text_color = plot.axis.axis_label_text_color = look.second
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_font_size = plot.axis.major_label_text_font_size = "12px"
    for index, row in enumerate(rows):
        base = -(index + 1) * ROW + 6
        middle = base + CELL / 2
        plot.line([0, right], [middle, middle], line_color=look.grid, line_dash="dotted")
        plot.add_layout(
            _label(0, middle, row.name, colours.word(row.color, theme), x_offset=-10, text_align="right", bold=True)
        )
        for color, cells in _by_color(row.cells, theme).items():
            hollow = color == ""
            plot.quad(
                left=[cell.since - began for cell in cells],
                right=[cell.until - began for cell in cells],
                bottom=base,
                top=base + CELL,
                fill_color=look.ground if hollow else color,
                line_color=look.harm if hollow else look.ground,
                line_width=1,
            )
        for at, text, harm in row.words:
            color = look.harm if harm else look.second
            plot.line([at - began] * 2, [base - 2, base + CELL + 2], line_color=color, line_width=1.5)
            align = "right" if at - began > 0.9 * right else "left"
            plot.add_layout(_label(at - began, base + CELL + 2, text, color, text_baseline="bottom", text_align=align))
    return plot


def _by_color(cells: Sequence[Cell], theme: Theme) -> dict[str, list[Cell]]:
    """The cells by their colour; "" for those that are hollow."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault("" if cell.lag is None else shade(cell.lag, theme), []).append(cell)
    return found


def shade(lag: float, theme: Theme) -> str:
    """The colour of a cell with this lag, in seconds."""
    if lag >= HARM:
        return GROUNDS[theme].harm
    return SHADES[theme][sum(lag >= step for step in STEPS)]


def _label(x: float, y: float, text: str, color: str, bold: bool = False, **more: object) -> Label:
    style = {"text_baseline": "middle", "text_font_style": "bold" if bold else "normal"}
    return Label(x=x, y=y, text=text, text_color=color, text_font_size="12px", **(style | more))
