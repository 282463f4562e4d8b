"""A process map as a small still picture, for readers of a saved notebook who have no kernel. Pure; kernel."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from ...colours import GROUNDS, NOBODY
from .words import size_in_words

COLUMN, GAP, HEAD, RENDERER, TILE, BAR, DROP = 190, 12, 22, 18, 34, 28, 22
"""Pixels."""
ACROSS = 4
"""Tiles beside one another."""
TEXT = 26
"""Characters of a name that fit."""


def draw(facts: dict[str, Any], looks: dict[str, Any]) -> str:
    """SVG of the boxes, by the `facts` of the map; on a light ground of its own, for nobody knows where it will lie."""
    pen = _Pen()
    column, top, row = 0, 10, 0
    for host in facts["hosts"]:
        names = [name for renderer in host["renderers"] for name in renderer["apps"]] + host["services"]
        across = min(ACROSS, max(1, len(names)))
        if column and column + across > ACROSS:
            column, top, row = 0, top + row + GAP, 0
        height = _host(pen, host, facts, looks, names, across, 10 + column * (COLUMN + GAP), top)
        column, row = column + across, max(row, height)
    if column >= ACROSS:
        column, top, row = 0, top + row + GAP, 0
    kernel, bottom = facts["kernel"], HEAD + 24
    x = 10 + column * (COLUMN + GAP)
    pen.box(x, top, COLUMN, bottom, False, 8)
    pen.text(x + 9, top + 15, f"kernel {kernel['pid']}")
    pen.text(x + 9, top + 32, "this notebook", pen.ground.second)
    low = top + max(row, bottom) + DROP
    width = ACROSS * (COLUMN + GAP) - GAP
    supervisor = facts["supervisor"]
    for middle in pen.ends:
        pen.parts.append(f'<path d="M{middle[0]} {middle[1]}V{low}" stroke="#8a939c"/>')
    pen.box(10, low, width, BAR, supervisor["gone"], 8, pen.ground.sunken)
    pen.text(19, low + 18, f"supervisor {supervisor['pid'] or '–'}")
    pen.text(10 + width / 2, low + 18, supervisor["words"], pen.ground.second, "middle")
    return pen.svg(width + 20, low + BAR + 10, facts["summary"])


def _host(
    pen: _Pen,
    host: dict[str, Any],
    facts: dict[str, Any],
    looks: dict[str, Any],
    names: list[str],
    across: int,
    x: int,
    y: int,
) -> int:
    lines = -(-len(names) // across)
    width, height = across * (COLUMN + GAP) - GAP, HEAD + RENDERER + lines * TILE + 6
    pen.box(x, y, width, height, host["gone"], 8, pen.ground.ground)
    pen.text(x + 9, y + 15, f"host {host['pid'] or '–'}")
    pen.text(x + width - 9, y + 15, host["signal"] or size_in_words(host["memory"]), pen.ground.second, "end")
    renderers = {name: renderer["pid"] for renderer in host["renderers"] for name in renderer["apps"]}
    for index, name in enumerate(names):
        left = x + (index % across) * (COLUMN + GAP)
        high = y + HEAD + (index // across) * TILE
        if index < across and renderers.get(name):
            pen.text(left + 9, high + 11, f"renderer {renderers[name]}", pen.ground.second)
        high += RENDERER
        app = facts["apps"][name]
        color = looks.get(name, {}).get("color") or NOBODY
        fill = "none" if app["gone"] else color
        pen.parts.append(
            f'<rect x="{left + 9}" y="{high}" width="14" height="14" rx="3" fill="{fill}" stroke="{color}"/>'
        )
        pen.text(left + 29, high + 11, name if len(name) <= TEXT else f"{name[: TEXT - 1]}…", weight=650)
        harm = pen.ground.harm if app["kind"] == "harm" else pen.ground.second
        pen.text(left + 29, high + 25, app["lines"][0] if app["lines"] else "", harm)
    pen.ends.append((x + width // 2, y + height))
    return height


class _Pen:
    """Collects what is drawn."""

    def __init__(self) -> None:
        self.ground = GROUNDS["light"]
        self.parts: list[str] = []
        self.ends: list[tuple[int, int]] = []

    def box(self, x: float, y: float, width: float, height: float, dashed: bool, radius: int, fill: str = "") -> None:
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" fill="{fill or "none"}" '
            f'stroke="#8a939c" stroke-width="1.5"{dash}/>'
        )

    def text(self, x: float, y: float, words: str, fill: str = "", anchor: str = "", weight: int = 0) -> None:
        more = (f' fill="{fill}"' if fill else "") + (f' text-anchor="{anchor}"' if anchor else "")
        more += f' font-weight="{weight}"' if weight else ""
        self.parts.append(f'<text x="{x}" y="{y}"{more}>{escape(words)}</text>')

    def svg(self, width: int, height: int, title: str) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="system-ui,sans-serif" font-size="12" fill="{self.ground.ink}" role="img">'
            f"<title>{escape(title)}</title>"
            f'<rect width="{width}" height="{height}" fill="{self.ground.ground}"/>{"".join(self.parts)}</svg>'
        )
