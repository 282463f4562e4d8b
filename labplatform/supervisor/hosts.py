"""Which host an app runs in, and how hosts and what is in them end. Supervisor.

Every app its own host is the platform; one host for all, with a renderer each or with one renderer, are the placements
it is compared with. A host that several apps share has one death with many victims.
"""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from .. import messages as m
from ..errors import LabTimeout
from ..manifest import Manifest, PageTransport, ResourceLimits
from . import endings
from .boundary import Wrapped, inside
from .lifecycle import State
from .limits.tier import Breach, CannotLimit, Group
from .profiles import Profiles
from .slot import Slot
from .spawn import HostProcess


class Hosts:
    """The host processes of one platform. `alive` by key; `waiting`, by key, are started and empty, to take over from
    one that is alive; `dying` have ended or are about to, and take nobody in.
    """

    def __init__(self, platform: Any, session: Path) -> None:
        self.alive: dict[str, HostProcess] = {}
        self.dying: set[HostProcess] = set()
        self.waiting: dict[str, HostProcess] = {}
        self._closing: dict[asyncio.Task[None], str] = {}
        self._platform = platform
        self._order: m.SupervisorOrder = platform.order
        self.profiles = Profiles(session, lambda place, text: platform.log.remark(text, place=place, level="warning"))
        self._loop = asyncio.get_running_loop()

    async def wait_gone(self, slot: Slot, seconds: float) -> None:
        """Wait, at most `seconds` for each, until what an app ran in and what ended with it is gone from the system."""
        key, _ = self.placement(slot)
        for host in [host for host in self.dying if host.key == key]:
            try:
                await asyncio.wait_for(host.exited.wait(), seconds)
            except TimeoutError:
                pass
        if closing := [task for task, closed in self._closing.items() if closed == key]:
            await asyncio.wait(closing, timeout=seconds)

    async def end_all(self, seconds: float) -> None:
        """Kill every host that is still there and wait, at most `seconds` for each, until it is gone."""
        for host in [*self.alive.values(), *self.waiting.values(), *self.dying]:
            host.kill()
            try:
                await asyncio.wait_for(host.exited.wait(), seconds)
            except TimeoutError:
                pass
        if self._closing:
            await asyncio.wait(self._closing, timeout=seconds)

    # --- where an app runs

    def placement(self, slot: Slot) -> tuple[str, m.Isolation]:
        """The key of the host an app belongs in, and how that host isolates its pages.

        As on OpenFin, apps of one `processAffinity` share a renderer, unless their launch says otherwise.
        """
        affinity = slot.manifest.startup_app.process_affinity
        if affinity and not slot.wish and self._order.isolation == "process":
            return f"affinity:{affinity}", "shared-renderer"
        isolation = slot.wish or self._order.isolation
        return (f"app:{slot.name}" if isolation == "process" else isolation), isolation

    def unlimited(self, manifest: Manifest, wish: m.Isolation | None) -> str:
        """Why no limits can hold for this app, in one clause; empty if they can. `wish`: as its launch has it."""
        if self._platform.limits.name == "off":
            return "limits are off on this platform"
        if wish == "process":
            return ""
        if wish:
            return f"it was launched into a process that apps share ({wish}), and limits hold for a process"
        if self._order.isolation != "process":
            return (
                f"all apps of this platform share one process ({self._order.isolation}), and limits hold for a process"
            )
        if affinity := manifest.startup_app.process_affinity:
            return f"it shares its process with the apps of processAffinity {affinity!r}, and limits hold for a process"
        return ""

    def tenants(self, host: HostProcess) -> list[Slot]:
        """The apps that a host holds now."""
        return [slot for slot in self._platform.slots.values() if slot.host is host]

    def place(self, slot: Slot) -> None:
        """Open an app's new incarnation in the host it belongs in, made if need be."""
        key, isolation = self.placement(slot)
        host = self.alive.get(key)
        again = slot.window_open and host is not None and slot.host is host
        profile = slot.profile if again else self._profile(slot, key, isolation)
        for leaving in self.dying:
            if (leaving.key == key and host is None) or (leaving.key != key and profile in leaving.profiles):
                # Two processes on one profile would silently lose writes: wait until the old one is gone.
                self._loop.create_task(self._place_after(leaving.exited.wait(), slot, slot.life.incarnation))
                return
        if slot.persistent and not slot.looked_up:
            # What it is told of the state that it finds is to be right.
            self._loop.create_task(self._place_after(self._platform.keeping.look_up(slot), slot, slot.life.incarnation))
            return
        if host is None:
            try:
                host = self.alive[key] = self.waiting.pop(key, None) or self._spawn(key, isolation, slot, profile)
            except OSError as error:
                self._platform.ended(
                    slot, endings.Ending("launch-failed", f"its process could not be started: {error}")
                )
                return
        manifest = slot.manifest
        keeping = self._platform.keeping
        restored = slot.restored = keeping.restored(slot, slot.ended_at)
        kept, slot.given_back = keeping.kept_of(slot), keeping.has(slot)
        slot.tier = self._platform.limits.name if isolation == "process" else "off"
        if again:
            order: Any = m.ReloadInstance(
                place=slot.name,
                instance=slot.instance,
                incarnation=slot.life.incarnation,
                token=slot.token,
                restored=restored,
                kept=kept,
            )
        else:
            slot.profile = profile
            host.profiles.add(profile)
            # Page and Python side each speak for themselves; the latter outlives a reload of the page.
            slot.service_instance = str(uuid.uuid4()) if slot.has_page else slot.instance
            order = m.OpenInstance(
                place=slot.name,
                instance=slot.instance,
                service_instance=slot.service_instance,
                incarnation=slot.life.incarnation,
                token=slot.token,
                manifest=manifest,
                profile=str(profile),
                page_transport=self._page_transport(slot, host),
                bounds=slot.bounds,
                restored=restored,
                kept=kept,
            )
        slot.host = host
        slot.pid = host.pid or None
        slot.window_open = slot.has_page
        self.share_names(host)
        if manifest.python is not None:
            self._platform.router.connect(manifest.app_id, slot.service_instance, self._to_service(host, slot))
            if not slot.has_page:
                self._platform.join_channel(slot)
        host.send(order)

    async def prepare(self, slot: Slot, seconds: float) -> HostProcess:
        """Start the process that is to take over from the one this app runs in, and wait until it could show a window.

        It waits, empty, until the app's next incarnation is placed; `dismiss` ends it before that. Raises `OSError`,
        `LabTimeout`.
        """
        key, isolation = self.placement(slot)
        host = self.waiting[key] = self._spawn(key, isolation, slot, self._profile(slot, key, isolation))
        up = False
        try:
            up = await host.answers(seconds)
        finally:
            if not up:
                self.dismiss(slot)
        if not up:
            raise LabTimeout(f"waited {seconds:g} s for a fresh process for {slot.name}", app=slot.name)
        return host

    async def set_limits(self, slot: Slot, limits: ResourceLimits) -> None:
        """Hold an app to these from now on, and the process that is to take over its place. Raises `CannotLimit`, and
        what held before holds still.
        """
        key, _ = self.placement(slot)
        done: list[HostProcess] = []
        # A restart meanwhile has begun with the former limits.
        while hosts := [host for host in (slot.host, self.waiting.get(key)) if host and host not in done]:
            try:
                await hosts[0].group.set(limits)
            except CannotLimit:
                for host in done:
                    await host.group.set(slot.limits)
                raise
            done.append(hosts[0])

    def dismiss(self, slot: Slot) -> None:
        """Nobody will need the process that was prepared for this app."""
        key, _ = self.placement(slot)
        if host := self.waiting.get(key):
            self.kill(host)

    async def _place_after(self, first: Awaitable[Any], slot: Slot, incarnation: int) -> None:
        await first
        if slot.life.incarnation == incarnation and slot.state is State.STARTING:
            self.place(slot)

    def _spawn(self, key: str, isolation: m.Isolation, slot: Slot, profile: Path) -> HostProcess:
        title = slot.name if isolation == "process" else key.removeprefix("affinity:")
        limits = slot.limits if isolation == "process" else ResourceLimits()
        order = m.HostOrder(
            host=key,
            title=title,
            url=f"ws://127.0.0.1:{self._platform.door.port}/",
            isolation=isolation,
            qt_platform=self._order.qt_platform,
            chromium_flags=self._order.chromium_flags,
            js_heap=limits.js_heap or self._order.js_heap,
            shared_renderer=isolation == "shared-renderer",
            windowless=isolation == "process" and not slot.has_page,
            theme=self._order.theme,
            network=self._order.network,
            max_message=self._order.max_message,
        )
        group = self._platform.limits.group(title, limits, self._breached)
        wrapped = Wrapped()
        sandbox = slot.manifest.sandbox
        if isolation == "process" and sandbox.boundary:
            # Apps that share a process have no boundary between them that a system could hold.
            wrapped = self._platform.boundary.wrap(title, slot.manifest.folder, profile, sandbox.network)
            order = msgspec.structs.replace(order, confinement=wrapped.confinement)
        return HostProcess(key, order, group, wrapped, self._platform.from_host, self._gone, self._noticed)

    def _profile(self, slot: Slot, key: str, isolation: m.Isolation) -> Path:
        if isolation == "shared-renderer":
            slot.persistent = ""
            return self.profiles.shared(key)
        profile = self.profiles.own(slot, self._platform.slots.values())
        if any(profile in host.profiles for host in self.alive.values() if host.key != key):
            # It ran in a shared process before, which lives on for others and lets go of no profile.
            return self.profiles.elsewhere(slot, key)
        return profile

    def _page_transport(self, slot: Slot, host: HostProcess) -> PageTransport:
        wish = slot.manifest.page_transport or self._order.page_transport
        # Without network a page reaches no WebSocket of the machine's, however long it tries.
        return wish if host.network else "host"

    def boundary_of(self, host: HostProcess) -> m.BoundaryInfo:
        """What stands between this host and its neighbours, read from the running process."""
        boundary = self._platform.boundary
        if host.order.isolation != "process":
            return m.BoundaryInfo(kind="none", why="apps that share a process have no boundary between them")
        found = inside.look(host.pid, host.order.confinement)
        if found.kind == "none" and not found.why:
            why = "; ".join(boundary.why) if boundary.kind == "none" else "its manifest turns it off"
            found = msgspec.structs.replace(found, why=why)
        elif found.kind == "landlock":
            found = msgspec.structs.replace(found, why="; ".join((found.why, *boundary.why)))
        return found

    def _breached(self, group: Group, breach: Breach) -> None:
        """A limit was exceeded; what ran under it is gone, or goes now."""
        for host in [*self.alive.values(), *self.waiting.values(), *self.dying]:
            if host.group is group:
                for slot in self.tenants(host):
                    self._platform.exceeded(slot, breach)
                self.kill(host)

    def share_names(self, host: HostProcess) -> None:
        """Tell each tenant of a host who the others are."""
        tenants = self.tenants(host)
        for slot in tenants:
            slot.shared_with = tuple(other.name for other in tenants if other is not slot)
            self._platform.touch(slot)

    def _to_service(self, host: HostProcess, slot: Slot) -> Callable[[bytes], None]:
        def send(data: bytes) -> None:
            host.send(m.ToService(place=slot.name, message=msgspec.Raw(data)))

        return send

    # --- ending something by force

    def end(self, slot: Slot, ending: endings.Ending) -> None:
        """Kill what an app runs in, as gently towards its neighbours as can be; its end then carries this reason."""
        host = slot.host
        if host is None:
            self._platform.ended(slot, ending)
            return
        slot.doom = ending
        others = [other for other in self.tenants(host) if other is not slot and other.live]
        if not others:
            self.kill(host)
            return
        if slot.gui_pulse.missed >= self._order.heartbeat.silent_after:
            # Its GUI thread is stuck, and it is everybody's: the host must go, and takes all with it.
            for other in others:
                other.doom = endings.Ending(ending.reason, f"the process it shares with {slot.name} hung")
            self.kill(host)
        elif ending.reason == "unresponsive" and slot.renderer:
            # Qt reports the renderer's death for every page in it; each then starts again in its own window.
            for other in others:
                if other.renderer == slot.renderer:
                    other.doom = endings.Ending("unresponsive", f"the renderer it shares with {slot.name} hung")
            self._kill_pid(slot.renderer)
        else:
            self.close_in_shared(slot, host)

    def close_in_shared(self, slot: Slot, host: HostProcess) -> None:
        """Close one app's window in a host that others go on using; its end is now, whatever the window does."""
        host.send(m.CloseInstance(place=slot.name))
        slot.window_open = False
        slot.host = None
        slot.shared_with = ()
        self.share_names(host)
        self._platform.ended(slot, endings.Ending("clean-exit", "its window was closed"), host=host)

    def leave(self, slot: Slot, host: HostProcess) -> None:
        """Its page is gone for good, but in a host that lives on its window is open still: close it, or the host."""
        slot.window_open = False
        slot.host = None
        slot.shared_with = ()
        self.share_names(host)
        if self.tenants(host):
            host.send(m.CloseInstance(place=slot.name))
        else:
            self.kill(host)

    def kill(self, host: HostProcess) -> None:
        """End a host and all that is in it."""
        self.retire(host)
        host.kill()

    def retire(self, host: HostProcess) -> None:
        """No new app goes into a host that is on its way out."""
        for hosts in (self.alive, self.waiting):
            if hosts.get(host.key) is host:
                del hosts[host.key]
                self.dying.add(host)

    @staticmethod
    def _kill_pid(pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass

    def _noticed(self, host: HostProcess) -> None:
        """The process has ended; its last words may still come."""
        self.retire(host)

    @staticmethod
    def explain(host: HostProcess, ending: endings.Ending) -> endings.Ending:
        """Why a process of this host really ended, where the group that holds it has evidence of it."""
        if breach := host.group.verdict():
            return endings.Ending(breach.reason, breach.words)
        if ending.reason == "killed" and (evidence := host.group.evicted()):
            return endings.Ending("memory-eviction", f"{ending.detail}: {evidence}")
        return ending

    def _gone(self, host: HostProcess, returncode: int) -> None:
        self.dying.discard(host)
        closing = self._loop.create_task(host.group.close())
        self._closing[closing] = host.key
        closing.add_done_callback(self._closing.pop)
        if stack := endings.python_stack(host.stderr_tail):
            self._platform.log.remark(stack, kind="traceback", place=host.order.title, level="error")
        exit = endings.host_exit(host.pid or host.root, returncode)
        self._platform.reports.host_gone(host, exit)
        tenants = self.tenants(host)
        live = [slot for slot in tenants if slot.live]
        for slot in tenants:
            slot.window_open = False
            slot.host = None
            if not slot.live:
                continue
            # Its own word on it may not have got through any more.
            closed_by = slot.closed_by or ("request" if slot.state is State.STOPPING else None)
            ending = self.explain(host, endings.host_ending(returncode, closed_by, host.stderr_tail))
            if slot.state is State.STARTING and returncode != 0 and slot.doom is None:
                cause = endings.cause(host.stderr_tail)
                if cause and cause not in ending.detail:
                    ending = endings.Ending(ending.reason, f"{ending.detail}: {cause}")
            if len(live) > 1:
                names = ", ".join(other.name for other in live if other is not slot)
                ending = endings.Ending(ending.reason, f"{ending.detail}; the process was shared with {names}")
            self._platform.ended(slot, ending, exit, host)
