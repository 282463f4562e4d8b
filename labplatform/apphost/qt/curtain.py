"""A picture of a window, shown where that was until the page behind it has loaded. Runs on the host's GUI thread.

A recycled app gets a fresh process, and a person should not see its window go and come: this process shows what the
old one's window last showed, then its own window in the same place.
"""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from ... import messages as m

DRAWN_AFTER = 60
"""Milliseconds that a page gets to draw itself once it has loaded."""


class Curtain(QtWidgets.QLabel):
    """One picture. It goes when it is lifted, or with its process."""

    def __init__(self, order: m.ShowCurtain) -> None:
        super().__init__()
        self.setWindowTitle(order.title)
        # It takes no focus from what a person is doing elsewhere.
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_ShowWithoutActivating)
        picture = QtGui.QPixmap()
        picture.loadFromData(order.picture)
        self.setPixmap(picture)
        self.setScaledContents(True)
        bounds = order.bounds
        self.move(bounds.left, bounds.top)
        self.resize(bounds.width, bounds.height)
        self.show()

    def lift(self) -> None:
        """Go, once the page has had the time to draw."""
        QtCore.QTimer.singleShot(DRAWN_AFTER, self.close)
