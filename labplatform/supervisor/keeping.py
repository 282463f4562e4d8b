"""What apps have kept beyond the life of their process: the last state that each page saved, and what is kept of its
address and marked fields without a word of its own. Supervisor.

Both belong to the app's place on this platform: they are there again after a crash, a recycle, a restart or the loss of
the supervisor, and go with the platform's stop, or when the place is launched anew. The state of an app that holds its
persistent storage belongs to the app, and is there again on its next launch, on whichever platform. What pages crash of
one after the other is put aside (`lifecycle` decides so): the next one comes without, and a controller may look at it.
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
from .session import Session
from .slot import Slot
from .store import Store

SUPERSEDED = msgspec.Raw(b"null")
"""Stands for a state that was never written, for a newer one came before its turn."""
MOST_WAITING = 16 << 20
"""Bytes of one app's states that may wait to be written; one more is refused then."""
PERSISTENT = ""
"""Stands for the session where a state is the app's; its place is the name of its storage then."""
MOST_KEPT = 1 << 18
"""Bytes of what is kept of a page without its word; more is refused."""
MOST_NAMED = 10
"""Fields that are named where they could not be kept."""
FORGOTTEN_AFTER = 7 * 86_400.0
"""Seconds after which a state goes whose platform was killed before it could remove it."""


class Saved(msgspec.Struct, frozen=True):
    """The last state of a place: `at`, seconds since the epoch, and its version."""

    at: float
    version: int


class Kept(msgspec.Struct, frozen=True):
    """What was kept of a page without its word: `at`, seconds since the epoch; a `messages.Kept` as JSON, and the names
    of the fields for which that had no room.
    """

    at: float
    data: bytes
    left: tuple[str, ...]


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
        self._kept: dict[str, Kept] = {}
        self._unwritten: set[str] = set()
        self._writing: asyncio.Task[None] | None = None
        self._refused: dict[str, tuple[float, str]] = {}
        """When what a page wanted to save was refused, and why; by places, and not where it saved something since."""
        self._lost: dict[str, tuple[str, ...]] = {}
        """What was lost with the last page of a place, beside what was not saved."""
        self._aside: dict[str, tuple[int, str]] = {}
        """Which incarnation of a place comes without what was put aside, and why that was."""
        store.later(_forget_older, time.time() - FORGOTTEN_AFTER)

    def take(self, slot: Slot, session: Session, word: m.SaveState | m.LoadState | m.Keep) -> None:
        """A page saves its state, or asks for it. Its answer comes over this session, in the order of its words."""
        if isinstance(word, m.Keep):
            self._keep(slot, word.kept)
            return
        waiting = self._waiting.setdefault(slot.name, _Waiting())
        if isinstance(word, m.SaveState) and waiting.size > MOST_WAITING:
            problem = "too much waits to be saved; await each saveState()"
            self._refused[slot.name] = time.time(), problem
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
                        problem = await self._save(slot, word, waiting)
                        for one, seq in [*superseded, (session, word.seq)]:
                            one.send(m.encode(m.StateSaved(seq=seq, problem=problem)))
                        superseded.clear()
        finally:
            waiting.task = None

    async def _save(self, slot: Slot, word: m.SaveState, waiting: _Waiting) -> str:
        """Why it is not kept; empty if it is."""
        saved, problem = Saved(time.time(), word.version), ""
        try:
            await self._store.write(_put, *self.key(slot), saved, bytes(word.state))
        except StoreError as error:
            problem = str(error)
            self._refused[slot.name] = saved.at, problem
            self._complain(slot, f"its state was not saved: {problem}")
        else:
            # Or it has been put aside, or forgotten, meanwhile.
            if self._waiting.get(slot.name) is waiting:
                self._saved[self.key(slot)] = saved
                self._refused.pop(slot.name, None)
        return problem

    def _complain(self, slot: Slot, text: str) -> None:
        if slot.may_complain():
            self._platform.log.remark(text, kind="state", place=slot.name, level="warning")

    async def _load(self, slot: Slot, session: Session, word: m.LoadState) -> None:
        answer = m.StateLoaded(seq=word.seq)
        try:
            row = await self._store.read(_get, *self.key(slot))
        except StoreError as error:
            answer = msgspec.structs.replace(answer, problem=str(error))
        else:
            if row is not None:
                version, state = row
                answer = m.StateLoaded(seq=word.seq, found=True, version=version, state=msgspec.Raw(state))
        session.send(m.encode(answer))

    # --- without the page's word

    def _keep(self, slot: Slot, word: m.Kept) -> None:
        data = m.encode(word)
        if len(data) > MOST_KEPT:
            self._complain(slot, f"{len(data)} bytes of its fields are too many to be kept; {MOST_KEPT} are allowed")
            return
        self._kept[slot.name] = Kept(time.time(), data, tuple(name[:100] for name in word.left[:MOST_NAMED]))
        self._unwritten.add(slot.name)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """Write what was kept; of what comes meanwhile, the last."""
        try:
            while self._unwritten:
                place = self._unwritten.pop()
                if kept := self._kept.get(place):
                    try:
                        await self._store.write(_put_kept, self._session, place, kept.at, kept.data)
                    except StoreError as error:
                        if slot := self._platform.slots.get(place):
                            self._complain(slot, f"its fields were not kept on disk: {error}")
        finally:
            self._writing = None

    # --- what comes back, and what does not

    def has(self, slot: Slot) -> bool:
        """Whether the page that comes into this place is given something of one before it."""
        return slot.has_page and (self.key(slot) in self._saved or slot.name in self._kept)

    async def size(self, slot: Slot) -> int | None:
        """Bytes of the state that it saved last; `None` where there is none. Raises `StoreError`."""
        return await self._store.read(_size, *self.key(slot))

    def kept_of(self, slot: Slot) -> str:
        """What was kept of the page before without its word, as JSON; empty where nothing was."""
        kept = self._kept.get(slot.name)
        return kept.data.decode() if kept else ""

    def ended(self, slot: Slot, coming_back: bool) -> None:
        """A page has ended, and nothing of it is cleared away yet. `coming_back`: it is the same for others."""
        lost = []
        if not coming_back:
            if unheard := slot.session.unheard if slot.session else 0:
                lost.append(f"what others sent it last, {unheard} contexts or intents, which it may not have heard")
            if owed := self._platform.router.owed(slot.instance):
                lost.append(f"its answers to {' and '.join(dict.fromkeys(owed))}, whose raisers were told so")
        self._lost[slot.name] = tuple(lost)

    def restored(self, slot: Slot, ended: float) -> m.Restored | None:
        """What the page that comes into this place now is told of the one before; `None` where there was none.

        `ended`: when that one ended, in seconds since the epoch.
        """
        life, saved = slot.life, self._saved.get(self.key(slot))
        if not life.recycling and not life.restarts and not life.recycles:
            if saved is None and not slot.from_workspace:
                return None
            return m.Restored(
                after="workspace" if slot.from_workspace else "launched",
                age=max(0.0, time.time() - saved.at) if saved else None,
                version=saved.version if saved else None,
            )
        wanted = "recycled" if life.recycling else "restarted"
        after = wanted if life.recycling or life.reason in (None, "clean-exit") else life.reason
        incarnation, why = self._aside.get(slot.name, (0, ""))
        aside, lost = incarnation == life.incarnation, []
        kept = self._kept.get(slot.name)
        if aside:
            lost.append(f"what it had saved, which was put aside: {why}")
        elif slot.has_page and saved is None and kept is None:
            lost.append("its state, which it never saved")
        if refused := self._refused.get(slot.name):
            at, problem = refused
            lost.append(f"the state that it wanted to save {max(0.0, ended - at):.1f} s before its end: {problem}")
        if kept and kept.left:
            lost.append(f"the fields {' and '.join(kept.left)}, for which there was no room")
        lost += self._lost.get(slot.name, ())
        return m.Restored(
            after=after,
            age=max(0.0, ended - saved.at) if saved else None,
            version=saved.version if saved else None,
            lost=tuple(lost),
            aside=aside,
        )

    def set_aside(self, slot: Slot, why: str) -> None:
        """The incarnation that begins now comes without what was saved, which is kept for a person to look at."""
        key = self.key(slot)
        saved, kept = self._saved.pop(key, None), self._kept.pop(slot.name, None)
        self._stop_writing(slot.name)
        if saved is None and kept is None:
            return
        self._aside[slot.name] = slot.life.incarnation, why
        self._store.later(_set_aside, self._session, slot.name, key, time.time(), why)
        what = "what it had saved" if saved else "what was kept of its page"
        text = f"{what} was put aside, and it starts without: {why}; App.state_aside() tells what it was"
        self._platform.log.remark(text, kind="state", place=slot.name, level="warning")

    async def aside(self, place: str) -> m.StateAside | None:
        """What was put aside last for a place. Raises `StoreError`."""
        slot = self._platform.slots.get(place)
        return await self._store.read(_get_aside, *(self.key(slot) if slot else (self._session, place)))

    def _stop_writing(self, place: str) -> None:
        """What a page that is gone wanted to have written comes too late."""
        self._unwritten.discard(place)
        self._refused.pop(place, None)
        if waiting := self._waiting.pop(place, None):
            waiting.take()

    async def resume(self, slot: Slot) -> None:
        """A place of the session that a lost supervisor held begins with what it had there. Raises `StoreError`."""
        saved = await self._store.read(_about, self._session, slot.name)
        if saved is not None:
            self._saved[self._session, slot.name] = Saved(*saved)
        kept = await self._store.read(_get_kept, self._session, slot.name)
        if kept is not None:
            at, data = kept
            with contextlib.suppress(msgspec.MsgspecError):  # a later version's, or damaged: of no use here
                self._kept[slot.name] = Kept(at, data, m.decode(data, m.Kept).left)

    async def look_up(self, slot: Slot) -> None:
        """What is kept for an app that holds its persistent storage is known when this returns, as far as it can be."""
        key = self.key(slot)
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

    def key(self, slot: Slot) -> tuple[str, str]:
        """What its state is found by: session and place."""
        return (PERSISTENT, slot.persistent) if slot.persistent else (self._session, slot.name)

    def give(self, slot: Slot, saved: Saved, state: bytes) -> None:
        """A place that is about to be filled begins with this state, unless the app has one of its own."""
        self._saved[self._session, slot.name] = saved
        self._store.later(_put, self._session, slot.name, saved, state)

    def forget(self, place: str) -> None:
        """Another story begins in this place; what is the app's own stays."""
        self._stop_writing(place)
        self._saved.pop((self._session, place), None)
        for held in (self._kept, self._lost):
            held.pop(place, None)
        self._store.later(_forget, self._session, place)

    def end(self) -> None:
        """The platform stops: nobody will come back for its states, but for those that are apps' own."""
        self._saved.clear()
        self._kept.clear()
        self._unwritten.clear()
        self._store.later(_forget_session, self._session)


# --- on the store's thread


def _put(db: sqlite3.Connection, session: str, place: str, saved: Saved, state: bytes) -> None:
    db.execute("REPLACE INTO states VALUES (?, ?, ?, ?, ?)", (session, place, saved.at, saved.version, state))


def _get(db: sqlite3.Connection, session: str, place: str) -> tuple[int, bytes] | None:
    found = db.execute("SELECT version, state FROM states WHERE session = ? AND place = ?", (session, place))
    return found.fetchone()


def _put_kept(db: sqlite3.Connection, session: str, place: str, at: float, data: bytes) -> None:
    db.execute("REPLACE INTO kept VALUES (?, ?, ?, ?)", (session, place, at, data))


def _size(db: sqlite3.Connection, session: str, place: str) -> int | None:
    found = db.execute("SELECT length(state) FROM states WHERE session = ? AND place = ?", (session, place)).fetchone()
    return found[0] if found else None


def _about(db: sqlite3.Connection, session: str, place: str) -> tuple[float, int] | None:
    found = db.execute("SELECT saved, version FROM states WHERE session = ? AND place = ?", (session, place))
    return found.fetchone()


def _get_kept(db: sqlite3.Connection, session: str, place: str) -> tuple[float, bytes] | None:
    return db.execute("SELECT at, data FROM kept WHERE session = ? AND place = ?", (session, place)).fetchone()


def _set_aside(db: sqlite3.Connection, session: str, place: str, key: tuple[str, str], at: float, why: str) -> None:
    """`key`: what the state is found by, and is put aside by: an app's own does not go with the session."""
    here = (session, place)
    saved = db.execute("SELECT saved, version, state FROM states WHERE session = ? AND place = ?", key).fetchone()
    kept = db.execute("SELECT data FROM kept WHERE session = ? AND place = ?", here).fetchone()
    row = (*key, at, why, *(saved or (None, None, None)), *(kept or (None,)))
    db.execute("REPLACE INTO aside VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    db.execute("DELETE FROM states WHERE session = ? AND place = ?", key)
    db.execute("DELETE FROM kept WHERE session = ? AND place = ?", here)


def _get_aside(db: sqlite3.Connection, session: str, place: str) -> m.StateAside | None:
    columns = "at, why, saved, version, state, kept"
    row = db.execute(f"SELECT {columns} FROM aside WHERE session = ? AND place = ?", (session, place)).fetchone()
    if row is None:
        return None
    at, why, saved, version, state, kept = row
    return m.StateAside(
        at=at,
        why=why,
        saved=saved,
        version=version,
        state=None if state is None else msgspec.Raw(state),
        kept=None if kept is None else m.decode(kept, m.Kept),
    )


def _forget(db: sqlite3.Connection, session: str, place: str) -> None:
    for table in ("states", "kept"):
        db.execute(f"DELETE FROM {table} WHERE session = ? AND place = ?", (session, place))


def _forget_session(db: sqlite3.Connection, session: str) -> None:
    for table in ("states", "kept", "aside"):
        db.execute(f"DELETE FROM {table} WHERE session = ?", (session,))


def _forget_older(db: sqlite3.Connection, at: float) -> None:
    db.execute("DELETE FROM states WHERE saved < ? AND session != ?", (at, PERSISTENT))
    db.execute("DELETE FROM kept WHERE at < ?", (at,))
    db.execute("DELETE FROM aside WHERE at < ?", (at,))
