"""One interface for every way to limit what an app uses: a tier for a platform, a group for each app host. Supervisor.

A host starts held: a process that waits, has nothing of the app in it yet, and is put into its group by `attach`. Only
then is it let go, so it is inside its limits before it executes. A group lives as long as its host: `set` changes what
holds, `usage` says what is used, `verdict` why it was ended, `kill_all` ends all of it, `close` leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from ...manifest import ResourceLimits
from ...messages import ProcessInfo, Usage

T = TypeVar("T")

LEFT_TO_GUARDIAN = "cgroups"
"""File in the session's folder that names the directories which the guardian empties and removes, one a line."""
TO_BE_GIVEN_BACK = "cgroup-leaf"
"""File beside it that names the directory into which others' processes were moved, and are to be moved back from."""


class Unavailable(Exception):
    """This machine does not offer a tier, or not to this user; the text says why, for people."""


class CannotLimit(Exception):
    """A limit could not be set; what held before still holds. The text says why, for people."""


class Breach(NamedTuple):
    """That an app went over a limit and was, or is to be, ended for it. `limit` and `seen`: bytes, or processes.

    `words`: one clause for people, with the evidence.
    """

    what: Literal["memory", "processes"]
    limit: int
    seen: int
    words: str

    @property
    def reason(self) -> str:
        """Why the app ended, in one word."""
        return {"memory": "memory-limit", "processes": "process-limit"}[self.what]


class Needs(NamedTuple):
    """Bytes that an empty app needs at least, with a page and without, as a tier counts them."""

    page: int
    service: int


Breached = Callable[["Group", Breach], None]
"""Told on the supervisor's loop, once for each group."""


class Tier(ABC):
    """One way to limit apps, on one platform. `name`: as in `Platform(limits=…)`.

    `counts`: how it counts memory; `cannot`: what it cannot promise; both for people. `needs`: measured, see
    `labplatform bench`. `session`: the platform's own folder.
    """

    name: ClassVar[str]
    counts: ClassVar[str]
    cannot: ClassVar[tuple[str, ...]]
    needs: ClassVar[Needs]

    def __init__(self, session: Path) -> None:
        self._session = session
        self.loop = asyncio.get_running_loop()
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="limits")

    @abstractmethod
    async def open(self) -> None:
        """Try what it takes, and make what the groups need. Raises `Unavailable`; nothing is left behind then."""

    @abstractmethod
    def group(self, name: str, limits: ResourceLimits, breached: Breached) -> Group:
        """A group for a host that is about to start. Touches nothing yet: `attach` does, off the loop."""

    async def close(self) -> None:
        """Leave nothing behind. The groups are closed by then."""
        self._workers.shutdown(wait=False)

    async def in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Do something that may block on a thread of the tier's."""
        return await self.loop.run_in_executor(self._workers, function, *arguments)

    def soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Do something that may block on a thread of the tier's; from any thread, without waiting for it."""
        self._workers.submit(function, *arguments)

    def leave_to_guardian(self, directory: Path) -> None:
        """Note a cgroup directory for the guardian, which removes it if this process cannot. Call before making it."""
        self._note(LEFT_TO_GUARDIAN, directory)

    def give_back_later(self, leaf: Path) -> None:
        """Note the cgroup directory that is in others' way, for the guardian. Call before it is made, or used."""
        self._note(TO_BE_GIVEN_BACK, leaf)

    def _note(self, name: str, directory: Path) -> None:
        with (self._session / name).open("a") as file:
            file.write(f"{directory}\n")


class Group(ABC):
    """The limits of one app host, and all processes below it. `limits`: those that hold now."""

    def __init__(self, tier: Tier, name: str, limits: ResourceLimits, breached: Breached) -> None:
        self.name = name
        self.limits = limits
        self.tier = tier
        self._breached = breached
        self._breach: Breach | None = None
        self._rows: tuple[ProcessInfo, ...] = ()

    @abstractmethod
    async def attach(self, pid: int) -> None:
        """Put the held process inside, with `limits` set. Raises `CannotLimit`; `close` is still called then."""

    @abstractmethod
    async def set(self, limits: ResourceLimits) -> None:
        """From now on these hold. Raises `CannotLimit`, and the former ones still hold.

        Lower than what is used at present is no error: it is exceeded, and goes the way of all that is.
        """

    def seen(self, rows: tuple[ProcessInfo, ...]) -> None:
        """What the platform's sampler read of its processes just now, for tiers that do not count themselves. On the
        sampler's thread.
        """
        self._rows = rows

    @abstractmethod
    def usage(self) -> Usage:
        """What is used now, as this tier counts it. From any thread; takes well under a millisecond."""

    def halts(self, pid: int) -> bool:
        """Whether it is this that has stopped one of its processes, and will let it go on. From any thread."""
        return False

    @abstractmethod
    def oom_kills(self) -> int:
        """How many processes were killed lately because memory ran out: its own, where the tier can tell."""

    def evicted(self) -> str:
        """The evidence that a process of it, which was killed, was so by the machine's own out-of-memory killer; ""
        if there is none. Asked when there is no `verdict`."""
        kills = self.oom_kills()
        if not kills:
            return ""
        return f"the machine, or its container, ran out of memory ({kills} out-of-memory kill{'s' * (kills > 1)})"

    def verdict(self) -> Breach | None:
        """Why it was ended, if a limit was the reason; complete once one of its processes is seen to have died.

        Every tier notes what it is about to do, or the kernel counts it, before the signal is sent.
        """
        return self._breach

    @abstractmethod
    def kill_all(self) -> None:
        """SIGKILL every process of it, whatever it forks meanwhile. From any thread; returns before it is done."""

    @abstractmethod
    async def close(self) -> None:
        """After the host's end: leave neither process nor directory behind."""

    def _exceeded(self, breach: Breach) -> None:
        """Note a breach, once, and tell it; from any thread."""
        if self._breach is None:
            self._breach = breach
            self.tier.loop.call_soon_threadsafe(self._breached, self, breach)
