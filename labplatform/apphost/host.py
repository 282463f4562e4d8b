"""The app host: the places it fills, and what the supervisor asks of them. Runs on the host's GUI thread.

Messages arrive on the link's thread and are passed to the GUI thread, so that everything here runs on one thread. What
belongs to Qt stays in `qt`; what belongs to the Python side of an app, in `service`.
"""

from __future__ import annotations

import os
import queue
import traceback
from typing import Any, Protocol

from .. import messages as m
from . import faults
from .orphans import Orphans
from .service import Service


class Window(Protocol):
    """One place's window, as a GUI backend provides it. All calls come on the GUI thread; until it is `built`, only
    `close`.
    """

    @property
    def built(self) -> bool: ...
    def reload(self, order: m.ReloadInstance) -> None: ...
    def close(self) -> None: ...
    def ping(self, seq: int) -> None: ...
    def evaluate(self, order: m.HostEvaluate) -> None: ...
    def capture(self, order: m.HostCapture) -> None: ...
    def input(self, inputs: tuple[m.Input, ...]) -> None: ...
    def open_devtools(self, request: int) -> None: ...
    def ask(self, question: m.IntentQuestion) -> None: ...
    def withdraw(self, number: int) -> None: ...
    def crash_page(self) -> None: ...
    def run_js(self, code: str) -> None: ...
    def to_page(self, word: m.BridgeSend | m.BridgeTaken | m.BridgeClose) -> None: ...


class Gui(Protocol):
    """A GUI backend: runs the loop, opens windows, runs functions on the GUI thread."""

    def open(self, order: m.OpenInstance) -> Window: ...
    def show_curtain(self, order: m.ShowCurtain) -> None: ...
    def run(self) -> None: ...
    def call(self, function: Any, *arguments: Any) -> None: ...
    def quit(self) -> None: ...


class Plain:
    """The "GUI" of a host without windows: a queue of functions, run on the main thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Any, tuple[Any, ...]] | None] = queue.SimpleQueue()

    def open(self, order: m.OpenInstance) -> Window:
        raise RuntimeError(f"{order.place} has a page, but this host was started without windows")

    def show_curtain(self, order: m.ShowCurtain) -> None:
        """There is nothing to see here."""

    def call(self, function: Any, *arguments: Any) -> None:
        self._queue.put((function, arguments))

    def quit(self) -> None:
        self._queue.put(None)

    def run(self) -> None:
        while (item := self._queue.get()) is not None:
            item[0](*item[1])


class Filled:
    """A place this host fills: its window, its service, or both."""

    def __init__(self, order: m.OpenInstance) -> None:
        self.place = order.place
        self.incarnation = order.incarnation
        self.manifest = order.manifest
        self.window: Window | None = None
        self.service: Service | None = None


class Host:
    """All places of this process."""

    def __init__(self, link: Any, order: m.HostOrder) -> None:
        self.link = link
        self.order = order
        self.filled: dict[str, Filled] = {}
        self._orphans = Orphans()
        self.pid = os.getpid()
        """As the machine's `ps` shows it."""
        if order.windowless:
            self.gui: Gui = Plain()
        else:
            from .qt.environment import prepare

            prepare(order)
            from .qt.gui import QtGui

            self.gui = QtGui(self, order)
        self._handlers = {
            m.HostNumber: self._number,
            m.OpenInstance: self._open,
            m.ReloadInstance: self._reload,
            m.ShowCurtain: lambda order: self.gui.show_curtain(order),
            m.CloseInstance: self._close,
            m.HostPing: self._ping,
            m.HostEvaluate: self._evaluate,
            m.HostCapture: self._capture,
            m.HostDevtools: self._devtools,
            m.HostInput: self._input,
            m.AskInWindow: self._ask_in_window,
            m.WithdrawQuestion: self._withdraw_question,
            m.Misbehave: self._misbehave,
            m.ToService: self._to_service,
            m.BridgeSend: self._to_page,
            m.BridgeTaken: self._to_page,
            m.BridgeClose: self._to_page,
        }

    def run(self) -> int:
        """Serve until the last place is closed. Returns the process's exit code."""
        self.link.listen(lambda message: self.gui.call(self._handle, message))
        self.gui.run()
        for filled in self.filled.values():
            if filled.service:
                filled.service.stop(0.1)
        return 0

    def send(self, message: Any) -> bool:
        """Tell the supervisor. False if too much waits to be told already."""
        return self.link.send(message)

    def closed(self, place: str, by: str) -> None:
        """A place's window is gone, or its service returned; with the last one this process ends."""
        filled = self.filled.pop(place, None)
        if filled is None:
            return
        if filled.service:
            filled.service.stop(0.1)
        self.send(m.InstanceClosed(place=place, incarnation=filled.incarnation, by=by))
        if not self.filled:
            self.gui.quit()

    def _handle(self, message: Any) -> None:
        try:
            self._handlers[type(message)](message)
        except Exception:
            self.send(
                m.Remark(text=traceback.format_exc()[-m.MAX_TEXT :], level="error", place=getattr(message, "place", ""))
            )

    def _number(self, order: m.HostNumber) -> None:
        self.pid = order.pid

    def _open(self, order: m.OpenInstance) -> None:
        filled = self.filled[order.place] = Filled(order)
        if order.manifest.has_page:
            filled.window = self.gui.open(order)
        if order.manifest.python is not None:
            filled.service = Service(self, order)
            filled.service.start()

    def _reload(self, order: m.ReloadInstance) -> None:
        filled = self.filled.get(order.place)
        if filled is None or filled.window is None:
            problem = "its window is gone"
            self.send(m.InstanceLoaded(place=order.place, incarnation=order.incarnation, problem=problem))
            return
        filled.incarnation = order.incarnation
        filled.window.reload(order)

    def _close(self, order: m.CloseInstance) -> None:
        filled = self.filled.get(order.place)
        if filled is None:
            return
        if filled.window:
            filled.window.close()
        self.closed(order.place, "request")

    def _ping(self, order: m.HostPing) -> None:
        self.send(m.HostPong(seq=order.seq))
        self._orphans.look()
        for place in order.pages:
            filled = self.filled.get(place)
            if filled and filled.window and filled.window.built:
                filled.window.ping(order.seq)

    def _window(self, order: Any) -> Window | None:
        filled = self.filled.get(order.place)
        if filled is None or filled.window is None or not filled.window.built:
            message = f"{order.place} has no window"
            self.send(m.HostResult(request=order.request, error="NotRunning", message=message))
            return None
        return filled.window

    def _evaluate(self, order: m.HostEvaluate) -> None:
        if window := self._window(order):
            window.evaluate(order)

    def _capture(self, order: m.HostCapture) -> None:
        if window := self._window(order):
            window.capture(order)

    def _devtools(self, order: m.HostDevtools) -> None:
        if window := self._window(order):
            window.open_devtools(order.request)

    def _input(self, order: m.HostInput) -> None:
        filled = self.filled.get(order.place)
        if filled and filled.window and filled.window.built:
            filled.window.input(order.inputs)

    def _ask_in_window(self, order: m.AskInWindow) -> None:
        filled = self.filled.get(order.place)
        if filled and filled.window and filled.window.built:
            filled.window.ask(order.question)
        elif filled:
            number, problem = order.question.number, "it is not there yet"
            self.send(m.WindowAnswer(place=order.place, incarnation=filled.incarnation, number=number, problem=problem))

    def _withdraw_question(self, order: m.WithdrawQuestion) -> None:
        filled = self.filled.get(order.place)
        if filled and filled.window and filled.window.built:
            filled.window.withdraw(order.number)

    def _misbehave(self, order: m.Misbehave) -> None:
        filled = self.filled.get(order.place)
        faults.commit(order.how, filled.window if filled else None)

    def _to_service(self, order: m.ToService) -> None:
        filled = self.filled.get(order.place)
        if filled and filled.service:
            filled.service.receive(order.message)

    def _to_page(self, word: Any) -> None:
        filled = self.filled.get(word.place)
        if filled and filled.window and filled.window.built:
            filled.window.to_page(word)
