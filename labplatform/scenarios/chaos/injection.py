"""One fault, from its beginning until what it struck is back, or its time is over. Kernel.

An injection is a generator: it yields wherever it waits, and the run asks it again and again, so that several may be
under way at once and an interrupt finds every one of them between two steps. What happened when, it takes from the
platform's log, which the supervisor writes; only the beginning of faults that are no request of their own is this
side's.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ... import messages as m
from ...connection import Asked, Connection
from ...errors import LabError, SupervisorLost
from ...kernel.app import App
from ...kernel.platform import Platform
from ...manifest import ResourceLimits
from ..silence import COMPUTE
from .plan import CRASHES, SUPERVISOR, Planned
from .report import Row

LEAK = """setTimeout(async () => {
    window.kept = [];
    for (let number = 1; number <= 60; number++) {
        kept.push(new Uint8Array(1e7).fill(number));
        await new Promise((next) => setTimeout(next, 5));
    }
}, 0); 0"""
"""Takes 600 MB, ten at a time; it is ended long before that."""
ROOM = 60_000_000
"""Bytes that an app may still take when it is given the limit that it is to go over."""
SETTLES = 1.0
"""Seconds in which an app that has just come up grows to what it is to have."""
CLOSE = "setTimeout(() => window.close(), 0); 0"
LOOK = """(async () => {
    const state = globalThis.lab ? JSON.stringify(await lab.getState()) : "null";
    const channel = (await globalThis.fdc3?.getCurrentChannel())?.id ?? null;
    return [state, channel, globalThis.lab?.restored?.age ?? null, globalThis.lab?.restored?.aside ?? false];
})()"""
LOOK_SECONDS = 5.0
"""Seconds that a page may take to say what it keeps."""
COMPUTED_AT_MOST, LONGER = 4, 1.25
"""How often a page computes until that is noticed, each time so many times as long as before."""
MOMENT = 1.0
"""Seconds by which the log may come later than an answer."""
DOWN = ("stopped", "failed")

Waiting = Iterator[None]


class Injection:
    """One planned fault on its way. `row()` says what is known of it so far; `over`, that nothing more will come.

    `since`, `until`: when it began and when all was back, in seconds since the epoch; 0 before that. `ended`: when it
    was over, one way or the other.
    `beside`: apps that were struck by another fault meanwhile.
    """

    def __init__(self, platform: Platform, planned: Planned, number: int, began: float, timeout: float) -> None:
        self.planned = planned
        self.since = self.until = self.ended = 0.0
        self.beside: set[str] = set()
        self.over = False
        self._platform = platform
        self._timeout = timeout
        self._asked: list[tuple[Connection, Asked]] = []
        self._entries: list[m.Entry] = []
        self._behind = 0
        self._mend: list[Callable[[], None]] = []
        self._computed = 0
        self._computes_until = 0.0
        self._row = Row(number=number, at=time.time() - began, fault=planned.fault, app=planned.app)
        self._steps = self._supervisor() if planned.fault == SUPERVISOR else self._strike()

    # --- what the run asks for

    def step(self) -> None:
        """Go on as far as can be without waiting. Never raises a `LabError`: that is an entry of the table."""
        try:
            next(self._steps)
        except StopIteration:
            self.over = True
        except LabError as error:
            self.note(problem=error.message)
            self.over = True
        if self.over:
            self.ended = self.until or time.time()
            self.leave()

    def hear(self, entries: list[m.Entry]) -> None:
        """New lines of the platform's log."""
        until = self.ended or float("inf")
        self._entries += (entry for entry in entries if entry.seq > self._behind and entry.time <= until)

    def note(self, **facts: Any) -> None:
        """Add to its row."""
        self._row = msgspec.structs.replace(self._row, **facts)

    def leave(self) -> None:
        """Undo what it had set up, and wait for no answer any more. Does not wait."""
        for _, asked in list(self._asked):
            self._forget(asked)
        mend, self._mend = self._mend, []
        for one in mend:
            one()

    @property
    def row(self) -> Row:
        """What is known of it so far."""
        return self._row

    @property
    def broken(self) -> bool:
        """Whether it has begun, and not all that it struck is back."""
        return bool(self.since) and not self.until

    def along(self) -> tuple[str, ...]:
        """Other apps that fell silent or ended since it began."""
        found = [entry.place for entry in self._entries if entry.state in ("unresponsive", "crashed")]
        return tuple(dict.fromkeys(place for place in found if place and place != self.planned.app))

    # --- a fault of an app

    def _strike(self) -> Waiting:
        app, fault = self._platform[self.planned.app], self.planned.fault
        yield from self._until_up(app)
        looked = time.time()
        before = yield from self._look(app)
        incarnation = app.incarnation
        self._from_now()
        yield from self._begin(app, fault)
        if not self.since:
            return
        deadline = time.monotonic() + self._timeout
        slow = fault == "slow"

        def noticed() -> m.Entry | None:
            return self._first(app, *(("recycled", "ended") if fault == "recycle" else ("silent", "exceeded", "ended")))

        def back() -> m.Entry | None:
            ready = self._first(app, "ready")
            return ready or (self._first(app, "answered") if slow else None)

        while time.monotonic() < deadline and not noticed():
            if self._refused():
                # What it is refused for may stand in the log a moment later.
                deadline = min(deadline, time.monotonic() + MOMENT)
            if slow and self._computed < COMPUTED_AT_MOST and time.time() > self._computes_until + MOMENT:
                # Pings come late on a machine that is busy, and it was through before it had missed enough of them.
                self._compute(app)
            yield
        if not (found := noticed()):
            self.note(problem=self._refused() or f"not noticed within {self._timeout:g} s; it is {app.state}")
            return
        self.note(noticed=max(0.0, found.time - self.since))
        deadline = max(deadline, time.monotonic() + self._timeout / 2)
        restarted: Asked | None = None
        while time.monotonic() < deadline and not back():
            if app.state in DOWN and restarted is None and self._first(app, "ended"):
                # A window that was closed stays so, and a policy may have had enough.
                restarted = self._ask(m.Restart, place=app.name, timeout=self._timeout)
                self.note(by_hand=True)
                deadline = max(deadline, time.monotonic() + self._timeout)
            yield
        ended = self._first(app, "ended")
        if ended or app.incarnation != incarnation:
            self.note(reason=app.reason or "", detail=app.detail)
        if not (found := back()):
            why = self._why(restarted)
            self.note(problem=f"not back: it is {app.state}" + (f", {app.detail}" if app.detail else "") + why)
            return
        self.until = found.time
        self.note(back=self.until - self.since, backoff=self._backoff(app))
        after = yield from self._look(app)
        self._compare(before, after, self.since + self._row.noticed - looked)

    def _begin(self, app: App, fault: str) -> Waiting:
        """Commit it. It has begun once `since` is set."""
        if fault in CRASHES:
            self._ask(m.Crash, place=app.name, how=fault, timeout=self._timeout)
            yield from self._until(lambda: self._first(app, "fault") or self._refused())
            if entry := self._first(app, "fault"):
                self.since = entry.time
            else:
                self.note(problem=self._refused() or "it could not be struck")
            return
        if fault == "memory-limit":
            yield from self._narrow(app)
            if self._row.problem:
                return
        if fault == "recycle":
            self._ask(m.Recycle, place=app.name, timeout=self._timeout)
            yield from self._until(lambda: self._first(app, "recycled") or self._refused())
            if entry := self._first(app, "recycled"):
                # Until then it was prepared, and the app ran on.
                self.since = entry.time
            else:
                self.note(problem=self._refused() or "it was not recycled")
            return
        if fault == "slow":
            self._compute(app)
            return
        self.since = time.time()
        code = {"memory-limit": LEAK, "window-close": CLOSE}[fault]
        self._ask(m.Evaluate, place=app.name, code=code, timeout=self._timeout)

    def _compute(self, app: App) -> None:
        """Let its page compute; each time again somewhat longer."""
        seconds = self._slow_seconds(app) * LONGER**self._computed
        self._computed += 1
        self.since = time.time()
        self._computes_until = self.since + seconds
        self._ask(m.Evaluate, place=app.name, code=COMPUTE % (1000 * seconds), timeout=self._timeout)

    def _narrow(self, app: App) -> Waiting:
        """Give it a limit close above what it uses; what held before is put back when this is over."""
        # One that has just started still grows, and a figure of a moment ago would be too low for it.
        began = time.time()
        yield from self._until(lambda: app.state != "running" or (app.metrics and app.metrics.at > began + SETTLES))
        former = app.limits.max_memory

        def widen() -> None:
            if connection := self._platform._connection:
                changes = ResourceLimits(max_memory=former)
                lifted = () if former else ("max_memory",)
                connection.tell(m.SetLimits, place=app.name, changes=changes, lifted=lifted)

        self._mend.append(widen)
        # An app that uses little is given what an empty one needs at least.
        least = 0
        for _ in range(2):
            changes = ResourceLimits(max_memory=max(app.usage.memory, least) + ROOM)
            asked = self._ask(m.SetLimits, place=app.name, changes=changes)
            yield from self._until(asked.answer.done)
            least = _detail(asked).get("least", 0)
            if not least:
                break
            self._forget(asked)
        if refused := self._refused():
            self.note(problem=refused)

    def _slow_seconds(self, app: App) -> float:
        """Long enough to be taken for hung, and not so long as to be ended for it."""
        beat = self._platform._heartbeat
        # Pings count less where an app has to wait for its CPU limit, as one that computes has.
        percent = app.limits.max_cpu if app.enforcement.tier != "off" else None
        slower = max(1.0, 100 / percent) if percent else 1.0
        return slower * beat.interval * (1 + (beat.silent_after + beat.ended_after) / 2)

    # --- the supervisor's own end

    def _supervisor(self) -> Waiting:
        platform = self._platform
        names = tuple(app.name for app in platform.apps if app.state not in DOWN)
        looked, before = time.time(), {}
        for name in names:
            before[name] = yield from self._look(platform[name])
        pid = platform.supervisor_pid
        if pid is None:
            self.note(problem=f"the platform is {platform.state}")
            return
        self.since = time.time()
        os.kill(pid, signal.SIGKILL)
        yield from self._until(lambda: platform.supervisor_pid != pid or platform.state == "lost")
        # From the log, where it stands with the time at which it was written.
        lost = next((e for e in platform.events if e.kind == "platform" and e.time >= self.since), None)
        if lost is None:
            self.note(problem=f"not noticed within {self._timeout:g} s")
            return
        self.note(noticed=lost.time - self.since, reason="killed", detail="the supervisor was lost", along=names)
        yield
        platform.restart(timeout=self._timeout)
        self.until = time.time()
        self.note(back=self.until - self.since, by_hand=not platform._recovery.auto)
        for name in names:
            after = yield from self._look(platform[name])
            self._compare(before[name], after, self.since - looked)

    # --- asking

    def _ask(self, kind: type, **fields: Any) -> Asked:
        connection: Connection | None = self._platform._connection
        if connection is None:
            raise SupervisorLost("the platform is not connected")
        asked = connection.begin(kind, **fields)
        self._asked.append((connection, asked))
        return asked

    def _forget(self, asked: Asked) -> None:
        for connection, one in list(self._asked):
            if one is asked:
                self._asked.remove((connection, one))
                connection.cancel(asked)

    def _from_now(self) -> None:
        """What the log has said so far is not this fault's doing."""
        self._entries.clear()
        self._behind = self._platform.events[-1].seq if self._platform.events else 0

    def _refused(self) -> str:
        """What the platform said against it, if it did."""
        for _, asked in self._asked:
            if why := _error(asked):
                return why
        return ""

    @staticmethod
    def _why(asked: Asked | None) -> str:
        why = _error(asked) if asked else ""
        return f"; {why}" if why else ""

    def _until(self, met: Callable[[], Any]) -> Waiting:
        deadline = time.monotonic() + self._timeout
        while not met() and time.monotonic() < deadline:
            yield

    def _until_up(self, app: App) -> Waiting:
        """Wait until it runs; an earlier fault may have left it down."""
        restarted: Asked | None = None
        deadline = time.monotonic() + self._timeout
        while app.state != "running" and time.monotonic() < deadline:
            if app.state in DOWN and restarted is None:
                restarted = self._ask(m.Restart, place=app.name, timeout=self._timeout)
            yield
        if app.state != "running":
            raise LabError(f"not struck: it is {app.state}" + self._why(restarted))

    def _look(self, app: App) -> Iterator[Any]:
        """What the page keeps: its state as JSON, its user channel, how old the state was when it was restored."""
        if app.url is None:
            return None
        asked = self._ask(m.Evaluate, place=app.name, code=LOOK, timeout=LOOK_SECONDS)
        yield from self._until(asked.answer.done)
        self._forget(asked)
        try:
            return m.decode(asked.answer.result(0), Any)
        except (LabError, TimeoutError):
            return None

    def _compare(self, before: Any, after: Any, since: float) -> None:
        """What was there again; `since`: how long before its end it was looked at. Of several apps one may lose it."""
        if not before or not after:
            return
        state, channel, *_ = before
        if after[3] and state != "null":
            self.note(aside=True)
        elif state != "null":
            # It may have saved once more between the look at it and its end.
            newer = after[0] != "null" and after[2] is not None and after[2] < since
            kept = json.loads(after[0]) == json.loads(state) or newer
            self.note(state=kept and self._row.state is not False)
        if channel is not None:
            self.note(channel=after[1] == channel and self._row.channel is not False)

    def _backoff(self, app: App) -> float:
        """Seconds that its policy had it wait."""
        waits = [e.event["delay"] for e in self._entries if e.place == app.name and e.kind == "backed-off"]
        return sum(waits)

    def _first(self, app: App, *kinds: str) -> m.Entry | None:
        return next((entry for entry in self._entries if entry.place == app.name and entry.kind in kinds), None)


def _detail(asked: Asked) -> dict[str, Any]:
    error = asked.answer.exception() if asked.answer.done() else None
    return error.detail if isinstance(error, LabError) else {}


def _error(asked: Asked) -> str:
    if not asked.answer.done() or asked.answer.cancelled():
        return ""
    error = asked.answer.exception()
    return getattr(error, "message", str(error)) if error else ""
