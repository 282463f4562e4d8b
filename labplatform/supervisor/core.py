"""The supervisor itself: carries out what the lifecycle decides, and tells the lifecycle what happened.

Runs on the supervisor's one event loop, which nothing here blocks. Parts that can be thought of alone live in files of
their own: `lifecycle` decides, `spawn` starts and kills, `health` counts pings, `metrics` reads `/proc`, `server` is
the door, `requests` answers controllers, `fdc3` routes between apps.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import messages as m
from ..machine import sandbox_of
from ..manifest import Manifest
from . import endings, health, lifecycle, linux
from .fdc3.router import Router
from .lifecycle import State
from .log import Log
from .metrics import Sample, Sampler, Trees
from .pages import PageSpeaker
from .requests import ControllerSpeaker
from .server import Door, same
from .slot import Slot
from .spawn import HostProcess, Reaper

AGENT_GRACE = 1.0
"""Seconds after its page has loaded that the page agent may take to connect, before the app counts as ready without."""
SWEEP_EVERY = 0.5
STOP_GRACE = 1.0
"""Seconds that apps get to close when the whole platform stops or its controller is gone."""
PLACEMENT_OF = {"shared-process": "shared process", "shared-renderer": "shared renderer"}

_log = logging.getLogger("labplatform.supervisor")


class Supervisor:
    """One platform."""

    def __init__(self, order: m.SupervisorOrder) -> None:
        self.order = order
        self.manifests: dict[str, Manifest] = dict(order.manifests)
        self.slots: dict[str, Slot] = {}
        self.hosts: dict[str, HostProcess] = {}
        self.dying: set[HostProcess] = set()
        self.router = Router()
        self.log = Log(self._new_entry)
        self.controllers = ControllerSpeaker(self)
        self.door = Door(self._admit, lambda text: self.log.remark(text, kind="connection", level="warning"))
        self.finished = asyncio.Event()
        self.myself: m.ProcessInfo | None = None
        self._loop = asyncio.get_running_loop()
        self._session = Path(order.folder) / f"platform-{os.getpid()}"
        self._sequence = 0
        self._entries: list[m.Entry] = []
        self._changed: set[str] = set()
        self._gone: list[str] = []
        self._flushing = False
        self._stopping = False
        self._reaper = Reaper()
        self._sampler = Sampler(order.sampling, self._roots, self._sampled)
        self._tasks: list[asyncio.Task[None]] = []

    # --- start and stop

    async def start(self) -> None:
        """Open the door and begin to watch."""
        self._session.mkdir(mode=0o700, exist_ok=True)
        await self.door.open()
        self._sampled(self._sampler.read({os.getpid(): frozenset()}), time.time())
        self._sampler.start()
        self._tasks = [
            self._loop.create_task(self._beat(), name="heartbeat"),
            self._loop.create_task(self._sweep(), name="reaper"),
        ]

    async def stop(self, grace: float = STOP_GRACE, by: str = "the platform's stop") -> None:
        """End every app, then say so; nothing is left when this returns."""
        if not self._stopping:
            self._stopping = True
            for slot in self.slots.values():
                self.feed(slot, lifecycle.StopAsked(at=time.time(), by=by, grace=grace))
        deadline = self._loop.time() + grace + 3
        for slot in list(self.slots.values()):
            await self.until(slot, lambda slot: not slot.live, deadline - self._loop.time())
        for host in [*self.hosts.values(), *self.dying]:
            host.kill()
            try:
                await asyncio.wait_for(host.exited.wait(), 2)
            except TimeoutError:
                pass
        for task in self._tasks:
            task.cancel()
        self._sampler.stop()
        self.finished.set()

    # --- the lifecycle's two directions

    def feed(self, slot: Slot, event: lifecycle.Event) -> None:
        """Let an event act on an app: new state, log entry, actions."""
        was = slot.life
        slot.life, actions = lifecycle.step(was, event)
        if slot.life is was and not actions:
            return
        if slot.life.state is not was.state:
            slot.since = event.at
        self.log.lifecycle(slot.name, slot.instance, was.state, slot.life, event)
        self.touch(slot)
        for action in actions:
            self._carry_out(slot, action)
        for watcher in slot.watchers:
            if not watcher.done():
                watcher.set_result(None)

    def _carry_out(self, slot: Slot, action: lifecycle.Action) -> None:
        match action:
            case lifecycle.Place():
                slot.new_incarnation()
                self._place(slot)
            case lifecycle.Close():
                if slot.host:
                    slot.host.send(m.CloseInstance(place=slot.name))
                else:
                    self.ended(slot, endings.Ending("clean-exit", "it was asked to stop before it had a process"))
            case lifecycle.End(reason, detail):
                self._end(slot, endings.Ending(reason, detail))
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

    def ended(self, slot: Slot, ending: endings.Ending) -> None:
        """The process or page of an app is gone."""
        if slot.doom is not None:
            ending, slot.doom = slot.doom, None
        if slot.page:
            slot.page.cut("this instance has ended", 1001)
            slot.page = None
        self.router.disconnect(slot.instance)
        slot.loaded = False
        slot.dialog = None
        slot.processes = ()
        if slot.host in self.dying:
            # Accounted for; what its former process still does is not this app's any more.
            slot.host = None
        event = lifecycle.Ended(
            at=time.time(), incarnation=slot.life.incarnation, reason=ending.reason, detail=ending.detail
        )
        self.feed(slot, event)

    def ready_if_so(self, slot: Slot) -> None:
        """Ready is: loaded, and either connected or given up on connecting."""
        if slot.state is State.STARTING and slot.loaded and (slot.page or not slot.has_page):
            self._ready(slot)

    def _ready(self, slot: Slot) -> None:
        slot.ready_at = time.time()
        # Only now: a renderer that has just been forked has not closed its sandbox yet.
        slot.sandbox = sandbox_of(slot.renderer) if slot.renderer else m.SandboxInfo(why="no renderer process")
        self.feed(slot, lifecycle.Ready(at=slot.ready_at, incarnation=slot.life.incarnation))

    # --- placement

    def placement(self, slot: Slot) -> tuple[str, m.Isolation]:
        """The key of the host an app belongs in, and how that host isolates its pages.

        As on OpenFin, apps of one `processAffinity` share a renderer.
        """
        if self.order.isolation != "process":
            return "shared", self.order.isolation
        affinity = slot.manifest.startup_app.process_affinity
        return (f"affinity:{affinity}", "shared-renderer") if affinity else (f"app:{slot.name}", "process")

    def tenants(self, host: HostProcess) -> list[Slot]:
        """The apps that a host holds now."""
        return [slot for slot in self.slots.values() if slot.host is host]

    def _place(self, slot: Slot) -> None:
        key, isolation = self.placement(slot)
        host = self.hosts.get(key)
        leaving = next((other for other in self.dying if other.key == key), None)
        if host is None and leaving is not None:
            # Two processes on one profile would silently lose writes: wait until the old one is gone.
            self._loop.create_task(self._place_after(leaving, slot, slot.life.incarnation))
            return
        if host is None:
            try:
                host = self.hosts[key] = self._spawn(key, isolation, slot)
            except OSError as error:
                self.ended(slot, endings.Ending("launch-failed", f"its process could not be started: {error}"))
                return
        manifest = slot.manifest
        if slot.window_open and slot.host is host:
            order: Any = m.ReloadInstance(
                place=slot.name, instance=slot.instance, incarnation=slot.life.incarnation, token=slot.token
            )
        else:
            order = m.OpenInstance(
                place=slot.name,
                instance=slot.instance,
                incarnation=slot.life.incarnation,
                token=slot.token,
                manifest=manifest,
                profile=str(self._profile(slot, host)),
            )
        slot.host = host
        slot.pid = host.pid
        slot.window_open = slot.has_page
        self._share_names(host)
        if manifest.python is not None:
            self.router.connect(manifest.app_id, slot.instance, self._to_service(host, slot))
        host.send(order)

    async def _place_after(self, leaving: HostProcess, slot: Slot, incarnation: int) -> None:
        await leaving.exited.wait()
        if slot.life.incarnation == incarnation and slot.state is State.STARTING:
            self._place(slot)

    def _spawn(self, key: str, isolation: m.Isolation, slot: Slot) -> HostProcess:
        title = slot.name if isolation == "process" else key.removeprefix("affinity:")
        order = m.HostOrder(
            host=key,
            title=title,
            url=f"ws://127.0.0.1:{self.door.port}/",
            isolation=isolation,
            qt_platform=self.order.qt_platform,
            chromium_flags=self.order.chromium_flags,
            js_heap=self.order.js_heap,
            shared_renderer=isolation == "shared-renderer",
            windowless=isolation == "process" and not slot.has_page,
            theme=self.order.theme,
        )
        return HostProcess(key, order, self._from_host, self._host_gone, self._host_noticed)

    def _profile(self, slot: Slot, host: HostProcess) -> Path:
        """The folder of an app's cookies and storage: the session's own, or one that outlives it.

        Pages can share a renderer only if they share their profile, which then lasts for the session.
        """
        if host.order.shared_renderer:
            return self._session / "profiles" / host.key.replace(":", "-")
        if slot.manifest.storage == "persistent":
            from platformdirs import user_data_path

            in_use = any(
                other is not slot and other.manifest.app_id == slot.manifest.app_id and other.live
                for other in self.slots.values()
            )
            if not in_use:
                return user_data_path("labplatform") / "profiles" / slot.manifest.app_id
            self.log.remark(
                "another instance holds this app's persistent storage; this one gets storage for the session",
                place=slot.name,
                level="warning",
            )
        return self._session / "profiles" / slot.name

    def _share_names(self, host: HostProcess) -> None:
        tenants = self.tenants(host)
        for slot in tenants:
            slot.shared_with = tuple(other.name for other in tenants if other is not slot)
            self.touch(slot)

    def _to_service(self, host: HostProcess, slot: Slot) -> Callable[[bytes], None]:
        def send(data: bytes) -> None:
            host.send(m.ToService(place=slot.name, message=m.msgspec.Raw(data)))

        return send

    # --- ending something by force

    def _end(self, slot: Slot, ending: endings.Ending) -> None:
        host = slot.host
        if host is None:
            self.ended(slot, ending)
            return
        slot.doom = ending
        others = [other for other in self.tenants(host) if other is not slot and other.live]
        if not others:
            self._kill_host(host)
            return
        if slot.gui_pulse.missed >= self.order.heartbeat.silent_after:
            # Its GUI thread is stuck, and it is everybody's: the host must go, and takes all with it.
            for other in others:
                other.doom = endings.Ending(ending.reason, f"the process it shares with {slot.name} hung")
            self._kill_host(host)
        elif ending.reason == "unresponsive" and slot.renderer:
            # Qt reports the renderer's death for every page in it; each then starts again in its own window.
            for other in others:
                if other.renderer == slot.renderer:
                    other.doom = endings.Ending("unresponsive", f"the renderer it shares with {slot.name} hung")
            self._kill_pid(slot.renderer)
        else:
            self._close_in_shared(slot, host)

    def _close_in_shared(self, slot: Slot, host: HostProcess) -> None:
        """Close one app's window in a host that others go on using; its end is now, whatever the window does."""
        host.send(m.CloseInstance(place=slot.name))
        slot.window_open = False
        slot.host = None
        slot.shared_with = ()
        self._share_names(host)
        self.ended(slot, endings.Ending("clean-exit", "its window was closed"))

    def _kill_host(self, host: HostProcess) -> None:
        self._retire(host)
        host.kill()

    def _retire(self, host: HostProcess) -> None:
        """No new app goes into a host that is on its way out."""
        if self.hosts.get(host.key) is host:
            del self.hosts[host.key]
            self.dying.add(host)

    @staticmethod
    def _kill_pid(pid: int) -> None:
        try:
            os.kill(pid, 9)
        except OSError:
            pass

    # --- what hosts say

    def _from_host(self, host: HostProcess, message: Any) -> None:
        if isinstance(message, m.HostPong):
            now = self._loop.time()
            for slot in self.tenants(host):
                slot.gui_pulse.answered(message.seq, now)
                self._judge(slot)
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
            self._about(slot, message)

    def _from_service(self, slot: Slot, message: m.FromService) -> None:
        try:
            self.router.receive(slot.instance, bytes(message.message))
        except m.msgspec.DecodeError as error:
            self.log.remark(f"a message from its Python side was not understood: {error}", place=slot.name)

    def _about(self, slot: Slot, message: Any) -> None:
        match message:
            case m.InstanceLoaded(problem=problem, url=url):
                self._loaded(slot, problem, url)
            case m.InstanceClosed(by=by):
                self._closed(slot, by)
            case m.RendererStarted(pid=pid):
                slot.renderer = pid
                self.touch(slot)
            case m.RendererGone(status=status, code=code):
                self._renderer_gone(slot, status, code)
            case m.ServiceFailed(traceback=text):
                last = text.strip().splitlines()[-1]
                self._service_failed(slot, text, last)
            case m.PagePong(seq=seq):
                slot.page_pulse.answered(seq, self._loop.time())
                self._judge(slot)
            case m.DialogChanged(text=text):
                slot.dialog = text or None
                slot.page_pulse.excuse()
                self.log.remark(f"dialog: {text}" if text else "dialog closed", kind="dialog", place=slot.name)
                self.touch(slot)
            case m.Console(level=level, text=text, source=source):
                slot.console.append(f"{level}: {text} ({source})")

    def _loaded(self, slot: Slot, problem: str, url: str) -> None:
        if slot.state is not State.STARTING:
            slot.url = url or slot.url
            return
        if problem:
            self._end(slot, endings.Ending("launch-failed", problem))
            return
        slot.loaded, slot.url = True, url or None
        self.ready_if_so(slot)
        if slot.state is State.STARTING:
            incarnation = slot.life.incarnation

            def without_agent() -> None:
                if slot.life.incarnation == incarnation and slot.state is State.STARTING and slot.loaded:
                    text = "its page opened no connection of its own (a content security policy?); its host answers"
                    self.log.remark(text, place=slot.name, level="warning")
                    self._ready(slot)

            self._loop.call_later(AGENT_GRACE, without_agent)

    def _closed(self, slot: Slot, by: str) -> None:
        slot.closed_by = by
        slot.window_open = False
        host = slot.host
        if host and any(other is not slot and other.live for other in self.tenants(host)):
            # The host lives on for the others; this app's end is the closing of its window.
            slot.host = None
            slot.shared_with = ()
            self._share_names(host)
            self.ended(slot, endings.host_ending(0, by))
        elif host:
            self._retire(host)

    def _renderer_gone(self, slot: Slot, status: str, code: int) -> None:
        if not slot.live:
            return
        host = slot.host
        ending = endings.renderer_ending(status, code, host.stderr_tail[-4000:] if host else "")
        slot.renderer = None
        if host and host.order.isolation == "process":
            # Nothing of worth is left in it; a fresh process is the cleaner start.
            slot.doom = slot.doom or ending
            self._kill_host(host)
        self.ended(slot, ending)

    def _service_failed(self, slot: Slot, text: str, last: str) -> None:
        self.log.remark(f"its Python side raised:\n{text}", kind="traceback", place=slot.name, level="error")
        if slot.has_page:
            return
        host = slot.host
        slot.doom = endings.Ending(
            "launch-failed" if slot.state is State.STARTING else "abnormal-exit", f"its Python side raised: {last}"
        )
        if host and not any(other is not slot and other.live for other in self.tenants(host)):
            self._kill_host(host)
        elif host:
            self._close_in_shared(slot, host)

    def _host_noticed(self, host: HostProcess) -> None:
        """The process has ended; its last words may still come."""
        self._retire(host)

    def _host_gone(self, host: HostProcess, returncode: int) -> None:
        self.dying.discard(host)
        if stack := endings.python_stack(host.stderr_tail):
            self.log.remark(stack, kind="traceback", place=host.order.title, level="error")
        tenants = self.tenants(host)
        live = [slot for slot in tenants if slot.live]
        for slot in tenants:
            slot.window_open = False
            slot.host = None
            if not slot.live:
                continue
            ending = endings.host_ending(returncode, slot.closed_by, host.stderr_tail)
            if slot.state is State.STARTING and returncode != 0 and slot.doom is None:
                cause = endings.cause(host.stderr_tail)
                if cause and cause not in ending.detail:
                    ending = endings.Ending(ending.reason, f"{ending.detail}: {cause}")
            if len(live) > 1:
                names = ", ".join(other.name for other in live if other is not slot)
                ending = endings.Ending(ending.reason, f"{ending.detail}; the process was shared with {names}")
            self.ended(slot, ending)

    # --- heartbeat, sampling, reaping

    async def _beat(self) -> None:
        beat = self.order.heartbeat
        while True:
            await asyncio.sleep(beat.interval)
            self._sequence += 1
            now = self._loop.time()
            for host in list(self.hosts.values()):
                through_host = []
                for slot in self.tenants(host):
                    if slot.state not in (State.RUNNING, State.UNRESPONSIVE):
                        continue
                    slot.gui_pulse.sent(self._sequence, now)
                    if slot.has_page and slot.dialog is None:
                        slot.page_pulse.sent(self._sequence, now)
                        if slot.page:
                            slot.page.send(m.Ping(seq=self._sequence))
                        else:
                            through_host.append(slot.name)
                    self._judge(slot)
                host.send(m.HostPing(seq=self._sequence, pages=tuple(through_host)))

    def _judge(self, slot: Slot) -> None:
        if slot.state not in (State.RUNNING, State.UNRESPONSIVE):
            return
        found = health.verdict(self.order.heartbeat, slot.gui_pulse, slot.page_pulse if slot.has_page else None)
        at, incarnation = time.time(), slot.life.incarnation
        if found is None:
            if slot.state is State.UNRESPONSIVE:
                self.feed(slot, lifecycle.Answered(at=at, incarnation=incarnation))
            return
        what, missed, expired = found
        self.feed(slot, lifecycle.Silent(at=at, incarnation=incarnation, what=what, missed=missed))
        if expired and slot.doom is None:
            self.feed(slot, lifecycle.HangExpired(at=at, incarnation=incarnation, what=what, missed=missed))

    def page_answered(self, slot: Slot, seq: int) -> None:
        """A page answered a ping over its own connection."""
        slot.page_pulse.answered(seq, self._loop.time())
        self._judge(slot)

    def _roots(self) -> Trees:
        trees: Trees = {os.getpid(): frozenset()}
        for host in list(self.hosts.values()):
            trees[host.pid] = frozenset(
                slot.renderer for slot in list(self.slots.values()) if slot.host is host and slot.renderer
            )
        return trees

    def _sampled(self, sample: Sample, at: float) -> None:
        self._loop.call_soon_threadsafe(self._take_sample, sample, at)

    def _take_sample(self, sample: Sample, at: float) -> None:
        own = sample.get(os.getpid())
        if own:
            self.myself = own[0]
        for host in self.hosts.values():
            rows = sample.get(host.pid)
            if rows is None:
                continue
            host.remember({row.pid for row in rows})
            for slot in self.tenants(host):
                slot.processes, slot.sampled_at = rows, at
                self.touch(slot)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self._reaper.sweep({host.pid for host in [*self.hosts.values(), *self.dying]})

    # --- who may speak, and what is told

    def _admit(self, hello: m.Hello) -> tuple[Any, str] | None:
        if hello.role == "controller":
            return (self.controllers, "a controller") if same(hello.token, self.order.token) else None
        for slot in self.slots.values():
            if slot.live and same(hello.token, slot.token):
                return PageSpeaker(self, slot), f"the page of {slot.name}"
        return None

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

    def remove(self, slot: Slot) -> None:
        """Take an app off the platform: it never came up."""
        for handle in slot.timers.values():
            handle.cancel()
        self.slots.pop(slot.name, None)
        self.log.removed(slot.name)
        self._gone.append(slot.name)
        self._flush_soon()

    def _new_entry(self, entry: m.Entry) -> None:
        self._entries.append(entry)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        entries, self._entries = tuple(self._entries), []
        changed, self._changed = self._changed, set()
        gone, self._gone = tuple(self._gone), []
        if self.controllers.subscribed:
            apps = tuple(self.slots[name].status() for name in changed if name in self.slots)
            self.controllers.publish(m.News(entries=entries, apps=apps, gone=gone))

    def describe(self) -> m.PlatformStatus:
        """The platform and all its apps."""
        if self.myself is None:
            self._take_sample(self._sampler.read({os.getpid(): frozenset()}), time.time())
        return m.PlatformStatus(
            supervisor=self.myself,
            guardian_pid=os.getppid(),
            controller_pid=self.order.controller_pid,
            isolation=self.order.isolation,
            display=self.order.display,
            apps=tuple(slot.status() for slot in self.slots.values()),
        )

    def created(self) -> float:
        """When this process was created, in seconds since the epoch."""
        return linux.started_seconds(linux.Stat(os.getpid()), linux.boot_time())
