"""Chromium's developer tools for a page, in a window of their own. Runs on the host's GUI thread.

They reach their page through Qt (`setInspectedPage`), inside this process: no port is opened, and no other page or
process can speak to them. They have a profile of their own that keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore
from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile
from PySide6.QtWebEngineWidgets import QWebEngineView

SIZE = (1000, 640)


class Devtools(QWebEngineView):
    """The tools for one page. `closed` is called once, when the window goes."""

    def __init__(self, title: str, page: Any, closed: Callable[[], None]) -> None:
        super().__init__()
        self._told: list[Callable[[str], None]] = []
        self._loaded = False
        self._closed = closed
        # Without a name it is off the record; its page goes before it.
        self._profile = QWebEngineProfile(self)
        self._tools = QWebEnginePage(self._profile, self)
        self._tools.loadFinished.connect(self._finished)
        self._tools.windowCloseRequested.connect(self.close)
        self.setPage(self._tools)
        self.setWindowTitle(title)
        self.resize(*SIZE)
        self.inspect(page)

    def inspect(self, page: Any) -> None:
        """Look into this page from now on; their own is loaded anew for it."""
        self._tools.setInspectedPage(page)

    def show_and_tell(self, told: Callable[[str], None]) -> None:
        """Show the window in front, and call `told(problem)` once the tools are there."""
        self.show()
        self.raise_()
        self.activateWindow()
        if self._loaded:
            told("")
        else:
            self._told.append(told)

    def _finished(self, ok: bool) -> None:
        self._loaded = ok
        told, self._told = self._told, []
        for tell in told:
            tell("" if ok else "the developer tools could not be loaded; is qtwebengine_devtools_resources.pak there?")

    def closeEvent(self, event: Any) -> None:
        """Let go of the page, and tell."""
        super().closeEvent(event)
        closed, self._closed = self._closed, lambda: None
        self._tools.setInspectedPage(None)
        closed()
        # Later: this may be the tools' own call.
        QtCore.QTimer.singleShot(0, self.deleteLater)
