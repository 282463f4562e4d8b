"""A choice between apps: an intent that several could handle, and who they are. Any process."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

ResolverKind = Literal["nobody", "hidden", "shown", "function"]
"""What a controller can do with a question: nothing; show it in a notebook, out of sight or on somebody's screen; or
answer it by a function."""


class Party(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """An app that takes part in an intent, or an instance of it.

    `glyph`: its SVG as a `data:` address, or empty. `place` and `pid`: of an instance that runs on this platform.
    """

    app_id: str
    title: str
    description: str = ""
    color: str | None = None
    glyph: str = ""
    instance_id: str | None = None
    place: str | None = None
    pid: int | None = None


class IntentOption(Party, frozen=True):
    """One way to handle the intent: by an instance that runs, or, without an `instance_id`, by a new one.

    `intent_title`: what people call the intent. `page`: whether the app shows a window. `ended`: the instance has ended
    since the question was asked; to choose it now fails with FDC3's `TargetInstanceUnavailable`.
    """

    intent: str
    intent_title: str
    page: bool = True
    ended: bool = False

    @property
    def where(self) -> str:
        """Where it would be handled, in words: "new window", "running, PID 4711", "ended"."""
        if self.ended:
            return "ended"
        if self.instance_id is None:
            return "new window" if self.page else "new process"
        return f"running, PID {self.pid}" if self.pid else "running"

    def __str__(self) -> str:
        return f"{self.title}, {self.where}"

    def __repr__(self) -> str:
        return f"<IntentOption {self.intent}: {self}>"


class IntentQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which app shall handle an intent? `raiser` raised it with `context`; `options` are those that could.

    For one intent all options have it; for a context alone they may differ in it. `about`: the context in a few words.
    `until`: when an answer is no longer waited for, in seconds since the epoch. `number` tells questions apart.
    """

    number: int
    raiser: Party
    about: str
    options: tuple[IntentOption, ...]
    until: float
    context: Any = None

    @property
    def seconds(self) -> float:
        """How many seconds are left to answer."""
        return max(0.0, self.until - time.time())

    @property
    def intents(self) -> tuple[str, ...]:
        """The intents to choose between; mostly one."""
        return tuple(dict.fromkeys(option.intent for option in self.options))

    @property
    def title(self) -> str:
        """The question in one line."""
        if len(self.intents) == 1:
            return f"Choose an app for {self.options[0].intent_title}"
        return "Choose what to do, and the app for it"

    def __str__(self) -> str:
        options = "; ".join(
            str(option) if len(self.intents) == 1 else f"{option.intent_title}: {option}" for option in self.options
        )
        return f"{self.title}. {self.raiser.title} sends {self.about}. Options: {options}"

    def __repr__(self) -> str:
        return f"<IntentQuestion {self.number}: {', '.join(self.intents)} from {self.raiser.title}>"
