"""What a person may do to an app from the panel: its page side is `static/actions.js`. Kernel.

Each is one public method of `App`, called on an action's own thread; an error goes back to the page in its words.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ... import messages as m
    from ..platform import Platform


class AppActions:
    """For a `Part`: the actions on one app, by its name on the platform, and those on all of them."""

    _platform: Platform

    def do_stop(self, app: str) -> None:
        """Close it."""
        self._platform[app].stop()

    def do_kill(self, app: str) -> None:
        """End its processes by SIGKILL."""
        self._platform[app].kill()

    def do_restart(self, app: str) -> None:
        """Start it again, or at all."""
        self._platform[app].restart()

    def do_recycle(self, app: str) -> None:
        """Give it a fresh process."""
        self._platform[app].recycle()

    def do_crash(self, app: str, how: m.CrashKind) -> None:
        """Break it, in one of the ways of `App.crash`."""
        self._platform[app].crash(how)

    def do_picture(self, app: str) -> dict[str, Any]:
        """Its window now, as an address that an `<img>` takes, with what it is called."""
        shot = self._platform[app].screenshot()
        address = "data:image/png;base64," + base64.b64encode(shot.data).decode()
        return {"address": address, "title": shot.title, "width": shot.width, "height": shot.height}

    def do_devtools(self, app: str) -> None:
        """Show its developer tools on the screen where its window is."""
        self._platform[app].open_devtools()

    def do_kill_all(self) -> None:
        """End the processes of all apps."""
        self._platform.kill_all()
