"""What the page agent's tests need: the agent as built, a web server, a supervisor's end of the socket, a browser.

`Peer` is this harness's own: it speaks the supervisor's side of a page's WebSocket (token, pings, counts, FDC3 app
channels), records all that it hears, and breaks off when a test says so. It checks every request against FDC3's schema.
"""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from support.get_agent import bundle
from support.npm import Unreachable
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from labplatform import resources

TOKEN = "page-token-6f1d0c"
DEADLINE = 5.0
MAX_MESSAGE = 1 << 20

PAYLOADS = {
    "getInfoRequest": {},
    "heartbeatAcknowledgementRequest": {"heartbeatEventUuid": str},
    "getOrCreateChannelRequest": {"channelId": str},
    "broadcastRequest": {"channelId": str, "context": dict},
    "addContextListenerRequest": {"channelId": (str, type(None)), "contextType": (str, type(None))},
    "contextListenerUnsubscribeRequest": {"listenerUUID": str},
    "getCurrentContextRequest": {"channelId": str, "contextType": (str, type(None))},
    "getCurrentChannelRequest": {},
    "getUserChannelsRequest": {},
    "joinUserChannelRequest": {"channelId": str},
    "leaveCurrentChannelRequest": {},
    "addIntentListenerRequest": {"intent": str},
    "intentResultRequest": {"intentEventUuid": str, "raiseIntentRequestUuid": str, "intentResult": dict},
    "raiseIntentRequest": {"intent": str, "context": dict},
    "findIntentsByContextRequest": {"context": dict, "resultType": str},
}
"""FDC3 2.2's requests that these tests make: all members of each payload are there, and no other is allowed."""
APP = {"appId": "ticker-list", "instanceId": "i-1"}
INFO = {"fdc3Version": "2.2", "provider": "harness", "appMetadata": APP}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Connection:
    """One WebSocket of the page, from its hello on."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.hello: dict[str, Any] = {}
        self.frames = 0
        self.pongs: dict[int, float] = {}
        self.welcomed = False
        self.closed = False

    def send(self, message: dict[str, Any]) -> None:
        self.socket.send(json.dumps(message))

    def requests(self, kind: str) -> list[dict[str, Any]]:
        """Payloads of the requests of this kind, in the order in which they came."""
        return [message["payload"] for message in self.messages if message["type"] == kind]


class Peer:
    """The supervisor's end. `errors`: FDC3 error name to answer each kind of request with. `answers`: other payloads.

    `reading`, cleared: nothing is read. `deaf`: what comes is lost, as with a connection that breaks before it was
    read. `mute`: what is sent is lost.
    """

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self.deaf = self.mute = False
        self.reading = threading.Event()
        self.reading.set()
        self.received = 0
        self.acknowledged = 0
        self.sent: list[str] = []
        self.first_kept = 0
        self.cut_off = ""
        self.violations: list[str] = []
        self.connections: list[Connection] = []
        self.welcoming = threading.Event()
        self.welcoming.set()
        self.refuse_with: int | None = None
        self.contexts: dict[str, list[dict[str, Any]]] = {}
        self.joined: str | None = None
        self._changed = threading.Condition()
        self._server: Server = serve(self._serve, "127.0.0.1", 0, compression=None)
        # What is not read waits in the sockets as well: up to 32 MiB if the system may choose.
        self._server.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 20)
        self._thread = threading.Thread(target=self._server.serve_forever, name="peer")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/"

    @property
    def connection(self) -> Connection:
        return self.connections[-1]

    def wait(self, ready: Callable[[], Any], what: str, timeout: float = DEADLINE) -> Any:
        """The value of `ready` once it is true."""
        with self._changed:
            assert self._changed.wait_for(ready, timeout), f"not within {timeout} s: {what}; heard {self._heard()}"
            return ready()

    def wait_connected(self, count: int) -> Connection:
        """The page's connection number `count`, once it has been welcomed."""
        self.wait(
            lambda: len(self.connections) >= count and self.connections[count - 1].welcomed, f"connection {count}"
        )
        return self.connections[count - 1]

    def ping(self, connection: Connection, timeout: float = DEADLINE) -> float:
        """Seconds until the page's pong."""
        seq = len(connection.pongs) + 1
        sent = time.monotonic()
        connection.send({"type": "ping", "seq": seq})
        return self.wait(lambda: connection.pongs.get(seq), f"pong {seq}", timeout) - sent

    def say(self, message: dict[str, Any]) -> None:
        """A message of the session: kept, and sent if there is somebody to send it to."""
        text = json.dumps(message)
        self.sent.append(text)
        if self.connection.welcomed and not self.connection.closed and not self.mute:
            try:
                self.connection.socket.send(text)
            except ConnectionClosed:
                pass

    def event(self, kind: str, payload: dict[str, Any]) -> str:
        """Say that something happened; returns the event's id."""
        event = str(uuid.uuid4())
        self.say({"type": kind, "payload": payload, "meta": {"eventUuid": event, "timestamp": _now()}})
        return event

    def broadcast(self, channel: str | None, context: dict[str, Any]) -> None:
        sender = {"appId": "news-feed", "instanceId": "n-1"}
        self.event("broadcastEvent", {"channelId": channel, "context": context, "originatingApp": sender})

    def join(self, channel: str | None) -> None:
        """Put the page on a user channel, and tell it so."""
        self.joined = channel
        self.event("channelChangedEvent", {"newChannelId": channel})

    def drop(self, code: int = 1012) -> None:
        """End the page's connection, as a supervisor would."""
        self.connection.socket.close(code)

    def lose_what_was_sent(self, why: str) -> None:
        """From now on nothing of the past can be sent again."""
        self.first_kept, self.cut_off = len(self.sent), why

    def close(self) -> None:
        self.welcoming.set()
        self.reading.set()
        self._server.shutdown()
        for connection in self.connections:
            connection.socket.close()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def _heard(self) -> list[list[str]]:
        return [[message["type"] for message in connection.messages] for connection in self.connections]

    def _note(self, change: Callable[[], Any]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    def _serve(self, socket: ServerConnection) -> None:
        try:
            hello = json.loads(socket.recv(DEADLINE))
            counts = {name: hello.pop(name, None) for name in ("received", "kept_from")}
            if not isinstance(hello.pop("session", None), str) or hello != {
                "type": "hello",
                "role": "page",
                "token": TOKEN,
            }:
                self.violations.append(f"first message {hello}")
            if self.refuse_with is not None:
                socket.close(self.refuse_with)
                return
            connection = Connection(socket)
            connection.hello = counts
            self._note(lambda: self.connections.append(connection))
            try:
                # A page that was never welcomed must stay silent, so nothing is missed by not listening here.
                while not self.welcoming.wait(0.02):
                    if socket.close_code is not None:
                        return
                self._welcome(connection)
                for frame in socket:
                    self.reading.wait()
                    if not self.deaf:
                        connection.frames += 1
                        for line in frame.split("\n"):
                            self._received(connection, json.loads(line))
            finally:
                self._note(lambda: setattr(connection, "closed", True))
        except (ConnectionClosed, TimeoutError):
            pass

    def _welcome(self, connection: Connection) -> None:
        who = {"place": "ticker-list", "instance": "i-1", "app_id": "ticker-list"}
        first = max(connection.hello["received"], self.first_kept)
        counts = {"received": self.received, "sent": first}
        self.received = max(self.received, connection.hello["kept_from"])
        connection.send({"type": "welcome", **who, **counts, "cut_off": self.cut_off})
        for text in self.sent[first:]:
            connection.socket.send(text)
        self._note(lambda: setattr(connection, "welcomed", True))

    def _received(self, connection: Connection, message: dict[str, Any]) -> None:
        if message["type"] in ("pong", "ack"):
            arrived = time.monotonic()
            pong = {message["seq"]: arrived} if message["type"] == "pong" else {}

            def noted() -> None:
                connection.pongs.update(pong)
                self.acknowledged = message["received"]

            self._note(noted)
            return
        self.received += 1
        if self.received % 64 == 0:
            connection.send({"type": "ack", "received": self.received})
        if message["type"] in ("WCP6Goodbye", "keep"):
            self._note(lambda: connection.messages.append(message))
            return
        self._check(message)
        self._note(lambda: connection.messages.append(message))
        kind, payload = message["type"], message["payload"]
        answer: dict[str, Any] = {}
        if kind == "heartbeatAcknowledgementRequest":
            return
        if kind in self.errors:
            if self.errors[kind] == "":
                return
            answer = {"error": self.errors[kind]}
        elif kind in self.answers:
            answer = self.answers[kind](payload)
        elif kind == "getInfoRequest":
            answer = {"implementationMetadata": INFO}
        elif kind == "getOrCreateChannelRequest":
            answer = {"channel": {"id": payload["channelId"], "type": "app"}}
        elif kind in ("addContextListenerRequest", "addIntentListenerRequest"):
            answer = {"listenerUUID": str(uuid.uuid4())}
        elif kind == "broadcastRequest":
            self.contexts.setdefault(payload["channelId"], []).append(payload["context"])
        elif kind == "getCurrentContextRequest":
            wanted = payload["contextType"]
            found = [c for c in self.contexts.get(payload["channelId"], []) if wanted in (None, c["type"])]
            answer = {"context": found[-1] if found else None}
        elif kind == "getUserChannelsRequest":
            answer = {"userChannels": [{"id": id, "type": "user"} for id in ("red", "blue")]}
        elif kind == "getCurrentChannelRequest":
            answer = {"channel": {"id": self.joined, "type": "user"} if self.joined else None}
        elif kind in ("joinUserChannelRequest", "leaveCurrentChannelRequest"):
            # As a desktop agent does it: the event first, whoever wanted the change.
            self.join(payload.get("channelId"))
        self.say(
            {
                "type": kind.replace("Request", "Response"),
                "payload": answer,
                "meta": {
                    "requestUuid": message["meta"]["requestUuid"],
                    "responseUuid": str(uuid.uuid4()),
                    "timestamp": _now(),
                },
            }
        )

    def _check(self, message: dict[str, Any]) -> None:
        wanted = PAYLOADS.get(message["type"])
        payload, meta = message.get("payload"), message.get("meta")
        try:
            assert wanted is not None, "unknown type"
            assert set(message) == {"type", "payload", "meta"}
            assert set(meta) == {"requestUuid", "timestamp"}
            assert uuid.UUID(meta["requestUuid"]).version == 4
            assert datetime.fromisoformat(meta["timestamp"]).tzinfo is not None
            assert set(payload) == set(wanted)
            assert all(isinstance(payload[key], kind) for key, kind in wanted.items())
        except (AssertionError, ValueError, TypeError) as error:
            self.violations.append(f"{message}: {error}")


class Web:
    """Serves pages from 127.0.0.1; the same server by the name `localhost` is another origin."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, dict[str, str]]] = {}
        self.posted: dict[str, Any] = {}
        self._changed = threading.Condition()
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, headers = web.pages.get(self.path, ("", {}))
                self.send_response(200 if self.path in web.pages else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with web._changed:
                    web.posted[self.path] = json.loads(body)
                    web._changed.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="web")
        self._thread.start()
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.foreign_origin = f"http://localhost:{self._server.server_port}"

    def page(self, path: str, body: str, headers: dict[str, str] | None = None) -> str:
        """Serve this page from now on; its address on the app's origin."""
        document = f"<!doctype html><meta charset=utf-8><title>page</title>{body}"
        with self._changed:
            self.pages[path] = (document, headers or {})
        return self.origin + path

    def wait_posted(self, path: str) -> Any:
        """What a page posted to this path."""
        with self._changed:
            assert self._changed.wait_for(lambda: path in self.posted, DEADLINE), f"no page posted to {path}"
            return self.posted[path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()


@pytest.fixture(scope="session")
def agent_js() -> str:
    """The agent, built first if it is missing or older than its sources."""
    hook = resources.PACKAGE / "page" / "build_hook.py"
    built = subprocess.run([sys.executable, str(hook)], capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    return resources.page_agent().read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's or Ubuntu's own Chromium, with its throttling of hidden pages left on, as an app host has it."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no chromium on PATH: install it (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(Path(program)),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
            ignore_default_args=[
                "--disable-background-timer-throttling",
                "--disable-backgrounding-occluded-windows",
                "--disable-renderer-backgrounding",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()
    assert peer.violations == []


@pytest.fixture(scope="session")
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.close()


@pytest.fixture
def fin_config() -> dict[str, Any] | None:
    """Who the page is for OpenFin's API: nobody, but in the tests of that."""
    return None


@pytest.fixture
def kept() -> str:
    """What was kept of the page before, as JSON: nothing, but in the tests of that."""
    return ""


@pytest.fixture
def injected(agent_js: str, peer: Peer, web: Web, fin_config: dict[str, Any] | None, kept: str) -> str:
    """The script as an app host injects it."""
    config = {
        "origin": web.origin,
        "url": peer.url,
        "token": TOKEN,
        "relay": "",
        "place": "ticker-list",
        "instance": "i-1",
        "appId": "ticker-list",
        "incarnation": 3,
        "title": "Ticker List",
        "pid": 4711,
        "placement": "own process",
        "color": "#0072b2",
        "fin": fin_config,
        "maxMessage": MAX_MESSAGE,
        "restored": None,
        "kept": kept,
    }
    return f"(() => {{ const __LABPLATFORM__ = {json.dumps(config)}; {agent_js} }})();"


@pytest.fixture
def context(chromium: Browser, injected: str) -> Iterator[BrowserContext]:
    """A browser context that runs the agent in every frame before the frame's own scripts."""
    context = chromium.new_context()
    context.set_default_timeout(DEADLINE * 1000)
    context.add_init_script(injected)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(scope="session")
def get_agent_js(pytestconfig: pytest.Config) -> str:
    """FDC3's own `getAgent()` as a page bundles it; the test is skipped where it cannot be had."""
    try:
        return bundle(pytestconfig.cache.mkdir("get-agent"))
    except Unreachable as error:
        pytest.skip(str(error))
