"""The panel: a platform as a person sees and steers it in a notebook. Kernel; each part is a widget of `widgets/`.

Parts are made when they are asked for, and their modules imported only then.
"""

from __future__ import annotations

from typing import Any


class Panel:
    """The part of a `Platform` that shows it."""

    def message_console(self) -> Any:
        """Who says what to whom, as it happens: filter, read a payload, and broadcast or raise an intent by hand.

        Messages are watched from its first display on.
        """
        from .widgets.message_console import MessageConsole

        return MessageConsole(self)
