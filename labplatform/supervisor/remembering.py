"""What the figures of apps were longer ago than `history` keeps them, or before a supervisor was lost: in the store.

Supervisor. Samples are written together, some seconds' worth of each app at a time, and at once when an app ends. A
platform that stops takes its rows along; those of one whose supervisor was killed wait for the next one. What is too
old goes, and the oldest of all platforms' where it is too much; a store that is not on disk keeps none.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import zlib
from array import array
from typing import Any

import msgspec

from .. import messages as m
from ..errors import StoreError
from .history import Columns, Passage, Past
from .slot import Slot
from .store import Store

WRITE_EVERY = 10.0
"""Seconds of samples that are written together; so many are lost with a supervisor that is killed."""
KEPT_SECONDS = 86_400.0
"""How far back figures are kept."""
MOST_BYTES = 64 << 20
"""Of all platforms together that use the store: half a day of eight apps that are read every second."""
PRUNE_EVERY = 600.0
"""Seconds between two looks for what is too old or too much."""
AT_ONCE = 500
"""Samples that one answer brings at most: whoever wants a day's asks again and again, and others have their turn."""


class Remembering:
    """The figures of one platform's apps, in the store."""

    def __init__(self, platform: Any, store: Store) -> None:
        self._platform = platform
        self._store = store
        self._session: str = platform.order.session
        self._loop = asyncio.get_running_loop()
        self._written: dict[str, float] = {}
        """Place -> the time of its last sample that was written."""
        self._timer: asyncio.TimerHandle | None = None
        self._pruned = 0.0
        self._over = False

    def start(self) -> None:
        """Begin to write."""
        self._timer = self._loop.call_later(WRITE_EVERY, self._write_all)

    def _write_all(self) -> None:
        self._write(list(self._platform.slots.values()))
        now = self._loop.time()
        if self._keeps and now - self._pruned >= PRUNE_EVERY:
            self._pruned = now
            self._store.later(_prune, time.time() - KEPT_SECONDS, MOST_BYTES)
        self._timer = self._loop.call_later(WRITE_EVERY, self._write_all)

    @property
    def _keeps(self) -> bool:
        return not self._over and self._store.path is not None and not self._store.problem

    def ended(self, slot: Slot) -> None:
        """An app has ended: what it used until then is worth the most, and is written at once."""
        self._write([slot])

    def _write(self, slots: list[Slot]) -> None:
        if not self._keeps:
            return
        rows = []
        for slot in slots:
            past = slot.history.past(self._written.get(slot.name, 0.0))
            if times := past.app["at"]:
                self._written[slot.name] = times[-1]
                rows.append((slot.name, past))
        if rows:
            self._store.later(_put, self._session, rows)

    def forget(self, place: str) -> None:
        """An app has been taken off the platform."""
        self._written.pop(place, None)
        self._store.later(_forget, self._session, place)

    def end(self) -> None:
        """The platform stops: nobody will ask any more."""
        self._stop_writing()
        self._store.later(_forget_session, self._session)

    def leave(self) -> None:
        """The platform ends, and is to be brought back as it is now."""
        self._write_all()
        self._stop_writing()

    def _stop_writing(self) -> None:
        self._over = True
        if self._timer:
            self._timer.cancel()

    async def recall(self, slot: Slot, after: float) -> m.Recalled:
        """The samples after a time, in seconds since the epoch, oldest first; with `more`, those behind the last of
        them have to be asked for.
        """
        found = Passage(AT_ONCE)
        oldest = slot.history.oldest
        if after < oldest and self._keeps:
            try:
                found = await self._store.read(_get, self._session, slot.name, after, oldest)
            except (StoreError, ValueError) as error:
                text = f"its earlier figures could not be read: {error}"
                self._platform.log.remark(text, kind="store", place=slot.name, level="warning")
        if not found.full:
            found.add(slot.history.past(max(after, found.last), found.room + 1))
        return found.recalled()


# --- as it is stored


class _StoredProcess(msgspec.Struct, frozen=True, array_like=True):
    pid: int
    created: float
    role: str
    columns: dict[str, bytes]


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """Columns of numbers as `array("d")` has them in memory, which is how every machine of today has them."""

    app: dict[str, bytes]
    processes: list[_StoredProcess]


_decode = msgspec.msgpack.Decoder(_Stored).decode


def _pack(past: Past) -> bytes:
    stored = _Stored(
        app={name: column.tobytes() for name, column in past.app.items()},
        processes=[
            _StoredProcess(pid, created, role, {name: column.tobytes() for name, column in columns.items()})
            for (pid, created, role), columns in past.processes
        ],
    )
    return zlib.compress(msgspec.msgpack.encode(stored), 1)


def _unpack(data: bytes) -> Past:
    """Raises `ValueError` for what was never packed so."""
    try:
        stored = _decode(zlib.decompress(data))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"a damaged row of figures: {error}") from None
    return Past(
        _columns(stored.app), [((one.pid, one.created, one.role), _columns(one.columns)) for one in stored.processes]
    )


def _columns(stored: dict[str, bytes]) -> Columns:
    return {name: array("d", data) for name, data in stored.items()}


# --- on the store's thread


def _put(db: sqlite3.Connection, session: str, rows: list[tuple[str, Past]]) -> None:
    packed = [(session, place, past.app["at"][-1], _pack(past)) for place, past in rows]
    db.executemany(
        "REPLACE INTO figures (session, place, ended, size, data) VALUES (?, ?, ?, ?, ?)",
        [(session, place, ended, len(data), data) for session, place, ended, data in packed],
    )


def _get(db: sqlite3.Connection, session: str, place: str, after: float, before: float) -> Passage:
    """The samples between these times, themselves excluded, as many as go into one answer. Raises `ValueError`."""
    passage = Passage(AT_ONCE)
    for (data,) in db.execute(
        "SELECT data FROM figures WHERE session = ? AND place = ? AND ended > ? ORDER BY ended", (session, place, after)
    ):
        past = _unpack(data).between(after, before)
        if not past.app["at"]:
            # All of what follows is in memory.
            break
        passage.add(past)
        if passage.full:
            break
    return passage


def _prune(db: sqlite3.Connection, older: float, most: int) -> None:
    """Remove what is too old, and of the rest the oldest, until nine tenths of what may be kept are left."""
    db.execute("DELETE FROM figures WHERE ended < ?", (older,))
    total = db.execute("SELECT total(size) FROM figures").fetchone()[0]
    if total <= most:
        return
    for ended, size in db.execute("SELECT ended, size FROM figures ORDER BY ended"):
        total -= size
        if total <= 0.9 * most:
            db.execute("DELETE FROM figures WHERE ended <= ?", (ended,))
            return


def _forget(db: sqlite3.Connection, session: str, place: str) -> None:
    db.execute("DELETE FROM figures WHERE session = ? AND place = ?", (session, place))


def _forget_session(db: sqlite3.Connection, session: str) -> None:
    db.execute("DELETE FROM figures WHERE session = ?", (session,))
