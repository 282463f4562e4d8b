"""Pages that talk to each other, over the platform and over a bare relay beside it. Runs in the bench's process.

Each page is an app of its own process. The pages are served with the two headers that isolate a page, for then its
clock ticks every 5 µs and not every 100. A delay is read from two clocks, the sender's and the receiver's, which both
go by the machine's. Where it matters, both directions are measured and taken together: what one clock is ahead of the
other is then added as often as it is subtracted, and the fastest message of each direction tells how much that is.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import psutil

from ..errors import LabError
from ..kernel.app import App
from ..kernel.platform import Platform
from ..manifest import Manifest, parse_manifest
from .processes import cpu, cpu_between, tree
from .stage import Stage

FOLDER = Path(__file__).resolve().parent / "talker"
SECONDS = 60.0
"""Seconds that one measurement may take."""
TOGETHER = 100
"""Messages of a burst that a page sends in one turn of its loop."""
WARM, QUICK_WARM = 300, 50
"""Messages that each page has sent and heard before anything is measured, so that its code has been compiled."""
PROXY, USER, RELAY, FRAMES = "proxy", "user", "relay", "frames"
FLOOR = "bare WebSocket relay"


class Burst(NamedTuple):
    """`rate`: messages a second. `cpu`: seconds of CPU for each, of all processes that had to do with it."""

    rate: float
    cpu: float


class Served(http.server.SimpleHTTPRequestHandler):
    """The pages, isolated."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def do_GET(self) -> None:
        if self.path == "/favicon.ico":
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        """Nobody wants to read it."""


class Talk:
    """Some pages on a platform of their own, each with every way open, and the relay. `options`: the platform's."""

    def __init__(self, stage: Stage, pages: int = 2, ways: tuple[str, ...] = (PROXY, RELAY), **options: Any) -> None:
        self._stage = stage
        self._options = options
        self._ways = ways
        self._count = pages
        self._held = contextlib.ExitStack()
        self.platform: Platform
        self.pages: list[App] = []
        self._relay = 0

    def __enter__(self) -> Talk:
        with self._held:
            self._open()
            # Only what could be opened as a whole is held open.
            self._held = self._held.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._held.close()

    def _open(self) -> None:
        self._stage.tell("opening the pages")
        self._relay, where = self._held.enter_context(_relay())
        address = self._held.enter_context(_served())
        self.platform = self._held.enter_context(self._stage.platform(**self._options))
        manifest = self._manifest(address)
        self.pages = self.platform.launch_all(*[manifest] * self._count, timeout=SECONDS)
        names = {PROXY: "bench.proxy", USER: "fdc3.channel.1", RELAY: where, FRAMES: "bench.frames"}
        for page in self.pages:
            # Last, the one that puts an end to the page's `fdc3`.
            for way in sorted(self._ways, key=list(names).index):
                self.do(page, f"talk.open({json.dumps(way)}, {json.dumps(names[way])})")
        one, two, *_ = self.pages
        for way in self._ways:
            for sender, receiver in ((one, two), (two, one)):
                self.paced(way, sender, [receiver], self._stage.times(WARM, QUICK_WARM), 1)

    def _manifest(self, address: str) -> Manifest:
        app = {"uuid": "talker", "name": "Talker", "url": f"{address}/index.html", "defaultWidth": 320}
        listens = {"BenchTalk": {"contexts": ["bench.tick"], "displayName": "Talk"}}
        manifest: dict[str, Any] = {"startup_app": app, "interop": {"intents": {"listensFor": listens}}}
        if FRAMES in self._ways:
            manifest["python"] = "side:run"
        return parse_manifest(manifest, folder=str(FOLDER))

    def do(self, page: App, code: str) -> Any:
        """Let a page do something, and wait for its value."""
        return page.evaluate_js(code, timeout=SECONDS)

    # --- measurements; delays in seconds

    def begin(self, way: str, sender: App, receivers: list[App], count: int, interval: float) -> None:
        """Begin to send `count` messages, one each `interval` milliseconds; `ended` has the delays."""
        for receiver in receivers:
            self.do(receiver, f"talk.listen('{way}')")
        self.do(sender, f"talk.pace('{way}', {count}, {interval})")

    def ended(self, sender: App, receivers: list[App], count: int) -> list[list[tuple[float, float]]]:
        """When each message was sent and heard, in seconds since the epoch, for each receiver."""
        found = []
        for receiver in receivers:
            got = self.do(receiver, f"talk.heard({count}, {SECONDS / 2})")
            heard, wrong = got["heard"], got["wrong"]
            if len(heard) != count or wrong:
                raise LabError(f"of {count} messages {len(heard)} arrived, {wrong} of them out of their order")
            found.append([(sent / 1000, arrived / 1000) for sent, arrived in heard])
        self.do(sender, "talk.sent()")
        return found

    def paced(self, way: str, sender: App, receivers: list[App], count: int, interval: float) -> list[float]:
        """Delays of messages sent one each `interval` milliseconds, until the last receiver had each."""
        self.begin(way, sender, receivers, count, interval)
        return last_of(self.ended(sender, receivers, count))

    def burst(self, way: str, sender: App, receivers: list[App], count: int) -> Burst:
        """From the first that is sent to the last that arrives; the CPU until all have been answered.

        Raises `LabError` if one is lost, doubled or out of order.
        """
        for receiver in receivers:
            self.do(receiver, f"talk.listen('{way}')")
        roots = [self._relay, self.platform.supervisor_pid]
        apps = [process for page in (sender, *receivers) for process in tree(page.pid)]
        processes = [*map(psutil.Process, roots), *apps]
        before = cpu(processes)
        self.do(sender, f"talk.burst('{way}', {count}, {TOGETHER})")
        times = self.ended(sender, receivers, count)
        used = cpu_between(before, cpu(processes))
        return Burst(count / (max(one[-1][1] for one in times) - times[0][0][0]), used / count)


def last_of(times: list[list[tuple[float, float]]]) -> list[float]:
    """Delays until the last of several receivers had each message, in seconds."""
    return [max(arrived for _, arrived in each) - each[0][0] for each in zip(*times, strict=True)]


def clocks_apart(there: list[float], back: list[float]) -> float:
    """Seconds by which one page's clock is ahead of the other's, if the fastest message takes as long either way."""
    return (min(there) - min(back)) / 2


@contextlib.contextmanager
def _served():
    handler = functools.partial(Served, directory=str(FOLDER))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="bench-talk", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def _relay():
    # A session of its own, so that Ctrl-C at the bench does not race the bench's own clean-up.
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "labplatform.bench.relay"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            port = process.stdout.readline().strip()
            if not port:
                raise LabError("the bench's relay did not start; its words are on standard error")
            yield process.pid, f"ws://127.0.0.1:{port.decode()}/"
        finally:
            process.stdin.close()
            process.wait(5)
