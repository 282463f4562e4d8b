"""Whether a cell of this notebook runs at the moment, and which. Kernel.

Asked of IPython while somebody wants to know; elsewhere than in a notebook nobody knows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

EVENTS = ("pre_run_cell", "post_run_cell")


class Cells:
    """`running`: whether one does, `None` where that is not known; `number`: its number, 0 for one without.

    From `begin` to `end`, `changed()` is called when that changes.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.running: bool | None = None
        self.number = 0
        self._changed = changed
        self._shell: Any = None

    def begin(self) -> None:
        """Follow what runs, from now on."""
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython else None
        if shell is None or self._shell is not None:
            return
        self._shell = shell
        self.number = shell.execution_count
        # A cell is in the history before it runs, and counted once it has.
        self.running = len(shell.history_manager.input_hist_parsed) > shell.execution_count
        shell.events.register(EVENTS[0], self._begins)
        shell.events.register(EVENTS[1], self._has_ended)

    def end(self) -> None:
        """Follow it no longer."""
        shell, self._shell, self.running = self._shell, None, None
        if shell is not None:
            for event, handler in zip(EVENTS, (self._begins, self._has_ended), strict=True):
                try:
                    shell.events.unregister(event, handler)
                except ValueError:
                    pass  # somebody has reset the shell's events

    def _begins(self, *_: Any) -> None:
        self.running, self.number = True, self._shell.execution_count if self._shell else 0
        self._changed()

    def _has_ended(self, *_: Any) -> None:
        self.running = False
        self._changed()
