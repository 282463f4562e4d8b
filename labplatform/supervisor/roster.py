"""Which apps are on the platform, in the store: a supervisor that takes a lost one's place launches them again from it.

Supervisor. A platform that stops takes its rows along; those of one whose supervisor was killed wait for that other one
for some days. What the apps themselves left is `keeping`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from typing import Any

import msgspec

from .. import messages as m
from ..errors import StoreError
from ..manifest import Manifest, ResourceLimits
from . import lifecycle
from .slot import Slot
from .store import Store

FORGOTTEN_AFTER = 7 * 86_400.0
"""Seconds after which the rows go of a platform that nobody has brought back."""
SEEN_EVERY = 3600.0
"""Seconds between two words of a platform that it still lives."""
REASON, DETAIL = "killed", "the supervisor was lost"
"""Why apps ended whose supervisor was."""
WRITTEN_SECONDS = 2.0
"""Seconds that an answer waits for the disk at most."""
OFTEN_SECONDS = 0.25
"""Seconds after which what may change all the time is written: where a window is, and its user channel."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to launch an app again where it was. `since`: as in `AppStatus`. `user_channel`, `bounds`: what it
    is on and where its window is, or was when it ended. `for_session`: its storage lasts no longer than the session,
    whatever its manifest says.
    """

    manifest: Manifest
    limits: ResourceLimits
    life: lifecycle.Life
    since: float = 0.0
    opened_for: str = ""
    wish: m.Isolation | None = None
    user_channel: str | None = None
    bounds: m.Bounds | None = None
    for_session: bool = False


class Roster:
    """The rows of one platform."""

    def __init__(self, platform: Any, store: Store) -> None:
        self._platform = platform
        self._store = store
        self._session: str = platform.order.session
        self._loop = asyncio.get_running_loop()
        self._changed: set[str] = set()
        self.left = False
        """Whether the platform ends, and what is on it now is to be brought back."""
        self._over = False
        self._seen: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._often: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Forget whom nobody will bring back, and say now and then that this platform is not one of them."""
        self._say_seen()
        self._store.later(_forget_older, time.time() - FORGOTTEN_AFTER)

    def _say_seen(self) -> None:
        self._store.later(_see, self._session, time.time())
        self._seen = self._loop.call_later(SEEN_EVERY, self._say_seen)

    def note(self, slot: Slot) -> None:
        """Something about this app is another now; written on the loop's next turn."""
        if not self._soon:
            self._soon = self._loop.call_soon(self._write)
        self._changed.add(slot.name)

    def note_later(self, slot: Slot) -> None:
        """The same of what an app can change as often as it likes; written together with what else changes soon."""
        if not self._often:
            self._often = self._loop.call_later(OFTEN_SECONDS, self._write)
        self._changed.add(slot.name)

    def _write(self) -> None:
        changed, self._changed = self._changed, set()
        for handle in (self._soon, self._often):
            if handle:
                handle.cancel()
        self._soon = self._often = None
        if self._over:
            return
        now = time.time()
        rows = [
            (self._session, slot.name, position, now, m.encode(self._row(slot)))
            for position, slot in enumerate(self._platform.slots.values())
            if slot.name in changed
        ]
        self._store.later(_put, rows)

    async def written(self) -> None:
        """Wait until what was noted so far is on disk, or cannot be, or that takes too long: what is answered after
        this is not undone by the loss of the supervisor.
        """
        if self._changed:
            self._write()
        with contextlib.suppress(StoreError, TimeoutError):
            await asyncio.wait_for(self._store.write(lambda db: None), WRITTEN_SECONDS)

    def remove(self, place: str) -> None:
        """An app has been taken off the platform."""
        self._changed.discard(place)
        if self._over:
            return
        self._store.later(_remove, self._session, place)

    def end(self) -> None:
        """The platform stops: nobody will bring it back."""
        self._end_writing()
        self._store.later(_forget, self._session)

    def _end_writing(self) -> None:
        self._over = True
        for handle in (self._seen, self._soon, self._often):
            if handle:
                handle.cancel()

    def leave(self) -> None:
        """The platform ends, and is to be brought back as it is now."""
        self._write()
        self._end_writing()
        self.left = True

    async def resume(self, wish: m.Resumption) -> None:
        """Launch again what a lost supervisor held, and bring back, stopped, what had ended on it."""
        platform = self._platform
        found: list[tuple[Slot, lifecycle.Life, float]] = []
        try:
            for place, data in await self._store.read(_rows, self._session):
                slot, row = self._slot(place, data)
                if slot is None or row is None:
                    continue
                await platform.keeping.resume(slot)
                incarnation = max(row.life.incarnation, wish.incarnations.get(place, 0))
                found.append((slot, msgspec.structs.replace(row.life, incarnation=incarnation), row.since))
        except StoreError as error:
            self._say(f"not all apps could be brought back: {error}")
        if not found and wish.incarnations:
            why = f": {self._store.problem}" if self._store.problem else ""
            self._say(f"none of its apps could be brought back, for the store holds nothing of them{why}")
        for slot, life, since in found:
            slot.since, slot.ended_at = since, wish.at
            slot.placed = platform.hosts.placement(slot)
            platform.slots[slot.name] = slot
            platform.feed(slot, lifecycle.Resumed(at=time.time(), life=life, reason=REASON, detail=DETAIL))

    def _slot(self, place: str, data: bytes) -> tuple[Slot | None, Row | None]:
        try:
            row = m.decode(data, Row)
        except msgspec.MsgspecError as error:
            self._say(f"{place} could not be brought back, for what the store holds of it is damaged: {error}")
            return None, None
        slot = Slot(place, row.manifest, row.limits, row.wish)
        slot.opened_for = row.opened_for
        slot.user_channel, slot.bounds = row.user_channel, row.bounds
        if row.for_session:
            slot.profile = self._platform.hosts.profiles.for_session(slot)
        return slot, row

    def _say(self, text: str) -> None:
        self._platform.log.remark(text, kind="resume", level="error")

    def _row(self, slot: Slot) -> Row:
        return Row(
            manifest=slot.manifest,
            limits=slot.limits,
            life=slot.life,
            since=slot.since,
            opened_for=slot.opened_for,
            wish=slot.wish,
            user_channel=self._platform.user_channel(slot),
            bounds=slot.bounds,
            for_session=slot.profile is not None and not slot.persistent,
        )


# --- on the store's thread


def _put(db: sqlite3.Connection, rows: list[tuple[str, str, int, float, bytes]]) -> None:
    db.executemany("REPLACE INTO roster VALUES (?, ?, ?, ?, ?)", rows)


def _rows(db: sqlite3.Connection, session: str) -> list[tuple[str, bytes]]:
    found = db.execute("SELECT place, data FROM roster WHERE session = ? ORDER BY position, place", (session,))
    return found.fetchall()


def _see(db: sqlite3.Connection, session: str, at: float) -> None:
    db.execute("UPDATE roster SET seen = ? WHERE session = ?", (at, session))


def _remove(db: sqlite3.Connection, session: str, place: str) -> None:
    db.execute("DELETE FROM roster WHERE session = ? AND place = ?", (session, place))


def _forget(db: sqlite3.Connection, session: str) -> None:
    db.execute("DELETE FROM roster WHERE session = ?", (session,))


def _forget_older(db: sqlite3.Connection, at: float) -> None:
    db.execute("DELETE FROM roster WHERE seen < ?", (at,))
