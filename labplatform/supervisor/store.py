"""What must outlive processes, on disk: SQLite in WAL mode, on a thread of its own. Supervisor.

What `write` returned from survives SIGKILL of anything, and the machine's end (`synchronous=FULL` syncs the log of each
commit, https://www.sqlite.org/pragma.html#pragma_synchronous). Writes that wait are committed together, so that many
cost one sync. Several platforms may use one store at a time; SQLite lets one of them write and the others wait.

A store that cannot be used stops nobody: it is kept in memory for as long as the platform lives, and `problem` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..alone import LOOK_EVERY, alone
from ..errors import StoreError
from ..reports import archive

T = TypeVar("T")
P = ParamSpec("P")
Work = Callable[Concatenate[sqlite3.Connection, P], T]

VERSION = 1
"""Of the schema; in the file as `user_version`."""
SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS states (
    session TEXT NOT NULL, place TEXT NOT NULL, saved REAL NOT NULL, version INTEGER NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (session, place)
);
CREATE TABLE IF NOT EXISTS kept (
    session TEXT NOT NULL, place TEXT NOT NULL, at REAL NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (session, place)
);
CREATE TABLE IF NOT EXISTS aside (
    session TEXT NOT NULL, place TEXT NOT NULL, at REAL NOT NULL, why TEXT NOT NULL, saved REAL, version INTEGER,
    state BLOB, kept BLOB,
    PRIMARY KEY (session, place)
);
CREATE TABLE IF NOT EXISTS roster (
    session TEXT NOT NULL, place TEXT NOT NULL, position INTEGER NOT NULL, seen REAL NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (session, place)
);
CREATE TABLE IF NOT EXISTS figures (
    session TEXT NOT NULL, place TEXT NOT NULL, ended REAL NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (session, place, ended)
);
CREATE TABLE IF NOT EXISTS workspaces (name TEXT PRIMARY KEY, saved REAL NOT NULL, isolation TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS workspace_apps (
    workspace TEXT NOT NULL, place TEXT NOT NULL, position INTEGER NOT NULL, data BLOB NOT NULL,
    saved REAL, version INTEGER, state BLOB,
    PRIMARY KEY (workspace, place)
);
CREATE INDEX IF NOT EXISTS figures_by_age ON figures (ended, size);
"""
    + archive.TABLE
)
BUSY_SECONDS = 5.0
"""Seconds that a write waits for another platform's to end."""
TOGETHER = 256
"""Writes that are committed at once, at most."""
MEMORY = ":memory:"


class _Job:
    def __init__(
        self, work: Callable[[sqlite3.Connection], Any], answer: asyncio.Future[Any] | None, writes: bool
    ) -> None:
        self.work, self.answer, self.writes = work, answer, writes


class Store:
    """One file; without a `path`, the memory of this process.

    `warn(text)` is called, on the loop, where it cannot be used, or cannot be any more.
    """

    def __init__(self, path: Path | None, warn: Callable[[str], None]) -> None:
        self.path = path
        self.problem = ""
        """Why nothing is kept on disk; empty while all is well."""
        self._warn = warn
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._failed_before = False

    # --- on the loop

    def start(self) -> None:
        """Open the file, made if need be; what is asked meanwhile waits for that. Never raises: see `problem`."""
        self._thread.start()

    async def close(self, seconds: float = 2.0) -> None:
        """Finish what waits, and let go of the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join, seconds)

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(db, …)` in a transaction, on the store's thread; returns its value once that is durable.

        Raises `StoreError` where it is not, and what it changed is undone.
        """
        return await self._ask(lambda db: work(db, *args, **kwargs), writes=True)

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(db, …)`, which changes nothing, on the store's thread. Raises `StoreError`."""
        return await self._ask(lambda db: work(db, *args, **kwargs), writes=False)

    def later(self, work: Work[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """The same as `write`, but nobody waits for it; that it failed is said once."""
        self._jobs.put(_Job(lambda db: work(db, *args, **kwargs), None, True))

    async def _ask(self, work: Callable[[sqlite3.Connection], T], writes: bool) -> T:
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, answer, writes))
        return await answer

    # --- on the store's thread

    def _run(self) -> None:
        db = self._connect()
        over = False
        while not over:
            jobs = [self._jobs.get()]
            with contextlib.suppress(queue.Empty):
                while len(jobs) < TOGETHER and jobs[-1] is not None:
                    jobs.append(self._jobs.get_nowait())
            if jobs[-1] is None:
                over = True
                jobs.pop()
            self._do(db, jobs)
        db.close()

    def _connect(self) -> sqlite3.Connection:
        try:
            if self.path is not None:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with alone(self.path.parent, BUSY_SECONDS):
                    return self._open_file(self.path)
        except (OSError, sqlite3.Error, ValueError) as error:
            self._give_up(f"{self.path} cannot be used: {_words(error)}")
        db = sqlite3.connect(MEMORY, isolation_level=None)
        db.executescript(SCHEMA)
        return db

    def _open_file(self, path: Path) -> sqlite3.Connection:
        # Made by hand first, for SQLite would let others of this machine read it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            return self._prepared(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            # It is no database any more, or a torn one. Nothing can be got out of it here, but somebody may know how.
            aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
            path.rename(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._say(f"{path} was damaged ({error}); it is kept as {aside.name}, and a new one was begun")
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            return self._prepared(path)

    def _prepared(self, path: Path) -> sqlite3.Connection:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return self._prepare(path)
            except sqlite3.OperationalError as error:
                # To change to WAL, or out of it at the last one's end, SQLite does not wait for others.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(LOOK_EVERY)

    def _prepare(self, path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            found = db.execute("PRAGMA user_version").fetchone()[0]
            if found > VERSION:
                raise ValueError(f"a newer labplatform wrote it (version {found}; this one reads {VERSION})")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            problems = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problems != "ok":
                raise sqlite3.DatabaseError(problems)
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        except BaseException:
            db.close()
            raise
        return db

    def _do(self, db: sqlite3.Connection, jobs: list[_Job]) -> None:
        """Do these in order, all writes of them in one transaction; if that fails, each in one of its own."""
        done = self._together(db, jobs)
        if done is None:
            done = [result for job in jobs for result in self._together(db, [job], alone=True) or ()]
        self._loop_call(self._answer, [(job.answer, *result) for job, result in zip(jobs, done, strict=True)])

    def _together(
        self, db: sqlite3.Connection, jobs: list[_Job], alone: bool = False
    ) -> list[tuple[Any, Exception | None]] | None:
        writes = any(job.writes for job in jobs)
        try:
            if writes:
                db.execute("BEGIN IMMEDIATE")
            results = [(job.work(db), None) for job in jobs]
            if writes:
                db.execute("COMMIT")
        except Exception as error:
            if db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            return [(None, error)] if alone else None
        return results

    def _answer(self, results: list[tuple[asyncio.Future[Any] | None, Any, Exception | None]]) -> None:
        for answer, value, error in results:
            if error is not None and answer is None and not self._failed_before:
                self._failed_before = True
                self._warn(f"{self.path} could not be written: {_words(error)}; what apps keep may be lost with them")
            if answer is None or answer.done():
                continue
            if error is None:
                answer.set_result(value)
            elif isinstance(error, sqlite3.Error):
                answer.set_exception(StoreError(f"{self.path} could not be written: {_words(error)}"))
            else:
                answer.set_exception(error)

    def _give_up(self, why: str) -> None:
        self.problem = f"{why}; what apps keep is kept in memory, and gone when the platform ends"
        self._say(self.problem)

    def _say(self, text: str) -> None:
        self._loop_call(self._warn, text)

    def _loop_call(self, function: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *args)


def _words(error: Exception) -> str:
    if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
        return "its disk is full"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
