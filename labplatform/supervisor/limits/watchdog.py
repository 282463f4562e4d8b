"""Limits without any privilege: a thread that reads `/proc` and acts. For containers and Binder. Supervisor.

Memory is read some twenty times a second, more often the less room is left and the faster it goes. An app that may be
over its limit is stopped, counted exactly while it stands still, and then ended or let go on. CPU is held by stopping
and continuing all processes of an app together. What has no limit is not looked at.
"""

from __future__ import annotations

import logging
import resource
import signal
import threading
import time
from pathlib import Path
from typing import ClassVar

from ...manifest import ResourceLimits, size_in_words
from ...messages import Usage
from .. import linux
from ..newcomers import Newcomers
from . import tree
from .ancestry import TreeGroup, TreeTier
from .budget import Budget
from .headroom import PERIOD, Cheap, Headroom
from .members import Members
from .tier import Breach, Breached, Needs

BACKSTOP = 1 << 30
"""Bytes above its limit that one process of an app may reserve to write into, by RLIMIT_DATA: Linux refuses more, if a
leak outruns the thread. What the stacks of Chromium's threads reserve and never use is some 600 MB."""
LEAST_BACKSTOP = 1 << 32
"""Bytes it is at least: V8 plans its heap by it when a page starts, and gives up below 4 GiB."""
NEVER = 3600.0
"""Seconds until the next look at what has no limit; one that is set meanwhile is looked at at once."""
STUMBLED = 1.0
"""Seconds after which an app is looked at again when looking at it failed."""

_log = logging.getLogger("labplatform.supervisor")


class Watchdog(TreeTier):
    """One thread for all groups of a platform."""

    name = "watchdog"
    counts = (
        "what its processes keep resident and share with no file: read some twenty times a second, counted exactly "
        "(PSS, with shared memory and swap) once it comes near the limit"
    )
    cannot: ClassVar[tuple[str, ...]] = (
        "a leak at full speed may overshoot by some 50 MB before it is met",
        "an app that wants more CPU than its limit is stopped and continued as a whole, ten times a second",
        "a process that the app starts under another user is neither stopped nor ended",
    )
    needs = Needs(page=99_000_000, service=16_000_000)

    def __init__(self, session: Path) -> None:
        super().__init__(session)
        self.owners: dict[int, WatchedGroup] = {}
        """Pid -> whose it is, of all processes under watch. The watchdog's thread alone writes it."""
        self._groups: set[WatchedGroup] = set()
        self._wake = threading.Event()
        self._stopping = False
        self._newcomers = Newcomers()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    async def open(self) -> None:
        """Start to watch. Works everywhere."""
        self._thread.start()

    def group(self, name: str, limits: ResourceLimits, breached: Breached) -> WatchedGroup:
        """A group that is watched from `attach` on."""
        return WatchedGroup(self, name, limits, breached)

    async def close(self) -> None:
        """Watch no more."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            await self.in_thread(self._thread.join, 2.0)
        self._newcomers.close()
        await super().close()

    def watch(self, group: WatchedGroup) -> None:
        """Look at a group now, and again when it says so."""
        self._groups.add(group)
        self._wake.set()

    def forget(self, group: WatchedGroup) -> None:
        """Look at it no more."""
        self._groups.discard(group)
        self._wake.set()

    def welcome(self) -> None:
        """Find the processes that were started below those under watch since this was done last."""
        found = self._newcomers.below(self.owners)
        if found is None:
            for group in list(self._groups):
                group.adopt(linux.tree(group.root))
        else:
            for pid, parent in found:
                self.owners[parent].adopt([pid], parent)

    def _run(self) -> None:
        groups: set[WatchedGroup] = set()
        while not self._stopping:
            now = time.monotonic()
            for group in groups - self._groups:
                group.let_go()
            groups = set(self._groups)
            due = [group for group in groups if group.due <= now]
            if due:
                self.welcome()
            for group in due:
                try:
                    group.due = _together(now, group.look(now))
                except Exception:
                    _log.exception("the watchdog stumbled over %s", group.name)
                    group.due = now + STUMBLED
            soonest = min((group.due for group in groups), default=None)
            self._wake.wait(None if soonest is None else max(0.0, soonest - time.monotonic()))
            self._wake.clear()
        for group in groups:
            group.let_go()


def _together(now: float, pause: float) -> float:
    """When to look again, after a pause at most: with others, where that is not much sooner. To wake up for each of
    many apps apart would cost more than the looks do.
    """
    beat = (now + pause) // PERIOD * PERIOD
    return beat if beat - now > pause / 2 else now + pause


class WatchedGroup(TreeGroup):
    """One host's tree under watch. But for `attach`, `set` and `close`, all of it is the watchdog's thread's."""

    tier: Watchdog

    def __init__(self, tier: Watchdog, name: str, limits: ResourceLimits, breached: Breached) -> None:
        super().__init__(tier, name, limits, breached)
        self.due = 0.0
        self._members: Members | None = None
        self._headroom: Headroom | None = None
        self._budget: Budget | None = None
        self._halted: dict[int, int] = {}
        """Pid -> creation of those that were stopped here, and are to go on."""
        self._backstop: int | None = None
        self._ending = False

    # --- on the supervisor's loop

    async def attach(self, pid: int) -> None:
        """Begin to watch, before the process has executed."""
        await super().attach(pid)
        self._members = Members(pid)
        self._hold_back()
        if self._limited:
            self.tier.watch(self)

    async def set(self, limits: ResourceLimits) -> None:
        """Holds from the next look on, which is now."""
        self.limits = limits
        self.due = 0.0
        if self.root:
            self.tier.watch(self)

    async def close(self) -> None:
        """Watch it no more."""
        self._ending = True
        self.tier.forget(self)

    @property
    def _limited(self) -> bool:
        limits = self.limits
        return any(limit is not None for limit in (limits.max_memory, limits.max_cpu, limits.max_processes))

    def usage(self) -> Usage:
        """The last look's figures."""
        usage = super().usage()
        headroom, budget, members = self._headroom, self._budget, self._members
        return Usage(
            memory=headroom.last if headroom else usage.memory,
            peak=max(usage.peak, headroom.peak if headroom else 0),
            throttled=budget.times_stopped if budget else 0,
            processes=len(members.by_pid) if members and self._limited else usage.processes,
        )

    def halts(self, pid: int) -> bool:
        """Whether it was stopped here."""
        return pid in self._halted

    def kill_all(self) -> None:
        """Stop the whole tree, then kill it."""
        self._ending = True
        super().kill_all()

    # --- on the watchdog's thread

    def adopt(self, pids: list[int], parent: int = 0) -> None:
        """These processes are below this host."""
        if parent:
            self._members.parent(parent)
        for pid in self._members.add(pids):
            self.tier.owners[pid] = self
            if self._budget and self._budget.stopped:
                self._halt(pid)

    def let_go(self) -> None:
        """It is watched no more."""
        self._go_on()
        for pid in self._members.by_pid:
            self.tier.owners.pop(pid, None)
        self._members.close()

    def look(self, now: float) -> float:
        """One look at everything that has a limit. Returns the seconds until the next."""
        if self._ending or self.root not in self._members.by_pid:
            return NEVER
        if self.root not in self.tier.owners:
            self.tier.owners[self.root] = self
            self.adopt(linux.tree(self.root))
        for pid in self._members.look():
            self.tier.owners.pop(pid, None)
        return min(self._look_at_memory(now), self._look_at_processes(), self._look_at_cpu(now))

    def _look_at_memory(self, now: float) -> float:
        limit = self.limits.max_memory
        self._hold_back()
        if limit is None:
            self._headroom = None
            return NEVER
        if self._headroom is None:
            self._headroom = Headroom(limit)
        headroom = self._headroom
        headroom.limit = limit
        cheap = self._members.memory()
        if headroom.doubtful(cheap):
            cheap, over = self._count(headroom)
            if over:
                words = f"it used {size_in_words(headroom.last)}, and its limit is {size_in_words(limit)}"
                self._end("memory", limit, headroom.last, words)
                return NEVER
        return headroom.next_look(now, cheap)

    def _count(self, headroom: Headroom) -> tuple[Cheap, bool]:
        """Count exactly, while all of it stands still, or it would go on leaking meanwhile. Whether it is over; if it
        is, it is left standing."""
        over = False
        self._halt_all()
        try:
            self._members.look()
            cheap = self._members.memory()
            over = headroom.counted(self._members.exact(), cheap)
        finally:
            if not over and not (self._budget and self._budget.stopped):
                self._go_on()
        return cheap, over

    def _hold_back(self) -> None:
        """Let Linux refuse what a process reserves far above the limit; those started later inherit it."""
        limit = self.limits.max_memory
        backstop = None if limit is None else max(limit + BACKSTOP, LEAST_BACKSTOP)
        if backstop == self._backstop:
            return
        self._backstop = backstop
        for pid in self._members.by_pid:
            try:
                _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
                soft = hard if backstop is None else backstop if hard == resource.RLIM_INFINITY else min(backstop, hard)
                resource.prlimit(pid, resource.RLIMIT_DATA, (soft, hard))
            except OSError:
                continue

    def _look_at_processes(self) -> float:
        limit, seen = self.limits.max_processes, len(self._members.by_pid)
        if limit is not None and seen > limit:
            self._halt_all()
            self._end("processes", limit, seen, f"it had {seen} processes, and its limit is {limit}")
        return NEVER if limit is None else PERIOD

    def _look_at_cpu(self, now: float) -> float:
        percent = self.limits.max_cpu
        if percent is None:
            if self._budget:
                self._budget = None
                self._go_on()
            return NEVER
        used = self._members.cpu()
        if self._budget is None:
            self._budget = Budget(percent, now, used)
        budget = self._budget
        if budget.percent != percent:
            budget.change(percent)
        was = budget.stopped
        seconds = budget.look(now, used)
        if budget.stopped and not was:
            self._halt_all()
        elif was and not budget.stopped:
            self._go_on()
        return seconds

    def _end(self, what: str, limit: int, seen: int, words: str) -> None:
        self._exceeded(Breach(what, limit, seen, f"{words} ({self.tier.name})"))
        self.kill_all()

    # --- stopping and continuing

    def _halt_all(self) -> None:
        """Stop all, and what they forked while they were being stopped."""
        for pid in list(self._members.by_pid):
            self._halt(pid)
        self.tier.welcome()
        for pid in list(self._members.by_pid):
            self._halt(pid)

    def _halt(self, pid: int) -> None:
        if pid in self._halted or self._ending:
            return
        try:
            stat = linux.Stat(pid)
        except (OSError, ValueError, IndexError):
            return
        # Somebody else's stop is not ours to end.
        if stat.state not in "TtZX" and tree.send(pid, signal.SIGSTOP):
            self._halted[pid] = stat.started

    def _go_on(self) -> None:
        """Continue what was stopped here, unless it is being killed."""
        halted, self._halted = self._halted, {}
        for pid, creation in halted.items():
            if not self._ending and tree.started(pid) == creation:
                tree.send(pid, signal.SIGCONT)
