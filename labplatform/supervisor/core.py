"""The supervisor itself: carries out what the lifecycle decides, and tells the lifecycle what happened.

Runs on the supervisor's one event loop, which nothing here blocks. Parts that can be thought of alone live in files of
their own: `lifecycle` decides, `launching` brings apps up, `hosts` says what runs where and how it ends, `watch` pings
and samples, `server` is the door, `requests` answers controllers, `fdc3` routes between apps, `resolving` asks people.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from .. import messages as m
from ..machine import sandbox_of
from ..manifest import Manifest, origin_of
from . import boundary, endings, lifecycle, limits, linux
from .bridge import Bridges
from .desk import PlatformDesk
from .fdc3.desk import Deadlines
from .fdc3.router import Router
from .heartbeats import Heartbeats
from .hosts import Hosts
from .keeping import Keeping
from .launching import Launching
from .lifecycle import State
from .limits.tier import Breach
from .limits.wanted import Judge
from .log import Log
from .notebooks import NotebookSpeaker
from .pages import PageSpeaker
from .peer import CLOSE_GONE
from .pictures import Pictures
from .recycling import Recycling
from .remembering import Remembering
from .reports import Reports
from .requests import ControllerSpeaker
from .resolving import Resolving
from .roster import Roster
from .server import Door, same
from .slot import Slot
from .spawn import HostProcess
from .store import Store
from .traffic import Traffic
from .watch import Watch
from .workspaces import Workspaces

AGENT_GRACE = 5.0
"""Seconds after its page has loaded that the page agent may take to connect, before the app counts as ready without."""
CLOSE_WORDS = 120
"""Bytes of the reason why a connection is closed; a WebSocket takes 123."""
STOP_GRACE = 1.0
"""Seconds that apps get to close when the whole platform stops or its controller is gone."""


class Supervisor:
    """One platform."""

    def __init__(self, order: m.SupervisorOrder) -> None:
        self.order = order
        self.manifests: dict[str, Manifest] = dict(order.manifests)
        self.slots: dict[str, Slot] = {}
        self.former: dict[str, int] = {}
        self.notebooks: dict[str, NotebookSpeaker] = {}
        self.notebooks_cut_off: dict[str, str] = {}
        self.launching = Launching(self)
        deadlines = Deadlines(resolver=order.resolver_timeout)
        self.desk = PlatformDesk(self, deadlines)
        self.resolving = self.desk.resolver = Resolving(self, deadlines.resolver)
        self.router = Router(self.desk, deadlines)
        self.traffic = Traffic(self)
        self.log = Log(self._new_entry, order.resume.log_behind if order.resume else 0)
        self.store = Store(
            Path(order.store) if order.store else None,
            lambda text: self.log.remark(text, kind="store", level="warning"),
        )
        self.keeping = Keeping(self, self.store)
        self.roster = Roster(self, self.store)
        self.workspaces = Workspaces(self, self.store)
        self.reports = Reports(self, self.store)
        self.remembering = Remembering(self, self.store)
        self.controllers = ControllerSpeaker(self)
        self.door = Door(
            self._admit, lambda text: self.log.remark(text, kind="connection", level="warning"), order.max_message
        )
        self.bridges = Bridges(self)
        self.finished = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._session = Path(order.folder) / f"platform-{os.getpid()}"
        self._entries: list[m.Entry] = []
        self._changed: set[str] = set()
        self._gone: list[str] = []
        self._metrics: m.PlatformMetrics | None = None
        self._flushing = False
        self.stopping = False
        self._stopped_by = ""
        self.lost = ""
        """Why this platform ends though nobody wanted it to; it may be brought back then. Empty otherwise."""
        self._ending: asyncio.Task[None] | None = None
        self.hosts = Hosts(self, self._session)
        self.recycling = Recycling(self, order.recycle_at_once)
        self.watch = Watch(self, self.hosts)
        self.heartbeats = Heartbeats(self)
        self.pictures = Pictures(self)

    # --- start and stop

    async def start(self) -> None:
        """Open the door and begin to watch."""
        self._session.mkdir(mode=0o700, exist_ok=True)
        self.store.start()
        self.limits, self.why_no_better = await limits.choose(self.order.limits, self._session)
        self.limits_judge = Judge(self.limits.needs)
        for remark in self.order.remarks:
            self.log.remark(remark, kind="manifest", level="warning")
        self.boundary = await asyncio.to_thread(boundary.choose, self.order.boundary, self._session)
        await self.door.open()
        self.watch.start()
        self.heartbeats.start()
        self.pictures.start()
        self.roster.start()
        self.remembering.start()
        if self.order.resume:
            await self.reports.resume(self.order.resume)
            await self.roster.resume(self.order.resume)
            self.reports.resumed(self.order.resume)

    def begin_stop(self, grace: float, by: str) -> asyncio.Task[None]:
        """End every app and then the platform, in a task of its own; asked again, the same one."""
        if self._ending is None:
            self._ending = self._loop.create_task(self.stop(grace, by))
        return self._ending

    async def stop(self, grace: float = STOP_GRACE, by: str = "the platform's stop") -> None:
        """End every app, then say so; nothing is left when this returns."""
        if not self.stopping:
            self.stopping = True
            self._stopped_by = by
            if self.lost or (self.order.resume and not self.controllers.came):
                self.roster.leave()
            self.resolving.close()
            for slot in self.slots.values():
                self.feed(slot, lifecycle.StopAsked(at=time.time(), by=by, grace=grace))
        self.recycling.stop()
        deadline = self._loop.time() + grace + 3
        for slot in list(self.slots.values()):
            await self.until(slot, lambda slot: not slot.live, deadline - self._loop.time())
        await self.hosts.end_all(2)
        self.watch.stop()
        self.heartbeats.stop()
        self.pictures.stop()
        await self.limits.close()
        self.reports.end()
        if self.roster.left:
            self.remembering.leave()
        else:
            self.keeping.end()
            self.roster.end()
            self.remembering.end()
        await self.store.close()
        self.finished.set()

    def stopped_by(self) -> str:
        """Why its connections are closed, in as many words as fit there."""
        words = m.STOPPED_BY + self._stopped_by if self._stopped_by else m.STOPPED
        return words.encode()[:CLOSE_WORDS].decode(errors="ignore")

    # --- the lifecycle's two directions

    def feed(self, slot: Slot, event: lifecycle.Event) -> None:
        """Let an event act on an app: new state, log entry, actions."""
        was = slot.life
        slot.life, actions = lifecycle.step(was, event)
        if slot.life is was and not actions:
            return
        if slot.life.state is not was.state:
            slot.since = event.at
            if slot.state is State.UNRESPONSIVE:
                slot.silent_at = event.at
        self.log.lifecycle(slot.name, slot.instance, was.state, slot.life, event)
        self.roster.note(slot)
        self.reports.note(slot, event)
        self.touch(slot)
        for action in actions:
            self._carry_out(slot, action)
        if slot.life.state in (State.STOPPED, State.FAILED) and slot.host:
            self.hosts.leave(slot, slot.host)
        for watcher in slot.watchers:
            if not watcher.done():
                watcher.set_result(None)

    def _carry_out(self, slot: Slot, action: lifecycle.Action) -> None:
        match action:
            case lifecycle.SetAside(why):
                self.keeping.set_aside(slot, why)
            case lifecycle.Place():
                slot.new_incarnation()
                self.hosts.place(slot)
            case lifecycle.Close():
                if slot.host:
                    slot.host.send(m.CloseInstance(place=slot.name))
                    if not any(other is not slot and other.live for other in self.hosts.tenants(slot.host)):
                        # It ends with its last window, so nobody new may be put into it.
                        self.hosts.retire(slot.host)
                else:
                    self.ended(slot, endings.Ending("clean-exit", "it was asked to stop before it had a process"))
            case lifecycle.End(reason, detail):
                if reason == "unresponsive":
                    self.reports.look_at(slot)
                if reason == "launch-failed":
                    detail = f"{detail}; {slot.awaited}"
                self.hosts.end(slot, endings.Ending(reason, detail))
            case lifecycle.Arm(timer, seconds):
                self.arm(slot, timer, seconds)
            case lifecycle.Disarm(timers):
                for timer in timers:
                    if handle := slot.timers.pop(timer, None):
                        handle.cancel()
            case lifecycle.Follow(event):
                self.feed(slot, event)

    def arm(self, slot: Slot, timer: str, seconds: float) -> None:
        """Feed `TimerFired(timer)` after some seconds, if the incarnation is still the same."""
        if handle := slot.timers.pop(timer, None):
            handle.cancel()
        incarnation = slot.life.incarnation

        def fire() -> None:
            slot.timers.pop(timer, None)
            self.feed(slot, lifecycle.TimerFired(at=time.time(), timer=timer, incarnation=incarnation))

        slot.timers[timer] = self._loop.call_later(seconds, fire)

    def ended(
        self,
        slot: Slot,
        ending: endings.Ending,
        exit: m.ReportedExit | None = None,
        host: HostProcess | None = None,
    ) -> None:
        """The process or page of an app is gone. `exit`: how it ended; `host`: what it was in, if it is no longer."""
        slot.ended_at = time.time()
        self.remembering.ended(slot)
        forced = slot.doom is not None
        if slot.doom is not None:
            ending, slot.doom = slot.doom, None
        self.reports.ended(slot, ending, exit, host or slot.host, forced)
        if slot.page:
            slot.page.cut("this instance has ended", CLOSE_GONE)
            slot.page = None
        slot.user_channel = self.user_channel(slot)
        coming_back = slot.life.recycling and slot.life.start_again
        self.keeping.ended(slot, coming_back)
        if coming_back:
            self.router.expect_back(slot.instance)
        else:
            self.disconnect(slot.instance)
        slot.loaded = False
        slot.dialog = None
        slot.devtools = False
        slot.processes = ()
        if slot.host in self.hosts.dying:
            # Accounted for; what its former process still does is not this app's any more.
            slot.host = None
        if slot.host is None and not (coming_back and slot.service_instance == slot.instance):
            self.disconnect(slot.service_instance)
        event = lifecycle.Ended(
            at=time.time(),
            incarnation=slot.life.incarnation,
            reason=ending.reason,
            detail=ending.detail[: m.MAX_TEXT],
            chance=random.random(),
            # What somebody broke on purpose says nothing of what it had been given.
            restored=slot.given_back and not slot.fault,
        )
        self.feed(slot, event)

    def disconnect(self, instance_id: str) -> None:
        """An instance has ended for good: what it took part in hears so, and nobody is to choose it any more."""
        self.router.disconnect(instance_id)
        self.resolving.ended(instance_id)

    def user_channel(self, slot: Slot) -> str | None:
        """Which one an app is on, or was on when it ended, or is to begin on."""
        try:
            return self.router.user_channel_of(slot.instance)
        except KeyError:
            return slot.user_channel

    def join_channel(self, slot: Slot) -> None:
        """An app's new incarnation has connected: it begins on its user channel, if it has one."""
        if slot.user_channel is None:
            return
        try:
            self.router.join(slot.instance, slot.user_channel)
        except KeyError:
            there = ", ".join(channel["id"] for channel in self.router.user_channels)
            text = f"there is no user channel {slot.user_channel!r} for it to begin on; there are: {there}"
            self.log.remark(text, kind="fdc3", place=slot.name, level="warning")

    def exceeded(self, slot: Slot, breach: Breach) -> None:
        """An app went over a limit for which it is ended."""
        slot.exceeded_at = slot.exceeded_at or time.time()
        event = lifecycle.Exceeded(
            at=time.time(), incarnation=slot.life.incarnation, reason=breach.reason, detail=breach.words
        )
        self.feed(slot, event)

    def ready_if_so(self, slot: Slot) -> None:
        """Ready is: loaded, and its agent connected; but a page that is not at home has no agent."""
        if slot.state is State.STARTING and slot.loaded and (slot.page or not slot.has_page):
            self._ready(slot)

    def _ready(self, slot: Slot) -> None:
        slot.ready_at = time.time()
        # Only now: a renderer that has just been forked has not closed its sandbox yet.
        slot.sandbox = self._sandbox_of(slot)
        self.feed(slot, lifecycle.Ready(at=slot.ready_at, incarnation=slot.life.incarnation))

    def _sandbox_of(self, slot: Slot) -> m.SandboxInfo:
        host = slot.host
        if slot.renderer and host:
            found = sandbox_of(slot.renderer, host.pid)
        else:
            found = m.SandboxInfo(why="no renderer process")
        around = self.hosts.boundary_of(host) if host else None
        if around and around.kind == "landlock" and found.seccomp and not found.pid_namespace and not found.why:
            # They take a line written to /proc, and who may write there may do harm to its neighbours.
            found = msgspec.structs.replace(found, why="within Landlock, Chromium can make no namespaces of its own")
        return msgspec.structs.replace(found, boundary=around)

    # --- what hosts say

    def from_host(self, host: HostProcess, message: Any) -> None:
        if isinstance(message, m.HostUp):
            self._host_up(host)
            return
        if isinstance(message, m.HostPong):
            host.answered(message.seq)
            self.watch.host_answered(host, message.seq)
            return
        if isinstance(message, m.HostResult):
            self.controllers.host_result(message)
            return
        slot = self.slots.get(message.place)
        if isinstance(message, m.Remark):
            self.log.remark(message.text, place=message.place or None, level=message.level)
            return
        if slot is None or slot.host is not host:
            return
        if isinstance(message, m.FromService):
            self._from_service(slot, message)
        elif message.incarnation == slot.life.incarnation:
            if isinstance(message, m.FromBridge):
                self.bridges.take(slot, host, message)
            else:
                self._about(slot, message)

    def _host_up(self, host: HostProcess) -> None:
        if host.found():
            for slot in self.hosts.tenants(host):
                slot.pid = host.pid
                self.touch(slot)
        else:
            self.hosts.kill(host)

    def _from_service(self, slot: Slot, message: m.FromService) -> None:
        data = bytes(message.message)
        if len(data) > self.order.max_message:
            text = f"a message from its Python side was over {self.order.max_message} bytes, and went to nobody"
            self.log.remark(text, place=slot.name, level="warning")
            return
        try:
            self.router.receive(slot.service_instance, data)
        except msgspec.DecodeError as error:
            self.log.remark(f"a message from its Python side was not understood: {error}", place=slot.name)

    def _about(self, slot: Slot, message: Any) -> None:
        match message:
            case m.InstanceLoaded(problem=problem, url=url):
                self._loaded(slot, problem, url)
            case m.InstanceClosed(by=by):
                self._closed(slot, by)
            case m.WindowMoved(bounds=bounds):
                slot.bounds = bounds
                self.roster.note_later(slot)
            case m.RendererStarted(pid=pid):
                slot.renderer = slot.host.machine_pid(pid) or None
                self.touch(slot)
            case m.RendererGone(status=status, code=code):
                self._renderer_gone(slot, status, code)
            case m.ServiceFailed(traceback=text):
                last = text.strip().splitlines()[-1]
                self._service_failed(slot, text, last)
            case m.PagePong(seq=seq):
                self.watch.page_answered(slot, seq)
            case m.DialogChanged(text=text):
                slot.dialog = text or None
                self.watch.excuse(slot)
                self.log.remark(f"dialog: {text}" if text else "dialog closed", kind="dialog", place=slot.name)
                self.touch(slot)
            case m.DevtoolsChanged(open=shown):
                slot.devtools = shown
                self.watch.excuse(slot)
                text = "its developer tools are open: what they use counts for it, and its page may stand still"
                self.log.remark(text if shown else "its developer tools are closed", kind="devtools", place=slot.name)
            case m.WindowAnswer():
                self.resolving.answered_in_window(slot, message)
            case m.Console(level=level, text=text, source=source):
                slot.console.append(m.ReportedLine(at=time.time(), level=level, text=text, source=source))
                if level == "error" and slot.may_complain():
                    self.log.remark(f"{text} ({source})", kind="console", place=slot.name, level="warning")

    def _loaded(self, slot: Slot, problem: str, url: str) -> None:
        if slot.state is not State.STARTING:
            slot.url = url or slot.url
            return
        if problem:
            self.hosts.end(slot, endings.Ending("launch-failed", problem))
            return
        slot.loaded, slot.url = True, url or None
        self.ready_if_so(slot)
        if slot.state is not State.STARTING:
            return
        origin, home = origin_of(url), slot.manifest.origin
        if origin != home:
            away = f"its page has gone to {origin or url[: m.MAX_URL]}, where it has no agent: that is for {home} alone"
            self._ready_without_agent(slot, away)
            return
        incarnation = slot.life.incarnation

        def without_agent() -> None:
            if slot.life.incarnation == incarnation and slot.state is State.STARTING and slot.loaded:
                self._ready_without_agent(slot, f"its page has not connected within {AGENT_GRACE:g} s")

        self._loop.call_later(AGENT_GRACE, without_agent)

    def _ready_without_agent(self, slot: Slot, why: str) -> None:
        self.log.remark(f"{why}; its host answers for it", place=slot.name, level="warning")
        self._ready(slot)

    def _closed(self, slot: Slot, by: str) -> None:
        slot.closed_by = by
        slot.window_open = False
        host = slot.host
        if host and self.hosts.tenants(host) != [slot]:
            # The host lives on for the others; this app's end is the closing of its window.
            slot.host = None
            slot.shared_with = ()
            self.hosts.share_names(host)
            self.ended(slot, endings.host_ending(0, by))
        elif host:
            self.hosts.retire(host)

    def _renderer_gone(self, slot: Slot, status: str, code: int) -> None:
        if not slot.live:
            return
        host = slot.host
        ending = endings.renderer_ending(status, code, host.stderr_tail[-4000:] if host else "")
        if host:
            ending = self.hosts.explain(host, ending)
        exit = endings.renderer_exit(slot.renderer, status, code)
        slot.renderer = None
        if host and host.order.isolation == "process":
            # Nothing of worth is left in it; a fresh process is the cleaner start.
            self.hosts.kill(host)
        self.ended(slot, ending, exit)

    def _service_failed(self, slot: Slot, text: str, last: str) -> None:
        self.log.remark(f"its Python side raised:\n{text}", kind="traceback", place=slot.name, level="error")
        slot.traceback = text
        if slot.has_page and slot.state is not State.STARTING:
            return
        host = slot.host
        slot.doom = endings.Ending(
            "launch-failed" if slot.state is State.STARTING else "abnormal-exit", f"its Python side raised: {last}"
        )
        if host and self.hosts.tenants(host) == [slot]:
            self.hosts.kill(host)
        elif host:
            self.hosts.close_in_shared(slot, host)

    # --- who may speak, and what is told

    def _admit(self, hello: m.Hello) -> tuple[Any, str] | None:
        if hello.role == "controller":
            return (self.controllers, "a controller") if same(hello.token, self.order.token) else None
        if hello.role == "notebook":
            speaker = NotebookSpeaker(self, hello)
            return (speaker, f"the desktop agent of {speaker.title}") if same(hello.token, self.order.token) else None
        for slot in self.slots.values():
            if slot.live and same(hello.token, slot.token):
                return PageSpeaker(self, slot, hello), f"the page of {slot.name}"
        return None

    def slot_of(self, instance_id: str | None) -> Slot | None:
        """The place of an instance, be it a page or a Python side; `None` if it has none here."""
        if not instance_id:
            return None
        return next((one for one in self.slots.values() if instance_id in (one.instance, one.service_instance)), None)

    async def until(self, slot: Slot, met: Callable[[Slot], bool], seconds: float) -> bool:
        """Wait until something holds for an app; False if `seconds` pass first."""
        deadline = self._loop.time() + seconds
        while not met(slot):
            left = deadline - self._loop.time()
            if left <= 0:
                return False
            watcher: asyncio.Future[None] = self._loop.create_future()
            slot.watchers.add(watcher)
            try:
                await asyncio.wait_for(watcher, left)
            except TimeoutError:
                return met(slot)
            finally:
                slot.watchers.discard(watcher)
        return True

    def touch(self, slot: Slot) -> None:
        """This app's status changed; subscribers hear of it on the loop's next turn."""
        self._changed.add(slot.name)
        self._flush_soon()

    def touch_reports(self) -> None:
        """There is a new crash report, or more in one; subscribers hear of it on the loop's next turn."""
        self._flush_soon()

    def touch_metrics(self, metrics: m.PlatformMetrics) -> None:
        """New figures of the platform as a whole; subscribers hear of them on the loop's next turn."""
        self._metrics = metrics
        self._flush_soon()

    def remove(self, slot: Slot) -> None:
        """Take an app off the platform: it never came up."""
        for handle in slot.timers.values():
            handle.cancel()
        if self.slots.get(slot.name) is not slot:
            # A later launch has taken the place already.
            return
        del self.slots[slot.name]
        # What it ran in may still have a word to say, which must not be taken for that of the next in its place.
        self.former[slot.name] = slot.life.incarnation
        self.log.removed(slot.name)
        self.roster.remove(slot.name)
        self.remembering.forget(slot.name)
        self._gone.append(slot.name)
        self._flush_soon()

    def _new_entry(self, entry: m.Entry) -> None:
        self._entries.append(entry)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Tell subscribers now what they are to hear on the loop's next turn, if anything."""
        if not self._flushing:
            return
        self._flushing = False
        entries, self._entries = tuple(self._entries), []
        changed, self._changed = self._changed, set()
        gone, self._gone = tuple(self._gone), []
        metrics, self._metrics = self._metrics, None
        reports = self.reports.take_changed()
        if self.controllers.subscribed:
            apps = tuple(slot.status() for name, slot in self.slots.items() if name in changed)
            self.controllers.publish(m.News(entries=entries, apps=apps, gone=gone, metrics=metrics, reports=reports))

    def describe(self) -> m.PlatformStatus:
        """The platform and all its apps."""
        return m.PlatformStatus(
            metrics=self.watch.metrics,
            enforcement=limits.enforcement(self.limits, self.why_no_better),
            guardian_pid=os.getppid(),
            controller_pid=self.order.controller_pid,
            isolation=self.order.isolation,
            display=self.order.display,
            apps=tuple(slot.status() for slot in self.slots.values()),
        )

    def created(self) -> float:
        """When this process was created, in seconds since the epoch."""
        return linux.started_seconds(linux.Stat(os.getpid()), linux.boot_time())
