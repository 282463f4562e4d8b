"""What apps want kept beyond the life of their process: the last state that each page saved. Supervisor.

A state belongs to the app's place on this platform: it is there again after a crash, a recycle or a restart, and goes
with the platform's stop, or when the place is launched anew. That of an app that holds its persistent storage belongs
to the app, and is there again on its next launch, on whichever platform.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import Any

import msgspec

from .. import messages as m
from ..errors import StoreError
from .session import Session
from .slot import Slot
from .store import Store

SUPERSEDED = msgspec.Raw(b"null")
"""Stands for a state that was never written, for a newer one came before its turn."""
MOST_WAITING = 16 << 20
"""Bytes of one app's states that may wait to be written; one more is refused then."""
PERSISTENT = ""
"""Stands for the session where a state is the app's; its place is the name of its storage then."""
FORGOTTEN_AFTER = 7 * 86_400.0
"""Seconds after which a state goes whose platform was killed before it could remove it."""


class Saved(msgspec.Struct, frozen=True):
    """The last state of a place: `at`, seconds since the epoch, and its version."""

    at: float
    version: int


class _Waiting:
    """What one page wants to have done, in the order of its words. Of states that wait only the last is written: each
    takes the place of the one before, whose save is answered with its.
    """

    def __init__(self) -> None:
        self.words: list[tuple[Slot, Session, m.SaveState | m.LoadState]] = []
        self.size = 0
        """Bytes of the states among them."""
        self.task: asyncio.Task[None] | None = None

    def add(self, slot: Slot, session: Session, word: m.SaveState | m.LoadState) -> None:
        if isinstance(word, m.SaveState):
            if self.words and self.words[-1][0] is slot and isinstance(self.words[-1][2], m.SaveState):
                _, one, before = self.words[-1]
                # Its number alone is still wanted, for the answer.
                self.words[-1] = (slot, one, msgspec.structs.replace(before, state=SUPERSEDED))
                self.size -= len(before.state)
            self.size += len(word.state)
        self.words.append((slot, session, word))

    def take(self) -> list[tuple[Slot, Session, m.SaveState | m.LoadState]]:
        words, self.words, self.size = self.words, [], 0
        return words


class Keeping:
    """The states of one platform's apps."""

    def __init__(self, platform: Any, store: Store) -> None:
        self._platform = platform
        self._store = store
        self._session: str = platform.order.session
        self._saved: dict[tuple[str, str], Saved] = {}
        self._waiting: dict[str, _Waiting] = {}
        store.later(_forget_older, time.time() - FORGOTTEN_AFTER)

    def take(self, slot: Slot, session: Session, word: m.SaveState | m.LoadState) -> None:
        """A page saves its state, or asks for it. Its answer comes over this session, in the order of its words."""
        waiting = self._waiting.setdefault(slot.name, _Waiting())
        if isinstance(word, m.SaveState) and waiting.size > MOST_WAITING:
            problem = "too much waits to be saved; await each saveState()"
            session.send(m.encode(m.StateSaved(seq=word.seq, problem=problem)))
            return
        waiting.add(slot, session, word)
        if waiting.task is None:
            waiting.task = asyncio.get_running_loop().create_task(self._work(waiting))

    async def _work(self, waiting: _Waiting) -> None:
        try:
            while waiting.words:
                words = waiting.take()
                superseded: list[tuple[Session, int]] = []
                for slot, session, word in words:
                    if isinstance(word, m.LoadState):
                        await self._load(slot, session, word)
                    elif word.state is SUPERSEDED:
                        superseded.append((session, word.seq))
                    else:
                        problem = await self._save(slot, word)
                        for one, seq in [*superseded, (session, word.seq)]:
                            one.send(m.encode(m.StateSaved(seq=seq, problem=problem)))
                        superseded.clear()
        finally:
            waiting.task = None

    async def _save(self, slot: Slot, word: m.SaveState) -> str:
        """Why it is not kept; empty if it is."""
        saved, problem = Saved(time.time(), word.version), ""
        try:
            await self._store.write(_put, *self._key(slot), saved, bytes(word.state))
        except StoreError as error:
            problem = str(error)
            if slot.may_complain():
                self._platform.log.remark(
                    f"its state was not saved: {problem}", kind="state", place=slot.name, level="warning"
                )
        else:
            self._saved[self._key(slot)] = saved
        return problem

    async def _load(self, slot: Slot, session: Session, word: m.LoadState) -> None:
        answer = m.StateLoaded(seq=word.seq)
        try:
            row = await self._store.read(_get, *self._key(slot))
        except StoreError as error:
            answer = msgspec.structs.replace(answer, problem=str(error))
        else:
            if row is not None:
                version, state = row
                answer = m.StateLoaded(seq=word.seq, found=True, version=version, state=msgspec.Raw(state))
        session.send(m.encode(answer))

    def restored(self, slot: Slot, ended: float) -> m.Restored | None:
        """What the page that comes into this place now is told of the one before; `None` where there was none.

        `ended`: when that one ended, in seconds since the epoch.
        """
        life, saved = slot.life, self._saved.get(self._key(slot))
        if not life.recycling and not life.restarts and not life.recycles:
            if saved is None:
                return None
            return m.Restored(after="launched", age=max(0.0, time.time() - saved.at), version=saved.version)
        wanted = "recycled" if life.recycling else "restarted"
        after = wanted if life.recycling or life.reason in (None, "clean-exit") else life.reason
        if saved is None:
            return m.Restored(after=after, lost=("its state, which it never saved",) if slot.has_page else ())
        return m.Restored(after=after, age=max(0.0, ended - saved.at), version=saved.version)

    async def resume(self, slot: Slot) -> None:
        """A place of the session that a lost supervisor held begins with what it had there. Raises `StoreError`."""
        row = await self._store.read(_about, self._session, slot.name)
        if row is not None:
            self._saved[self._session, slot.name] = Saved(*row)

    async def look_up(self, slot: Slot) -> None:
        """What is kept for an app that holds its persistent storage is known when this returns, as far as it can be."""
        key = self._key(slot)
        try:
            row = await self._store.read(_about, *key)
        except StoreError as error:
            self._platform.log.remark(
                f"its state is not known: {error}", kind="state", place=slot.name, level="warning"
            )
        else:
            # Another platform may have had it meanwhile.
            self._saved.pop(key, None)
            if row is not None:
                self._saved[key] = Saved(*row)
        slot.looked_up = True

    def _key(self, slot: Slot) -> tuple[str, str]:
        """What its state is found by: session and place."""
        return (PERSISTENT, slot.persistent) if slot.persistent else (self._session, slot.name)

    def forget(self, place: str) -> None:
        """Another story begins in this place; what is the app's own stays."""
        self._saved.pop((self._session, place), None)
        self._store.later(_forget, self._session, place)

    def end(self) -> None:
        """The platform stops: nobody will come back for its states, but for those that are apps' own."""
        self._saved.clear()
        self._store.later(_forget_session, self._session)


# --- on the store's thread


def _put(db: sqlite3.Connection, session: str, place: str, saved: Saved, state: bytes) -> None:
    db.execute("REPLACE INTO states VALUES (?, ?, ?, ?, ?)", (session, place, saved.at, saved.version, state))


def _get(db: sqlite3.Connection, session: str, place: str) -> tuple[int, bytes] | None:
    found = db.execute("SELECT version, state FROM states WHERE session = ? AND place = ?", (session, place))
    return found.fetchone()


def _about(db: sqlite3.Connection, session: str, place: str) -> tuple[float, int] | None:
    found = db.execute("SELECT saved, version FROM states WHERE session = ? AND place = ?", (session, place))
    return found.fetchone()


def _forget(db: sqlite3.Connection, session: str, place: str) -> None:
    db.execute("DELETE FROM states WHERE session = ? AND place = ?", (session, place))


def _forget_session(db: sqlite3.Connection, session: str) -> None:
    db.execute("DELETE FROM states WHERE session = ?", (session,))


def _forget_older(db: sqlite3.Connection, at: float) -> None:
    db.execute("DELETE FROM states WHERE saved < ? AND session != ?", (at, PERSISTENT))
