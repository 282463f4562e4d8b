"""Bokeh's script for the page: once for a page, when it asks for it. Kernel; the page side is `static/bokeh.js`.

Bokeh's own way into a notebook writes its whole script into the file, and a trait would carry it along with every
widget. Here it goes over when a page has none yet, packed to a third, and is in no file and no widget's state.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import bokeh

VERSION = bokeh.__version__


@cache
def packed() -> bytes:
    """The script of the installed Bokeh, packed by gzip."""
    script = Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js"
    return gzip.compress(script.read_bytes(), mtime=0)


def offer(widget: anywidget.AnyWidget) -> None:
    """Answer when a page of this widget asks for the script (`{"library": version}`)."""

    def asked(_: Any, content: Any, buffers: Any) -> None:
        if isinstance(content, dict) and content.get("library") == VERSION and widget.comm is not None:
            widget.send({"library": VERSION}, [packed()])

    widget.on_msg(asked)
