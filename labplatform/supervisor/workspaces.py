"""What is on a platform, kept in the store under a name, and brought back on this platform or another. Supervisor.

A workspace belongs to no session: it survives the platform, the machine's end, and the going of its apps' manifests,
for they travel with it. What comes back is which apps there were, in which placement, where their windows were, on
which user channel, with which limits, and what their pages had saved. An app that holds its persistent storage has the
state that it saved last, and is not set back to an older one.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from .. import messages as m
from ..errors import LabError, LabTimeout, StoreError, UnknownWorkspace, WorkspaceError
from ..manifest import Manifest, ResourceLimits
from . import lifecycle
from .keeping import Saved
from .lifecycle import State
from .slot import Slot
from .store import Store

MOST_WORKSPACES = 100
"""Workspaces that are kept; one more is refused."""
CLOSE_GRACE = 5.0
"""Seconds that an app gets to close that is to be started anew."""
OVER = frozenset({State.STOPPED, State.FAILED})


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one app beside its state. Its manifest has the limits it was held to. `wish`: as in `Slot`."""

    manifest: Manifest
    wish: m.Isolation | None = None
    user_channel: str | None = None
    bounds: m.Bounds | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One app of a workspace, as the store has it. `kept` is `None`, and `problem` says why, where it is damaged."""

    place: str
    kept: Kept | None
    problem: str = ""
    saved: Saved | None = None
    state: bytes = b""


class Workspaces:
    """The workspaces of a store, as one platform uses them."""

    def __init__(self, platform: Any, store: Store) -> None:
        self._platform = platform
        self._store = store

    async def save(self, name: str) -> m.Workspace:
        """Keep what is up now. Raises `WorkspaceError` where nothing is or too many are kept, `StoreError`."""
        await self._check()
        platform = self._platform
        slots = [slot for slot in platform.slots.values() if _is_up(slot)]
        if not slots:
            raise WorkspaceError(f"no app is up on this platform, so there is nothing to keep as {name!r}")
        rows = [(slot.name, m.encode(self._kept(slot)), *platform.keeping.key(slot)) for slot in slots]
        await self._store.write(_put, name, time.time(), platform.order.isolation, rows)
        platform.log.remark(f"saved as workspace {name!r}: {', '.join(slot.name for slot in slots)}", kind="workspace")
        (saved,) = [one for one in await self.all() if one.name == name]
        return saved

    def _kept(self, slot: Slot) -> Kept:
        return Kept(
            manifest=_limited(slot.manifest, slot.limits),
            wish=slot.wish,
            user_channel=self._platform.user_channel(slot),
            bounds=slot.bounds,
        )

    async def all(self) -> list[m.Workspace]:
        """All that are kept, by name. Raises `StoreError`."""
        await self._check()
        found = await self._store.read(_all)
        return [
            m.Workspace(
                name=name,
                saved=saved if isinstance(saved, float) else 0.0,
                isolation=str(isolation),
                apps=tuple(_shown(_part(*row)) for row in rows),
            )
            for name, saved, isolation, rows in found
        ]

    async def delete(self, name: str) -> None:
        """Keep it no longer. Raises `UnknownWorkspace`, `StoreError`."""
        await self._check()
        if not await self._store.write(_delete, name):
            raise await self._unknown(name)

    async def restore(self, name: str, running: m.WithRunning, seconds: float) -> m.WorkspaceRestored:
        """Launch what is kept under this name and is missing, all at once; `seconds` for each to be ready.

        Cancelled, it undoes those that are still starting. Raises `UnknownWorkspace`, `StoreError`.
        """
        await self._check()
        rows = await self._store.read(_parts, name)
        if rows is None:
            raise await self._unknown(name)
        parts = [_part(*row) for row in rows]
        failed = {part.place: part.problem for part in parts if part.kept is None}
        parts = await asyncio.to_thread(self._as_they_are_now, [part for part in parts if part.kept])
        if running == "restart":
            await self._stop([slot for slot in self._there(parts).values() if slot])
        # From here on without a pause until all are begun, so that two restorations at once double nothing.
        there = self._there(parts)
        begun: dict[str, Slot] = {}
        for part in _required_first([part for part in parts if there[part.place] is None]):
            try:
                begun[part.place] = self._begin(part, seconds)
            except LabError as error:
                failed[part.place] = error.message
        kept = tuple(slot.name for slot in there.values() if slot)
        self._tell(f"workspace {name!r}: {len(begun)} of its {len(rows)} apps are being launched")
        for place in kept:
            self._tell(f"workspace {name!r}: {place} runs already, and is left as it is", place)
        for place, why in failed.items():
            self._tell(f"workspace {name!r}: {place} is not launched: {why}", level="error")
        up = 0

        async def finish(place: str, slot: Slot) -> None:
            nonlocal up
            try:
                await self._platform.launching.finish(slot, seconds)
            except LabError as error:
                failed[place] = error.message
                self._tell(f"workspace {name!r}: {error.message}", level="error")
            else:
                up += 1
                self._tell(f"workspace {name!r}: {slot.name} is up ({up} of {len(begun)})", slot.name)

        await asyncio.gather(*(finish(place, slot) for place, slot in begun.items()))
        slots = [there[part.place] or begun.get(part.place) for part in parts]
        apps = tuple(
            slot.status() for part, slot in zip(parts, slots, strict=True) if slot and part.place not in failed
        )
        return m.WorkspaceRestored(apps=apps, kept=kept, failed=failed)

    # --- how

    async def _check(self) -> None:
        """Raises `StoreError` where nothing that is kept would survive the platform."""
        await self._store.read(lambda db: None)  # it is open, or has been given up, by then
        if self._store.path is None or self._store.problem:
            why = self._store.problem or "this platform has no store on disk"
            raise StoreError(f"there are no workspaces here: {why}")

    async def _unknown(self, name: str) -> UnknownWorkspace:
        there = ", ".join(repr(one.name) for one in await self.all()) or "none"
        return UnknownWorkspace(f"no workspace is called {name!r}; there are: {there}", workspace=name)

    def _as_they_are_now(self, parts: list[Part]) -> list[Part]:
        """An app that is on disk still where it was, or that only this platform has still, is as this one knows it; any
        other as it was kept. Looks at folders, and so runs on a thread of its own.
        """
        return [msgspec.structs.replace(part, kept=self._as_it_is_now(part.kept)) for part in parts]

    def _as_it_is_now(self, kept: Kept) -> Kept:
        was = kept.manifest
        known = self._platform.manifests.get(was.app_id)
        if known is None:
            return kept
        gone = was.folder is not None and not os.path.isdir(was.folder)
        if known.folder != was.folder and not gone:
            return kept
        return msgspec.structs.replace(kept, manifest=_limited(known, was.startup_app.resource_limits))

    def _there(self, parts: list[Part]) -> dict[str, Slot | None]:
        """Who of these is up already: the app in the same place, or else another instance of it, but each for one."""
        up = [slot for slot in self._platform.slots.values() if _is_up(slot)]
        found: dict[str, Slot | None] = dict.fromkeys(part.place for part in parts)
        for same_place in (True, False):
            for part in parts:
                if found[part.place] is None:
                    fits = (slot for slot in up if slot.manifest.app_id == part.kept.manifest.app_id)
                    found[part.place] = next((slot for slot in fits if not same_place or slot.name == part.place), None)
                    if slot := found[part.place]:
                        up.remove(slot)
        return found

    async def _stop(self, slots: list[Slot]) -> None:
        platform = self._platform
        for slot in slots:
            platform.feed(slot, lifecycle.StopAsked(at=time.time(), by="its workspace", grace=CLOSE_GRACE))
        for slot in slots:
            if not await platform.until(slot, lambda slot: slot.state in OVER, CLOSE_GRACE + 3):
                raise LabTimeout(f"{slot.name} did not stop to be started anew; it is {slot.state}", app=slot.name)

    def _begin(self, part: Part, timeout: float) -> Slot:
        kept, keeping = part.kept, self._platform.keeping

        def prepare(slot: Slot) -> None:
            slot.user_channel, slot.bounds, slot.from_workspace = kept.user_channel, kept.bounds, True
            if part.saved:
                keeping.give(slot, part.saved, part.state)

        return self._platform.launching.begin(
            kept.manifest, timeout, placement=kept.wish, place=part.place, prepare=prepare
        )

    def _tell(self, text: str, place: str | None = None, level: str = "info") -> None:
        self._platform.log.remark(text, kind="workspace", place=place, level=level)


def _is_up(slot: Slot) -> bool:
    """Whether it runs, or is about to run again by itself."""
    return slot.state not in OVER and (slot.state is not State.STOPPING or slot.life.start_again)


def _limited(manifest: Manifest, limits: ResourceLimits) -> Manifest:
    app = msgspec.structs.replace(manifest.startup_app, resource_limits=limits)
    return msgspec.structs.replace(manifest, startup_app=app)


def _required_first(parts: Iterable[Part]) -> list[Part]:
    """Those that others require before these, or they would be launched for them a second time."""
    parts = list(parts)
    required = {app_id for part in parts for app_id in part.kept.manifest.requires}
    return sorted(parts, key=lambda part: part.kept.manifest.app_id not in required)


def _part(place: str, data: Any, at: Any, version: Any, state: Any) -> Part:
    try:
        kept = m.decode(data, Kept)
        if not re.fullmatch(rf"{re.escape(kept.manifest.uuid)}(-\d+)?", place):
            raise ValueError(f"{kept.manifest.uuid} is not called so")
        saved = None if at is None else Saved(float(at), int(version))
        if saved is not None:
            # Its page is to get JSON or nothing.
            msgspec.json.decode(state)
    except (TypeError, ValueError) as error:  # msgspec's errors are ValueErrors
        return Part(place=place, kept=None, problem=f"what the store holds of it is damaged: {error}")
    return Part(place=place, kept=kept, saved=saved, state=bytes(state or b""))


def _shown(part: Part) -> m.WorkspaceApp:
    if part.kept is None:
        return m.WorkspaceApp(place=part.place, problem=part.problem)
    manifest = part.kept.manifest
    return m.WorkspaceApp(
        place=part.place,
        app_id=manifest.app_id,
        title=manifest.title,
        user_channel=part.kept.user_channel,
        bounds=part.kept.bounds,
        limits=manifest.startup_app.resource_limits,
        state_size=len(part.state) if part.saved else None,
        state_at=part.saved.at if part.saved else None,
    )


# --- on the store's thread


_PARTS = "SELECT place, data, saved, version, state FROM workspace_apps WHERE workspace = ? ORDER BY position, place"


def _put(db: sqlite3.Connection, name: str, at: float, isolation: str, rows: list[tuple[str, bytes, str, str]]) -> None:
    known = db.execute("SELECT 1 FROM workspaces WHERE name = ?", (name,)).fetchone()
    if not known and db.execute("SELECT count(*) FROM workspaces").fetchone()[0] >= MOST_WORKSPACES:
        raise WorkspaceError(
            f"{MOST_WORKSPACES} workspaces are kept already, and {name!r} would be one more; delete one of them first"
        )
    db.execute("DELETE FROM workspace_apps WHERE workspace = ?", (name,))
    db.execute("REPLACE INTO workspaces VALUES (?, ?, ?)", (name, at, isolation))
    for position, (place, data, session, key) in enumerate(rows):
        state = db.execute("SELECT saved, version, state FROM states WHERE session = ? AND place = ?", (session, key))
        db.execute(
            "INSERT INTO workspace_apps VALUES (?, ?, ?, ?, ?, ?, ?)",
            (name, place, position, data, *(state.fetchone() or (None, None, None))),
        )


def _all(db: sqlite3.Connection) -> list[tuple[str, Any, Any, list[tuple[Any, ...]]]]:
    found = db.execute("SELECT name, saved, isolation FROM workspaces ORDER BY name").fetchall()
    return [(*row, db.execute(_PARTS, row[:1]).fetchall()) for row in found]


def _parts(db: sqlite3.Connection, name: str) -> list[tuple[Any, ...]] | None:
    known = db.execute("SELECT 1 FROM workspaces WHERE name = ?", (name,)).fetchone()
    return db.execute(_PARTS, (name,)).fetchall() if known else None


def _delete(db: sqlite3.Connection, name: str) -> bool:
    db.execute("DELETE FROM workspace_apps WHERE workspace = ?", (name,))
    return db.execute("DELETE FROM workspaces WHERE name = ?", (name,)).rowcount > 0
