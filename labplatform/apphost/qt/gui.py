"""pywebview's Qt loop, the windows in it, and their profiles. Runs on the host's GUI thread.

pywebview makes a profile and a page for each window by calling two names of its Qt module; both are replaced here, so
that each app gets a profile of its own and a page that tells what pywebview does not pass on.
"""

from __future__ import annotations

import gc
import os
from functools import partial
from pathlib import Path
from typing import Any

import shiboken6
import webview
from PySide6 import QtCore
from PySide6.QtWebEngineCore import QWebEngineProfile

from ... import messages as m
from .backend import backend
from .curtain import Curtain
from .network import make_profile
from .origin import FolderHandler, register_scheme
from .window import QtWindow

COLLECT_EVERY = 5_000
"""Milliseconds between cyclic garbage collections, which must happen on the GUI thread."""


class _Caller(QtCore.QObject):
    """Carries functions to the GUI thread."""

    asked = QtCore.Signal(object)


class QtGui:
    """pywebview's Qt loop and the windows in it."""

    def __init__(self, host: Any, order: m.HostOrder) -> None:
        register_scheme()
        self.host = host
        self.order = order
        self.windows: dict[str, QtWindow] = {}
        self._profiles: dict[str, Any] = {}
        self._curtains: dict[str, Curtain] = {}
        self._opening: QtWindow | None = None
        self._waiting: list[QtWindow] = []
        self._in_pywebview = False
        self._ended = False
        webview.settings["OPEN_EXTERNAL_LINKS_IN_BROWSER"] = False

        self.application = backend.QApplication.instance() or backend.QApplication(["labplatform"])
        self.application.setQuitOnLastWindowClosed(False)
        self._before = QtCore.QEventLoop()
        self._caller = _Caller()
        self._caller.asked.connect(lambda work: work(), QtCore.Qt.ConnectionType.QueuedConnection)
        # pywebview makes a profile and a page for each window by calling these two names of its module.
        backend.QWebEngineProfile = lambda *_: self._opening.profile
        backend.BrowserView.WebPage = lambda _view, profile: self._opening.make_page(_view, profile)
        # Nor does a page get pywebview's own JavaScript: nothing here uses its bridge, and it would replace `alert` by
        # one that does not wait.
        backend.BrowserView.on_load_finished = lambda _view: None
        # What the imports made stays for good; looking through it at each collection would cost an idle app 7 ms.
        gc.freeze()
        self._collector = QtCore.QTimer()
        self._collector.timeout.connect(lambda: gc.collect())
        self._collector.start(COLLECT_EVERY)

    def call(self, function: Any, *arguments: Any) -> None:
        """Run a function on the GUI thread, later; from any thread."""
        self._caller.asked.emit(partial(function, *arguments))

    def open(self, order: m.OpenInstance) -> QtWindow:
        """A window for a place. The first one made starts pywebview's loop with it."""
        window = QtWindow(self, order)
        self.windows[order.place] = window
        if self._in_pywebview:
            self.create(window)
        else:
            self._waiting.append(window)
            self._before.quit()
        return window

    def show_curtain(self, order: m.ShowCurtain) -> None:
        """Show a picture until this place's page has loaded."""
        self._curtains[order.place] = Curtain(order)

    def loaded(self, place: str) -> None:
        """A place's page has loaded, or never will."""
        if curtain := self._curtains.pop(place, None):
            curtain.lift()

    def create(self, window: QtWindow) -> None:
        """Build the window, here and now, with pywebview's loop running."""
        if not window.wanted:
            return
        self._opening = window
        try:
            window.create()
        finally:
            self._opening = None

    def run(self) -> None:
        """Wait for the first window, then run pywebview's loop until the host's last place is closed."""
        # A loop of its own: leaving the application's would end QtWebEngine for good.
        while not (wanted := [window for window in self._waiting if window.wanted]):
            if self._ended:
                return
            self._waiting.clear()
            self._before.exec()
        first, *others = wanted
        self._in_pywebview = True
        self.call(self._take_over)
        for window in others:
            self.call(self.create, window)
        self._opening = first
        first.build()
        # pywebview creates the first window inside start(), and the loop runs there.
        webview.start(gui="qt", private_mode=True)
        self._release()

    def quit(self) -> None:
        """End the loop, whichever runs."""
        self._ended = True
        self._before.quit()
        if self._in_pywebview:
            self.application.exit()

    def _take_over(self) -> None:
        """pywebview ends the application with its last window; here the host decides, for a service may go on."""
        self._opening = None
        backend._app = _NoExit(self.application)

    def profile_for(self, order: m.OpenInstance) -> Any:
        """The profile of this folder: the place's own, or the one that all pages of a shared renderer have."""
        folder = order.profile
        if folder not in self._profiles:
            profile = make_profile(Path(folder).name, self.order.network)
            profile.setPersistentStoragePath(os.path.join(folder, "storage"))
            profile.setCachePath(os.path.join(folder, "cache"))
            profile.setPersistentCookiesPolicy(QWebEngineProfile.PersistentCookiesPolicy.AllowPersistentCookies)
            profile.lab_handler = FolderHandler(self.folder_for)
            profile.installUrlSchemeHandler(b"app", profile.lab_handler)
            self._profiles[folder] = profile
        return self._profiles[folder]

    def folder_for(self, app_id: str, asker: str) -> str | None:
        """The folder to serve an app's files from, if a page of origin `asker` may have them; "" is a navigation.

        A sandboxed frame asks as "null"; it gets an answer only where it cannot be another app's.
        """
        folders = {window.manifest.uuid: window.manifest.folder for window in self.windows.values()}
        if asker in ("", f"app://{app_id}") or (asker == "null" and len(folders) == 1):
            return folders.get(app_id)
        return None

    def _release(self) -> None:
        """Delete pages before profiles, so that Chromium writes storage out; it does so when a profile goes."""
        for window in self.windows.values():
            window.release()
        backend.BrowserView.instances.clear()
        for profile in self._profiles.values():
            if shiboken6.isValid(profile):
                shiboken6.delete(profile)
        self._profiles.clear()
        # The storage is written by Chromium's own threads, which are waited for only when the application goes.
        shiboken6.delete(self.application)


class _NoExit:
    """The application as pywebview may use it: everything but `exit`."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def exit(self, code: int = 0) -> None:
        """Not pywebview's to say."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)
