"""Starts a guardian and its supervisor, or takes hold of one that runs. Kernel or CLI process; Linux.

Whoever holds one that is not detached lets it end by letting go; of a detached one this is only a handle.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from .. import messages as m
from ..errors import StartError

GUARDIAN = Path(__file__).resolve().parent.parent / "supervisor" / "guardian.py"
END_SECONDS = 25.0
"""Seconds the guardian may take to end everything, once asked; its own sweep gives up after 20."""

_released: list[subprocess.Popen] = []
"""Guardians of platforms that were let go of: this process's children still, which it has to reap."""


class Held(Protocol):
    """A supervisor that a platform in this process has to do with. `ready`: where it serves."""

    ready: m.SupervisorReady

    @property
    def guardian_pid(self) -> int:
        """The guardian's pid; the supervisor is its child."""

    def close(self, seconds: float = END_SECONDS) -> int | None:
        """Let go, and wait for the end of everything. Returns the guardian's exit code, 0 where it is not known.

        `None` if it still runs after `seconds`: its apps have then been asked to end, and it goes on trying.
        """

    def release(self) -> None:
        """Let go of one that is to go on, and do not wait."""

    def outlives(self, seconds: float) -> bool:
        """Whether the supervisor still runs after so many seconds."""

    def abandon(self) -> None:
        """SIGKILL to a supervisor that nobody is to use any more, though what it keeps is to stay; see `close`."""

    def end(self) -> None:
        """SIGKILL to a supervisor that does not do as it is told; the guardian hears first that this is wanted."""


class SupervisorProcess:
    """A guardian with a supervisor below it, started here."""

    def __init__(self, order: m.SupervisorOrder, seconds: float) -> None:
        data = m.encode(order) + b"\n"
        if len(data) > m.MOST_ORDER:
            size = f"{len(data) / (1 << 20):.0f} MiB"
            raise StartError(
                f"the manifests of this platform's {len(order.manifests)} apps are {size} together, and the supervisor "
                f"takes {m.MOST_ORDER >> 20} MiB: give it fewer app directories, or launch apps by their addresses"
            )
        command = [sys.executable, "-P", "-m", "labplatform.supervisor"]
        _reap()
        flags = ["--detached"] if order.detached else []
        self._supervisor: int | None = None
        # A session of its own: an interrupt of the kernel's process group must reach neither it nor any app.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARDIAN), *flags, order.folder, *command],
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
            self._supervisor = _handle(self.ready.pid)
        except BaseException:
            # A detached one does not end because somebody lets go of it.
            if order.detached:
                self._process.terminate()
            self.close()
            raise

    @property
    def guardian_pid(self) -> int:
        return self._process.pid

    def close(self, seconds: float = END_SECONDS) -> int | None:
        self._let_go()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def release(self) -> None:
        self._let_go()
        _released.append(self._process)

    def outlives(self, seconds: float) -> bool:
        return not _ended(self._supervisor, seconds)

    def abandon(self) -> None:
        _send(self._supervisor, signal.SIGKILL)

    def end(self) -> None:
        self._process.terminate()
        _send(self._supervisor, signal.SIGKILL)

    def _let_go(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        if self._supervisor is not None:
            os.close(self._supervisor)
            self._supervisor = None

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


class AttachedSupervisor:
    """A supervisor that somebody else started. `guardian`: its parent's pid."""

    def __init__(self, about: m.ConnectionFile, file: Path, guardian: int) -> None:
        self.ready = m.SupervisorReady(pid=about.pid, port=about.port, connection_file=str(file))
        self.guardian_pid = guardian
        self._guardian = _handle(guardian)
        self._supervisor = _handle(about.pid)

    def close(self, seconds: float = END_SECONDS) -> int | None:
        gone = _ended(self._guardian, seconds)
        self.release()
        return 0 if gone else None

    def release(self) -> None:
        for handle in (self._guardian, self._supervisor):
            if handle is not None:
                os.close(handle)
        self._guardian = self._supervisor = None

    def outlives(self, seconds: float) -> bool:
        return not _ended(self._supervisor, seconds)

    def abandon(self) -> None:
        # It is others' as well, and does not end for this one.
        self.release()

    def end(self) -> None:
        _send(self._guardian, signal.SIGTERM)
        _send(self._supervisor, signal.SIGKILL)


def _reap() -> None:
    _released[:] = [process for process in _released if process.poll() is None]


def _ended(handle: int | None, seconds: float) -> bool:
    """Whether a process has ended within so many seconds; without a handle it had before."""
    if handle is None:
        return True
    # `poll` and not `select`, which takes no descriptor from 1024 on.
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(max(0.0, seconds) * 1000))


def _send(handle: int | None, number: signal.Signals) -> None:
    if handle is not None:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(handle, number)


def _handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
