"""Where tables are measured: a runtime folder of its own, the tiny app, and the proof that nothing is left at the end.

Runs in the bench's process, which becomes a subreaper meanwhile: whatever was started below it stays below it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from ..errors import LabTimeout
from ..kernel.app import App
from ..kernel.platform import Platform
from .figures import Row
from .rivals import STILL, TINY, Browser, PageServer, Rival, Script, chromium

PR_SET_CHILD_SUBREAPER = 36
Measured = tuple[tuple[Row, ...], tuple[str, ...]]
"""What a table's `measure` returns: its rows, and notes below them."""
LEFT_SECONDS = 5.0
"""Seconds the last processes may take to go, after everything was stopped."""


class Stage:
    """A context in which tables are measured. `left`, after it: the processes that had to be killed."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.left: list[str] = []
        self.folder: Path | None = None
        self._pages: PageServer | None = None
        self._before: set[int] = set()
        self._environ: dict[str, str | None] = {}
        self.notes: list[str] = []
        self._subject = ""

    def __enter__(self) -> Stage:
        try:
            return self._enter()
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _enter(self) -> Stage:
        self._before = {process.pid for process in psutil.Process().children()}
        _subreaper(True)
        self.folder = Path(tempfile.mkdtemp(prefix="labplatform-bench-"))
        # So that `labplatform ps` elsewhere does not see, and `kill` does not end, what is measured here.
        runtime = self.folder / "runtime"
        runtime.mkdir(mode=0o700)
        self._set("XDG_RUNTIME_DIR", str(runtime))
        if not Path(importlib.util.cache_from_source(__file__)).exists():
            # A checkout without __pycache__ compiles itself in every process; an installation does not.
            self._set("PYTHONDONTWRITEBYTECODE", None)
            self._set("PYTHONPYCACHEPREFIX", str(self.folder / "bytecode"))
            self._warm_up()
            self.notes.append("Bytecode was compiled beforehand, as in an installation; here it is not kept.")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pages:
            self._pages.close()
        self.left = self._sweep()
        _subreaper(False)
        for name, value in self._environ.items():
            _put(name, value)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _set(self, name: str, value: str | None) -> None:
        self._environ.setdefault(name, os.environ.get(name))
        _put(name, value)

    def _warm_up(self) -> None:
        """Let every kind of process run once, so that its bytecode is there."""
        self.subject("warm-up")
        self.tell("compiling")
        command = [sys.executable, "-P", "-c", "import asyncio, msgspec, websockets.asyncio.server"]
        subprocess.run(command, check=True, cwd="/")
        with self.platform() as platform:
            platform.launch_all("tiny", "still")
        with Script() as script:
            script.loaded()

    # --- how often, and how far

    def times(self, full: int, quick: int) -> int:
        """How often to repeat."""
        return quick if self.quick else full

    def subject(self, name: str) -> None:
        """The table that is measured now."""
        self._subject = name

    def rounds(self, count: int, what: str = "") -> Iterator[int]:
        """Count, and tell the person on standard error."""
        for number in range(count):
            self.tell(f"{what} {number + 1} of {count}".strip())
            yield number

    def tell(self, text: str) -> None:
        """One line of progress."""
        line = f"{self._subject}: {text}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def clear_line(self) -> None:
        """Take the line of progress away."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    # --- what is measured

    def platform(self, *manifests: Path, **options: Any) -> Platform:
        """A platform with an app `tiny`, one page, an app `still`, no window, and those of `manifests`; off screen."""
        return Platform(TINY, STILL, *manifests, display="offscreen", quiet=True, alongside=True, **options)

    def rivals(self) -> dict[str, Callable[[], Rival]]:
        """By name: functions that start what a user would use instead, as far as it is installed here."""
        found: dict[str, Callable[[], Rival]] = {Script.NAME: Script}
        if chromium():
            found[Browser.NAME] = lambda: Browser(self._page_server(), self.folder)
        return found

    def _page_server(self) -> PageServer:
        if self._pages is None:
            self._pages = PageServer()
        return self._pages

    # --- the end

    def _sweep(self) -> list[str]:
        """Reap what ended; after a while kill what did not, and name it."""
        deadline = time.monotonic() + LEFT_SECONDS
        while there := self._descendants():
            if time.monotonic() > deadline:
                names = [_name(process) for process in there]
                for process in there:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
                end = time.monotonic() + LEFT_SECONDS
                while self._descendants() and time.monotonic() < end:
                    time.sleep(0.01)
                return names
            time.sleep(0.01)
        return []

    def _descendants(self) -> list[psutil.Process]:
        there = []
        for child in psutil.Process().children():
            if child.pid in self._before:
                continue
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(child.pid, os.WNOHANG)[0]:
                    continue
            with contextlib.suppress(psutil.NoSuchProcess):
                there += [child, *child.children(recursive=True)]
        return there


def _put(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _name(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())[:100] or process.name()}"
    except psutil.Error:
        return str(process.pid)


def _subreaper(on: bool) -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def wait_until(app: App, met: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds that an app's state or incarnation leads to. Raises `LabTimeout`."""
    changed = threading.Event()

    def told(_: Any) -> None:
        changed.set()

    names = ["state", "incarnation", "processes"]
    deadline = time.monotonic() + seconds
    app.observe(told, names)
    try:
        while not met():
            left = deadline - time.monotonic()
            if left <= 0:
                raise LabTimeout(f"waited {seconds:g} s for {app.name} {what}; it is {app.state}", app=app.name)
            changed.wait(left)
            changed.clear()
    finally:
        app.unobserve(told, names)
