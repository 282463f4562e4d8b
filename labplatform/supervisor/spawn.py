"""How an app host comes to be, and how its whole process tree goes. Supervisor.

A host is an ordinary child in a session of its own, with one end of a socketpair and nothing secret in its command
line or environment. The supervisor watches it by pidfd and reaps it itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from .. import messages as m
from . import linux

STDERR_KEPT = 16_384
"""Characters of a host's standard error that are kept, for the cause of a failed launch."""
DRAIN = 0.25
"""Seconds that a dead host's socket may stay open, held by a child of its own, before its end is judged anyway."""
MOST_KNOWN = 1000
"""Processes that are remembered of one host, before those that have ended are forgotten."""
SEND_BUFFER = 128 << 20
"""Bytes that may wait for a host that does not read; one that reaches this is killed as stuck."""

_read = m.Reader(m.FromHost)


class HostProcess:
    """One app host: its process, its socketpair, the tail of its stderr.

    `receive(host, message)` is called for each message, `noticed(host)` when the process has ended, and
    `gone(host, returncode)` once its last words are in as well.
    """

    def __init__(
        self,
        key: str,
        order: m.HostOrder,
        receive: Callable[[HostProcess, Any], None],
        gone: Callable[[HostProcess, int], None],
        noticed: Callable[[HostProcess], None],
    ) -> None:
        self.key = key
        self.order = order
        self.stderr: deque[str] = deque()
        self._stderr_size = 0
        self._receive, self._gone, self._noticed = receive, gone, noticed
        self._loop = asyncio.get_running_loop()
        self._socket_open = True
        self._returncode: int | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._stderr_transport: asyncio.ReadTransport | None = None
        self._early: list[bytes] | None = []
        self._known: dict[int, int] = {}
        self.exited = asyncio.Event()

        ours, theirs = socket.socketpair()
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("JPY_", "JUPYTER"))}
        environ["PYTHONUNBUFFERED"] = "1"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "labplatform.apphost", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environ,
            )
            # At once, without an await between: nothing can have reaped the pid yet.
            self._pidfd = os.pidfd_open(self._process.pid)
        self.pid = self._process.pid
        self.created = linux.started_seconds(linux.Stat(self.pid), linux.boot_time())
        self._loop.add_reader(self._pidfd, self._exited)
        self._tasks = [self._loop.create_task(self._connect(ours)), self._loop.create_task(self._connect_stderr())]
        self.send(order)

    def send(self, message: Any) -> None:
        """Queue one message for the host; a host that has ended takes no notice."""
        data = m.frame(message)
        if self._early is not None:
            self._early.append(data)
        elif self._transport and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > SEND_BUFFER:
                self.kill()

    def kill(self) -> None:
        """SIGKILL the host and everything below it, now."""
        self.remember(linux.tree(self.pid))
        if self._returncode is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._kill_known()

    def remember(self, pids: Iterable[int]) -> None:
        """These pids were seen below this host; they go when it goes, even if they have left its tree by then."""
        for pid in pids:
            if pid != self.pid and pid not in self._known and (started := _started(pid)):
                self._known[pid] = started
        if len(self._known) > MOST_KNOWN:
            self._known = {pid: started for pid, started in self._known.items() if _started(pid) == started}

    def _kill_known(self) -> None:
        """SIGKILL what was seen below this host, and what it left to us: orphans of the session it led."""
        for pid in linux.children(os.getpid()):
            if pid != self.pid and _session(pid) == self.pid:
                self.remember(linux.tree(pid))
        for pid, started in self._known.items():
            if _started(pid) == started:
                _kill(pid)

    @property
    def stderr_tail(self) -> str:
        """The last of what the host and its children printed."""
        return "".join(self.stderr)

    async def _connect(self, sock: socket.socket) -> None:
        transport, _ = await self._loop.connect_accepted_socket(lambda: _FrameProtocol(self), sock)
        self._transport = transport
        transport.set_write_buffer_limits(high=SEND_BUFFER)
        early, self._early = self._early or [], None
        for data in early:
            transport.write(data)

    async def _connect_stderr(self) -> None:
        self._stderr_transport, _ = await self._loop.connect_read_pipe(
            lambda: _StderrProtocol(self), self._process.stdout
        )

    def _heard(self, data: bytes) -> None:
        text = data.decode(errors="replace")
        self.stderr.append(text)
        self._stderr_size += len(text)
        while self._stderr_size > STDERR_KEPT and len(self.stderr) > 1:
            self._stderr_size -= len(self.stderr.popleft())

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        os.close(self._pidfd)
        code = result.si_status
        self._returncode = code if result.si_code == os.CLD_EXITED else -code
        self._process.returncode = self._returncode
        self._kill_known()
        self._noticed(self)
        # Its last messages come before the end of its socket, which is there by now, unless a child holds it open.
        self._deadline = self._loop.call_later(DRAIN, self._finish)
        if not self._socket_open:
            self._finish()

    def _socket_closed(self) -> None:
        self._socket_open = False
        if self._returncode is not None:
            self._finish()

    def _read_last_words(self) -> None:
        """What is left on its standard error, now; its children may hold the pipe open for some time yet."""
        if self._process.stdout.closed:
            return
        descriptor = self._process.stdout.fileno()
        os.set_blocking(descriptor, False)
        try:
            while data := os.read(descriptor, 1 << 16):
                self._heard(data)
        except OSError:
            pass

    def _finish(self) -> None:
        if self.exited.is_set() or self._returncode is None:
            return
        self.exited.set()
        self._deadline.cancel()
        if self._transport:
            self._transport.close()
        self._read_last_words()
        for task in self._tasks:
            task.cancel()
        if self._stderr_transport:
            self._stderr_transport.close()
        else:
            self._process.stdout.close()
        self._gone(self, self._returncode)


class _FrameProtocol(asyncio.Protocol):
    """Frames from a host. A frame that is not a message kills the host: its word is worth nothing any more."""

    def __init__(self, host: HostProcess) -> None:
        self._host = host
        self._unframer = m.Unframer(_read)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._unframer.feed(data)
        except ValueError as error:
            self._host._heard(f"labplatform: a frame that is not a message: {error}\n".encode())
            self._host.kill()
            return
        for message in messages:
            self._host._receive(self._host, message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._host._socket_closed()


class _StderrProtocol(asyncio.Protocol):
    def __init__(self, host: HostProcess) -> None:
        self._host = host

    def data_received(self, data: bytes) -> None:
        self._host._heard(data)


def _started(pid: int) -> int:
    """When a process was created, in clock ticks; 0 when it is gone. A pid alone is reused."""
    try:
        return linux.Stat(pid).started
    except (OSError, ValueError, IndexError):
        return 0


def _session(pid: int) -> int:
    """The session a process is in; 0 when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


class Reaper:
    """Reaps orphans that became ours as a subreaper: zombies that are no host's, and were seen twice in a row.

    Never `waitpid(-1)`: that would take the exit codes of hosts away from their pidfds.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def sweep(self, own: set[int]) -> None:
        """One pass; call it every half second or so. `own`: pids of hosts, which are left alone."""
        zombies = set()
        for pid in linux.children(os.getpid()):
            try:
                if pid not in own and linux.Stat(pid).state == "Z":
                    zombies.add(pid)
            except (OSError, ValueError, IndexError):
                continue
        for pid in zombies & self._seen:
            try:
                os.waitpid(pid, os.WNOHANG)
            except OSError:
                pass
        self._seen = zombies
