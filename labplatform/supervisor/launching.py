"""How an app comes onto the platform: a slot, the apps it requires, and the wait until it is up. Supervisor.

Whoever asks for it, a controller or another app, the launch is the same one.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

from .. import machine
from .. import messages as m
from ..errors import LabError, LaunchError, LimitError, PlatformStopped
from ..manifest import Manifest, ResourceLimits
from . import lifecycle
from .lifecycle import State
from .slot import Slot

USUAL_MEMORY = 110 << 20
"""Bytes that one more app with an empty page takes, host and renderer: measured, proportional set size."""
RESERVE = 0.05
"""Of the memory, that should stay free: below it a machine swaps, or its kernel begins to kill."""
MOST_APPS = 200
"""Apps that may be up on one platform; one more is refused."""
MOST_OPENED = 32
"""Of these, how many may be there because one app asked for them, itself or through those that it had started."""
BACKSTOP = 5.0
"""Seconds beyond a launch's time-out: the lifecycle's own timer ends a slow start, and this only a broken one."""


class Launching:
    """Launches apps on one platform."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform

    def begin(
        self,
        manifest: Manifest,
        timeout: float,
        limits: ResourceLimits | None = None,
        opener: Slot | None = None,
        placement: m.Isolation | None = None,
        place: str = "",
        prepare: Callable[[Slot], None] = lambda slot: None,
    ) -> Slot:
        """Begin to start one more instance, and what it requires. Returns at once; its instanceId is known then.

        `timeout`: seconds until it must be ready. `limits`: what is given there counts instead of the manifest's.
        `placement`: how it is isolated, instead of as the platform and the manifest say; what it requires is not meant.
        `place`: its name, if that is free; `prepare` gets to see its slot before anything is done with that.
        `opener`: the app that asked for it. A person may take the machine's last memory; an app may not.
        Raises `LaunchError`, `LimitError`, `PlatformStopped`.
        """
        platform = self._platform
        if sum(slot.live for slot in platform.slots.values()) >= MOST_APPS:
            raise LaunchError(f"{manifest.app_id}: {MOST_APPS} apps are up on this platform already; stop some first")
        if platform.stopping:
            raise PlatformStopped(f"{manifest.app_id} was not launched: the platform is being stopped")
        for warning in manifest.warnings:
            platform.log.remark(warning, kind="manifest", level="warning")
        shortage = self._shortage(manifest)
        if opener:
            self._check(manifest, opener, shortage)
        slot = self._new_slot(manifest, limits or ResourceLimits(), placement, place)
        if opener:
            slot.opened_for = opener.opened_for or opener.name
        if shortage:
            platform.log.remark(shortage, kind="capacity", place=slot.name, level="warning")
        prepare(slot)
        self._launch_requirements(manifest, timeout)
        platform.feed(slot, lifecycle.Launched(at=time.time(), policy=manifest.restart, timeout=timeout))
        return slot

    def _check(self, manifest: Manifest, opener: Slot, shortage: str) -> None:
        """Raises `LaunchError` where an app wants one more than is good for the others."""
        root = opener.opened_for or opener.name
        opened = sum(slot.live and slot.opened_for == root for slot in self._platform.slots.values())
        if opened >= MOST_OPENED:
            text = f"{opened} apps that {root} has opened, itself or through others, are up already; stop some first"
            raise LaunchError(f"{manifest.app_id}: {text}")
        if shortage:
            raise LaunchError(shortage)

    def _shortage(self, manifest: Manifest) -> str:
        """In words, that one more app may be the one for which the machine, or the container, has no memory left."""
        platform = self._platform
        capacity = platform.watch.metrics.capacity
        live = [slot for slot in platform.slots.values() if slot.live]
        known = [slot.metrics.memory for slot in live if slot.metrics and not slot.shared_with]
        each = max(int(statistics.median(known)) if known else 0, USUAL_MEMORY)
        coming = 1 + sum(slot.metrics is None for slot in live)
        if each * coming <= capacity.memory_left - RESERVE * capacity.memory:
            return ""
        where = "container" if "memory" in capacity.container else "machine"
        return (
            f"this {where} has {capacity.memory_left >> 20} MiB of memory left, and {manifest.app_id} will take some "
            f"{each >> 20} MiB: stop other apps first, or it may run out"
        )

    async def finish(self, slot: Slot, seconds: float) -> None:
        """Wait until an app that was begun is up. One that does not come up leaves the platform: `LaunchError`."""
        platform = self._platform
        try:
            settled = await platform.until(
                slot, lambda slot: slot.state not in (State.STARTING, State.STOPPING), seconds + BACKSTOP
            )
        except asyncio.CancelledError:
            platform.feed(slot, lifecycle.KillAsked(at=time.time(), by="the launch's cancellation"))
            await platform.until(slot, lambda slot: not slot.live, 5)
            platform.remove(slot)
            raise
        if slot.ready_at is None or not settled:
            platform.remove(slot)
            message = f"{slot.name} did not launch: {slot.life.detail or f'it is {slot.state}'}"
            if lacking := await self._lacking_libraries(slot.life.detail):
                message = f"{message}. {lacking}"
            stderr = slot.host.stderr_tail[-4000:] if slot.host else ""
            raise LaunchError(
                message, app=slot.name, reason=slot.life.reason, stderr=stderr, console=list(map(str, slot.console))
            )

    async def _lacking_libraries(self, detail: str) -> str:
        """What to install, if an app did not launch for want of the system's libraries; else empty."""
        if not any(words in detail for words in ("shared object file", "Qt platform plugin", "connect to display")):
            return ""
        try:
            # Some tenth of a second, in which others want to be served.
            plugin = self._platform.order.qt_platform or "xcb"
            libraries = await asyncio.to_thread(machine.missing_libraries, plugin)
        except LabError:
            return ""
        packages = machine.package_names(libraries)
        if not packages:
            return ""
        return f"This machine lacks {', '.join(sorted(libraries))}; run: {machine.install_line(packages)}"

    def _limits(self, name: str, manifest: Manifest, asked: ResourceLimits, wish: m.Isolation | None) -> ResourceLimits:
        """What this app is to be held to. Raises `LimitError` if what was asked for it cannot be had."""
        platform = self._platform
        written, page = manifest.startup_app.resource_limits, manifest.has_page
        if why := platform.hosts.unlimited(manifest, wish):
            if asked != ResourceLimits():
                raise LimitError(f"{name}: {why}; launch it without limits", app=name)
            if written != ResourceLimits():
                platform.log.remark(f"its limits do not hold: {why}", kind="limits", place=name, level="warning")
            return written
        capacity = platform.watch.metrics.capacity
        platform.limits_judge.check(name, asked, page, capacity)
        possible, problems = platform.limits_judge.possible(written, page, capacity)
        for problem in problems:
            text = f"its manifest's {problem.limit} does not hold: {problem.words}"
            platform.log.remark(text, kind="limits", place=name, level="warning")
        return possible.changed(asked)

    def _new_slot(
        self, manifest: Manifest, asked: ResourceLimits, wish: m.Isolation | None = None, place: str = ""
    ) -> Slot:
        slots = self._platform.slots

        def taken(name: str) -> bool:
            # A place that ended is free for the next launch of the same app.
            return name in slots and (slots[name].live or slots[name].state is State.BACKING_OFF)

        name, number = manifest.uuid, 1
        if place and not taken(place):
            name = place
        while taken(name):
            number += 1
            name = f"{manifest.uuid}-{number}"
        slot = Slot(name, manifest, self._limits(name, manifest, asked, wish), wish)
        if name in slots:
            # The log goes on as one story: incarnations keep counting.
            slot.life = slots[name].life
            slot.history = slots[name].history
        else:
            slot.life = lifecycle.Life(incarnation=self._platform.former.pop(name, 0))
        slot.placed = self._platform.hosts.placement(slot)
        slots[name] = slot
        self._platform.keeping.forget(name)
        return slot

    def _launch_requirements(self, manifest: Manifest, timeout: float) -> None:
        platform = self._platform
        for app_id in manifest.requires:
            if any(slot.manifest.app_id == app_id and slot.live for slot in platform.slots.values()):
                continue
            required = platform.manifests.get(app_id)
            if required is None:
                platform.log.remark(
                    f"requires {app_id!r}, but no manifest has that uuid", place=manifest.uuid, level="warning"
                )
                continue
            slot = self._new_slot(required, ResourceLimits())
            platform.feed(slot, lifecycle.Launched(at=time.time(), policy=required.restart, timeout=timeout))
