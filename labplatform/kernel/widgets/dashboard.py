"""`Dashboard`: all parts of the panel in one frame: the map and the table always, the others in tabs. Kernel.

It holds the parts and nothing else; which tab is open is the page's own business, so it changes while a cell is busy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from .crash_list import CrashList
from .launcher import Launcher
from .limit_tuner import LimitTuner
from .masthead import Masthead
from .message_console import MessageConsole
from .part import STILL_BYTES
from .plots import plots_of
from .process_map import ProcessMap
from .process_table import ProcessTable

if TYPE_CHECKING:
    from ..platform import Platform

PLOTTED_SECONDS = 60.0
"""How much time the plots show at first."""


class Dashboard(ipywidgets.VBox):
    """The whole panel of one platform. Made by `Platform.dashboard`.

    `masthead`, `process_map`, `process_table`, `plots`, `limit_tuner`, `message_console`, `crash_list`, `launcher`: its
    parts.
    """

    def __init__(self, platform: Platform) -> None:
        self.masthead = Masthead(platform)
        self.process_map = ProcessMap(platform)
        self.process_table = ProcessTable(platform)
        self.plots = plots_of(platform, None, PLOTTED_SECONDS)
        self.limit_tuner = LimitTuner(platform)
        self.message_console = MessageConsole(platform)
        self.crash_list = CrashList(platform)
        self.launcher = Launcher(platform)
        in_tabs = {
            "Plots": self.plots,
            "Limits": self.limit_tuner,
            "Messages": self.message_console,
            "Crashes": self.crash_list,
            "Launch": self.launcher,
        }
        self._tabs = ipywidgets.Tab(tuple(in_tabs.values()), titles=tuple(in_tabs))
        self._names = list(in_tabs)
        super().__init__((self.masthead, self.process_map, self.process_table, self._tabs))
        self.add_class("labplatform-dashboard")
        self._count(self.message_console, "Messages")
        self._count(self.crash_list, "Crashes")
        if not platform.apps:
            self._tabs.selected_index = self._names.index("Launch")

    def _count(self, part: Any, name: str) -> None:
        """Let a tab's title say how many there are."""

        def changed(change: Any) -> None:
            if self._tabs.comm is not None:
                count = f" {part.count:,}".replace(",", " ") if part.count else ""
                self._tabs.set_title(self._names.index(name), name + count)

        part.observe(changed, names=["count"])
        changed(None)

    @property
    def parts(self) -> tuple[Any, ...]:
        """All of them."""
        return (self.masthead, self.process_map, self.process_table, *self._tabs.children)

    def close(self) -> None:
        """Close every part."""
        for part in self.parts:
            part.close()
        self._tabs.close()
        super().close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _repr_mimebundle_(self, **more: Any) -> Any:
        bundle = super()._repr_mimebundle_(**more)
        still = self.process_map._still()
        if bundle and still and len(still.encode()) <= STILL_BYTES:
            bundle["image/svg+xml"] = still
        return bundle
