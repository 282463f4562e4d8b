"""Where crash reports are kept: by platform and number, for a time, and not too many."""

from __future__ import annotations

import sqlite3

import pytest
from support.died import AT, report

from labplatform import messages as m
from labplatform.errors import StoreError
from labplatform.reports import archive


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(archive.TABLE)
    yield connection
    connection.close()


def _put(db, number: int, session: str = "s", at: float = AT) -> None:
    one = report(head={"number": number, "at": at})
    archive.put(db, session, one.brief, m.encode(one))


def _numbers(db, session: str | None = None) -> list[tuple[str, int]]:
    return [(one.session, one.brief.number) for one in archive.briefs(db, session)]


def test_a_report_comes_back_as_it_was_and_the_later_word_counts(db):
    one = report()
    archive.put(db, "s", one.brief, m.encode(one))
    assert m.decode(archive.get(db, "s", 3), m.CrashReport) == one
    later = report(head={"back_after": 2.0})
    archive.put(db, "s", later.brief, m.encode(later))
    assert [found.brief.back_after for found in archive.briefs(db)] == [2.0]
    assert archive.get(db, "other", 3) is None


def test_what_is_too_old_or_too_many_goes_the_oldest_first(db):
    for number in range(1, 7):
        _put(db, number, session="a" if number % 2 else "b", at=AT + number)
    archive.prune(db, kept=10, since=AT + 2.5)
    assert _numbers(db) == [("a", 3), ("b", 4), ("a", 5), ("b", 6)]
    archive.prune(db, kept=3, since=0)
    assert _numbers(db) == [("b", 4), ("a", 5), ("b", 6)]
    assert _numbers(db, "b") == [("b", 4), ("b", 6)]


def test_one_that_is_damaged_costs_the_others_nothing(db, tmp_path):
    _put(db, 1)
    _put(db, 2)
    db.execute("UPDATE reports SET brief = 'torn', data = 'torn' WHERE number = 1")
    assert _numbers(db) == [("s", 2)]
    file = tmp_path / "store.db"
    with sqlite3.connect(file) as other:
        db.backup(other)
    other.close()
    assert archive.read(file, "s", 2).brief.number == 2
    assert archive.read(file, "s", 9) is None
    with pytest.raises(StoreError, match="crash report 1 is damaged"):
        archive.read(file, "s", 1)


def test_a_store_that_is_not_there_or_is_none_is_told_and_not_made(tmp_path):
    with pytest.raises(StoreError, match="could not be had"):
        archive.read(tmp_path / "none.db", "s", 1)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("this is no database, but some text that is long enough to look at" * 20)
    with pytest.raises(StoreError, match=r"text\.db"):
        archive.read(tmp_path / "text.db", "s", 1)
