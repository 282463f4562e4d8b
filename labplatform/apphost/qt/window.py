"""One place's window: made by pywebview, dressed, watched and closed here. Runs on the host's GUI thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import shiboken6
import webview
from PySide6 import QtCore, QtGui
from webview.platforms import qt as backend

from ... import messages as m
from ...manifest import Manifest
from .bounds import BoundsWatch
from .bridge import Bridge
from .evaluation import Evaluation
from .network import remedy
from .page import Page, inject_agent, make_popup, openfin_config

PLACEMENT = {"process": "own process", "shared-process": "shared process", "shared-renderer": "shared renderer"}
"""How a window's title and `lab.placement` name where the app runs."""
EDGE = 3
"""Height in pixels of the edge, in the app's colour, on top of its window."""
MOST_POPUPS = 8
"""Windows an app may open by `window.open` beside its own."""
LOST_AFTER = 500
"""Milliseconds after a page has loaded in which code that was given to it before may still begin to run."""
JPEG_QUALITY = 80
GROUND = {"dark": "#111315", "light": "#FFFFFF"}
"""Colour of a window until its page has drawn."""


class QtWindow:
    """One place's window, page and popups."""

    def __init__(self, gui: Any, order: m.OpenInstance) -> None:
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
        self.bridge: Bridge | None = None
        self.popups: list[Any] = []
        self._closing = False
        self._renderer = 0
        self._evaluations: list[Evaluation] = []
        self._chooser: Any = None
        self._receiver: Any = None
        self._devtools: Any = None

    # --- making it

    @property
    def wanted(self) -> bool:
        """Whether it is still to be built, or to stay."""
        return not self._closing

    @property
    def built(self) -> bool:
        """Whether there is a page to ask."""
        return self.page is not None

    def build(self) -> None:
        """Describe the window to pywebview; built when its loop starts, or by `create`."""
        app = self.manifest.startup_app
        bounds = self.order.bounds
        placement = PLACEMENT[self.gui.order.isolation]
        left, top = self._where()
        self.window = webview.create_window(
            f"{app.name} · PID {self.host.pid} · {placement}",
            width=bounds.width if bounds else app.default_width,
            height=bounds.height if bounds else app.default_height,
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
        # pywebview tells of this one on a thread of its own.
        self.window.events.closed += lambda: self.gui.call(self._closed)

    def _where(self) -> tuple[int | None, int | None]:
        """Where it was, or the manifest's place for it, unless this screen is too small for that: then the middle."""
        app = self.manifest.startup_app
        if self.order.bounds:
            return self.order.bounds.left, self.order.bounds.top
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
        self.window._initialize(webview.guilib)
        browser = backend.BrowserView(self.window)
        browser.installEventFilter(browser)
        if self.manifest.startup_app.auto_show:
            browser.show()

    def _use_our_url(self, *_: Any) -> None:
        # pywebview would rewrite an app:// address into one of its own web server's.
        self.window.real_url = self.manifest.page_url

    def make_page(self, view: Any, profile: Any) -> Any:
        """The page of the main window, wired up; pywebview asks for it while it builds the window."""
        self.view = view
        page = self.page = Page(self, profile, view.webview)
        page.renderProcessTerminated.connect(self._renderer_gone)
        # Later, not inside the page's own signal: closing deletes the page.
        page.windowCloseRequested.connect(lambda: self.gui.call(self._close, "page"))
        page.newWindowRequested.connect(self.open_popup)
        page.loadingChanged.connect(self._loading)
        if self.gui.order.theme in GROUND:
            page.setBackgroundColor(GROUND[self.gui.order.theme])
        if self.order.page_transport != "websocket":
            self.bridge = Bridge(self, page)
        self._inject()
        return page

    def _dress(self, *_: Any) -> None:
        """The app's colour as a thin edge on top; a hidden window still draws, for pictures of it."""
        self._bounds = BoundsWatch(self.view, self._moved)
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

    def _moved(self, bounds: m.Bounds) -> None:
        self.host.send(m.WindowMoved(place=self.place, incarnation=self.incarnation, bounds=bounds))

    def _inject(self) -> None:
        order, host = self.order, self.gui.order
        by_socket = order.page_transport != "host"
        inject_agent(
            self.page,
            {
                "origin": self.manifest.origin,
                "url": host.url if by_socket else "",
                "token": order.token if by_socket else "",
                "place": order.place,
                "instance": order.instance,
                "appId": self.manifest.app_id,
                "incarnation": order.incarnation,
                "title": self.manifest.title,
                "pid": self.host.pid,
                "placement": PLACEMENT[host.isolation],
                "color": self.manifest.look.color or "",
                "fin": openfin_config(self.manifest),
                "maxMessage": host.max_message,
                "restored": order.restored and msgspec.to_builtins(order.restored),
                "kept": order.kept,
            },
            self.bridge is not None,
        )

    # --- what the supervisor asks

    def reload(self, order: m.ReloadInstance) -> None:
        """A new incarnation in this window, its renderer being dead."""
        self.incarnation = order.incarnation
        self.order = msgspec.structs.replace(
            self.order,
            instance=order.instance,
            incarnation=order.incarnation,
            token=order.token,
            restored=order.restored,
            kept=order.kept,
        )
        if self.bridge:
            self.bridge.forget()
        if self.gui.order.shared_renderer:
            # A neighbour may have started their common renderer anew already. Qt would wake this page's dead frame in
            # it then, and scripts for that are lost: it would be without an agent. A new page has a new frame.
            former = self.page
            self.view.webview.setPage(self.make_page(self.view, self.profile))
            if self._devtools is not None:
                self._devtools.inspect(self.page)
            if shiboken6.isValid(former):
                former.deleteLater()
        else:
            self._inject()
        self.page.load(QtCore.QUrl(self.manifest.page_url))
        if self._devtools is not None:
            self._devtools_are(True)

    def close(self) -> None:
        """Close the window because the supervisor says so."""
        self._close("request")

    def ping(self, seq: int) -> None:
        """Answer for a page that is not connected, when its event loop gets to it."""
        incarnation = self.incarnation
        self.page.runJavaScript(
            "0",
            0,
            lambda _: self.host.send(m.PagePong(seq=seq, place=self.place, incarnation=incarnation)),
        )

    def to_page(self, word: m.BridgeSend | m.BridgeTaken | m.BridgeClose) -> None:
        """Something for the page that speaks through this host."""
        if self.bridge:
            self.bridge.pass_on(word)

    def run_js(self, code: str) -> None:
        """Run code and forget it."""
        self.page.runJavaScript(code)

    def crash_page(self) -> None:
        """Let Chromium make the page's renderer fault, by the address it has for that."""
        self.page.load(QtCore.QUrl("chrome://crash"))

    def evaluate(self, order: m.HostEvaluate) -> None:
        """Run code, wait for its promise, send its JSON value."""
        page = self.page
        one = Evaluation(page, order, self.host.send, lambda: page is self.page and not self._closing)
        self._evaluations = [*(other for other in self._evaluations if not other.begun), one]
        one.start()

    def capture(self, order: m.HostCapture) -> None:
        """Draw the window into a PNG or JPEG and send it."""
        pixmap = self.view.grab()
        if order.max_width and pixmap.width() > order.max_width:
            pixmap = pixmap.scaledToWidth(order.max_width, QtCore.Qt.TransformationMode.SmoothTransformation)
        buffer = QtCore.QBuffer()
        buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
        pixmap.save(buffer, order.format.upper(), JPEG_QUALITY if order.format == "jpeg" else -1)
        picture = m.Picture(
            data=bytes(buffer.data()), format=order.format, width=pixmap.width(), height=pixmap.height()
        )
        self.host.send(m.HostResult(request=order.request, value=msgspec.Raw(m.encode(picture))))

    def open_devtools(self, request: int) -> None:
        """Show Chromium's developer tools for this page, or bring them to the front."""
        if self._devtools is None:
            # Here, as below: few apps are ever looked into.
            from .devtools import Devtools

            self._devtools = Devtools(f"Developer tools · {self.window.title}", self.page, self._devtools_closed)
            self._devtools_are(True)
        self._devtools.show_and_tell(lambda problem: self._devtools_shown(request, problem))

    def _devtools_shown(self, request: int, problem: str) -> None:
        error = {"error": "LabError", "message": problem} if problem else {}
        self.host.send(m.HostResult(request=request, **error))

    def _devtools_closed(self) -> None:
        self._devtools = None
        self._devtools_are(False)

    def _devtools_are(self, open: bool) -> None:
        self.host.send(m.DevtoolsChanged(place=self.place, incarnation=self.incarnation, open=open))

    def input(self, inputs: tuple[m.Input, ...]) -> None:
        """What a person does with mouse and keyboard on a picture of this window."""
        if self._closing:
            return
        if self._receiver is None:
            # Here, as below: most apps are never steered from afar.
            from .input import InputReceiver

            self._receiver = InputReceiver(self.view, self.view.webview)
        self._receiver.take(inputs)

    def ask(self, question: m.IntentQuestion) -> None:
        """Let the person in front of this window choose between apps; or what is asked already, changed."""
        if self._closing:
            return
        if self._chooser is None:
            # Here: few apps ever ask, and each would pay for the import at its launch.
            from .chooser import Chooser

            self._chooser = Chooser(self.view, self.gui.order.theme, EDGE, self._answered)
        self._chooser.ask(question)

    def withdraw(self, number: int) -> None:
        """A question is over."""
        if self._chooser is not None and not self._closing:
            self._chooser.withdraw(number)

    def _answered(self, number: int, option: int | None) -> None:
        answer = m.WindowAnswer(place=self.place, incarnation=self.incarnation, number=number, option=option)
        self.host.send(answer)

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
        if self.bridge:
            self.bridge.look()
        # What was to run in the document before may be lost; what still answers does so at once.
        before, self._evaluations = self._evaluations, []
        QtCore.QTimer.singleShot(LOST_AFTER, lambda: [evaluation.lost() for evaluation in before])
        url = info.url().toString()
        if status == Status.LoadFailedStatus or info.errorCode() >= 400:
            if info.errorDomain() == Domain.HttpStatusCodeDomain or info.errorCode() >= 400:
                problem = f"{url} answered with HTTP status {info.errorCode()}"
            elif url.startswith("app:"):
                problem = f"{url} does not exist in {self.manifest.folder}"
            else:
                problem = f"{url} could not be loaded: {info.errorString()}{remedy(info.errorString())}"
        else:
            problem = ""
            if self.order.kept:
                # For the first document alone: the one that comes after a reload has a history of its own.
                self.order = msgspec.structs.replace(self.order, kept="")
                self._inject()
        self.host.send(m.InstanceLoaded(place=self.place, incarnation=self.incarnation, problem=problem, url=url))
        self.gui.loaded(self.place)

    def open_popup(self, request: Any) -> None:
        """`window.open` and target=_blank: a window of the same app and profile, without the agent."""
        self.popups = [popup for popup in self.popups if popup.isVisible()]
        if len(self.popups) >= MOST_POPUPS:
            self.remark(
                f"window.open({request.requestedUrl().toString()!r}) refused: {MOST_POPUPS} extra windows are open"
            )
            return
        self.popups.append(make_popup(self, request))

    def _close(self, by: str) -> None:
        if self._closing:
            return
        self._closing = True
        if self.view is None:
            # Asked to go before it was built; now it never will be.
            self.gui.windows.pop(self.place, None)
            return
        self._close_dialogs()
        self._close_beside()
        self.view.close()
        if by != "request":
            self.host.closed(self.place, by)

    def _closed(self) -> None:
        if not self._closing:
            self._closing = True
            self._close_beside()
            self.host.closed(self.place, "user")
        # This comes late, and the place may have a new window by now.
        if self.gui.windows.get(self.place) is self:
            del self.gui.windows[self.place]

    def _close_beside(self) -> None:
        """What was opened beside the window goes with it."""
        for popup in self.popups:
            popup.close()
        if self._devtools is not None:
            self._devtools.close()

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
        for thing in (*self.popups, self.page):
            if thing is not None and shiboken6.isValid(thing):
                shiboken6.delete(thing)
        self.popups.clear()
