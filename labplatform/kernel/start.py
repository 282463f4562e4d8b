"""Starts a guardian and its supervisor, and waits until it serves. Kernel or CLI process; Linux."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from .. import messages as m
from ..errors import StartError

GUARDIAN = Path(__file__).resolve().parent.parent / "supervisor" / "guardian.py"
END_SECONDS = 25.0
"""Seconds the guardian may take to end everything, once asked; its own sweep gives up after 20."""


class SupervisorProcess:
    """A guardian with a supervisor below it. `ready` says where it serves."""

    def __init__(self, order: m.SupervisorOrder, seconds: float) -> None:
        data = m.encode(order) + b"\n"
        if len(data) > m.MOST_ORDER:
            size = f"{len(data) / (1 << 20):.0f} MiB"
            raise StartError(
                f"the manifests of this platform's {len(order.manifests)} apps are {size} together, and the supervisor "
                f"takes {m.MOST_ORDER >> 20} MiB: give it fewer app directories, or launch apps by their addresses"
            )
        command = [sys.executable, "-P", "-m", "labplatform.supervisor"]
        # A session of its own: an interrupt of the kernel's process group must reach neither it nor any app.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARDIAN), order.folder, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        )
        try:
            # One that has ended already is told of below, in words.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(data)
                self._process.stdin.flush()
            self.ready = self._wait_ready(seconds)
        except BaseException:
            self.close()
            raise

    @property
    def guardian_pid(self) -> int:
        """The guardian's pid; the supervisor is its child."""
        return self._process.pid

    def close(self, seconds: float = END_SECONDS) -> int | None:
        """Let go of the supervisor, which then ends, and wait for the guardian. Returns its exit code.

        `None` if it still runs after `seconds`: its apps have then been asked to end, and it goes on trying.
        """
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def _wait_ready(self, seconds: float) -> m.SupervisorReady:
        deadline = time.monotonic() + seconds
        output = self._process.stdout.fileno()
        data = b""
        while not data.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                raise StartError(f"the supervisor did not start within {seconds:g} s")
            chunk = os.read(output, 1 << 16)
            if not chunk:
                code = self._process.wait(5)
                raise StartError(
                    f"the supervisor ended while it started (exit code {code}); its words are on standard error"
                )
            data += chunk
        ready = m.decode(data, m.SupervisorReady)
        if ready.problem:
            raise StartError(f"the supervisor did not start: {ready.problem}")
        return ready
