"""All that is Qt's own in an app host: pywebview's Qt windows, made to fit. Runs on the host's GUI thread.

This is the one file that reaches into pywebview's Qt backend. It gives each app a profile of its own, serves
`app://<app-id>/` from the app's folder, injects the page agent before the page's own scripts, and hears what pywebview
does not pass on: a renderer's death, `window.close()`, `window.open()`, dialogs, the console, HTTP errors.
"""

from __future__ import annotations

import gc
import json
import mimetypes
import os
import secrets
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .. import messages as m
from ..manifest import Manifest
from ..resources import page_agent
from . import evaluate

PLACEMENT = {"process": "own process", "shared-process": "shared process", "shared-renderer": "shared renderer"}
"""How a window's title and `lab.placement` name where the app runs."""
EDGE = 3
"""Height in pixels of the edge, in the app's colour, on top of its window."""
MOST_POPUPS = 8
"""Windows an app may open by `window.open` beside its own."""
POLL_FIRST, POLL_LAST = 4, 50
"""Milliseconds between looks at an unsettled promise: the first wait, doubling to the last."""
COLLECT_EVERY = 5_000
"""Milliseconds between cyclic garbage collections, which must happen on the GUI thread."""
JPEG_QUALITY = 80
GROUND = {"dark": "#111315", "light": "#FFFFFF"}
"""Colour of a window until its page has drawn."""
_BLINK_SCHEME = {"dark": 0, "light": 1}


def prepare(order: m.HostOrder) -> None:
    """Set what Qt and Chromium read once, at their start. Call before anything imports Qt."""
    if order.qt_platform:
        os.environ["QT_QPA_PLATFORM"] = order.qt_platform
    flags = list(order.chromium_flags)
    flags.append(f"--js-flags=--max-old-space-size={order.js_heap >> 20}")
    if order.theme in _BLINK_SCHEME:
        # Qt's own colour scheme needs a desktop's theme; this reaches the page with any platform plugin.
        flags.append(f"--blink-settings=preferredColorScheme={_BLINK_SCHEME[order.theme]}")
    if order.shared_renderer:
        flags.append("--renderer-process-limit=1")
    inherited = os.environ.get("QTWEBENGINE_CHROMIUM_FLAGS", "")
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = " ".join([*filter(None, [inherited]), *flags])
    os.environ["QT_API"] = "pyside6"
    os.environ.setdefault("QT_LOGGING_RULES", "qt.webenginecontext.debug=false")


class QtGui:
    """pywebview's Qt loop and the windows in it."""

    def __init__(self, host: Any, order: m.HostOrder) -> None:
        prepare(order)
        from PySide6 import QtCore, QtWebEngineCore

        scheme = QtWebEngineCore.QWebEngineUrlScheme(b"app")
        flag = QtWebEngineCore.QWebEngineUrlScheme.Flag
        scheme.setSyntax(QtWebEngineCore.QWebEngineUrlScheme.Syntax.Host)
        scheme.setFlags(flag.SecureScheme | flag.CorsEnabled | flag.FetchApiAllowed | flag.ServiceWorkersAllowed)
        QtWebEngineCore.QWebEngineUrlScheme.registerScheme(scheme)

        import webview
        from webview.platforms import qt as backend

        self.host = host
        self.order = order
        self.webview = webview
        self.backend = backend
        self.windows: dict[str, QtWindow] = {}
        self._profiles: dict[str, Any] = {}
        self._opening: QtWindow | None = None
        self._before = QtCore.QEventLoop()
        self._waiting: list[QtWindow] = []
        self._in_pywebview = False
        self._agent = page_agent().read_text(encoding="utf-8")
        webview.settings["OPEN_EXTERNAL_LINKS_IN_BROWSER"] = False

        class Caller(QtCore.QObject):
            asked = QtCore.Signal(object)

        self.application = backend.QApplication.instance() or backend.QApplication(["labplatform"])
        self.application.setQuitOnLastWindowClosed(False)
        self._caller = Caller()
        self._caller.asked.connect(lambda work: work(), QtCore.Qt.ConnectionType.QueuedConnection)
        # pywebview makes a profile and a page for each window by calling these two names of its module.
        backend.QWebEngineProfile = lambda *_: self._opening.profile
        backend.BrowserView.WebPage = lambda _view, profile: self._opening.make_page(_view, profile)
        # Nor does a page get pywebview's own JavaScript: nothing here uses its bridge, and it would replace `alert` by
        # one that does not wait.
        backend.BrowserView.on_load_finished = lambda _view: None
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

    def create(self, window: QtWindow) -> None:
        """Build the window, here and now, with pywebview's loop running."""
        self._opening = window
        try:
            window.create()
        finally:
            self._opening = None

    def run(self) -> None:
        """Wait for the first window, then run pywebview's loop until the host's last place is closed."""
        # A loop of its own: leaving the application's would end QtWebEngine for good.
        self._before.exec()
        if not self._waiting:
            return
        first, *others = self._waiting
        self._in_pywebview = True
        self.call(self._take_over)
        for window in others:
            self.call(self.create, window)
        self._opening = first
        first.build()
        # pywebview creates the first window inside start(), and the loop runs there.
        self.webview.start(gui="qt", private_mode=True)
        self._release()

    def quit(self) -> None:
        """End the loop, whichever runs."""
        self._before.quit()
        if self._in_pywebview:
            self.application.exit()

    def _take_over(self) -> None:
        """pywebview ends the application with its last window; here the host decides, for a service may go on."""
        self._opening = None
        self.backend._app = _NoExit(self.application)

    def profile_for(self, order: m.OpenInstance) -> Any:
        """The place's own profile, or the one that all pages of a shared renderer use."""
        from PySide6.QtWebEngineCore import QWebEngineProfile

        key = "shared" if self.order.shared_renderer else order.place
        if key not in self._profiles:
            folder = str(Path(order.profile).parent / "shared") if self.order.shared_renderer else order.profile
            profile = QWebEngineProfile(f"lab-{key}")
            profile.setPersistentStoragePath(os.path.join(folder, "storage"))
            profile.setCachePath(os.path.join(folder, "cache"))
            profile.setPersistentCookiesPolicy(QWebEngineProfile.PersistentCookiesPolicy.AllowPersistentCookies)
            profile.lab_handler = _folder_handler(self)
            profile.installUrlSchemeHandler(b"app", profile.lab_handler)
            self._profiles[key] = profile
        return self._profiles[key]

    def _release(self) -> None:
        """Delete pages before profiles, so that Chromium writes storage out; it does so when a profile goes."""
        import shiboken6

        for window in self.windows.values():
            window.release()
        self.backend.BrowserView.instances.clear()
        for profile in self._profiles.values():
            if shiboken6.isValid(profile):
                shiboken6.delete(profile)
        self._profiles.clear()


class _NoExit:
    """The application as pywebview may use it: everything but `exit`."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def exit(self, code: int = 0) -> None:
        """Not pywebview's to say."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)


def _folder_handler(gui: QtGui) -> Any:
    """Serves `app://<app-id>/path` from that app's folder, to pages of that app only."""
    from PySide6 import QtCore
    from PySide6.QtWebEngineCore import QWebEngineUrlRequestJob, QWebEngineUrlSchemeHandler

    Error = QWebEngineUrlRequestJob.Error

    class FolderHandler(QWebEngineUrlSchemeHandler):
        def requestStarted(self, job: Any) -> None:
            parts = urlsplit(job.requestUrl().toString())
            app_id = parts.hostname or ""
            asker = job.initiator().toString().rstrip("/")
            if asker not in ("", "null", f"app://{app_id}"):
                return job.fail(Error.RequestDenied)
            folder = next((w.manifest.folder for w in gui.windows.values() if w.manifest.app_id == app_id), None)
            if folder is None:
                return job.fail(Error.UrlNotFound)
            root = Path(folder).resolve()
            file = (root / unquote(parts.path).lstrip("/")).resolve()
            if file.is_dir():
                file /= "index.html"
            if not file.is_relative_to(root):
                return job.fail(Error.RequestDenied)
            source = QtCore.QFile(str(file), job)
            if not source.open(QtCore.QIODevice.OpenModeFlag.ReadOnly):
                return job.fail(Error.UrlNotFound)
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            if kind.startswith("text/") or kind.endswith(("javascript", "json")):
                kind += ";charset=utf-8"
            job.reply(kind.encode(), source)

    return FolderHandler()


class QtWindow:
    """One place's window, page and popups."""

    def __init__(self, gui: QtGui, order: m.OpenInstance) -> None:
        self.gui = gui
        self.host = gui.host
        self.place = order.place
        self.incarnation = order.incarnation
        self.manifest: Manifest = order.manifest
        self.order = order
        self.profile = gui.profile_for(order)
        self.window: Any = None
        self.view: Any = None
        self.page: Any = None
        self.popups: list[Any] = []
        self._closing = False
        self._renderer = 0

    # --- making it

    def build(self) -> None:
        """Describe the window to pywebview; built when its loop starts, or by `create`."""
        app = self.manifest.startup_app
        placement = PLACEMENT[self.gui.order.isolation]
        left, top = self._where()
        self.window = self.gui.webview.create_window(
            f"{app.name} · PID {os.getpid()} · {placement}",
            width=app.default_width,
            height=app.default_height,
            x=left,
            y=top,
            resizable=app.resizable,
            hidden=not app.auto_show,
            background_color=GROUND.get(self.gui.order.theme, GROUND["light"]),
            text_select=True,
            zoomable=True,
        )
        self.window.events.initialized += self._use_our_url
        self.window.events.before_show += self._dress
        self.window.events.closed += self._closed

    def _where(self) -> tuple[int | None, int | None]:
        """The manifest's place for the window, unless this screen is too small for it: then the middle."""
        app = self.manifest.startup_app
        screen = self.gui.application.primaryScreen().availableGeometry()
        if app.default_left is None or app.default_top is None:
            return None, None
        fits = app.default_left + app.default_width <= screen.width() or screen.width() <= app.default_width
        return (app.default_left, app.default_top) if fits else (None, None)

    def create(self) -> None:
        """Build the window while pywebview's loop runs.

        On the GUI thread pywebview only notes a window, and its own way to go on needs another window to be there.
        """
        self.build()
        self.window._initialize(self.gui.webview.guilib)
        browser = self.gui.backend.BrowserView(self.window)
        browser.installEventFilter(browser)
        if self.manifest.startup_app.auto_show:
            browser.show()

    def _use_our_url(self, *_: Any) -> None:
        # pywebview would rewrite an app:// address into one of its own web server's.
        self.window.real_url = self.manifest.page_url

    def make_page(self, view: Any, profile: Any) -> Any:
        """The page of the main window, wired up; pywebview asks for it while it builds the window."""
        self.view = view
        page = self.page = _page_class()(self, profile, view.webview)
        page.renderProcessTerminated.connect(self._renderer_gone)
        # Later, not inside the page's own signal: closing deletes the page.
        page.windowCloseRequested.connect(lambda: self.gui.call(self._close, "page"))
        page.newWindowRequested.connect(self._open_popup)
        page.loadingChanged.connect(self._loading)
        if self.gui.order.theme in GROUND:
            page.setBackgroundColor(GROUND[self.gui.order.theme])
        self._inject()
        return page

    def _dress(self, *_: Any) -> None:
        """The app's colour as a thin edge on top; a hidden window still draws, for pictures of it."""
        from PySide6 import QtCore, QtGui

        if self.manifest.look.color:
            palette = self.view.palette()
            palette.setColor(self.view.backgroundRole(), QtGui.QColor(self.manifest.look.color))
            self.view.setPalette(palette)
            self.view.setContentsMargins(0, EDGE, 0, 0)
        glyph = self.manifest.look.glyph
        if glyph and self.manifest.folder:
            self.view.setWindowIcon(QtGui.QIcon(str(Path(self.manifest.folder) / glyph)))
        if not self.manifest.startup_app.auto_show:
            self.view.setAttribute(QtCore.Qt.WidgetAttribute.WA_DontShowOnScreen)
            QtCore.QTimer.singleShot(0, self.view.show)

    def _inject(self) -> None:
        """Put the agent, with this incarnation's token, in front of the page's own scripts."""
        from PySide6.QtWebEngineCore import QWebEngineScript

        order, host = self.order, self.gui.order
        config = {
            "origin": self.manifest.origin,
            "url": host.url,
            "token": order.token,
            "place": order.place,
            "instance": order.instance,
            "appId": self.manifest.app_id,
            "incarnation": order.incarnation,
            "title": self.manifest.title,
            "pid": os.getpid(),
            "placement": PLACEMENT[host.isolation],
            "color": self.manifest.look.color or "",
        }
        script = QWebEngineScript()
        script.setName("labplatform")
        script.setInjectionPoint(QWebEngineScript.InjectionPoint.DocumentCreation)
        script.setWorldId(QWebEngineScript.ScriptWorldId.MainWorld)
        script.setRunsOnSubFrames(False)
        script.setSourceCode(f"(() => {{ const __LABPLATFORM__ = {json.dumps(config)};\n{self.gui._agent}\n}})();")
        scripts = self.page.scripts()
        scripts.clear()
        scripts.insert(script)

    # --- what the supervisor asks

    def reload(self, order: m.ReloadInstance) -> None:
        """A new incarnation in this window, its renderer being dead."""
        from PySide6.QtCore import QUrl

        self.incarnation = order.incarnation
        self.order = m.msgspec.structs.replace(
            self.order, instance=order.instance, incarnation=order.incarnation, token=order.token
        )
        self._inject()
        self.page.load(QUrl(self.manifest.page_url))

    def close(self) -> None:
        """Close the window because the supervisor says so."""
        self._close("request")

    def ping(self, seq: int) -> None:
        """Answer for a page that has no connection of its own, when its event loop gets to it."""
        incarnation = self.incarnation
        self.page.runJavaScript(
            "0",
            0,
            lambda _: self.host.send(m.PagePong(seq=seq, place=self.place, incarnation=incarnation)),
        )

    def run_js(self, code: str) -> None:
        """Run code and forget it."""
        self.page.runJavaScript(code)

    def renderer_pid(self) -> int:
        """The pid of the page's renderer process; 0 while there is none."""
        return self.page.renderProcessPid()

    def evaluate(self, order: m.HostEvaluate) -> None:
        """Run code, wait for its promise, send its JSON value."""
        key = f"__{secrets.token_hex(8)}"
        deadline = time.monotonic() + order.timeout
        page = self.page

        def answer(text: Any) -> None:
            done = evaluate.outcome(text)
            if "value" in done:
                self.host.send(m.HostResult(request=order.request, value=m.msgspec.Raw(m.encode(done["value"]))))
            elif "error" in done:
                error = done["error"]
                refuse(f"{error['name']}: {error['message']}", name=error["name"], stack=error["stack"])
            elif "pending" in done or text == "":
                look_again()
            elif "blocked" in done:
                page.runJavaScript(evaluate.as_expression(order.code, key), 0, answer_expression)
            elif "lost" in done:
                refuse("the page navigated away before the promise settled", name="Error", stack="")
            else:
                refuse("the code could not be compiled, or the page went away", name="SyntaxError", stack="")

        def answer_expression(text: Any) -> None:
            if evaluate.outcome(text).get("nothing"):
                refuse(
                    "the page's content security policy forbids eval, so the code must be one JavaScript expression",
                    name="SyntaxError",
                    stack="",
                )
            else:
                answer(text)

        wait = POLL_FIRST

        def look_again() -> None:
            nonlocal wait
            from PySide6.QtCore import QTimer

            if time.monotonic() < deadline and page is self.page and not self._closing:
                QTimer.singleShot(wait, lambda: page.runJavaScript(evaluate.collect(key), 0, answer))
                wait = min(wait * 2, POLL_LAST)

        def refuse(message: str, **detail: str) -> None:
            self.host.send(
                m.HostResult(
                    request=order.request,
                    error="JavaScriptError",
                    message=f"{self.place}: {message}",
                    detail={"app": self.place, **detail},
                )
            )

        page.runJavaScript(evaluate.first_try(order.code, key), 0, answer)

    def capture(self, order: m.HostCapture) -> None:
        """Draw the window into a PNG or JPEG and send it."""
        from PySide6 import QtCore

        pixmap = self.view.grab()
        if order.max_width and pixmap.width() > order.max_width:
            pixmap = pixmap.scaledToWidth(order.max_width, QtCore.Qt.TransformationMode.SmoothTransformation)
        buffer = QtCore.QBuffer()
        buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
        pixmap.save(buffer, order.format.upper(), JPEG_QUALITY if order.format == "jpeg" else -1)
        picture = m.Picture(
            data=bytes(buffer.data()), format=order.format, width=pixmap.width(), height=pixmap.height()
        )
        self.host.send(m.HostResult(request=order.request, value=m.msgspec.Raw(m.encode(picture))))

    # --- what happens to it

    def dialog(self, text: str) -> None:
        """A modal dialog opened (`text` says what it asks) or closed ("")."""
        self.host.send(m.DialogChanged(place=self.place, incarnation=self.incarnation, text=text))

    def console(self, level: str, text: str, source: str) -> None:
        """The page wrote to its console."""
        self.host.send(
            m.Console(place=self.place, incarnation=self.incarnation, level=level, text=text[:2000], source=source)
        )

    def remark(self, text: str) -> None:
        """Something a person should know."""
        self.host.send(m.Remark(place=self.place, text=text, level="warning"))

    def _renderer_started(self) -> None:
        pid = self.page.renderProcessPid()
        if pid > 0 and pid != self._renderer:
            self._renderer = pid
            self.host.send(m.RendererStarted(place=self.place, incarnation=self.incarnation, pid=pid))

    def _renderer_gone(self, status: Any, code: int) -> None:
        if self._closing:
            return
        word = {0: "normal", 1: "abnormal", 2: "crashed", 3: "killed"}.get(int(status.value), "abnormal")
        self.host.send(m.RendererGone(place=self.place, incarnation=self.incarnation, pid=0, status=word, code=code))

    def _loading(self, info: Any) -> None:
        Status, Domain = type(info).LoadStatus, type(info).ErrorDomain
        status = info.status()
        self._renderer_started()
        if status == Status.LoadStartedStatus:
            return
        url = info.url().toString()
        if status == Status.LoadFailedStatus or info.errorCode() >= 400:
            if info.errorDomain() == Domain.HttpStatusCodeDomain or info.errorCode() >= 400:
                problem = f"{url} answered with HTTP status {info.errorCode()}"
            elif url.startswith("app:"):
                problem = f"{url} does not exist in {self.manifest.folder}"
            else:
                problem = f"{url} could not be loaded: {info.errorString()}"
        else:
            problem = ""
        self.host.send(m.InstanceLoaded(place=self.place, incarnation=self.incarnation, problem=problem, url=url))

    def _open_popup(self, request: Any) -> None:
        """`window.open` and target=_blank: a window of the same app and profile, without the agent."""
        self.popups = [popup for popup in self.popups if popup.isVisible()]
        if len(self.popups) >= MOST_POPUPS:
            self.remark(
                f"window.open({request.requestedUrl().toString()!r}) refused: {MOST_POPUPS} extra windows are open"
            )
            return
        self.popups.append(_popup(self, request))

    def _close(self, by: str) -> None:
        if self._closing:
            return
        self._closing = True
        self._close_dialogs()
        for popup in self.popups:
            popup.close()
        self.view.close()
        if by != "request":
            self.host.closed(self.place, by)

    def _closed(self, *_: Any) -> None:
        if not self._closing:
            self._closing = True
            for popup in self.popups:
                popup.close()
            self.host.closed(self.place, "user")
        self.gui.windows.pop(self.place, None)

    def _close_dialogs(self) -> None:
        """A dialog's own event loop would keep the window from closing."""
        application = self.gui.application
        for _ in range(MOST_POPUPS):
            dialog = application.activeModalWidget()
            if dialog is None:
                return
            dialog.close()

    def release(self) -> None:
        """Delete the page, at the very end."""
        import shiboken6

        for thing in (*self.popups, self.page):
            if thing is not None and shiboken6.isValid(thing):
                shiboken6.delete(thing)
        self.popups.clear()


_Page: Any = None


def _page_class() -> Any:
    """The page class, made once Qt may be imported."""
    global _Page
    if _Page is not None:
        return _Page
    from PySide6.QtWebEngineCore import QWebEnginePage

    class Page(QWebEnginePage):
        """A page that tells its window about dialogs and its console."""

        def __init__(self, window: QtWindow, profile: Any, parent: Any) -> None:
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
            words = {0: "info", 1: "warning", 2: "error"}
            self._lab.console(words.get(int(level.value), "info"), text, f"{source}:{line}")

    _Page = Page
    return Page


def _popup(window: QtWindow, request: Any) -> Any:
    """A second window of an app: same profile, no agent, closed with the app's own window."""
    from PySide6 import QtCore, QtWebEngineWidgets

    view = QtWebEngineWidgets.QWebEngineView()
    page = _page_class()(window, window.profile, view)
    view.setPage(page)
    view.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose, False)
    page.titleChanged.connect(lambda title: view.setWindowTitle(f"{title} · {window.window.title}"))
    page.windowCloseRequested.connect(view.close)
    page.newWindowRequested.connect(window._open_popup)
    geometry = request.requestedGeometry()
    if geometry.isValid():
        view.resize(geometry.size())
    else:
        view.resize(640, 480)
    request.openIn(page)
    view.show()
    return view
