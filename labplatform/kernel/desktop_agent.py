"""`platform.desktop_agent`: the notebook as an FDC3 app among the others. Kernel.

All of FDC3's API is `fdc3.agent`'s; here is how a kernel takes part: over a WebSocket of its own, opened with the first
call, and with handlers on the observers' thread, so that neither waits for a cell nor holds one up. If the supervisor
has to cut this connection off, it comes back by itself, as a new instance with the same listeners and user channel.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import dacp
from .. import messages as m
from ..connection import Line
from ..errors import LabError, LabTimeout, PlatformError
from ..fdc3.agent import DesktopAgent
from ..fdc3.calls import Steps
from ..fdc3.client import Client, Listener, refusal
from ..fdc3.handlers import Handlers

if TYPE_CHECKING:
    from .platform import Platform

RETURN_SECONDS = 10.0
"""Seconds for which a connection that was cut off tries to come back."""
RETRY_SECONDS = 0.2
LOSS_SECONDS = 1.0
"""Seconds that the platform's loss may take to show, once this connection has broken."""
LONGEST_TITLE = 200


class NotebookAgent(DesktopAgent):
    """The desktop agent of a notebook. Calls block for as long as `timeout` says; `await agent.aio.call(…)` does not.

    For the other apps the notebook is an instance of app `jupyter`, from the first call on, for as long as the platform
    runs. It stays the same from cell to cell, and so do its listeners and its user channel. A cell that is run again
    replaces the listeners it added before. Handlers run on the observers' thread, `async def` ones on an event loop
    beside it, even while a cell is busy; a call that blocks raises `BlockingCallInObserver` there.
    """

    _client: NotebookClient

    def __init__(self, platform: Platform) -> None:
        super().__init__(NotebookClient(platform))

    @property
    def instance_id(self) -> str:
        """Its FDC3 instanceId; empty before its first call."""
        return self._client.instance_id

    def close(self) -> None:
        """Take no more part; the platform's stop does it."""
        self._client.close()

    def come_back(self) -> None:
        """Take part again, if it did before the platform was lost. Does not wait."""
        self._client.come_back()

    def __repr__(self) -> str:
        listeners = len(self.listeners)
        state = "connected" if self._client.connected else "not connected"
        return f"<desktop agent of the notebook: {state}, {listeners} listener{'' if listeners == 1 else 's'}>"


class _Observers:
    """The observers' thread of a platform, which may not have been started yet."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    @property
    def thread(self) -> threading.Thread | None:
        observers = self._platform._observers
        return observers.thread if observers else None

    def submit(self, function: Any) -> None:
        self._platform._observers.submit(function)


class NotebookClient(Client):
    """The protocol over a `Line` that comes back."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(self._send_now, Handlers("labplatform-handlers", _report, _Observers(platform)))
        self.instance_id = ""
        self.max_message = platform._max_message
        self._platform = platform
        self._connecting = threading.Lock()
        self._line: Line | None = None
        self._thread: threading.Thread | None = None
        self._up = threading.Event()
        self._closing = threading.Event()
        self._kernel = dacp.new_id()
        self._cells: dict[Listener, tuple[str, str]] = {}

    @property
    def connected(self) -> bool:
        """Whether it takes part now."""
        return self._up.is_set()

    def prepare(self, timeout: float) -> None:
        if self._up.is_set() and self._platform._pid == os.getpid():
            return
        self._platform._ready_to_ask("desktop_agent")
        deadline = time.monotonic() + timeout
        with self._connecting:
            if self._thread is None:
                self._begin(self._dial())
        if not self._up.wait(max(deadline - time.monotonic(), 0)):
            self._platform._refuse_if_over()
            raise LabTimeout(f"waited {timeout:g} s; the notebook's desktop agent is not connected")

    async def prepare_soon(self, timeout: float) -> None:  # noqa: ASYNC109
        if not self._up.is_set() or self._platform._pid != os.getpid():
            import asyncio

            await asyncio.to_thread(self.prepare, timeout)

    def close(self) -> None:
        """End it; whoever still waits is told that the platform was stopped."""
        self._closing.set()
        self._up.clear()
        self.fail(self._over("it was closed"))
        if self._line:
            self._line.close()
        if self._thread and threading.current_thread() is not self._thread:
            self._thread.join(2)
        self.handlers.close()

    def come_back(self) -> None:
        """A lost platform is back: be there again as a new instance, with the same listeners and user channel."""
        with self._connecting:
            if self._thread is None or self._closing.is_set():
                return
            former = self._thread

            def serve() -> None:
                # It ends as soon as it knows of the loss, unless it has found the way back by itself.
                former.join(RETURN_SECONDS)
                if not former.is_alive():
                    self._serve(self._again())

            self._thread = threading.Thread(target=serve, name="labplatform-agent", daemon=True)
            self._thread.start()

    # --- the line

    def _dial(self) -> Line:
        port, token = self._platform._address
        return Line(port, m.Hello(role="notebook", token=token, session=self._kernel, title=title()))

    def _begin(self, line: Line) -> None:
        self._line, self.instance_id = line, line.welcome.instance
        self._thread = threading.Thread(target=self._serve, args=(line,), name="labplatform-agent", daemon=True)
        self._up.set()
        self._thread.start()

    def _send_now(self, data: bytes) -> None:
        if self._line is None or self._closing.is_set():
            self._platform._refuse_if_over()
            raise PlatformError("the notebook's desktop agent is not connected")
        self._line.send(data)

    def _serve(self, line: Line | None) -> None:
        while line is not None:
            reason = line.read(self._take)
            self._up.clear()
            line.close()
            if not reason:
                # Nobody said goodbye: if the supervisor died, the controller's connection is about to notice as well.
                self._wait_while_running(LOSS_SECONDS)
            if self._closing.is_set():
                return
            self.fail(self._over(reason))
            line = self._again()

    def _wait_while_running(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._platform.state == "running" and time.monotonic() < deadline and not self._closing.wait(0.01):
            pass

    def _over(self, reason: str) -> LabError:
        try:
            self._platform._refuse_if_over()
        except LabError as error:
            return error
        return refusal("AgentDisconnected", reason or "nobody said why")

    def _take(self, data: bytes) -> None:
        # What was said in one turn comes in one frame, a message a line.
        for message in data.split(b"\n"):
            try:
                self.receive(message)
            except Exception:
                # One that is not as it should be must not cost the others.
                _report(f"a message was not understood:\n{traceback.format_exc()}")

    def _again(self) -> Line | None:
        """Connect once more, and be what it was before; `None` if that is not to be."""
        deadline = time.monotonic() + RETURN_SECONDS
        while self._platform.state == "running" and time.monotonic() < deadline:
            try:
                line = self._dial()
                self._line, self.instance_id = line, line.welcome.instance
                self.restore()
            except LabError:
                if self._closing.wait(RETRY_SECONDS):
                    return None
                continue
            self._up.set()
            why = f" as a {line.welcome.cut_off}" if line.welcome.cut_off else ""
            _report(
                f"the notebook was cut off from the other apps{why} and is back as a new instance: it missed messages, "
                "and its private channels are over; its listeners and its user channel are as before"
            )
            return line
        return None

    # --- cells that are run again

    def begun(self, listener: Listener) -> Steps[Listener]:
        cell = running_cell()
        yield listener.begin()
        self._cells = {one: where for one, where in self._cells.items() if one.active}
        if cell is not None:
            for former, (cell_id, run) in list(self._cells.items()):
                if (cell_id, type(former), former.wish) == (cell[0], type(listener), listener.wish) and run != cell[1]:
                    former.unsubscribe()
            self._cells[listener] = cell
        return listener


def running_cell() -> tuple[str, str] | None:
    """The notebook cell that runs, by the id that its front end gives it, and which run of it this is; or `None`."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if not hasattr(shell, "get_parent"):
        return None
    parent = shell.get_parent()
    cell_id = parent.get("metadata", {}).get("cellId")
    return (cell_id, parent.get("header", {}).get("msg_id", "")) if cell_id else None


def title() -> str:
    """What people call this kernel: the notebook's or the script's file."""
    name = os.environ.get("JPY_SESSION_NAME") or ("" if "ipykernel" in sys.modules else sys.argv[0])
    return Path(name).name[:LONGEST_TITLE]


def _report(text: str) -> None:
    print(f"labplatform: {text}", file=sys.stderr)
