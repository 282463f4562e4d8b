"""An app's colour as a line and as a word, on each theme's grounds."""

from __future__ import annotations

import pytest

from labplatform import colours


@pytest.mark.parametrize("theme", colours.THEMES)
def test_every_colour_can_be_seen_on_its_ground(theme):
    grounds = colours.GROUNDS[theme]
    for color in ("#56B4E9", "#F0E442", "#0072B2", "#FFFFFF", "#000000", colours.NOBODY):
        assert colours.contrast(colours.line(color, theme), grounds.ground) >= 3
        for ground in (grounds.ground, grounds.sunken):
            assert colours.contrast(colours.word(color, theme), ground) >= 4.5
    assert colours.line("#009E73", theme).upper() == "#009E73"
    for own in (grounds.ink, grounds.second, grounds.harm):
        assert colours.contrast(own, grounds.ground) >= 4.5


def test_a_page_gets_all_shades():
    assert colours.shades("#0072B2") == {
        "line": {"light": "#0072b2", "dark": colours.line("#0072B2", "dark")},
        "word": {"light": colours.word("#0072B2", "light"), "dark": colours.word("#0072B2", "dark")},
    }
