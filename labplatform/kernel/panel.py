"""The panel: a platform as a person sees and steers it in a notebook. Kernel; each part is a widget of `widgets/`.

Parts are made when they are asked for, and their modules imported only then.
"""

from __future__ import annotations

from typing import Any, Literal


class Panel:
    """The part of a `Platform` that shows it."""

    def process_map(self, size: Literal["panel", "stage"] = "panel") -> Any:
        """The processes as boxes, their pages as tiles with live pictures, their messages as pulses along the lines.

        A fault greys what it harms, and says why. A click on a tile opens what can be done to its app. `size`: "stage"
        is to be read from the back of a room. Messages are watched from its first display on.
        """
        from .widgets.process_map import ProcessMap

        return ProcessMap(self, size)

    def message_console(self) -> Any:
        """Who says what to whom, as it happens: filter, read a payload, and broadcast or raise an intent by hand.

        Messages are watched from its first display on.
        """
        from .widgets.message_console import MessageConsole

        return MessageConsole(self)
