"""The page inside a window: its agent, its dialogs, its console, its popups. Runs on the host's GUI thread."""

from __future__ import annotations

import json
from typing import Any

from PySide6 import QtCore
from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineScript
from PySide6.QtWebEngineWidgets import QWebEngineView

from ...resources import page_agent

_LEVELS = {0: "info", 1: "warning", 2: "error"}


def inject_agent(page: QWebEnginePage, config: dict[str, Any]) -> None:
    """Put the page agent, with this incarnation's token, in front of the page's own scripts.

    In the main frame only; the agent itself leaves at once where the origin is not the manifest's.
    """
    script = QWebEngineScript()
    script.setName("labplatform")
    script.setInjectionPoint(QWebEngineScript.InjectionPoint.DocumentCreation)
    script.setWorldId(QWebEngineScript.ScriptWorldId.MainWorld)
    script.setRunsOnSubFrames(False)
    agent = page_agent().read_text(encoding="utf-8")
    script.setSourceCode(f"(() => {{ const __LABPLATFORM__ = {json.dumps(config)};\n{agent}\n}})();")
    page.scripts().clear()
    page.scripts().insert(script)


class Page(QWebEnginePage):
    """A page that tells its window about dialogs and its console."""

    def __init__(self, window: Any, profile: Any, parent: Any) -> None:
        super().__init__(profile, parent)
        self._lab = window

    def javaScriptAlert(self, origin: Any, text: str) -> None:
        self._lab.dialog(f"alert: {text[:200]}")
        try:
            super().javaScriptAlert(origin, text)
        finally:
            self._lab.dialog("")

    def javaScriptConfirm(self, origin: Any, text: str) -> bool:
        self._lab.dialog(f"confirm: {text[:200]}")
        try:
            return super().javaScriptConfirm(origin, text)
        finally:
            self._lab.dialog("")

    def javaScriptPrompt(self, origin: Any, text: str, default: str) -> Any:
        self._lab.dialog(f"prompt: {text[:200]}")
        try:
            return super().javaScriptPrompt(origin, text, default)
        finally:
            self._lab.dialog("")

    def chooseFiles(self, mode: Any, old: Any, kinds: Any) -> Any:
        self._lab.dialog("file chooser")
        try:
            return super().chooseFiles(mode, old, kinds)
        finally:
            self._lab.dialog("")

    def javaScriptConsoleMessage(self, level: Any, text: str, line: int, source: str) -> None:
        self._lab.console(_LEVELS.get(int(level.value), "info"), text, f"{source}:{line}")


def make_popup(window: Any, request: Any) -> QWebEngineView:
    """A second window of an app: same profile, no agent, closed with the app's own window."""
    view = QWebEngineView()
    page = Page(window, window.profile, view)
    view.setPage(page)
    view.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose, False)
    page.titleChanged.connect(lambda title: view.setWindowTitle(f"{title} · {window.window.title}"))
    page.windowCloseRequested.connect(view.close)
    page.newWindowRequested.connect(window.open_popup)
    geometry = request.requestedGeometry()
    if geometry.isValid():
        view.resize(geometry.size())
    else:
        view.resize(640, 480)
    request.openIn(page)
    view.show()
    return view
