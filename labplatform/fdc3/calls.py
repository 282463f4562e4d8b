"""One definition of a call, two ways to make it: blocking, or awaited. Any process.

The definition is a generator that yields each answer it waits for and is sent its value. `agent.find_intent(…)` runs it
and blocks; `await agent.aio.find_intent(…)` runs the same one on the caller's event loop. Both take `timeout`, seconds.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Generator
from concurrent.futures import wait
from typing import Any, Protocol, TypeVar

from ..errors import LabTimeout
from .client import Answer, Client

T = TypeVar("T")
Steps = Generator[Answer, Any, T]
"""A call's definition; `T` is what the call returns."""


class Caller(Protocol):
    """What a call is a method of."""

    _client: Client


class Call:
    """A method that blocks; `Aio` finds its definition and awaits it. `seconds`: how long it waits unless told.

    With `one_way` it does not wait where that is not allowed (in a handler), or not wished (`Client.patient`); what is
    refused is then reported instead of raised.
    """

    def __init__(self, steps: Callable[..., Steps], seconds: float, one_way: bool) -> None:
        self.steps = steps
        self.seconds = seconds
        self.one_way = one_way
        self.name = steps.__name__
        given = inspect.signature(steps)
        timeout = inspect.Parameter("timeout", inspect.Parameter.KEYWORD_ONLY, default=seconds, annotation="float")
        parameters = [*given.parameters.values(), timeout]
        returns = str(given.return_annotation).removeprefix("Steps[").removesuffix("]")
        self.__signature__ = given.replace(parameters=parameters, return_annotation=returns)
        functools.update_wrapper(self, steps)

    def __get__(self, owner: Caller | None, kind: type) -> Any:
        if owner is None:
            return self

        def blocking(*arguments: Any, timeout: float = self.seconds, **named: Any) -> Any:
            client = owner._client
            steps = self.steps(owner, *arguments, **named)
            if self.one_way and (client.handlers.here or not client.patient):
                for answer in steps:
                    client.let_go(answer)
                    break
                return None
            client.handlers.refuse_here(f"{self.name}()")
            client.prepare(timeout)
            return _block(client, steps, self.name, timeout)

        return self._dressed(blocking)

    def __call__(self, owner: Caller, *arguments: Any, **named: Any) -> Any:
        return self.__get__(owner, type(owner))(*arguments, **named)

    def awaited(self, owner: Caller) -> Any:
        """The same as a coroutine function."""

        async def awaiting(*arguments: Any, timeout: float = self.seconds, **named: Any) -> Any:  # noqa: ASYNC109
            client = owner._client
            await client.prepare_soon(timeout)
            return await _wait(client, self.steps(owner, *arguments, **named), self.name, timeout)

        return self._dressed(awaiting)

    def _dressed(self, function: Any) -> Any:
        function.__name__, function.__qualname__, function.__doc__ = self.name, self.__qualname__, self.__doc__
        parameters = list(self.__signature__.parameters.values())[1:]
        function.__signature__ = self.__signature__.replace(parameters=parameters)
        return function


def call(seconds: float, one_way: bool = False) -> Callable[[Callable[..., Steps]], Call]:
    """Make a call of a generator method; it waits `seconds` unless its caller says otherwise."""
    return lambda steps: Call(steps, seconds, one_way)


class Aio:
    """The calls of an object, as coroutine functions with the same arguments."""

    def __init__(self, owner: Caller) -> None:
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        found = inspect.getattr_static(type(self._owner), name, None)
        if not isinstance(found, Call):
            raise AttributeError(f"{type(self._owner).__name__}.aio has no {name!r}; it has {', '.join(dir(self))}")
        return found.awaited(self._owner)

    def __dir__(self) -> list[str]:
        return [name for name, found in inspect.getmembers_static(type(self._owner)) if isinstance(found, Call)]

    def __repr__(self) -> str:
        return f"<aio of {self._owner!r}: {', '.join(dir(self))}>"


class WithAio:
    """What has calls has them twice."""

    @property
    def aio(self) -> Aio:
        """The calls that block here, to be awaited: `await thing.aio.call(…)`."""
        return Aio(self)


def _late(name: str, timeout: float, answer: Answer) -> LabTimeout:
    awaited = f"the answer to {answer.asked}" if answer.request else answer.asked
    return LabTimeout(f"{name}(): waited {timeout:g} s; {awaited} has not come")


def _block(client: Client, steps: Steps, name: str, timeout: float) -> Any:
    deadline = time.monotonic() + timeout
    answer: Answer | None = None
    try:
        answer = next(steps)
        while True:
            # Not result(timeout): an answer may itself be a TimeoutError.
            if not wait([answer], max(deadline - time.monotonic(), 0)).done:
                raise _late(name, timeout, answer)
            answer = steps.send(answer.result())
    except StopIteration as done:
        return done.value
    except BaseException:
        # An interrupt (Ctrl-C), too: what its answer may still bring is undone.
        if answer is not None:
            client.abandon(answer)
        raise


async def _wait(client: Client, steps: Steps, name: str, timeout: float) -> Any:  # noqa: ASYNC109
    import asyncio

    loop = asyncio.get_running_loop()
    deadline = time.monotonic() + timeout
    answer: Answer | None = None
    try:
        answer = next(steps)
        while True:
            arrived = loop.create_future()
            answer.add_done_callback(lambda _, arrived=arrived: _tell(loop, arrived))
            if not (await asyncio.wait({arrived}, timeout=max(deadline - time.monotonic(), 0)))[0]:
                raise _late(name, timeout, answer)
            answer = steps.send(answer.result())
    except StopIteration as done:
        return done.value
    except BaseException:
        if answer is not None:
            client.abandon(answer)
        raise


def _tell(loop: Any, arrived: Any) -> None:
    try:
        loop.call_soon_threadsafe(lambda: arrived.done() or arrived.set_result(None))
    except RuntimeError:
        # The loop is closed: nobody waits.
        pass
