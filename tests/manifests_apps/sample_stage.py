"""Where the sample pages are tried without a platform: their folders over HTTP, fed by market-data's own thread.

Runs in the test's process. The platform's agent is replaced by `lab_shim.js`; the pages, the service and the browser
are the real ones.
"""

from __future__ import annotations

import importlib.util
import json
import queue
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

from labplatform.errors import LabError
from labplatform.resources import KIT, manifests_folder, page_kit

PAGES = ("ticker-list", "ticker-details", "news-feed")
SHIM = Path(__file__).with_name("lab_shim.js").read_text(encoding="utf-8")


def market_data() -> ModuleType:
    """market-data's `service.py` as a module."""
    name = "sample_market_data_service"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, manifests_folder() / "market-data" / "service.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


class Channel:
    """An app channel of one sender: hands each context to all who listen, and keeps the last of each type."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last: dict[str, dict[str, Any]] = {}
        self.listeners: list[queue.Queue[dict[str, Any] | None]] = []
        self.refusing = False

    def broadcast(self, context: dict[str, Any]) -> None:
        if self.refusing:
            raise LabError("market-data: the platform has stopped")
        with self.lock:
            self.last[context["type"]] = context
            for listener in self.listeners:
                listener.put(context)

    def join(self) -> tuple[list[dict[str, Any]], queue.Queue[dict[str, Any] | None]]:
        listener: queue.Queue[dict[str, Any] | None] = queue.Queue()
        with self.lock:
            self.listeners.append(listener)
            return list(self.last.values()), listener

    def leave(self, listener: queue.Queue[dict[str, Any] | None]) -> None:
        with self.lock:
            self.listeners.remove(listener)

    def close(self) -> None:
        with self.lock:
            for listener in self.listeners:
                listener.put(None)


class Lab:
    """What the app host gives to a Python side, as far as market-data uses it."""

    app_id = "market-data"
    instance_id = "market-data-1"

    def __init__(self, prices: Channel) -> None:
        self.stopping = threading.Event()
        self.prices = prices

    def channel(self, name: str) -> Channel:
        assert name == "prices"
        return self.prices


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, prices: Channel, **more: Any) -> None:
        self.prices = prices
        super().__init__(*arguments, **more)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def translate_path(self, path: str) -> str:
        """As an app host serves it: the page kit lies below every app's own folder."""
        app, kit, name = path.lstrip("/").partition(f"/{KIT}/")
        return str(page_kit() / name) if kit and "/" not in app else super().translate_path(path)

    def do_GET(self) -> None:
        if self.path != "/feed":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        last, listener = self.prices.join()
        try:
            self.wfile.write(f"event: joined\ndata: {json.dumps(last)}\n\n".encode())
            while (context := listener.get()) is not None:
                self.wfile.write(f"data: {json.dumps(context)}\n\n".encode())
                self.wfile.flush()
        except ConnectionError:
            pass
        finally:
            self.prices.leave(listener)


class Stage:
    """Server and service. `address` is the server's; `stop_service` and `start_service` end and begin the prices."""

    def __init__(self) -> None:
        self.prices = Channel()
        handler = partial(_Handler, prices=self.prices, directory=str(manifests_folder()))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self._serving = threading.Thread(target=self.server.serve_forever, args=(0.05,), name="sample-server")
        self._serving.start()
        self.lab: Lab | None = None
        self._service: threading.Thread | None = None

    def start_service(self, **settings: Any) -> None:
        service = market_data()
        self.lab = Lab(self.prices)
        self._service = threading.Thread(
            target=service.main, args=(self.lab, service.Settings(**settings)), name="market-data"
        )
        self._service.start()

    def stop_service(self) -> None:
        if self._service is not None:
            self.lab.stopping.set()
            self._service.join(timeout=10)
            assert not self._service.is_alive(), "market-data did not end within 10 s of being asked to"
            self._service = None

    def close(self) -> None:
        self.stop_service()
        self.prices.close()
        self.server.shutdown()
        self.server.server_close()
        self._serving.join(timeout=10)
