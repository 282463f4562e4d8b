"""One authenticated WebSocket client to a supervisor, for the kernel and the CLI. Kernel or CLI process.

`Line` is the WebSocket, whoever speaks over it. `Connection` is a controller's: requests may be asked from any thread;
one thread of its own reads. What comes unasked (news, frames, questions, the end) is handed to functions that must not
block, on that thread.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import ExitStack
from typing import Any, NamedTuple, TypeVar

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from . import messages as m
from .errors import BadRequest, ConnectionRefused, LabTimeout, SupervisorLost, from_wire

OPEN_SECONDS = 5.0
SLACK = 5.0
"""Seconds that an answer may come later than the deadline the supervisor itself keeps, before the client gives up."""
MAX_ANSWER = 256 << 20
"""Bytes of one answer; the supervisor is trusted, a picture or a long log may be large."""

T = TypeVar("T")
_read = m.Reader(m.ToController)


def _ignore(*_: Any) -> None:
    """Nobody wants to know."""


class Asked(NamedTuple):
    """A request under way: its number, its name for messages, and where its answer comes."""

    number: int
    what: str
    answer: Future[msgspec.Raw]


class Line:
    """A WebSocket to a supervisor that has welcomed who said `hello`. Sends from any thread; one thread reads.

    Raises `ConnectionRefused` for a wrong token, `SupervisorLost` if nobody answers on the port.
    """

    def __init__(self, port: int, hello: m.Hello) -> None:
        self._held = ExitStack()
        try:
            self._socket = self._open(port)
            self.welcome = self._introduce(port, hello)
        except BaseException:
            self._held.close()
            raise

    def _open(self, port: int) -> Any:
        try:
            # websockets wants a context manager from release 17 on, and takes one in those before.
            return self._held.enter_context(
                connect(
                    f"ws://127.0.0.1:{port}/",
                    compression=None,
                    open_timeout=OPEN_SECONDS,
                    close_timeout=1,
                    ping_interval=None,
                    max_size=MAX_ANSWER,
                    proxy=None,
                )
            )
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise SupervisorLost(f"no supervisor answers on port {port}: {error}") from None

    def _introduce(self, port: int, hello: m.Hello) -> m.Welcome:
        try:
            self._socket.send(m.encode(hello), text=True)
            welcome = _read(self._socket.recv(OPEN_SECONDS))
        except ConnectionClosed as error:
            reason = error.rcvd.reason if error.rcvd else "the connection was closed"
            raise ConnectionRefused(f"the supervisor on port {port} refused this {hello.role}: {reason}") from None
        except TimeoutError:
            raise SupervisorLost(f"the supervisor on port {port} does not answer") from None
        if not isinstance(welcome, m.Welcome):
            raise ConnectionRefused(f"the supervisor on port {port} speaks another language")
        return welcome

    def send(self, data: bytes) -> None:
        """Send one message of JSON. Raises `SupervisorLost` when the line is gone."""
        try:
            self._socket.send(data, text=True)
        except (ConnectionClosed, OSError):
            raise SupervisorLost("the connection to the supervisor is closed") from None

    def read(self, take: Callable[[bytes], None]) -> str:
        """Hand every message to `take`, until the line ends. Returns why the other side ended it; empty if unknown."""
        try:
            while True:
                take(self._socket.recv(decode=False))
        except ConnectionClosed as error:
            return error.rcvd.reason if error.rcvd else ""
        except OSError:
            return ""

    def close(self) -> None:
        """End it."""
        try:
            self._held.close()
        except OSError:
            pass


class Connection:
    """A controller's connection. Raises what `Line` does."""

    def __init__(
        self,
        port: int,
        token: str,
        *,
        on_news: Callable[[m.News], None] = _ignore,
        on_frame: Callable[[m.Frame], None] = _ignore,
        on_question: Callable[[m.QuestionOpen], None] = _ignore,
        on_answer: Callable[[m.QuestionClosed], None] = _ignore,
        on_overheard: Callable[[m.Overheard], None] = _ignore,
        on_end: Callable[[str], None] = _ignore,
    ) -> None:
        self._on_news, self._on_frame, self._on_end = on_news, on_frame, on_end
        self._on_question, self._on_answer = on_question, on_answer
        self._on_overheard = on_overheard
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[msgspec.Raw]] = {}
        self._lock = threading.Lock()
        self._ended = ""
        self._line = Line(port, m.Hello(role="controller", token=token))
        self._thread = threading.Thread(target=self._run, name="labplatform-connection", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> str:
        """Why it has ended; empty while it has not."""
        return self._ended

    def ask(self, kind: type, answer: type[T], seconds: float, /, **fields: Any) -> T:
        """Send a request and wait for its answer, decoded as `answer`.

        `seconds` is the deadline that the supervisor keeps (or a bound for requests without one); this side waits a
        little longer. An interrupt (Ctrl-C) cancels the request there, too. Raises what the supervisor refused with,
        `LabTimeout`, `SupervisorLost`.
        """
        asked = self.begin(kind, **fields)
        return self.finish(asked, answer, seconds)

    def begin(self, kind: type, /, **fields: Any) -> Asked:
        """Send a request; `finish` waits for its answer. Raises `BadRequest`, `SupervisorLost`."""
        number = next(self._ids)
        data = m.encode(kind(id=number, **fields))
        if len(data) > m.MAX_REQUEST:
            raise BadRequest(f"a request of {len(data)} bytes is over the limit of {m.MAX_REQUEST}")
        asked = Asked(number, kind.__name__.lower(), Future())
        with self._lock:
            if self._ended:
                raise SupervisorLost(self._ended)
            self._waiting[number] = asked.answer
        try:
            self._send_bytes(data)
        except BaseException:
            self._forget(number)
            raise
        return asked

    def finish(self, asked: Asked, answer: type[T], seconds: float) -> T:
        """Wait for the answer to a request that was begun; all else as in `ask`."""
        number, future = asked.number, asked.answer
        try:
            # Not result(timeout): what the supervisor refuses with may itself be a TimeoutError.
            if not wait([future], seconds + SLACK).done:
                self._cancel(number)
                raise LabTimeout(f"waited {seconds + SLACK:g} s; the supervisor did not answer {asked.what!r}")
            raw = future.result()
        except KeyboardInterrupt:
            self._cancel(number)
            raise
        finally:
            self._forget(number)
        return m.decode(raw, answer)

    def tell(self, kind: type, /, **fields: Any) -> None:
        """Send a request and do not wait for its answer. Nothing happens if the connection is gone."""
        try:
            self._send(kind(id=next(self._ids), **fields))
        except SupervisorLost:
            pass

    def close(self) -> None:
        """End the connection; waiting requests fail."""
        self._line.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(2)

    def cancel(self, asked: Asked) -> None:
        """No longer wait for a request; a launch under way is undone there."""
        if not asked.answer.done():
            self._cancel(asked.number)
        self._forget(asked.number)

    def _forget(self, number: int) -> None:
        with self._lock:
            self._waiting.pop(number, None)

    def _send(self, message: Any) -> None:
        self._send_bytes(m.encode(message))

    def _send_bytes(self, data: bytes) -> None:
        try:
            self._line.send(data)
        except SupervisorLost as error:
            raise SupervisorLost(self._ended or error.message) from None

    def _cancel(self, number: int) -> None:
        try:
            self._send(m.Cancel(id=next(self._ids), request=number))
        except SupervisorLost:
            pass

    def _run(self) -> None:
        reason = self._line.read(lambda data: self._take(_read(data))) or "the connection to the supervisor ended"
        with self._lock:
            self._ended = reason
            waiting = list(self._waiting.values())
        for future in waiting:
            if not future.done():
                future.set_exception(SupervisorLost(reason))
        self._on_end(reason)

    def _take(self, message: Any) -> None:
        match message:
            case m.News():
                self._on_news(message)
            case m.Frame():
                self._on_frame(message)
            case m.Overheard():
                self._on_overheard(message)
            case m.QuestionOpen():
                self._on_question(message)
            case m.QuestionClosed():
                self._on_answer(message)
            case m.Reply(id=number, value=value):
                self._resolve(number, value, None)
            case m.Refusal(id=number, kind=kind, message=text, detail=detail):
                self._resolve(number, None, from_wire(kind, text, detail))

    def _resolve(self, number: int, value: Any, error: Exception | None) -> None:
        with self._lock:
            future = self._waiting.get(number)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
