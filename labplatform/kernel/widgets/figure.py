"""`Figure`: a Bokeh plot in a cell, without the network, in the colours of the page's theme. Kernel; its page side is
`static/figure.js`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets
from bokeh.embed import json_item

from ...colours import THEMES, Theme
from . import library
from .page_side import page_side


class Figure(anywidget.AnyWidget):
    """What `draw(theme)` makes, a Bokeh model for either theme, and one sentence below it. `name`: what it shows."""

    _esm = page_side("bokeh.js", "figure.js")
    _css = page_side("figure.css")

    items = traitlets.Dict(help="The model for each theme, as Bokeh embeds it.").tag(sync=True)
    name = traitlets.Unicode(help="What it shows, for those who do not see it.").tag(sync=True)
    words = traitlets.Unicode(help="What it shows, in one sentence.").tag(sync=True)

    def __init__(self, draw: Callable[[Theme], Any], name: str, words: str) -> None:
        items = {theme: json_item(draw(theme)) for theme in THEMES}
        super().__init__(items=items, name=name, words=words)
        library.offer(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"
