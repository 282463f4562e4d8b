"""A click on the panel while the notebook is idle, while a cell sleeps, and while one computes: until the app is gone.

A real kernel is spoken to as JupyterLab does it: messages to widgets go to a subshell. Only the browser is left out,
which takes some milliseconds more.
"""

from __future__ import annotations

import os
import queue
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client import KernelManager
from jupyter_client.blocking import BlockingKernelClient

from .. import discovery, machine
from ..errors import LabTimeout, NotRunning
from .figures import Row
from .rivals import TINY
from .stage import Measured, Stage

TITLE = "a click on the panel: kill, until the app's process is gone"
TARGET = 0.5
"""Seconds."""
ANSWER_SECONDS, SET_UP_SECONDS = 30.0, 180.0
SET_UP = """
import time
from labplatform import Platform
from labplatform.kernel.widgets.masthead import Masthead
platform = Platform({folder!r}, display="offscreen", quiet=True, alongside=True)
app = platform.launch("tiny")
part = Masthead(platform)
print("comm", part.comm.comm_id)
"""
CELLS = {
    "idle": "",
    "during time.sleep()": "time.sleep({seconds})",
    "during a loop in Python": "end = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass",
}
CELL_SECONDS = 5.0
"""Seconds that a busy cell is busy; a click is made in its midst."""


class Notebook:
    """A kernel, its first cell, and somebody who sees the widget in it. `said`: the words that cell printed."""

    def __init__(self, client: BlockingKernelClient, set_up: str) -> None:
        self._client = client
        self._number = 0
        self._shell = self._subshell()
        self.said = self._run(set_up.format(folder=str(TINY))).split()
        self._comm = self.said[-1]

    def _subshell(self) -> str:
        message = self._client.session.msg("create_subshell_request")
        self._client.control_channel.send(message)
        return self._client.get_control_msg(timeout=ANSWER_SECONDS)["content"]["subshell_id"]

    def _run(self, code: str) -> str:
        said: list[str] = []
        self._client.execute_interactive(
            code, timeout=SET_UP_SECONDS, output_hook=lambda word: said.append(word["content"].get("text", ""))
        )
        return "".join(said)

    def begin(self, code: str) -> str:
        """Run a cell without waiting; returns once the kernel is at it, with the cell's number for `finish`."""
        number = self._client.execute(code)
        self._hear(lambda word: _of(word, number) and word["msg_type"] == "execute_input", "the cell to begin")
        return number

    def finish(self, number: str) -> None:
        """Wait until a cell has ended."""

        def ended(word: dict[str, Any]) -> bool:
            return _of(word, number) and word["content"].get("execution_state") == "idle"

        self._hear(ended, "the cell to end")

    def click(self, word: str, **given: Any) -> int:
        """Do something in the widget, without waiting; returns its number, for `done`."""
        self._number += 1
        self.say(do={"number": self._number, "word": word, "with": given})
        return self._number

    def say(self, shown: bool = True, **more: Any) -> None:
        """What a page says to the widget from time to time, without waiting."""
        said = {"page": "bench", "shown": shown, **more}
        content = {"comm_id": self._comm, "data": {"method": "custom", "content": said}}
        message = self._client.session.msg("comm_msg", content)
        message["header"]["subshell_id"] = self._shell
        self._client.shell_channel.send(message)

    def heard(self, seconds: float) -> dict[str, Any] | None:
        """The next message to the page, within so many seconds."""
        try:
            return self._client.get_iopub_msg(timeout=seconds)
        except queue.Empty:
            return None

    def done(self, number: int) -> None:
        """Wait until the kernel says that this is done. Raises `LabTimeout`, and `NotRunning` where it failed."""
        found: list[str] = []

        def answered(word: dict[str, Any]) -> bool:
            content = (word["content"].get("data") or {}).get("content") or {}
            if word["msg_type"] == "comm_msg" and content.get("done") == number:
                found.append(content["problem"])
            return bool(found)

        self._hear(answered, "the widget to answer")
        if found[0]:
            raise NotRunning(found[0])

    def _hear(self, met: Callable[[dict[str, Any]], bool], what: str) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            if met(self._client.get_iopub_msg(timeout=ANSWER_SECONDS)):
                return
        raise LabTimeout(f"waited {ANSWER_SECONDS:g} s for {what}")


def _of(word: dict[str, Any], number: str) -> bool:
    return word["parent_header"].get("msg_id") == number


@contextmanager
def notebook(set_up: str = SET_UP) -> Iterator[Notebook]:
    """A kernel of its own, ended with all that runs in it. `set_up`: its first cell, which prints the id of its
    widget's comm as its last word.
    """
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=ANSWER_SECONDS)
        yield Notebook(client, set_up)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
        manager.cleanup_resources()


def _pid_of_app() -> int:
    """Asked of the supervisor, for the kernel may be busy."""
    (platform,) = discovery.running(Path(machine.runtime_folder()))
    return next(app.pid for app in platform.status().apps if app.place == "tiny")


def _gone(pidfd: int) -> float:
    """Wait until a process has ended; returns when that was."""
    if not select.select([pidfd], [], [], ANSWER_SECONDS)[0]:
        raise LabTimeout(f"waited {ANSWER_SECONDS:g} s for the app to be gone")
    return time.perf_counter()


def measure(stage: Stage) -> Measured:
    """In turns: idle and busy in each of two ways."""
    found: dict[str, list[float]] = {name: [] for name in CELLS}
    with notebook() as there:
        for _ in stage.rounds(stage.times(10, 1)):
            for name, code in CELLS.items():
                pidfd = os.pidfd_open(_pid_of_app())
                try:
                    cell = there.begin(code.format(seconds=CELL_SECONDS)) if code else ""
                    began = time.perf_counter()
                    number = there.click("kill", app="tiny")
                    found[name].append(_gone(pidfd) - began)
                    there.done(number)
                    there.done(there.click("restart", app="tiny"))
                    if cell:
                        there.finish(cell)
                finally:
                    os.close(pidfd)
    return tuple(Row(what=name, unit="s", values=tuple(values), target=TARGET) for name, values in found.items()), (
        f"A busy cell is busy for {CELL_SECONDS:g} s; the same widget, the same app, each time started again.",
    )
