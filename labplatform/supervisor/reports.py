"""Why apps died: a report for every end that nobody wanted, with what was known at that moment. Supervisor.

Begun before anything of the dead app is cleared away, told at once in brief, and put on disk. For some seconds more it
takes in what only then can be known: the host's last words, what neighbours felt, whether the app is back. How it reads
is told by `labplatform.reports`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from .. import __version__
from .. import messages as m
from ..errors import BadRequest, StoreError
from ..reports import archive, words
from . import endings, lifecycle
from .breaking import AT_ONCE
from .lifecycle import State
from .slot import Slot
from .spawn import HostProcess
from .store import Store

BEFORE = 1.0
"""Seconds before an end from which on it counts what its neighbours felt."""
AFTER = 3.0
"""Seconds after it until which that counts, at least; and for which an app that is back is watched."""
SLACK = 0.5
"""Seconds that the answer to a ping may take on top of its interval and the sampler's."""
LATEST = 60.0
"""Seconds after which a report is complete, whatever may still come."""
MOST_IN_MEMORY = 50
"""Reports kept where no disk keeps them."""
LEAST_TOLD = 500
"""Characters of an entry of the log that go into a report."""
BY_THE_KERNEL = ("cgroup-v1", "cgroup-v2", "systemd")
KEPT_TOKENS = 1000
"""Tokens of former incarnations that are known still, and taken out of what is told."""


class _Open:
    """A report that is not complete."""

    def __init__(self, report: m.CrashReport, slot: Slot, host: HostProcess | None, neighbours: list[Slot]) -> None:
        self.report = report
        self.slot = slot
        self.host = host
        self.neighbours = [(other, other.life.incarnation, other.state) for other in neighbours]
        self.over_at = 0.0
        """When it can be complete, on the loop's clock: some time after it was begun, or after the app was back."""

    @property
    def brief(self) -> m.CrashBrief:
        return self.report.brief

    def add(self, **fields: Any) -> None:
        self.report = msgspec.structs.replace(self.report, **fields)

    def add_to_brief(self, **fields: Any) -> None:
        self.add(brief=msgspec.structs.replace(self.brief, **fields))


class Reports:
    """The crash reports of one platform."""

    def __init__(self, platform: Any, store: Store) -> None:
        self._platform = platform
        self._store = store
        self._settings: m.Reporting = platform.order.reporting
        self._session: str = platform.order.session
        self._loop = asyncio.get_running_loop()
        self._briefs: dict[int, m.CrashBrief] = {}
        self._open: dict[int, _Open] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed: set[int] = set()
        self._last = 0
        self._tokens: deque[bytes] = deque(maxlen=KEPT_TOKENS)
        self._window = max(AFTER, platform.order.heartbeat.interval + platform.order.sampling + SLACK)

    # --- what controllers ask

    def briefs(self) -> list[m.CrashBrief]:
        """All that are kept of this platform, oldest first."""
        return list(self._briefs.values())

    async def full(self, number: int) -> msgspec.Raw:
        """One of them, as JSON. Raises `BadRequest` where there is none, `StoreError`."""
        if one := self._open.get(number):
            self._look_again(one)
            return msgspec.Raw(self._scrubbed(m.encode(one.report), self._known_tokens()))
        data = await self._store.read(archive.get, self._session, number) if number in self._briefs else None
        if data is None:
            there = words.listed(map(str, self._briefs)) or "none"
            raise BadRequest(f"there is no crash report {number} on this platform; kept are: {there}")
        return msgspec.Raw(data)

    def take_changed(self) -> tuple[m.CrashBrief, ...]:
        """Those that are new, or to which something was added, since this was asked last."""
        changed, self._changed = self._changed, set()
        return tuple(self._briefs[number] for number in sorted(changed) if number in self._briefs)

    # --- an end

    def ended(
        self,
        slot: Slot,
        ending: endings.Ending,
        exit: m.ReportedExit | None,
        host: HostProcess | None,
        forced: bool,
    ) -> None:
        """An app has ended, and nothing of it is cleared away yet. `forced`: the platform has ended it itself."""
        if not slot.live or slot.state is State.STOPPING or ending.reason == "clean-exit":
            return
        with self._no_harm(slot):
            self._begin(slot, ending, exit, host, forced)

    @contextlib.contextmanager
    def _no_harm(self, slot: Slot) -> Iterator[None]:
        """A fault of ours must not keep an app from coming back."""
        try:
            yield
        except Exception as error:
            text = f"its crash report could not be made: {error!r}"
            self._platform.log.remark(text, kind="report", place=slot.name, level="error")

    def _begin(
        self,
        slot: Slot,
        ending: endings.Ending,
        exit: m.ReportedExit | None,
        host: HostProcess | None,
        forced: bool,
    ) -> None:
        for one in [one for one in self._open.values() if one.slot.name == slot.name]:
            self._complete(one)
        self._last += 1
        report = self._begun(self._last, slot, ending, exit, host, forced)
        neighbours = [
            other
            for other in self._platform.slots.values()
            if other is not slot and other.state in (State.RUNNING, State.UNRESPONSIVE)
        ]
        one = self._open[self._last] = _Open(report, slot, host, neighbours)
        self._put_off(one, self._window)
        self._tell(one)
        self._file(one)

    def _begun(
        self,
        number: int,
        slot: Slot,
        ending: endings.Ending,
        exit: m.ReportedExit | None,
        host: HostProcess | None,
        forced: bool,
    ) -> m.CrashReport:
        at, life, reason = slot.ended_at, slot.life, ending.reason
        breach = host.group.verdict() if host else None
        isolation = host.order.isolation if host else self._platform.hosts.placement(slot)[1]
        sharers = slot.shared_with
        if isolation == "shared-process" and exit and exit.process == "renderer":
            sharers = ()
        sentence = words.sentence(
            reason,
            ending.detail,
            limit=breach.limit if breach else None,
            seen=breach.seen if breach else None,
            silent_for=slot.silences[1] if slot.silences else 0.0,
            heap=host.order.js_heap if host else 0,
            sharers=sharers,
            from_outside=not (forced or slot.fault),
        )
        brief = m.CrashBrief(
            number=number,
            place=slot.name,
            app_id=slot.manifest.app_id,
            title=slot.manifest.title,
            color=slot.manifest.look.color,
            at=at,
            incarnation=life.incarnation,
            pid=slot.pid or (host.pid or host.root if host else None),
            reason=reason,
            sentence=sentence,
            detail=words.one_line(ending.detail, LEAST_TOLD),
            isolation=isolation,
            shared_with=slot.shared_with,
            uptime=slot.uptime,
            fault=slot.fault,
        )
        noticed_after, noticed = self._noticed(slot, reason, at)
        return m.CrashReport(
            brief=brief,
            created=slot.processes[0].created if slot.processes else None,
            ready_at=slot.ready_at if brief.uptime is not None else None,
            exit=exit and msgspec.structs.replace(exit, by=exit.by or self._by(slot, reason, forced)),
            tier=slot.tier,
            limits=slot.limits,
            limit=breach.limit if breach else None,
            seen=breach.seen if breach else None,
            noticed_after=noticed_after,
            noticed=noticed,
            lab=__version__,
        )

    def _by(self, slot: Slot, reason: str, forced: bool) -> str:
        """Who ended it, where that is known."""
        if reason in ("memory-limit", "process-limit"):
            return "kernel, for the limit" if slot.tier in BY_THE_KERNEL else "platform, for the limit"
        if reason == "memory-eviction":
            return "kernel, for want of memory"
        if reason == "unresponsive":
            return "platform, for its silence"
        if forced:
            return "platform"
        if slot.fault:
            return f"platform, on purpose ({slot.fault})"
        return "" if reason == "killed" else "itself"

    @staticmethod
    def _noticed(slot: Slot, reason: str, at: float) -> tuple[float | None, str]:
        if reason == "unresponsive" and slot.silences:
            return slot.silences[0], "from its first ping that was not answered until it was called unresponsive"
        if slot.fault.split(" ")[0] in AT_ONCE:
            return at - slot.fault_at, "from the fault, given on purpose, until its end was known"
        if slot.exceeded_at:
            return at - slot.exceeded_at, "from the notice of its limit until its end was known"
        return None, ""

    # --- what comes later

    def note(self, slot: Slot, event: lifecycle.Event) -> None:
        """An app's life has changed: it may be back, or given up."""
        with self._no_harm(slot):
            self._note(slot, event)

    def _note(self, slot: Slot, event: lifecycle.Event) -> None:
        for one in [one for one in self._open.values() if one.slot is slot]:
            if slot.state is State.RUNNING and one.brief.back_after is None and slot.ready_at:
                one.add_to_brief(back_after=max(0.0, slot.ready_at - one.brief.at), back_pid=slot.pid)
                self._put_off(one, AFTER)
                self._tell(one)
            elif slot.state in (State.FAILED, State.STOPPED) and not one.brief.gave_up:
                one.add_to_brief(gave_up=_why_not(slot, event))
                self._tell(one)

    def _put_off(self, one: _Open, seconds: float) -> None:
        """Look, after some seconds, whether it is complete."""
        number, now = one.brief.number, self._loop.time()
        one.over_at = max(one.over_at, now + seconds)
        if timer := self._timers.pop(number, None):
            timer.cancel()
        self._timers[number] = self._loop.call_at(one.over_at, self._look, one)

    def _look(self, one: _Open) -> None:
        brief = one.brief
        settled = brief.back_after is not None or brief.gave_up
        if settled or time.time() - brief.at > LATEST:
            self._complete(one)
        else:
            self._put_off(one, 1.0)

    def _complete(self, one: _Open) -> None:
        number = one.brief.number
        if self._open.get(number) is not one:
            return
        if timer := self._timers.pop(number, None):
            timer.cancel()
        self._look_again(one)
        one.add_to_brief(complete=True)
        del self._open[number]
        self._tell(one)
        self._file(one)

    def _look_again(self, one: _Open) -> None:
        """Take in what can be known by now."""

    # --- telling and keeping

    def _tell(self, one: _Open) -> None:
        brief = m.decode(self._scrubbed(m.encode(one.brief), self._known_tokens()), m.CrashBrief)
        self._briefs[brief.number] = brief
        while len(self._briefs) > self._most:
            del self._briefs[next(iter(self._briefs))]
        self._changed.add(brief.number)
        self._platform.touch_reports()

    def _file(self, one: _Open) -> None:
        self._store.later(self._put, one.report, self._known_tokens(), self._most)

    def _put(self, db: sqlite3.Connection, report: m.CrashReport, tokens: tuple[bytes, ...], most: int) -> None:
        """On the store's thread."""
        data = self._scrubbed(m.encode(report), tokens)
        brief = m.decode(self._scrubbed(m.encode(report.brief), tokens), m.CrashBrief)
        archive.put(db, self._session, brief, data)
        archive.prune(db, most, time.time() - self._settings.kept_seconds)

    @property
    def _most(self) -> int:
        on_disk = self._store.path is not None and not self._store.problem
        return self._settings.kept if on_disk else min(self._settings.kept, MOST_IN_MEMORY)

    def forget_token(self, token: str) -> None:
        """A token is replaced by another; what was said with it may still come into a report."""
        self._tokens.append(token.encode())

    def _known_tokens(self) -> tuple[bytes, ...]:
        now = [slot.token.encode() for slot in self._platform.slots.values()]
        return (self._platform.order.token.encode(), *now, *self._tokens)

    @staticmethod
    def _scrubbed(data: bytes, tokens: Iterable[bytes]) -> bytes:
        """JSON without any of these tokens, whatever field somebody has put them into."""
        for token in tokens:
            if token in data:
                data = data.replace(token, b"[token]")
        return data

    # --- begin and end

    async def resume(self, wish: m.Resumption) -> None:
        """Go on with the reports of the session that a lost supervisor held, and keep the one of its loss."""
        try:
            filed = await self._store.read(archive.briefs, self._session)
        except StoreError:
            filed = []
        self._briefs = {one.brief.number: one.brief for one in filed}
        if wish.lost is not None:
            self._briefs[wish.lost.brief.number] = wish.lost.brief
            self._store.later(self._put, wish.lost, self._known_tokens(), self._most)
        self._last = max(self._briefs, default=0)

    def end(self) -> None:
        """The platform stops: what is open is as complete as it will be."""
        for one in list(self._open.values()):
            self._complete(one)


def _why_not(slot: Slot, event: lifecycle.Event) -> str:
    """Why an app will not come back by itself."""
    if isinstance(event, lifecycle.GaveUp):
        return event.detail
    return "its first start failed" if slot.state is State.FAILED else "somebody has stopped it"
