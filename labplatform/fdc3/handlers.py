"""Runs what the user gave: handlers of contexts, intents and events, one after the other, on one thread. Any process.

Who receives messages only puts them here and goes on. What waits is bounded; at the bound the oldest is given up and
counted, so a slow handler gets the newest and costs nobody else anything. A handler that raises is reported, and the
next one runs. What an `async def` handler returns is awaited on an event loop with a thread of its own.
"""

from __future__ import annotations

import inspect
import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ..errors import BlockingCallInObserver

SLICE = 0.005
"""Seconds that handlers run before others on the same thread have their turn."""
COMPLAIN_EVERY = 5.0
"""Seconds between two words about what was given up."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What may wait for handlers: `messages`, and `size` bytes of them; `awaited`: async handlers under way at once."""

    messages: int = 10_000
    size: int = 32 << 20
    awaited: int = 1_000


class Delivery:
    """A handler to run with these arguments. `then` gets what it returns, `failed` is told that there is nothing.

    `size`: bytes of the message. What the handler raises is reported with `what`, and `failed` called; so it is when
    the delivery is given up, or when its turn comes and it is not `wanted` any more.
    """

    __slots__ = ("arguments", "failed", "handler", "size", "then", "wanted", "what")

    def __init__(
        self,
        what: str,
        handler: Callable[..., Any],
        arguments: tuple[Any, ...] = (),
        size: int = 0,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[], None] | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.what, self.handler, self.arguments, self.size = what, handler, arguments, size
        self.then, self.failed, self.wanted = then, failed, wanted


class SharedThread(Protocol):
    """A thread that handlers share with others."""

    @property
    def thread(self) -> threading.Thread | None: ...
    def submit(self, function: Callable[[], None]) -> None: ...


class Handlers:
    """A bounded queue of deliveries and who runs them.

    They run on a thread of their own, called `name` and begun with the first delivery, or on one that they share.
    `report` takes what a person should read, such as a traceback.
    """

    def __init__(
        self,
        name: str,
        report: Callable[[str], None],
        shared: SharedThread | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._name = name
        self.report = report
        self._shared = shared
        self._bounds = bounds or Bounds()
        self._lock = threading.Lock()
        self._waiting: deque[Delivery] = deque()
        self._size = 0
        self._running = False
        self._closed = False
        self.dropped = 0
        """Deliveries given up because too much waited."""
        self._said = -COMPLAIN_EVERY
        self._own: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._own_thread: threading.Thread | None = None
        self._loop: Any = None
        self._loop_thread: threading.Thread | None = None
        self._tasks: set[Any] = set()
        self._awaited = 0

    def put(self, delivery: Delivery) -> None:
        """Run a handler when its turn comes. Returns at once, from any thread."""
        lost: list[Delivery] = []
        with self._lock:
            if self._closed:
                return
            self._waiting.append(delivery)
            self._size += delivery.size
            bounds = self._bounds
            while len(self._waiting) > 1 and (len(self._waiting) > bounds.messages or self._size > bounds.size):
                lost.append(self._waiting.popleft())
                self._size -= lost[-1].size
            start = not self._running
            self._running = True
        for one in lost:
            self._give_up(one, "the handlers here are too slow for what arrives")
        if start:
            self._submit(self._run)

    @property
    def here(self) -> bool:
        """Whether this thread is one that handlers run on."""
        return threading.current_thread() in (self._shared and self._shared.thread, self._own_thread, self._loop_thread)

    def refuse_here(self, call: str) -> None:
        """Raise `BlockingCallInObserver` inside a handler."""
        if self.here:
            raise BlockingCallInObserver(
                f"{call} waits for an answer, and was called in a message handler, an observer or a resolver, which "
                f"would hold up all others; make a handler `async def` and await the call there: `await ….aio.{call}`"
            )

    def close(self, seconds: float = 2.0) -> None:
        """Run nothing more; async handlers under way are cancelled. Waits, at most `seconds`, for the one that runs."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._size = 0
            loop, self._loop = self._loop, None
        if loop:
            loop.call_soon_threadsafe(self._cancel_all, loop)
        self._own.put(None)
        for thread in (self._own_thread, self._loop_thread):
            if thread and threading.current_thread() is not thread:
                thread.join(seconds)

    # --- on the handlers' thread

    def _run(self) -> None:
        until = time.monotonic() + SLICE
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                delivery = self._waiting.popleft()
                self._size -= delivery.size
            self._deliver(delivery)
            if time.monotonic() > until:
                self._submit(self._run)
                return

    def _deliver(self, delivery: Delivery) -> None:
        if not delivery.wanted():
            self._tell_failed(delivery)
            return
        try:
            value = delivery.handler(*delivery.arguments)
            if inspect.isawaitable(value):
                self._await(delivery, value)
            elif delivery.then:
                delivery.then(value)
        except BaseException:  # SystemExit included: the thread serves every other handler, too
            self._failed(delivery)

    def _failed(self, delivery: Delivery) -> None:
        self.report(f"{delivery.what} raised:\n{traceback.format_exc()}")
        self._tell_failed(delivery)

    def _tell_failed(self, delivery: Delivery) -> None:
        if delivery.failed:
            try:
                delivery.failed()
            except Exception:
                # Whom it would tell is gone with the connection.
                pass

    def _give_up(self, delivery: Delivery, why: str) -> None:
        with self._lock:
            self.dropped += 1
            now = time.monotonic()
            say = now - self._said >= COMPLAIN_EVERY
            if say:
                self._said = now
        if say:
            self.report(f"{why}: {self.dropped} messages were given up so far, the oldest first")
        self._tell_failed(delivery)

    def _submit(self, function: Callable[[], None]) -> None:
        if self._shared:
            self._shared.submit(function)
            return
        if self._own_thread is None:
            self._own_thread = threading.Thread(target=self._serve_own, name=self._name, daemon=True)
            self._own_thread.start()
        self._own.put(function)

    def _serve_own(self) -> None:
        while (function := self._own.get()) is not None:
            function()

    # --- async handlers

    def _await(self, delivery: Delivery, value: Any) -> None:
        import asyncio

        async def finish() -> None:
            try:
                result = await value
                if delivery.then:
                    delivery.then(result)
            except asyncio.CancelledError:
                self._tell_failed(delivery)
                raise
            except BaseException:
                self._failed(delivery)
            finally:
                with self._lock:
                    self._awaited -= 1

        def begin() -> None:
            task = loop.create_task(finish())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        with self._lock:
            full = self._awaited >= self._bounds.awaited
            self._awaited += not full
            if not full and not self._closed and self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._loop_thread = threading.Thread(
                    target=self._serve_loop, args=(self._loop,), name=f"{self._name}-async", daemon=True
                )
                self._loop_thread.start()
            loop = self._loop
        if full or loop is None:
            if inspect.iscoroutine(value):
                value.close()
            self._give_up(delivery, f"{self._bounds.awaited} async handlers here are still under way")
        else:
            loop.call_soon_threadsafe(begin)

    @staticmethod
    def _serve_loop(loop: Any) -> None:
        import asyncio

        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def _cancel_all(self, loop: Any) -> None:
        import asyncio

        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()

        async def end() -> None:
            if tasks:
                await asyncio.wait(tasks, timeout=1)
            loop.stop()

        self._ending = loop.create_task(end())
