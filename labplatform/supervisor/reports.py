"""Why apps died: a report for every end that nobody wanted, with what was known at that moment. Supervisor.

Begun before anything of the dead app is cleared away, told at once in brief, and put on disk. For some seconds more it
takes in what only then can be known: the host's last words, what neighbours felt, whether the app is back. How it reads
is told by `labplatform.reports`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

import msgspec

from .. import __version__
from .. import messages as m
from ..errors import BadRequest, StoreError
from ..glyph import glyph_of
from ..reports import archive, words
from . import endings, lifecycle, linux
from .breaking import AT_ONCE
from .fdc3.instances import RECENT
from .lifecycle import State
from .limits.tier import Breach
from .slot import Slot
from .spawn import HostProcess
from .store import Store

DOING = {
    "R": "running",
    "S": "waiting",
    "D": "waiting for a disk",
    "T": "stopped by a signal",
    "t": "stopped by a debugger",
    "Z": "dead",
}
"""What a process does, by the letter that Linux has for it."""
BEFORE = 1.0
"""Seconds before an end from which on it counts what its neighbours felt."""
SLACK = 0.5
"""Seconds that the answer to a ping may take on top of its interval and the sampler's."""
LATEST = 60.0
"""Seconds after which a report is complete, whatever may still come."""
MOST_IN_MEMORY = 50
"""Reports kept where no disk keeps them."""
LONGEST_ENTRY = 500
"""Characters of an entry of the log that go into a report, and of a detail."""
MOST_ROWS = 400
"""Rows of figures that a report has; of more, every second, or third."""
LARGEST_GLYPH = 8 << 10
"""Bytes of an app's glyph that go along with each of its reports."""
MOST_PEERS = 8
"""Receivers of one message that are named."""
LEFT_OUT = ("ready", "timer-fired", "ended", "exceeded", "traceback", "console")
"""Kinds of entries that say nothing about an end, or what is in the report elsewhere."""
BEFORE_THAT = 3600.0
"""Seconds for which earlier ends of the same app are counted."""
BY_THE_KERNEL = ("cgroup-v1", "cgroup-v2", "systemd")
KEPT_TOKENS = 1000
"""Tokens of former incarnations that are known still, and taken out of what is told."""


class _Open:
    """A report that is not complete."""

    def __init__(self, report: m.CrashReport, slot: Slot, host: HostProcess | None, neighbours: list[Slot]) -> None:
        self.report = report
        self.slot = slot
        self.host = host
        self.began = slot.began_at
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
        self._window = max(self._settings.after, platform.order.heartbeat.interval + platform.order.sampling + SLACK)

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
        self._do(self._look_into_files(one), "files of a report")
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
        kills = host.group.oom_kills() if host and slot.tier in BY_THE_KERNEL else 0
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
            detail=words.one_line(ending.detail, LONGEST_ENTRY),
            isolation=isolation,
            shared_with=slot.shared_with,
            uptime=slot.uptime,
            fault=slot.fault,
        )
        noticed_after, noticed = self._noticed(slot, reason, at)
        kept = self._kept(slot)
        return m.CrashReport(
            brief=brief,
            created=slot.processes[0].created if slot.processes else None,
            ready_at=slot.ready_at if brief.uptime is not None else None,
            exit=exit and msgspec.structs.replace(exit, by=exit.by or self._by(slot, reason, forced, kills > 0)),
            tier=slot.tier,
            limits=slot.limits,
            limit=breach.limit if breach else None,
            seen=breach.seen if breach else None,
            figures=self._figures(slot, at, slot.began_at),
            looks=slot.last_look,
            messages=tuple(self._messages(slot)),
            unheard=slot.session.unheard if slot.session else 0,
            fields=len(kept.fields) if kept else 0,
            hash=bool(kept and kept.hash),
            owed=self._owed(slot),
            console=tuple(line for line in slot.console if line.at >= slot.began_at),
            stderr=host.stderr_tail if host else "",
            traceback=self._traceback(slot, host, exit),
            picture=slot.picture,
            channel=self._channel(slot),
            bounds=slot.bounds if slot.has_page else None,
            evidence=tuple(self._evidence(slot, exit, breach, kills, at)),
            noticed_after=noticed_after,
            noticed=noticed,
            lab=__version__,
        )

    def _by(self, slot: Slot, reason: str, forced: bool, by_the_kernel: bool) -> str:
        """Who ended it, where that is known."""
        if reason in ("memory-limit", "process-limit"):
            return "kernel, for the limit" if by_the_kernel else "platform, for the limit"
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
                one.add(restored=slot.restored)
                self._put_off(one, self._settings.after)
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
        slot, at = one.slot, one.brief.at
        known = {(line.at, line.text) for line in one.report.evidence}
        logged = [line for line in self._logged(slot, at, one.began) if (line.at, line.text) not in known]
        one.add(
            figures=self._figures(slot, at, one.began),
            neighbours=tuple(self._neighbour(one, *neighbour) for neighbour in one.neighbours),
            evidence=tuple(sorted((*one.report.evidence, *logged), key=lambda line: line.at or at)),
        )

    def host_gone(self, host: HostProcess, exit: m.ReportedExit) -> None:
        """A host has ended, and its last words are in: those who were in it may have ended before."""
        for one in [one for one in self._open.values() if one.host is host]:
            with self._no_harm(one.slot):
                end = m.Evidence(at=time.time(), text=_end_in_words(exit))
                one.add(
                    stderr=host.stderr_tail,
                    traceback=one.report.traceback or self._traceback(one.slot, host, exit),
                    evidence=(*one.report.evidence, end),
                )

    # --- the evidence

    def _figures(self, slot: Slot, at: float, began: float) -> m.Recalled:
        figures = slot.history.recall(at - self._settings.span)
        rows = len(figures.columns["at"])
        step = 1 + rows // MOST_ROWS
        return m.Recalled(
            columns=_thinned(figures.columns, step),
            processes=tuple(
                msgspec.structs.replace(process, columns=_thinned(process.columns, step))
                for process in figures.processes
                # Those of what filled the place before are not what this is about.
                if process.columns["at"][-1] >= began
            ),
        )

    def _messages(self, slot: Slot) -> list[m.ReportedMessage]:
        router, epoch = self._platform.router, time.time() - time.perf_counter()
        places = {
            own: one.name for one in self._platform.slots.values() for own in (one.instance, one.service_instance)
        }
        own = {slot.instance, slot.service_instance}
        told: list[m.ReportedMessage] = []
        for instance_id in own:
            for passed in router.recent(instance_id):
                out = passed.sender is not None and passed.sender.id == instance_id
                others = passed.receivers if out else (passed.sender,) if passed.sender else ()
                names = [places.get(other.id) or other.app_id for other in others if other.id not in own]
                told.append(
                    m.ReportedMessage(
                        at=passed.at + epoch,
                        out=out,
                        peers=tuple(names[:MOST_PEERS]),
                        more_peers=max(0, len(names) - MOST_PEERS),
                        type=passed.type,
                        channel=passed.channel,
                        intent=passed.intent,
                        context_type=passed.context_type,
                        size=passed.size,
                    )
                )
        return sorted(told, key=lambda message: message.at)[-RECENT:]

    def _kept(self, slot: Slot) -> m.Kept | None:
        data = self._platform.keeping.kept_of(slot)
        try:
            return m.decode(data, m.Kept) if data else None
        except msgspec.MsgspecError:
            return None

    def _channel(self, slot: Slot) -> str | None:
        try:
            return self._platform.router.user_channel_of(slot.instance)
        except KeyError:
            return slot.user_channel

    def _owed(self, slot: Slot) -> tuple[str, ...]:
        router = self._platform.router
        return tuple(intent for own in {slot.instance, slot.service_instance} for intent in router.owed(own))

    @staticmethod
    def _traceback(slot: Slot, host: HostProcess | None, exit: m.ReportedExit | None) -> str:
        if slot.traceback or host is None or exit is None:
            return slot.traceback
        if exit.process == "host":
            return endings.python_stack(host.stderr_tail)
        return endings.javascript_stack(host.stderr_tail)

    def _evidence(
        self,
        slot: Slot,
        exit: m.ReportedExit | None,
        breach: Breach | None,
        kills: int,
        at: float,
    ) -> Iterator[m.Evidence]:
        if before := self._ends_before(slot, at):
            yield m.Evidence(at=slot.began_at, text=before)
        if breach:
            yield m.Evidence(at=slot.exceeded_at or at, text=breach.words, level="error")
        if kills:
            yield m.Evidence(at=at, text=f"its control group counts oom_kill: {kills}", level="error")
        if exit:
            yield m.Evidence(at=at, text=_end_in_words(exit))

    def _ends_before(self, slot: Slot, at: float) -> str:
        """In words, how it ended within the last hour before this."""
        reasons = [one.reason for one in self._briefs.values() if one.place == slot.name and at - one.at < BEFORE_THAT]
        if not reasons:
            return ""
        times = "once" if len(reasons) == 1 else f"{len(reasons)} times"
        return f"it had ended {times} before within the last hour: {words.listed(dict.fromkeys(reasons))}"

    def _logged(self, slot: Slot, at: float, began: float) -> Iterator[m.Evidence]:
        """What the platform's log has of it: before its end, and what followed."""
        for entry in self._platform.log.since(max(at - self._settings.span, began)):
            if entry.place == slot.name and entry.kind not in LEFT_OUT:
                words_of = entry.text.split("\n")[0][:LONGEST_ENTRY]
                text = words_of if entry.kind in ("fault", "remark") else f"{entry.kind}: {words_of}".rstrip(": ")
                yield m.Evidence(at=entry.time, text=text, level=entry.level)

    def _neighbour(self, one: _Open, other: Slot, incarnation: int, state: State) -> m.ReportedNeighbour:
        since, until = one.brief.at - BEFORE, one.brief.at + self._window
        ended = other.life.incarnation != incarnation or since <= other.ended_at <= until
        if ended:
            felt = "ended"
        elif state is State.UNRESPONSIVE or since <= other.silent_at <= until:
            felt = "silent"
        else:
            felt = "answered"
        lags = [] if ended else other.history.app.values(("page_lag", "gui_lag"), since, until)
        return m.ReportedNeighbour(
            place=other.name,
            title=other.manifest.title,
            color=other.manifest.look.color,
            felt=felt,
            lag=max(lags, default=None),
        )

    async def _look_into_files(self, one: _Open) -> None:
        """Its glyph; and how large what it has saved is, for its next page may save more in a moment."""
        with contextlib.suppress(StoreError):
            one.add(state_size=await self._platform.keeping.size(one.slot))
        one.add(glyph=await asyncio.to_thread(glyph_of, one.slot.manifest, LARGEST_GLYPH))

    def _do(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def look_at(self, slot: Slot) -> None:
        """An app is about to be ended for its silence: what are its processes doing?"""
        percent = {row.pid: row.cpu for row in slot.processes}
        looked = []
        for role, pid in (("host", slot.pid), ("renderer", slot.renderer)):
            with contextlib.suppress(OSError, ValueError, IndexError):
                if pid:
                    doing = DOING.get(linux.Stat(pid).state, "doing something unusual")
                    looked.append(m.ReportedLook(role=role, pid=pid, doing=doing, cpu=percent.get(pid)))
        slot.last_look = tuple(looked)

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
            self._keep_loss(wish.lost)
        self._last = max(self._briefs, default=0)

    def resumed(self, wish: m.Resumption) -> None:
        """The apps of that session are on their way back."""
        if wish.lost is not None:
            self._do(self._watch_return(wish.lost), "return of a lost platform")

    def _keep_loss(self, report: m.CrashReport) -> None:
        self._briefs[report.brief.number] = report.brief
        self._changed.add(report.brief.number)
        self._store.later(self._put, report, self._known_tokens(), self._most)
        self._platform.touch_reports()

    async def _watch_return(self, report: m.CrashReport) -> None:
        coming = (State.STARTING, State.BACKING_OFF)
        deadline = self._loop.time() + LATEST
        for slot in list(self._platform.slots.values()):
            await self._platform.until(slot, lambda slot: slot.state not in coming, deadline - self._loop.time())
        found = {"back_after": max(0.0, time.time() - report.brief.at), "back_pid": os.getpid(), "complete": True}
        brief = msgspec.structs.replace(report.brief, **found)
        self._keep_loss(msgspec.structs.replace(report, brief=brief))

    def end(self) -> None:
        """The platform stops: what is open is as complete as it will be."""
        for task in self._tasks:
            task.cancel()
        for one in list(self._open.values()):
            self._complete(one)


def _why_not(slot: Slot, event: lifecycle.Event) -> str:
    """Why an app will not come back by itself."""
    if isinstance(event, lifecycle.GaveUp):
        return event.detail
    return "its first start failed" if slot.state is State.FAILED else "somebody has stopped it"


def _thinned(columns: dict[str, m.Column], step: int) -> dict[str, m.Column]:
    """Every so many rows, counted from the last."""
    return {name: column[::-step][::-1] for name, column in columns.items()} if step > 1 else columns


def _end_in_words(exit: m.ReportedExit) -> str:
    how = f"died of {exit.signal}" if exit.signal else f"ended with exit code {exit.code}"
    return f"{exit.process} {exit.pid or ''} {how}".replace("  ", " ")
