"""An app's colour where it is a line or a word: as little of the theme's ink in it as makes it visible. Pure.

The bounds are those of WCAG 2.2 (https://www.w3.org/TR/WCAG22/#contrast-minimum, #non-text-contrast).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
NOBODY = "#8A939C"
"""Of an app that has no colour."""
LINE_CONTRAST, WORD_CONTRAST = 3.0, 4.5


class Ground(NamedTuple):
    """The colours of a theme, `#rrggbb`. `sunken`: the ground that is hardest to be seen on, among those in use."""

    ground: str
    ink: str
    second: str
    grid: str
    harm: str
    sunken: str


GROUNDS: dict[Theme, Ground] = {
    "light": Ground("#FFFFFF", "#1A1D21", "#454C54", "#DCE0E4", "#C0301C", "#ECEEF1"),
    "dark": Ground("#111315", "#ECEFF2", "#B7BFC7", "#30353A", "#FF8069", "#24282C"),
}


def line(color: str, theme: Theme) -> str:
    """This colour as a thin line on the theme's ground."""
    return _visible(color, GROUNDS[theme].ground, GROUNDS[theme].ink, LINE_CONTRAST)


def word(color: str, theme: Theme) -> str:
    """This colour as a word on any of the theme's grounds."""
    return _visible(color, GROUNDS[theme].sunken, GROUNDS[theme].ink, WORD_CONTRAST)


def shades(color: str) -> dict[str, dict[Theme, str]]:
    """`line` and `word` of a colour for both themes, as a page takes them."""
    return {
        "line": {theme: line(color, theme) for theme in THEMES},
        "word": {theme: word(color, theme) for theme in THEMES},
    }


def _visible(color: str, ground: str, ink: str, least: float) -> str:
    for part in range(0, 101, 5):
        mixed = "#" + "".join(
            f"{round(own + (other - own) * part / 100):02x}" for own, other in zip(_rgb(color), _rgb(ink), strict=True)
        )
        if contrast(mixed, ground) >= least:
            return mixed
    return ink


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio, 1 to 21 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))


def _luminance(color: str) -> float:
    parts = [part / 255 for part in _rgb(color)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
