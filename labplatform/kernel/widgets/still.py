"""Small pictures for readers of a saved notebook who have no kernel: an SVG, put together piece by piece. Pure; kernel.

In a saved notebook nothing follows a theme, so such a picture brings its own ground, the light one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from textwrap import wrap

from ...colours import GROUNDS

LOOK = GROUNDS["light"]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif"
SIZE = 12
"""Of letters, in pixels, where nothing else is said."""
LONGEST = 240
"""Letters of its title."""
LETTER = 0.56
"""The width of a letter, in its size, on the average of system fonts."""


Point = tuple[float, float]
Box = tuple[float, float, float, float]


class Still:
    """A picture of `width` by `height` pixels. `title`: what it shows, in words, for who does not see it."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
            f'height="{_n(height)}" font-family="{FONT}" font-size="{SIZE}" fill="{LOOK.ink}" role="img">'
            f"<title>{_safe(title[:LONGEST])}</title>"
            f'<rect width="100%" height="100%" rx="8" fill="{LOOK.ground}"/>'
        )
        self._parts: list[str] = []

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = SIZE,
        color: str = LOOK.ink,
        bold: bool = False,
        anchor: str = "start",
        width: float = 0,
    ) -> None:
        """Words on the line `y`. `anchor`: "start", "middle" or "end"; `width`: where they are cut off."""
        if width:
            most = max(1, int(width / (size * LETTER)))
            words = words if len(words) <= most else words[: most - 1].rstrip() + "…"
        more = (' font-weight="650"' if bold else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{color}"{more}>{_safe(words)}</text>'
        )

    def paragraph(self, x: float, y: float, words: str, *, width: float, lines: int = 2, size: float = 13) -> None:
        """Words on several lines, the first of which is `y`; the last is cut off where there are more."""
        room = max(1, int(width / (size * LETTER)))
        rows = wrap(words, room)
        if len(rows) > lines:
            rows = [*rows[: lines - 1], " ".join(rows[lines - 1 :])]
        for number, row in enumerate(rows):
            self.text(x, y + number * size * 1.45, row, size=size, width=width)

    def box(self, x: float, y: float, width: float, height: float, **style: str | float) -> None:
        """A rectangle; `style`: SVG's attributes, with `_` for `-`."""
        self._parts.append(f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"{_style(style)}/>')

    def boxes(self, boxes: Iterable[Box], **style: str | float) -> None:
        """Many rectangles of one style: (x, y, width, height) each."""
        d = "".join(f"M{_n(x)} {_n(y)}h{_n(width)}v{_n(height)}h{_n(-width)}z" for x, y, width, height in boxes)
        if d:
            self._parts.append(f'<path d="{d}"{_style(style)}/>')

    def line(self, *lines: Sequence[Point], **style: str | float) -> None:
        """A line through these points; or several, of one style."""
        if d := "".join(map(_path, lines)):
            self._parts.append(f'<path d="{d}" fill="none"{_style(style)}/>')

    def area(self, *areas: Sequence[Point], **style: str | float) -> None:
        """A filled area within these points; or several, of one style."""
        if d := "".join(f"{_path(points)}z" for points in areas if points):
            self._parts.append(f'<path d="{d}"{_style(style)}/>')

    def __str__(self) -> str:
        return f"{self._head}{''.join(self._parts)}</svg>"


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """So many points at most, with the largest and the smallest of each stretch among them."""
    if len(points) <= most:
        return list(points)
    stretch = -(-2 * len(points) // most)
    kept: list[tuple[float, float]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += sorted(ends)
    first, last = [points[0]] * (kept[0] != points[0]), [points[-1]] * (kept[-1] != points[-1])
    return [*first, *kept, *last]


def _path(points: Sequence[Point]) -> str:
    """Each point as its distance from the one before, which takes fewer letters; rounded so that nothing adds up."""
    if not points:
        return ""
    last = (round(points[0][0], 1), round(points[0][1], 1))
    path = f"M{_n(last[0])} {_n(last[1])}"
    for x, y in points[1:]:
        across, down = _n(x - last[0]), _n(y - last[1])
        path += f"l{across}{'' if down.startswith('-') else ' '}{down}"
        last = (last[0] + float(across), last[1] + float(down))
    return path


def _n(value: float) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _safe(words: str) -> str:
    return escape("".join(character if character.isprintable() else " " for character in words))


def _style(style: dict[str, str | float]) -> str:
    return "".join(
        f' {name.replace("_", "-")}="{_n(value) if isinstance(value, int | float) else escape(value)}"'
        for name, value in style.items()
    )
