"""The store's table of crash reports: written by supervisors, and read by whoever asks why something died. Any process.

A report is JSON: its brief, and all of it. It outlives the platform it tells of, and goes by age and by number.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from .. import messages as m
from ..errors import StoreError

TABLE = """
CREATE TABLE IF NOT EXISTS reports (
    session TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, brief BLOB NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (session, number)
);
"""
BUSY_SECONDS = 5.0
"""Seconds that a reader waits for a platform that writes."""


class Filed(NamedTuple):
    """A report as it is kept: of which platform, and in brief."""

    session: str
    brief: m.CrashBrief


# --- with a connection


def put(db: sqlite3.Connection, session: str, brief: m.CrashBrief, data: bytes) -> None:
    """Keep a report, in place of what was kept of it before. `data`: a `CrashReport` as JSON."""
    row = (session, brief.number, brief.at, m.encode(brief), data)
    db.execute("REPLACE INTO reports VALUES (?, ?, ?, ?, ?)", row)


def get(db: sqlite3.Connection, session: str, number: int) -> bytes | None:
    """A `CrashReport` as JSON, if it is kept."""
    found = db.execute("SELECT data FROM reports WHERE session = ? AND number = ?", (session, number)).fetchone()
    return found[0] if found else None


def briefs(db: sqlite3.Connection, session: str | None = None) -> list[Filed]:
    """All that are kept, of one platform or of every one, oldest first; one that is damaged is left out."""
    where, values = ("WHERE session = ?", (session,)) if session is not None else ("", ())
    rows = db.execute(f"SELECT session, brief FROM reports {where} ORDER BY at, number", values)
    filed = []
    for whose, brief in rows:
        with contextlib.suppress(msgspec.MsgspecError):
            filed.append(Filed(whose, m.decode(brief, m.CrashBrief)))
    return filed


def prune(db: sqlite3.Connection, kept: int, since: float) -> None:
    """Forget those before `since`, in seconds since the epoch, and of the others all but the latest `kept`."""
    db.execute("DELETE FROM reports WHERE at < ?", (since,))
    latest = "SELECT rowid FROM reports ORDER BY at DESC, number DESC LIMIT ?"
    db.execute(f"DELETE FROM reports WHERE rowid NOT IN ({latest})", (kept,))


# --- with a file, beside platforms that use it


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The store of this file, to be read from and written to; it is not made. Raises `StoreError`."""
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", timeout=BUSY_SECONDS, isolation_level=None, uri=True
        )
        try:
            yield db
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(f"crash reports could not be had from {path}: {error}") from None


def read(path: Path, session: str, number: int) -> m.CrashReport | None:
    """One report from a file. Raises `StoreError`."""
    with opened(path) as db:
        data = get(db, session, number)
    try:
        return None if data is None else m.decode(data, m.CrashReport)
    except msgspec.MsgspecError as error:
        raise StoreError(f"crash report {number} is damaged in {path}: {error}") from None


def write(path: Path, session: str, report: m.CrashReport) -> None:
    """Keep a report in a file whose supervisor is gone. Raises `StoreError`."""
    with opened(path) as db:
        put(db, session, report.brief, m.encode(report))
