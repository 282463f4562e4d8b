"""What the desktop agent asks of the platform it serves. Supervisor, fdc3.

A `Desk` is the only way from here to apps that do not run yet, to the clock and to people.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import msgspec

from ... import dacp
from ...fdc3.types import AppIntent
from .directory import AppRecord


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that others may take. FDC3 wants at least 15 for a listener.

    All three together stay below the 100 s after which the apps' side of the protocol gives a raised intent up.
    """

    launch: float = 30.0
    """From an app's launch to its first getInfoRequest."""
    listener: float = 15.0
    """From there to the listener that a context or an intent waits for."""
    resolver: float = 45.0
    """For a person to choose between apps."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Who shall handle it? `raiser` raised an intent with `context`; each of `options` names an intent and its apps."""

    raiser: dacp.AppIdentifier
    context: msgspec.Raw
    options: tuple[AppIntent, ...]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: an intent and an app of the question's; no instance means a new one."""

    intent: str
    app_id: str
    instance_id: str | None = None


Resolver = Callable[[Question], Awaitable[Choice | None]]
"""Chooses; `None` is "cancelled by the person". What it raises counts as `ResolverUnavailable`."""


class Timer(Protocol):
    """Something that will be called, unless cancelled."""

    def cancel(self) -> None: ...


class Desk(Protocol):
    """The platform, as the desktop agent sees it."""

    resolver: Resolver | None
    """Asked where several apps could handle an intent; `None`: nobody can be asked."""

    def app(self, app_id: str) -> AppRecord | None:
        """The record of one app, if there is one."""

    def apps(self) -> Iterable[AppRecord]:
        """All apps that can be launched, in the directory's order."""

    def launch(self, app_id: str, by: str) -> str:
        """Begin to start one more instance, which the instance `by` asked for; returns its instanceId at once.

        Should it end before it is ready, `Router.disconnect` is told so, as of every end. Raises `LabError`.
        """

    def moved(self, instance_id: str) -> None:
        """An instance has joined a user channel, or left the one it was on."""

    def now(self) -> float:
        """Seconds on the clock that `later` goes by."""

    def later(self, seconds: float, call: Callable[[], Any]) -> Timer:
        """Call something on the loop after a while."""

    def remark(self, instance_id: str, text: str) -> None:
        """Something about an instance that a person should find in the log."""
