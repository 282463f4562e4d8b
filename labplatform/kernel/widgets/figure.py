"""`Figure`: a Bokeh plot in a cell, without the network, in the colours of the page's theme. Kernel; its page side is
`static/figure.js`.

Bokeh's own way into a notebook writes its whole script into the file. Here the script travels with the widget, which is
in no file, and the page runs it once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import bokeh
import traitlets
from bokeh.embed import json_item

from .colours import THEMES, Theme
from .page_side import page_side


@cache
def _library() -> str:
    return (Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js").read_text(encoding="utf-8")


class Figure(anywidget.AnyWidget):
    """What `draw(theme)` makes, a Bokeh model for either theme, and one sentence below it. `name`: what it shows."""

    _esm = page_side("figure.js")
    _css = page_side("figure.css")

    library = traitlets.Unicode(help="Bokeh's script.").tag(sync=True)
    items = traitlets.Dict(help="The model for each theme, as Bokeh embeds it.").tag(sync=True)
    name = traitlets.Unicode(help="What it shows, for those who do not see it.").tag(sync=True)
    words = traitlets.Unicode(help="What it shows, in one sentence.").tag(sync=True)

    def __init__(self, draw: Callable[[Theme], Any], name: str, words: str) -> None:
        items = {theme: json_item(draw(theme)) for theme in THEMES}
        super().__init__(library=_library(), items=items, name=name, words=words)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"
