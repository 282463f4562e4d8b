"""The command line as a person has it: processes of their own, whose lines are read against a deadline."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.apps import APPS
from support.processes import Ground

COMMAND = (sys.executable, "-m", "labplatform.cli")


@pytest.fixture(autouse=True)
def _clean(nothing_left: Ground) -> None:
    """See `nothing_left`."""


@pytest.fixture
def cli(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs one command to its end, in an empty folder, and returns what it printed."""

    def run(*words: Any, seconds: float = 20, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=tmp_path,
            env=os.environ | environ,
            stdin=subprocess.DEVNULL,
        )

    return run


class Talker:
    """A process that goes on, and what it prints, line by line (both streams)."""

    def __init__(self, command: list[str], **options: Any) -> None:
        options = {"stdin": subprocess.DEVNULL, "env": os.environ | {"PYTHONUNBUFFERED": "1"}} | options
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, **options
        )
        self.pid = self.process.pid
        self.said: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def line(self, wanted: Callable[[str], Any], seconds: float = 30) -> str:
        """The next line for which `wanted` is true; fails the test after `seconds`, or at the end of its output."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"waited {seconds:g} s; it said: {self.said}") from None
            if line is None:
                raise AssertionError(f"it ended with {self.process.wait(10)}; it said: {self.said}")
            self.said.append(line)
            if wanted(line):
                return line

    def told(self, **wanted: Any) -> dict[str, Any]:
        """The next line that is a JSON object with these values."""

        def fits(line: str) -> bool:
            return line.startswith("{") and wanted.items() <= json.loads(line).items()

        return json.loads(self.line(fits))

    def end(self, number: signal.Signals | None = None, seconds: float = 20) -> int:
        """Send a signal, if one is named, and return the exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        self._reader.join(5)
        while not self._lines.empty():
            if (line := self._lines.get()) is not None:
                self.said.append(line)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(5)
        self.process.stdout.close()


@pytest.fixture
def talker(tmp_path) -> Iterator[Callable[..., Talker]]:
    """Starts a command line, or with `script` some Python, that goes on until it is ended."""
    made: list[Talker] = []

    def start(*words: Any, script: str = "", **options: Any) -> Talker:
        command = [sys.executable, "-c", textwrap.dedent(script)] if script else [*COMMAND, *map(str, words)]
        made.append(Talker(command, **{"cwd": tmp_path} | options))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def busy_notebook(talker) -> tuple[Talker, dict[str, Any]]:
    """A platform with two apps in a process whose main thread never lets go again, as a kernel in a long cell."""
    one = talker(
        script=f"""
        import json
        from labplatform import Platform
        platform = Platform({str(APPS)!r}, display="offscreen", quiet=True)
        hello, neighbour = platform.launch_all("hello", "neighbour")
        print(json.dumps({{"supervisor": platform.supervisor_pid, "hello": hello.pid, "neighbour": neighbour.pid}}))
        while True:
            pass
        """
    )
    return one, one.told()
