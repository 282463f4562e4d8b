"""Where the sample pages are tried in a browser: a platform whose windows are tabs of Chromium.

Runs in the test's process. Supervisor, desktop agent, page agent, pages and market-data's function are the real ones;
what is left out are app hosts. `Tabs` stands where the supervisor's hosts do: it starts no process, and hands over what
a host would put into its page.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

from labplatform import load_manifests
from labplatform import messages as m
from labplatform.apphost.files import find
from labplatform.apphost.service import Lab
from labplatform.fdc3.agent import DesktopAgent
from labplatform.fdc3.client import Client
from labplatform.fdc3.handlers import Handlers
from labplatform.manifest import Manifest
from labplatform.resources import manifests_folder, page_agent
from labplatform.supervisor.core import Supervisor
from labplatform.supervisor.endings import Ending
from labplatform.supervisor.hosts import Hosts
from labplatform.supervisor.slot import Slot

PAGES = ("ticker-list", "ticker-details", "news-feed")
DEADLINE = 15.0
SERVICE = "market-data"


def market_data() -> ModuleType:
    """market-data's `service.py` as a module."""
    name = "sample_market_data_service"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, manifests_folder() / SERVICE / "service.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def python_side(manifest: Manifest, send: Callable[[bytes], None]) -> tuple[Client, Lab]:
    """What an app host makes for an app's Python function: the client that takes what comes, and its `lab`."""
    handlers = Handlers(f"{manifest.app_id}: handlers", lambda text: print(text, file=sys.stderr))
    client = Client(send, handlers, patient=False)
    order = m.OpenInstance(
        place=manifest.app_id,
        instance=manifest.app_id,
        service_instance=manifest.app_id,
        incarnation=1,
        token="",
        manifest=manifest,
        profile="",
    )
    return client, Lab(order, DesktopAgent(client))


class Tabs(Hosts):
    """Hosts that start no process: an app that is to have a window waits in `opening` until a test opens a tab."""

    def __init__(self, supervisor: Supervisor, session: Path) -> None:
        super().__init__(supervisor, session)
        self.opening: queue.Queue[Slot] = queue.Queue()

    def place(self, slot: Slot) -> None:
        """A host would open its window now."""
        slot.pid = 4711
        slot.loaded = True
        self._platform.ready_if_so(slot)
        self.opening.put(slot)

    def end(self, slot: Slot, ending: Ending) -> None:
        """It is not to run any longer."""
        self._platform.ended(slot, ending)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A page asks for a dozen files at once; of five that may wait, the sixth is tried again after a second.
    request_queue_size = 128


class _Handler(SimpleHTTPRequestHandler):
    """Serves each app's folder under a name of its own, as `app://<app-id>/` does."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def translate_path(self, path: str) -> str:
        app = self.headers["Host"].partition(".")[0]
        return str(find(manifests_folder() / app, unquote(urlsplit(path).path)) or "/nonexistent")


class Stage:
    """Supervisor, web server, and market-data once it is started. Everything of the supervisor's runs on `loop`."""

    def __init__(self) -> None:
        self.server = _Server(("127.0.0.1", 0), partial(_Handler, directory="/nonexistent"))
        self._folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self._threads = [
            threading.Thread(target=self.server.serve_forever, args=(0.05,), name="sample-server"),
            threading.Thread(target=self.loop.run_forever, name="sample-supervisor"),
        ]
        for thread in self._threads:
            thread.start()
        self.supervisor: Supervisor = self.do(self._start)
        self._service: threading.Thread | None = None
        self._lab: Lab | None = None

    async def _start(self) -> Supervisor:
        manifests = load_manifests(manifests_folder())
        order = m.SupervisorOrder(
            token="controller",
            controller_pid=os.getpid(),
            folder=self._folder.name,
            isolation="process",
            manifests=manifests,
        )
        supervisor = Supervisor(order)
        supervisor.hosts = self.tabs = Tabs(supervisor, Path(self._folder.name))
        await supervisor.start()
        return supervisor

    def do(self, what: Callable[[], Any]) -> Any:
        """Run a function, or a coroutine function, on the supervisor's loop; its value."""

        async def run() -> Any:
            value = what()
            return await value if asyncio.iscoroutine(value) else value

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(DEADLINE)

    # --- pages

    def launch(self, app: str) -> Slot:
        """A new instance of an app; a tab with its page is still to be opened."""
        manifest = self.supervisor.manifests[app]
        slot = self.do(lambda: self.supervisor.launching.begin(manifest, DEADLINE))
        assert self.launched(app) is slot
        return slot

    def launched(self, app: str) -> Slot:
        """The next instance of this app that somebody has launched."""
        while (slot := self.tabs.opening.get(timeout=DEADLINE)).manifest.app_id != app:
            assert slot.manifest.app_id == SERVICE, f"{slot.name} was launched instead of {app}"
        return slot

    def address(self, slot: Slot) -> str:
        """Where a tab finds its page."""
        return f"{self._origin(slot)}/{slot.manifest.startup_app.url}"

    def _origin(self, slot: Slot) -> str:
        return f"http://{slot.manifest.app_id}.localhost:{self.server.server_port}"

    def agent(self, slot: Slot) -> str:
        """What an app host puts in front of the page's own scripts."""
        config = {
            "origin": self._origin(slot),
            "url": f"ws://127.0.0.1:{self.supervisor.door.port}/",
            "token": slot.token,
            "place": slot.name,
            "instance": slot.instance,
            "appId": slot.manifest.app_id,
            "incarnation": slot.life.incarnation,
            "title": slot.manifest.title,
            "pid": slot.pid,
            "placement": "own process",
            "color": slot.manifest.look.color or "",
            "maxMessage": 1 << 20,
            "restored": None,
        }
        code = page_agent().read_text(encoding="utf-8")
        return f"(() => {{ const __LABPLATFORM__ = {json.dumps(config)};\n{code}\n}})();"

    def move(self, slot: Slot, channel: str | None) -> None:
        """Put a page on another user channel, from outside."""
        self.do(lambda: self.supervisor.router.join(slot.instance, channel))

    def end(self, slot: Slot) -> None:
        """An app's process dies."""
        self.do(lambda: self.supervisor.ended(slot, Ending("killed", "its process died of SIGKILL")))

    def lose(self, slot: Slot) -> None:
        """The supervisor does not know this page any more: its connection ends, and no other is accepted."""

        def cut() -> None:
            slot.token = "another"
            slot.page.cut("this instance has ended", 1001)

        self.do(cut)

    # --- prices

    def start_service(self, **settings: Any) -> None:
        """market-data begins, on a thread as in its app host."""
        service = market_data()
        router = self.supervisor.router
        client, self._lab = python_side(
            self.supervisor.manifests[SERVICE],
            lambda data: self.loop.call_soon_threadsafe(router.receive, SERVICE, data),
        )
        self.do(lambda: router.connect(SERVICE, SERVICE, client.receive))
        self._service = threading.Thread(
            target=service.main, args=(self._lab, service.Settings(**settings)), name=SERVICE
        )
        self._service.start()

    def stop_service(self) -> None:
        """market-data ends; what it said last stays with its channel."""
        if self._service is not None:
            self._lab.stopping.set()
            self._service.join(timeout=10)
            assert not self._service.is_alive(), "market-data did not end within 10 s of being asked to"
            self.do(lambda: self.supervisor.router.disconnect(SERVICE))
            self._service = None

    def close(self) -> None:
        """End it all."""
        self.stop_service()
        self.do(self._settle)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.server.shutdown()
        self.server.server_close()
        for thread in self._threads:
            thread.join(timeout=10)
            assert not thread.is_alive()
        self.loop.close()
        self._folder.cleanup()

    async def _settle(self) -> None:
        await self.supervisor.stop(grace=1)
        await self.supervisor.door.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
