"""How an app host comes to be, and how its whole process tree goes. Supervisor.

A host is an ordinary child in a session of its own, with one end of a socketpair and nothing secret in its command
line or environment. It starts held: a shell that waits for a line on its standard input, so that it can be put into the
group that limits it before anything of the app executes. The supervisor watches it by pidfd and reaps it itself. In a
sandbox, what it starts is the sandbox's own process, and the host is a process in it, whose pid the host itself cannot
know: nothing but its order is sent to it before the supervisor has found it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import messages as m
from . import linux, strays
from .boundary import Wrapped
from .limits.tier import CannotLimit, Group
from .turns import read_in_turns

STDERR_KEPT = 16_384
"""Characters of a host's standard error that are kept, for the cause of a failed launch."""
DRAIN = 0.25
"""Seconds that a dead host's socket may stay open, held by a child of its own, before its end is judged anyway."""
HELD = ("/bin/sh", "-c", 'read -r files && ulimit -S -n "$files" && exec "$@" </dev/null', "held")
"""Becomes the command behind it once it is let go, and ends when its supervisor does before that. The line that lets it
go says how many files it may open: the supervisor may more, and would hand that on."""
SEND_BUFFER = 128 << 20
"""Bytes that may wait for a host that does not read; one that reaches this is killed as stuck."""

SIGNALLED = 128
"""A sandbox ends with this and a signal's number where the host in it died of that signal, as shells do."""

_read = m.Reader(m.FromHost)


class HostProcess:
    """One app host: its process, its socketpair, the tail of its stderr.

    `receive(host, message)` is called for each message, `noticed(host)` when the process has ended, and
    `gone(host, returncode)` once its last words are in as well. `root`: the pid below which everything of it runs;
    `pid`: of the host itself, 0 until it is known.
    """

    def __init__(
        self,
        key: str,
        order: m.HostOrder,
        group: Group,
        wrapped: Wrapped,
        receive: Callable[[HostProcess, Any], None],
        gone: Callable[[HostProcess, int], None],
        noticed: Callable[[HostProcess], None],
    ) -> None:
        self.key = key
        self.order = order
        self.group = group
        self.network = wrapped.network
        """Whether it may use the machine's."""
        self.profiles: set[Path] = set()
        """Folders that it has, or has had, open as profiles: it lets go of none before it ends."""
        self.stderr: deque[str] = deque()
        self._stderr_size = 0
        self._receive, self._gone, self._noticed = receive, gone, noticed
        self._loop = asyncio.get_running_loop()
        self._socket_open = True
        self._returncode: int | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._stderr_transport: asyncio.ReadTransport | None = None
        self._early: list[bytes] | None = []
        self._throttled = 0
        self._held: list[bytes] | None = None
        self.pinged = 0
        """The number of the ping that it has not answered; 0 when there is none."""
        self.exited = asyncio.Event()
        self._answered = asyncio.Event()
        self._killed = self._let_run = False

        ours, theirs = socket.socketpair()
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("JPY_", "JUPYTER"))}
        environ |= {"PYTHONUNBUFFERED": "1", **wrapped.environ}
        own = [sys.executable, "-P", "-m", "labplatform.apphost", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                [*HELD, *wrapped.command, *own],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environ,
            )
            # At once, without an await between: nothing can have reaped the pid yet.
            self._pidfd = os.pidfd_open(self._process.pid)
        self.root = self._process.pid
        self._boxed = bool(wrapped.command)
        self.pid = 0 if self._boxed else self.root
        strays.known.add(self.root)
        self._loop.add_reader(self._pidfd, self._exited)
        self._tasks = [
            self._loop.create_task(self._let_go()),
            self._loop.create_task(self._connect(ours)),
            self._loop.create_task(self._connect_stderr()),
        ]
        self.send(order)
        if self._boxed:
            self._held = []

    def send(self, message: Any) -> None:
        """Queue one message for the host; a host that has ended takes no notice."""
        self._put(m.frame(message))

    def _put(self, data: bytes) -> None:
        if self._held is not None:
            self._held.append(data)
        elif self._early is not None:
            self._early.append(data)
        elif self._transport and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > SEND_BUFFER:
                self.kill()

    def found(self) -> bool:
        """Its first word came: find it in its sandbox, and send what has waited for that. False if it is gone again."""
        if self._held is None:
            return True
        inner = [pid for below in linux.children(self.root) for pid in linux.children(below)]
        if len(inner) != 1:
            return False
        self.pid = inner[0]
        held, self._held = self._held, None
        self.send(m.HostNumber(pid=self.pid))
        for data in held:
            self._put(data)
        return True

    def machine_pid(self, pid: int) -> int:
        """The pid that the machine knows a process of this host by, from the one that it has in the host's own pid
        namespace; 0 when there is none.
        """
        if not self._boxed:
            return pid
        return next((one for one in linux.tree(self.root) if linux.pids_of(one)[1:2] == [pid]), 0)

    async def answers(self, seconds: float) -> bool:
        """Whether its GUI thread has done, within `seconds`, all that it was asked for so far. False if it ends."""
        self._answered.clear()
        self.send(m.HostPing(seq=0))
        waits = {asyncio.ensure_future(self._answered.wait()), asyncio.ensure_future(self.exited.wait())}
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        return self._answered.is_set() and not self.exited.is_set()

    def ping(self, number: int, pages: tuple[str, ...] = ()) -> None:
        """Ask its GUI thread, and these pages through it, whether they answer."""
        self.pinged = number
        self.send(m.HostPing(seq=number, pages=pages))

    def answered(self, number: int) -> None:
        """Its GUI thread answered a ping."""
        if number == 0:
            self._answered.set()
        elif number == self.pinged:
            self.pinged = 0

    def kill(self) -> None:
        """SIGKILL the host and everything below it; it is under way when this returns."""
        self._killed = True
        self.group.kill_all()
        if not self._let_run and self._returncode is None:
            # Held still, and perhaps not in its group yet.
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def share_run(self) -> float:
        """Of the time since this was asked last, the share in which it was let run: less than 1 where it has used up
        its CPU meanwhile and had to wait. On a core of its own, that is; with several busy processes it is less yet.

        One that somebody else has stopped does not wait for its limit, whatever the processes below it do.
        """
        throttled, self._throttled = self._throttled, self.group.usage().throttled
        percent = self.group.limits.max_cpu
        if not percent or self._throttled <= throttled or self._stopped_by_others():
            return 1.0
        return min(1.0, percent / 100)

    def _stopped_by_others(self) -> bool:
        try:
            # A tier may be about to note that it has stopped it; that mistake costs one ping.
            state = linux.Stat(self.pid or self.root).state
        except (OSError, ValueError, IndexError):
            return False
        return state == "T" and not self.group.halts(self.pid or self.root)

    @property
    def stderr_tail(self) -> str:
        """The last of what the host and its children printed."""
        return "".join(self.stderr)

    async def _let_go(self) -> None:
        """Put the held process into its group, and then let it become the host."""
        try:
            await self.group.attach(self.root)
        except CannotLimit as error:
            self._heard(f"labplatform: {error}\n".encode())
            if self._returncode is None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        else:
            if self._killed:
                return
            self._let_run = True
            with contextlib.suppress(BrokenPipeError), self._process.stdin as gate:
                gate.write(f"{linux.usual_files()}\n".encode())

    async def _connect(self, sock: socket.socket) -> None:
        transport, _ = await self._loop.connect_accepted_socket(lambda: _FrameProtocol(self), sock)
        self._transport = transport
        read_in_turns(transport)
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
        strays.known.discard(self.root)
        code = result.si_status
        if result.si_code != os.CLD_EXITED:
            code = -code
        elif self._boxed and code > SIGNALLED:
            code = SIGNALLED - code
        self._returncode = code
        self._process.returncode = self._returncode
        self.group.kill_all()
        strays.sweep(self.group.tier)
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
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
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
