"""The plots as a small still picture, for a notebook without a kernel. Pure; kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ... import colours
from .happened import HARM
from .part import STILL_BYTES
from .recorded import App, Record
from .still import LETTER, LOOK, SIZE, Box, Point, Still, thinned

WIDTH, LEFT, RIGHT, TOP, ROW = 760, 150, 656, 44, 66
MEMORY, CPU, LAG = (8, 36), (38, 50), (53, 60)
"""Pixels in a row: top and foot of each figure."""
LAGS = ((0.1, LOOK.harm), (0.05, "#333B43"), (0.016, "#66717C"), (0.004, "#9AA5AF"), (0.001, "#C9D0D7"), (0, "#E9EDF0"))
"""Seconds from which on a lag has this colour."""
DETAILS = ((60, 60), (40, 60), (24, 40), (12, 24), (6, 12), (4, 6))
"""Points of a line and cells of a strip: as many as leave room for all."""
ENOUGH_FOR_CPU = 6
"""Points of a line: where there is room for fewer, memory comes first."""
MOST_ROWS = 12
MOST_MARKS = 12
MARK_LETTERS = 48


class Drawn(Protocol):
    """An app, as far as a picture needs it."""

    name: str
    color: str | None


def still(
    record: Record,
    apps: Sequence[Drawn],
    limits: Mapping[str, tuple[int | None, float | None]],
    marks: Sequence[Mapping[str, Any]],
    words: str,
    seconds: float,
) -> str:
    """The last `seconds`. `limits`: bytes and percent by name; `marks`: as `Mark.as_data` gives them."""
    for points, cells in DETAILS:
        picture = _picture(record, apps[:MOST_ROWS], limits, marks, words, seconds, points, cells)
        if len(picture.encode()) <= STILL_BYTES:
            return picture
    return ""


def _picture(
    record: Record,
    apps: Sequence[Drawn],
    limits: Mapping[str, tuple[int | None, float | None]],
    marks: Sequence[Mapping[str, Any]],
    words: str,
    seconds: float,
    points: int,
    cells: int,
) -> str:
    end = record.ticks[-1]
    begin = end - seconds
    first = max(0, record.first_after(begin) - 1)
    at = np.array(record.ticks[first:])
    foot = TOP + ROW * len(apps)
    picture = Still(WIDTH, foot + 68, words)

    def x(time: float) -> float:
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, (time - begin) / seconds))

    boxes: dict[str, list[Box]] = {}
    hollow: list[Box] = []
    rules: list[list[Point]] = []
    dashed: list[list[Point]] = []
    cpus = [record.column(App(app.name), "cpu", first) for app in apps]
    most_cpu = _nice(max([25.0, *(float(np.nanmax(cpu)) for cpu in cpus if not np.isnan(cpu).all())]))
    for number, app in enumerate(apps):
        top = TOP + ROW * number
        line = App(app.name)
        color, word = (shade(app.color or colours.NOBODY, "light") for shade in (colours.line, colours.word))
        memory = record.column(line, "memory", first)
        incarnation = record.column(line, "incarnation", first)
        lag = record.column(line, "lag", first)
        latest = record.at(len(record) - 1, line)
        picture.box(18, top + 9, 12, 12, rx=3, fill=app.color or colours.NOBODY)
        picture.text(36, top + 19, app.name, size=13, bold=True, width=LEFT - 40)
        if latest is not None:
            picture.text(RIGHT + 12, top + 19, f"{latest[0] / 1e6:.0f} MB", size=13, color=word, bold=True)
            picture.text(RIGHT + 12, top + 49, f"CPU {latest[2]:.1f} %", color=LOOK.second)
        limit = limits.get(app.name, (None, None))[0]
        peak = float(np.nanmax(memory)) if not np.isnan(memory).all() else 1.0
        near = limit is not None and peak >= 0.4 * limit
        scale = max(limit, peak) * 1.06 if near and limit else _nice(peak * 1.1)
        if near and limit:
            level = top + MEMORY[1] - (MEMORY[1] - MEMORY[0]) * limit / scale
            dashed.append([(LEFT, level), (RIGHT, level)])
            picture.text(LEFT + 2, level + 11, f"limit {limit / 1e6:.0f} MB", size=11, color=LOOK.second)
        lines: list[list[Point]] = []
        areas: list[list[Point]] = []
        for run in _runs(memory, incarnation):
            curve = [(x(at[i]), top + _level(MEMORY, memory[i] / scale)) for i in run]
            lines.append(thinned(_stub(curve), points))
            load = [(x(at[i]), top + _level(CPU, cpus[number][i] / most_cpu)) for i in run]
            load = thinned(_stub(load), points)
            ends = [(load[-1][0], top + CPU[1]), (load[0][0], top + CPU[1])]
            areas.append([*load, *ends])
        if points >= ENOUGH_FOR_CPU:
            picture.area(*areas, fill=color, fill_opacity="0.3", stroke=color)
        picture.line(*lines, stroke=color, stroke_width=2)
        _strip(boxes, hollow, x, at, lag, memory, top, begin, seconds, cells)
        rules.append([(18, top + ROW - 1), (WIDTH - 18, top + ROW - 1)])
    picture.line(*rules, stroke=LOOK.grid)
    picture.line(*dashed, stroke=LOOK.second, stroke_dasharray="4 3")
    for color, own in boxes.items():
        # A thick line is a box in fewer letters.
        middles = [[(x, y + high / 2), (x + wide, y + high / 2)] for x, y, wide, high in own]
        picture.line(*middles, stroke=color, stroke_width=LAG[1] - LAG[0])
    picture.boxes(hollow, fill="none", stroke=LOOK.second)
    _marks(picture, x, [mark for mark in marks if begin <= mark["at"] <= end], foot)
    picture.text(LEFT, foot + 16, f"−{seconds:.0f} s", size=11, color=LOOK.second)
    picture.text(RIGHT, foot + 16, "then", size=11, color=LOOK.second, anchor="end")
    picture.paragraph(18, foot + 38, words, width=WIDTH - 36)
    return str(picture)


def _marks(picture: Still, x: Any, marks: Sequence[Mapping[str, Any]], foot: float) -> None:
    """Lines through all rows; above them the words of those that have room, faults first, then what came last."""
    taken: list[tuple[float, float]] = []
    lines: dict[str, list[tuple[Point, Point]]] = {LOOK.harm: [], LOOK.second: []}
    for mark in sorted(marks, key=lambda mark: (mark["kind"] in HARM, mark["at"]), reverse=True)[:MOST_MARKS]:
        color = LOOK.harm if mark["kind"] in HARM else LOOK.second
        at = x(mark["at"])
        lines[color].append(((at, TOP - 10), (at, foot - 6)))
        words = mark["words"][:MARK_LETTERS]
        wide = len(words) * SIZE * LETTER + 12
        for left, right, place, anchor in ((at, at + wide, at + 4, "start"), (at - wide, at, at - 4, "end")):
            fits = left >= 8 and right <= WIDTH - 8
            if fits and all(right < one or left > other for one, other in taken):
                picture.text(place, TOP - 14, words, color=color, anchor=anchor)
                taken.append((left, right))
                break
    for color, own in lines.items():
        picture.line(*own, stroke=color, stroke_width=1.5)


def _strip(
    colored: dict[str, list[Box]],
    hollow: list[Box],
    x: Any,
    at: np.ndarray,
    lag: np.ndarray,
    memory: np.ndarray,
    top: float,
    begin: float,
    seconds: float,
    cells: int,
) -> None:
    """The worst lag of each cell; neighbours of one colour are one box, a cell without a figure is hollow."""
    last, last_color = -2, ""
    high, low = top + LAG[0], top + LAG[1]
    known = np.flatnonzero(~np.isnan(memory))
    for cell in range(cells):
        since, until = begin + seconds * cell / cells, begin + seconds * (cell + 1) / cells
        inside = lag[(at > since) & (at <= until)]
        left, width = x(since), x(until) - x(since)
        worst = np.nanmax(inside) if len(inside) and not np.isnan(inside).all() else None
        if worst is None:
            if len(inside) and len(known) and at[known[0]] <= until:
                hollow.append((left + 0.5, high + 0.5, width - 1.5, low - high - 1))
            continue
        color = next(color for least, color in LAGS if worst >= least)
        boxes = colored.setdefault(color, [])
        if last == cell - 1 and last_color == color:
            before = boxes.pop()
            boxes.append((before[0], high, left + width - before[0], low - high))
        else:
            boxes.append((left, high, width, low - high))
        last, last_color = cell, color


def _level(band: tuple[int, int], part: float) -> float:
    high, low = band
    return low - (low - high) * min(1.0, max(0.0, part))


def _stub(points: list[Point]) -> list[Point]:
    return points if len(points) > 1 else [(points[0][0] - 4, points[0][1]), *points]


def _runs(values: np.ndarray, incarnation: np.ndarray) -> list[list[int]]:
    """Indices of known values, one after the other, of one incarnation each: no line goes on over an end."""
    runs: list[list[int]] = []
    for index in np.flatnonzero(~np.isnan(values)):
        if runs and runs[-1][-1] == index - 1 and incarnation[index] == incarnation[index - 1]:
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def _nice(value: float) -> float:
    """The next round figure that is not below it."""
    size = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * size >= value * 0.999))
