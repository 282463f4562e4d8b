"""What a user would do without a platform: a bare pywebview script, or a browser's app window. Runs beside the bench.

Each shows the same tiny page, in a process tree of its own, off screen. The scripts stand here as text because they are
what a person would type; nothing of labplatform is in them.
"""

from __future__ import annotations

import functools
import http.server
import itertools
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import psutil

from .. import machine
from ..errors import LabTimeout

TINY = Path(__file__).resolve().parent / "tiny"
STILL = TINY.parent / "still"
READY_SECONDS = 60.0
KILL_SECONDS = 10.0
"""Seconds that a killed tree may take to go."""

SCRIPT = """\
import sys, threading, webview
window = webview.create_window("Tiny", sys.argv[1])
window.events.loaded += lambda: print("loaded", flush=True)
threading.Thread(target=lambda: (sys.stdin.readline(), window.destroy()), daemon=True).start()
webview.start(gui="qt")
"""


class Rival:
    """One started process tree. `started`: `time.perf_counter()` just before the spawn."""

    def __init__(self, command: list[str], environ: dict[str, str], **options: int) -> None:
        self.started = time.perf_counter()
        # A session of its own, so that Ctrl-C at the bench does not race the bench's own clean-up.
        self.process = subprocess.Popen(
            command, env=os.environ | environ, stderr=subprocess.DEVNULL, start_new_session=True, **options
        )

    def processes(self) -> list[psutil.Process]:
        """The tree, its root first; empty once it is gone."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """End the whole tree and wait until it is gone."""
        seen: set[int] = set()
        deadline = time.monotonic() + KILL_SECONDS
        # Until a look finds nobody: a process may have been forked while the last look was on its way.
        while there := [process for process in {*self.processes(), *self._session()} if process.is_running()]:
            seen.update(process.pid for process in there)
            for process in there:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    pass
            reap(seen - {self.process.pid})
            if time.monotonic() > deadline:
                break
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        reap(seen - {self.process.pid})

    def _session(self) -> list[psutil.Process]:
        """What runs in the session that was made for it, whoever its parent is now; zombies do not count."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (OSError, psutil.NoSuchProcess):
                continue
        return found

    def __enter__(self):
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()


def reap(pids) -> None:
    """Wait for orphans among these that the bench, as a subreaper, became the parent of."""
    deadline = time.monotonic() + 5
    for pid in pids:
        while time.monotonic() < deadline:
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    break
            except ChildProcessError:
                if not psutil.pid_exists(pid):
                    break
            time.sleep(0.002)


class Script(Rival):
    """A bare pywebview script; loaded when its window's `loaded` event fires."""

    NAME = "bare pywebview script"

    def __init__(self) -> None:
        environ = {"QT_QPA_PLATFORM": "offscreen", "QT_API": "pyside6"}
        if flags := machine.chromium_flags()[0]:
            environ["QTWEBENGINE_CHROMIUM_FLAGS"] = " ".join(flags)
        super().__init__(
            [sys.executable, "-c", SCRIPT, str(TINY / "index.html")],
            environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def loaded(self) -> float:
        """Wait for the page; seconds since the spawn."""
        output = self.process.stdout.fileno()
        left = READY_SECONDS - (time.perf_counter() - self.started)
        if not select.select([output], [], [], max(0.0, left))[0] or not os.read(output, 100):
            raise LabTimeout(f"the bare pywebview script showed no page within {READY_SECONDS:g} s")
        return time.perf_counter() - self.started

    def close(self) -> float:
        """Close its window and wait for the process's end; seconds."""
        began = time.perf_counter()
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.process.wait(READY_SECONDS)
        return time.perf_counter() - began


@functools.cache
def chromium() -> str | None:
    """A browser with app windows, if one is installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


@functools.cache
def chromium_version() -> str | None:
    """What it calls itself."""
    if chromium() is None:
        return None
    done = subprocess.run([chromium(), "--version"], capture_output=True, text=True, timeout=30)
    return " ".join(done.stdout.split()[:2]) or None


class Browser(Rival):
    """Chromium, headless, one app window, a fresh profile; loaded when its page has told a server of the bench."""

    NAME = "Chromium --headless=new --app=, fresh profile"

    def __init__(self, server: PageServer, folder: Path) -> None:
        self._server = server
        self._key = server.new_key()
        profile = folder / f"chromium-{self._key}"
        command = [chromium(), "--headless=new", f"--user-data-dir={profile}", "--no-first-run"]
        super().__init__(
            [*command, *machine.chromium_flags()[0], f"--app={server.address}/index.html?{self._key}"],
            {},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def loaded(self) -> float:
        """Wait for the page; seconds since the spawn."""
        left = READY_SECONDS - (time.perf_counter() - self.started)
        return self._server.wait(self._key, left) - self.started


class PageServer:
    """Serves the tiny page on 127.0.0.1 and notes when a page says that it is loaded."""

    def __init__(self) -> None:
        self._keys = itertools.count(1)
        self._at: dict[str, float] = {}
        self._told = threading.Condition()
        page = (TINY / "index.html").read_bytes()
        noted = self._note

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, key = self.path.partition("?")
                if path == "/loaded":
                    noted(key)
                self.send_response(200 if path in ("/loaded", "/index.html") else 404)
                body = page if path == "/index.html" else b""
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody wants to read it."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="bench-pages", daemon=True).start()

    def new_key(self) -> str:
        """A name for one page, to tell it from the others."""
        return f"page{next(self._keys)}"

    def wait(self, key: str, seconds: float) -> float:
        """When (`time.perf_counter()`) this page said that it was loaded."""
        with self._told:
            if not self._told.wait_for(lambda: key in self._at, seconds):
                raise LabTimeout(f"Chromium showed no page within {READY_SECONDS:g} s")
            return self._at[key]

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _note(self, key: str) -> None:
        with self._told:
            self._at[key] = time.perf_counter()
            self._told.notify_all()
