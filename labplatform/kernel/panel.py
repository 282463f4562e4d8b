"""The panel: a platform as a person sees and steers it in a notebook. Kernel; each part is a widget of `widgets/`.

Parts are made when they are asked for, and their modules imported only then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .app import App


class Panel:
    """The part of a `Platform` that shows it."""

    def view(self, *apps: App | str, rate: float = 5.0, width: int = 280, interactive: bool = True) -> Any:
        """Live pictures of these apps (without any: of all that have a page) side by side, each as in `App.view`."""
        from .widgets.view import AppViews

        wanted = [self[app] if isinstance(app, str) else app for app in apps]
        return AppViews(wanted or [app for app in self.apps if app.url], rate, width, interactive)

    def process_map(self, size: Literal["panel", "stage"] = "panel") -> Any:
        """The processes as boxes, their pages as tiles with live pictures, their messages as pulses along the lines.

        A fault greys what it harms, and says why. A click on a tile opens what can be done to its app. `size`: "stage"
        is to be read from the back of a room. Messages are watched from its first display on.
        """
        from .widgets.process_map import ProcessMap

        if size not in ("panel", "stage"):
            raise ValueError(f'size is "panel" or "stage", not {size!r}')
        return ProcessMap(self, size)

    def process_table(self) -> Any:
        """Every app and its processes: state, PID, memory, CPU and lag, and what may be done to them."""
        from .widgets.process_table import ProcessTable

        return ProcessTable(self)

    def limit_tuner(self) -> Any:
        """What each app may use of memory and CPU, beside what it uses: to be changed while it runs."""
        from .widgets.limit_tuner import LimitTuner

        return LimitTuner(self)

    def launcher(self) -> Any:
        """A card for each app that can be launched: how often it runs, and a button, with placement and limits."""
        from .widgets.launcher import Launcher

        return Launcher(self)

    def message_console(self) -> Any:
        """Who says what to whom, as it happens: filter, read a payload, and broadcast or raise an intent by hand.

        Messages are watched from its first display on.
        """
        from .widgets.message_console import MessageConsole

        return MessageConsole(self)

    def plots(self, apps: Iterable[App | str] | None = None, seconds: float = 60.0) -> Any:
        """Live plots of what these apps use (without any: of all there are): memory, CPU and lag, one row an app.

        `seconds`: how much time they show, 10 to 600. Limits are dashed; what happened to an app is a line through all
        rows. Samples flow only while the cell is on somebody's screen. Raises `UnknownApp`, `ValueError`.
        """
        from .widgets.plots import plots_of

        return plots_of(self, apps, seconds)

    def crash_list(self) -> Any:
        """The crash reports, newest first: open one, compare two, export one."""
        from .widgets.crash_list import CrashList

        return CrashList(self)

    def dashboard(self) -> Any:
        """All parts in one frame: the map and the table always, plots, limits, messages, crashes, launcher in tabs."""
        from .widgets.dashboard import Dashboard

        return Dashboard(self)
