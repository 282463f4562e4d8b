"""The page inside a window: its agent, its dialogs, its console, its popups. Runs on the host's GUI thread."""

from __future__ import annotations

import json
import secrets
from typing import Any

from PySide6 import QtCore
from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineScript
from PySide6.QtWebEngineWidgets import QWebEngineView

from ...manifest import Manifest
from ...resources import page_agent
from .bridge import RELAY_WORLD, relay_script
from .network import answer_proxy

_LEVELS = {0: "info", 1: "warning", 2: "error"}


def inject_agent(page: QWebEnginePage, config: dict[str, Any], bridged: bool) -> None:
    """Put the page agent, with this incarnation's token, in front of the page's own scripts; `bridged`: and the relay
    to its host.

    In the main frame only; both leave at once where the origin is not the manifest's.
    """
    config["relay"] = secrets.token_hex(16) if bridged else ""
    page.scripts().clear()
    if bridged:
        # In front of the agent, which looks for it as it starts.
        _insert(page, RELAY_WORLD, relay_script(config["origin"], config["relay"]))
    agent = page_agent().read_text(encoding="utf-8")
    source = f"(() => {{ const __LABPLATFORM__ = {json.dumps(config)};\n{agent}\n}})();"
    _insert(page, QWebEngineScript.ScriptWorldId.MainWorld, source)


def openfin_config(manifest: Manifest) -> dict[str, Any] | None:
    """Who a page is for OpenFin's API; `None` for one whose manifest is not written for OpenFin."""
    openfin = manifest.openfin
    if openfin is None:
        return None
    identity = {"uuid": openfin.uuid, "name": openfin.name}
    options = identity | {"url": manifest.page_url, "customData": openfin.custom_data}
    # As text: written into a script, a key `__proto__` would not be data any more.
    return identity | {"entity": openfin.entity, "options": json.dumps(options)}


def _insert(page: QWebEnginePage, world: QWebEngineScript.ScriptWorldId, source: str) -> None:
    script = QWebEngineScript()
    script.setInjectionPoint(QWebEngineScript.InjectionPoint.DocumentCreation)
    script.setWorldId(world)
    script.setRunsOnSubFrames(False)
    script.setSourceCode(source)
    page.scripts().insert(script)


class Page(QWebEnginePage):
    """A page that tells its window about dialogs and its console."""

    def __init__(self, window: Any, profile: Any, parent: Any) -> None:
        super().__init__(profile, parent)
        self._lab = window
        answer_proxy(self, window.gui.order.network)

    def setWebChannel(self, *_: Any) -> None:
        """pywebview's, which would lie open to every page; the bridge makes its own."""

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
