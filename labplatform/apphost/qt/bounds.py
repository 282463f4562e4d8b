"""Where a window is: told when it was shown, and when it was moved or resized. Runs on the host's GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

from ... import messages as m

SETTLED_AFTER = 150
"""Milliseconds without a change after which a window counts as moved or resized to where it is."""

_CHANGES = (QtCore.QEvent.Type.Move, QtCore.QEvent.Type.Resize, QtCore.QEvent.Type.Show)


class BoundsWatch(QtCore.QObject):
    """Watches one window, and calls `tell` with its bounds."""

    def __init__(self, view: Any, tell: Callable[[m.Bounds], None]) -> None:
        super().__init__(view)
        self._view, self._tell = view, tell
        self._told: m.Bounds | None = None
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLED_AFTER)
        self._timer.timeout.connect(self._settled)
        view.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Qt calls this for each event of the window."""
        if event.type() in _CHANGES:
            self._timer.start()
        return False

    def _settled(self) -> None:
        view = self._view
        if view.isMinimized() or not view.isVisible():
            return
        place, size = view.pos(), view.size()
        now = m.Bounds(left=place.x(), top=place.y(), width=size.width(), height=size.height())
        if now != self._told:
            self._told = now
            self._tell(now)
