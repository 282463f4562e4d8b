"""The Python side of an app: its function, on a thread of its own, and the `lab` it is given. Runs in the app host."""

from __future__ import annotations

import importlib
import importlib.util
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import msgspec

from .. import messages as m
from ..errors import PlatformStopped
from ..fdc3.agent import DesktopAgent
from ..fdc3.channels import Channel
from ..fdc3.client import Client
from ..fdc3.handlers import Handlers

STEADY_AFTER = 0.1
"""Seconds that a function without a page must have run for its app to be ready: one that raises at once is not."""


class Lab:
    """What an app's Python function gets: who it is, FDC3's desktop agent, and the wish to stop.

    `stopping` is an event that is set when the function should return; wait on it to pace a loop. `desktop_agent` has
    all of FDC3; its handlers run on a thread of their own. Beside a page the Python side is an instance for itself, and
    `page_instance_id` is the page's (`None` without one): what only these two share.
    """

    def __init__(self, order: m.OpenInstance, desktop_agent: DesktopAgent) -> None:
        self.app_id = order.manifest.app_id
        self.instance_id = order.service_instance
        self.page_instance_id = order.instance if order.manifest.page_url else None
        self.incarnation = order.incarnation
        self.stopping = threading.Event()
        self.desktop_agent = desktop_agent

    def channel(self, channel_id: str) -> Channel:
        """The FDC3 app channel of this name, made if need be."""
        return self.desktop_agent.get_or_create_channel(channel_id)


class Service:
    """Runs the function of one place and carries its messages."""

    def __init__(self, host: Any, order: m.OpenInstance) -> None:
        self._host = host
        self._order = order
        self._alone = not order.manifest.has_page
        self._steady = threading.Timer(STEADY_AFTER, self._ready)
        self._steady.daemon = True
        self._told = threading.Lock()
        self._handlers = Handlers(f"{order.place}: handlers", self._report)
        # Beside a page it must not count as one more open window of its app.
        self._client = Client(self._send, self._handlers, opens=self._alone, patient=False)
        self._client.max_message = host.order.max_message
        self._incoming: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.lab = Lab(order, DesktopAgent(self._client))
        self._threads = [
            threading.Thread(target=self._run, name=f"{order.place}: python", daemon=True),
            threading.Thread(target=self._listen, name=f"{order.place}: messages", daemon=True),
        ]

    def start(self) -> None:
        """Start the function, and the thread that takes what arrives."""
        for thread in self._threads:
            thread.start()

    def receive(self, message: msgspec.Raw) -> None:
        """Take a DACP message for this place."""
        self._incoming.put(bytes(message))

    def stop(self, seconds: float) -> None:
        """Ask the function to return and give it a moment; the process's end does not wait longer."""
        self.lab.stopping.set()
        self._incoming.put(None)
        self._handlers.close(seconds)
        if threading.current_thread() is not self._threads[0]:
            self._threads[0].join(seconds)

    def _send(self, data: bytes) -> None:
        if self.lab.stopping.is_set():
            raise PlatformStopped(f"{self._order.place} is being stopped; nothing more can be sent")
        message = m.FromService(place=self._order.place, message=msgspec.Raw(data))
        self._host.link.send_patiently(message, self.lab.stopping)

    def _listen(self) -> None:
        while (data := self._incoming.get()) is not None:
            try:
                self._client.receive(data)
            except Exception:
                self._report(f"a message was not understood:\n{traceback.format_exc()}")

    def _report(self, text: str) -> None:
        self._host.send(m.Remark(place=self._order.place, text=text, level="error"))

    def _ready(self) -> None:
        """Say, once, that the function runs."""
        self._steady.cancel()
        if self._told.acquire(blocking=False):
            self._host.send(m.InstanceLoaded(place=self._order.place, incarnation=self._order.incarnation))

    def _run(self) -> None:
        try:
            function = load(self._order.manifest)
            if self._alone:
                self._steady.start()
            function(self.lab)
        except PlatformStopped:
            pass
        except BaseException:
            self._steady.cancel()
            if not self.lab.stopping.is_set():
                self._host.send(
                    m.ServiceFailed(
                        place=self._order.place,
                        incarnation=self._order.incarnation,
                        traceback=traceback.format_exc()[-m.MAX_TEXT :],
                    )
                )
            return
        if not self.lab.stopping.is_set() and self._alone:
            self._ready()
            self._host.gui.call(self._host.closed, self._order.place, "service")


def load(manifest: Any) -> Any:
    """The function that `python` names: from a file beside the manifest if there is one, else an installed module.

    Raises what importing raises, and `AttributeError` when the module has no such function.
    """
    module_name, _, function = manifest.python.partition(":")
    file = Path(manifest.folder or "/nonexistent") / (module_name.replace(".", "/") + ".py")
    if file.is_file():
        # A name of its own: in a shared host two apps may both bring a `service.py`.
        name = f"labplatform_app_{manifest.uuid.replace('-', '_')}_{module_name.replace('.', '_')}"
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(module_name)
    return getattr(module, function)
