"""The platform as its FDC3 desktop agent sees it: a directory of apps, launches, the clock, the log. Supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..errors import LabError, LaunchError, UnknownApp
from ..manifest import Manifest
from .fdc3.desk import Deadlines, Resolver
from .fdc3.directory import AppRecord, Interop
from .slot import Slot


class PlatformDesk:
    """What the router asks for; the other side of `fdc3.desk.Desk`."""

    def __init__(self, platform: Any, deadlines: Deadlines) -> None:
        self._platform = platform
        self._deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._records: dict[str, tuple[Manifest, AppRecord]] = {}
        self._launches: set[asyncio.Task[None]] = set()
        self.resolver: Resolver | None = None

    def app(self, app_id: str) -> AppRecord | None:
        """The record of an app that has a manifest here."""
        manifest = self.manifest(app_id)
        return self._record(manifest) if manifest else None

    def apps(self) -> Iterable[AppRecord]:
        """Every app with a manifest, and those that were launched with one of their own."""
        found = dict(self._platform.manifests)
        for slot in self._platform.slots.values():
            found.setdefault(slot.manifest.app_id, slot.manifest)
        return [self._record(manifest) for manifest in found.values()]

    def launch(self, app_id: str, by: str) -> str:
        """Begin to start one more instance, asked for by another; returns its instanceId. Raises `LabError`."""
        manifest = self.manifest(app_id)
        if manifest is None:
            raise UnknownApp(f"no manifest has the uuid {app_id!r}", app=app_id)
        seconds = self._deadlines.launch
        slot: Slot = self._platform.launching.begin(manifest, seconds, opener=self._platform.slot_of(by))
        task = self._loop.create_task(self._finish(slot, seconds))
        self._launches.add(task)
        task.add_done_callback(self._launches.discard)
        if not slot.live:
            raise LaunchError(f"{slot.name} did not launch: {slot.life.detail}", app=slot.name)
        return slot.instance

    async def _finish(self, slot: Slot, seconds: float) -> None:
        try:
            await self._platform.launching.finish(slot, seconds)
        except LabError as error:
            # Who asked for it has its answer already, from the router.
            self._platform.log.remark(error.message, place=slot.name, level="warning")

    def moved(self, instance_id: str) -> None:
        """An instance is on another user channel now, or on none: one that takes a lost supervisor's place needs it."""
        if slot := self._platform.slot_of(instance_id):
            self._platform.roster.note_later(slot)

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self._loop.time()

    def later(self, seconds: float, call: Callable[[], Any]) -> asyncio.TimerHandle:
        """Call something on the loop after a while."""
        return self._loop.call_later(seconds, call)

    def remark(self, instance_id: str, text: str) -> None:
        """Into the platform's log, at the instance's app; a few a second, for an app can cause them at will."""
        slot = self._platform.slot_of(instance_id)
        if notebook := self._platform.notebooks.get(instance_id):
            text = f"{notebook.title}: {text}"
        if slot is None or slot.may_complain():
            self._platform.log.remark(text, kind="fdc3", place=slot.name if slot else None, level="warning")

    def manifest(self, app_id: str) -> Manifest | None:
        """The manifest of an app that can be launched here, or was."""
        manifest = self._platform.manifests.get(app_id)
        if manifest is None:
            slots = self._platform.slots.values()
            manifest = next((slot.manifest for slot in slots if slot.manifest.app_id == app_id), None)
        return manifest

    def _record(self, manifest: Manifest) -> AppRecord:
        known = self._records.get(manifest.app_id)
        if known is None or known[0] is not manifest:
            known = self._records[manifest.app_id] = (manifest, self._read(manifest))
        return known[1]

    def _read(self, manifest: Manifest) -> AppRecord:
        interop = Interop()
        try:
            interop = msgspec.convert(manifest.interop, Interop)
        except msgspec.ValidationError as error:
            text = f"{manifest.app_id}: no intents are taken from its manifest's `interop`: {error}"
            self._platform.log.remark(text, kind="manifest", level="warning")
        return AppRecord(
            app_id=manifest.app_id,
            title=manifest.title,
            description=manifest.startup_app.description or None,
            interop=interop,
            **_told(manifest),
        )


def _told(manifest: Manifest) -> dict[str, Any]:
    """What an app directory says of it; of an app of our own, its title is its name as well."""
    about = manifest.about
    if about is None:
        return {"name": manifest.title}
    return {
        "name": about.name,
        "version": about.version,
        "tooltip": about.tooltip,
        "icons": msgspec.to_builtins(about.icons),
        "screenshots": msgspec.to_builtins(about.screenshots),
        "directory": about.directory,
    }
