"""A small still picture of a table, for readers of a saved notebook who have no kernel: an SVG. Pure; kernel."""

from __future__ import annotations

from collections.abc import Sequence

from .still import LOOK, Still

LINE = 26
"""Pixels of a row."""
EDGE = 16
GAP = 10
"""Pixels between a column's words and the next column."""


def table_still(
    title: str,
    columns: Sequence[tuple[str, int]],
    rows: Sequence[Sequence[str]],
    colors: Sequence[str | None],
    words: str = "",
) -> str:
    """`columns`: heading and width in pixels; a negative width sets its words to the right. `colors`: of each row's
    app. `words`: a line below.
    """
    width = sum(abs(size) for _, size in columns) + 2 * EDGE
    height = LINE * (len(rows) + 1 + bool(words)) + 12
    still = Still(width, height, title)
    still.box(0.5, 0.5, width - 1, height - 1, rx=8, fill="none", stroke=LOOK.grid)
    _row(still, columns, [heading for heading, _ in columns], 0, LOOK.second)
    for at, (row, color) in enumerate(zip(rows, colors, strict=True), start=1):
        y = 6 + LINE * at
        still.line([(0, y), (width, y)], stroke=LOOK.grid)
        if color:
            still.line([(EDGE - 8, y + 6), (EDGE - 8, y + LINE - 6)], stroke=color, stroke_width=3)
        _row(still, columns, row, at, LOOK.ink)
    if words:
        still.text(EDGE, height - 14, words, color=LOOK.second, width=width - 2 * EDGE)
    return str(still)


def _row(still: Still, columns: Sequence[tuple[str, int]], row: Sequence[str], at: int, color: str) -> None:
    x, y = EDGE, 6 + LINE * at + 18
    for (_, size), words in zip(columns, row, strict=True):
        room = abs(size) - GAP
        if words and size < 0:
            still.text(x + room, y, words, color=color, anchor="end", width=room)
        elif words:
            still.text(x, y, words, color=color, width=room)
        x += abs(size)
