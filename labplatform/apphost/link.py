"""The host's end of the socketpair to its supervisor. Runs in the app host, on two threads of its own.

Reading and writing stand apart from the GUI thread: a full socket must not stop the window, and a stuck window must not
keep the process alive once the supervisor is gone. End of file means just that, and ends the process at once.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ..messages import Reader, ToHost, Unframer, frame

QUEUED_FRAMES = 10_000
"""Frames that may wait for the supervisor. A host in which so many do, and none leaves for `STUCK`, has lost it."""
PATIENT_FRAMES = 1_000
"""Frames from which on a Python side that sends faster than the supervisor takes has to wait its turn."""
STUCK = 10.0
"""Seconds."""
LOST_SUPERVISOR = 70
"""Exit code of a host whose supervisor reads no more."""


class Link:
    """Sends without blocking, or patiently; hands each received message to one function, on the reader thread."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._unframer = Unframer(Reader(ToHost))
        self._outgoing: queue.Queue[bytes] = queue.Queue(QUEUED_FRAMES)
        self._order = threading.Lock()
        self._started = False
        self._early: list[Any] = []
        self._wrote_at = time.monotonic()
        self._writer = threading.Thread(target=self._write, name="link-writer", daemon=True)

    def send(self, message: Any) -> bool:
        """Queue one message for the supervisor; from any thread, the GUI's too. False if there was no room for it."""
        if self._put(frame(message)):
            return True
        if time.monotonic() - self._wrote_at > STUCK:
            print(f"labplatform: the supervisor has read nothing for {STUCK:g} s", file=sys.stderr, flush=True)
            os._exit(LOST_SUPERVISOR)
        return False

    def send_patiently(self, message: Any, give_up: threading.Event) -> None:
        """Queue one message, once few enough are waiting; for a Python side, on its own thread."""
        data = frame(message)
        while self._outgoing.qsize() >= PATIENT_FRAMES and not give_up.wait(0.002):
            pass
        if not self._put(data):
            raise queue.Full

    def _put(self, data: bytes) -> bool:
        with self._order:
            # Where nothing waits, what the socket takes at once need not wait for another thread.
            if self._started and not self._outgoing.unfinished_tasks:
                data = data[self._write_some(data) :]
            try:
                if data:
                    self._outgoing.put_nowait(data)
            except queue.Full:
                return False
        return True

    def _write_some(self, data: bytes) -> int:
        """Bytes that could be written without waiting."""
        try:
            sent = self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:
            os._exit(0)
        self._wrote_at = time.monotonic()
        return sent

    def first(self) -> Any:
        """Wait for the first message, the order to this host. Returns `None` at end of file."""
        while not self._early:
            data = self._socket.recv(1 << 16)
            if not data:
                return None
            self._early += self._unframer.feed(data)
        return self._early.pop(0)

    def start(self) -> None:
        """Begin to send. Not before: a host confines itself first, and that holds for threads which start later."""
        self._writer.start()
        self._started = True

    def listen(self, receive: Callable[[Any], None]) -> None:
        """From now on call `receive` for each message."""
        threading.Thread(target=self._read, args=(receive,), name="link-reader", daemon=True).start()

    def flush(self, seconds: float) -> None:
        """Wait, at most `seconds`, until all that was queued is sent. Called once, as the last thing before the end."""
        done = threading.Event()

        def wait() -> None:
            self._outgoing.join()
            done.set()

        threading.Thread(target=wait, daemon=True).start()
        done.wait(seconds)

    def _read(self, receive: Callable[[Any], None]) -> None:
        try:
            for message in self._early:
                receive(message)
            while data := self._socket.recv(1 << 16):
                for message in self._unframer.feed(data):
                    receive(message)
        except OSError:
            pass
        except ValueError as error:
            print(f"labplatform: the supervisor said what this host does not understand: {error}", file=sys.stderr)
            os._exit(LOST_SUPERVISOR)
        os._exit(0)

    def _write(self) -> None:
        while True:
            data = self._outgoing.get()
            try:
                self._socket.sendall(data)
                self._wrote_at = time.monotonic()
            except OSError:
                os._exit(0)
            finally:
                self._outgoing.task_done()
