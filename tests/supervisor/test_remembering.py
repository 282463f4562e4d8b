"""What is remembered of apps' figures: the same as was seen, piece by piece, as long and as much as is said."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from labplatform.messages import ProcessInfo
from labplatform.supervisor import remembering
from labplatform.supervisor.figures import PageFigures, app_metrics
from labplatform.supervisor.health import Pulse
from labplatform.supervisor.history import History
from labplatform.supervisor.remembering import Remembering
from labplatform.supervisor.store import Store

BEGAN = float(int(time.time()) - 5000)


class Stage:
    """A supervisor's memory of one place, `app`, on one store; `lose()` goes on as another supervisor does."""

    def __init__(self, store: Store, said: list[str]) -> None:
        self.store, self.said = store, said
        self.lose()

    def lose(self) -> None:
        self.slot = SimpleNamespace(name="app", history=History())
        self.slots = {"app": self.slot}
        self.order = SimpleNamespace(session="session")
        self.log = SimpleNamespace(remark=lambda text, **_: self.said.append(text))
        self.kept = Remembering(self, self.store)

    def sample(self, at: float, *pids: int, role: str = "helper") -> None:
        rows = tuple(
            ProcessInfo(pid=pid, created=1.0, role=role, memory=pid * 10, cpu=0.5, rss=int(at), threads=2)
            for pid in pids or (7,)
        )
        self.slot.history.add(app_metrics(at, 0.0, rows, PageFigures(), None, Pulse()), 1, rows)

    async def all(self, after: float = 0.0):
        parts = [await self.kept.recall(self.slot, after)]
        while parts[-1].more:
            parts.append(await self.kept.recall(self.slot, parts[-1].columns["at"][-1]))
        return parts

    async def times(self, after: float = 0.0) -> list[float]:
        return [at for part in await self.all(after) for at in part.columns["at"]]


def use(path: Path | None, body) -> list[str]:
    """Run `body(stage)`; returns what was said."""
    said: list[str] = []

    async def main() -> None:
        store = Store(path, said.append)
        store.start()
        try:
            await asyncio.wait_for(body(Stage(store, said)), 20)
        finally:
            await store.close()
            await asyncio.sleep(0)

    asyncio.run(main())
    return said


def rows(path: Path) -> list[tuple[str, int]]:
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT place, size FROM figures ORDER BY ended").fetchall()
    finally:
        db.close()


def test_what_another_supervisor_saw_is_what_it_saw(tmp_path):
    async def body(stage: Stage) -> None:
        for step in range(25):
            stage.sample(BEGAN + step, 7, *([8] if step > 20 else []))
            if step in (9, 19):
                stage.kept.ended(stage.slot)
        (before,) = await stage.all(BEGAN + 3)
        stage.kept.leave()
        stage.lose()
        assert await stage.all(BEGAN + 3) == [before]
        assert before.columns["pss"] == (None,) * 21
        assert before.columns["at"][0] == BEGAN + 4
        assert [(one.pid, one.role, len(one.columns["at"])) for one in before.processes] == [
            (7, "helper", 21),
            (8, "helper", 4),
        ]
        # It goes on, and it is one story.
        for step in range(30, 33):
            stage.sample(BEGAN + step, 8, role="renderer")
        stage.kept.ended(stage.slot)
        (after,) = await stage.all(BEGAN + 20)
        assert after.columns["at"] == tuple(BEGAN + step for step in (21, 22, 23, 24, 30, 31, 32))
        (helper, renderer) = after.processes
        assert (helper.pid, len(helper.columns["at"])) == (7, 4)
        assert (renderer.pid, renderer.role, len(renderer.columns["at"])) == (8, "renderer", 7)

    assert use(tmp_path / "store.db", body) == []


def test_what_is_too_old_for_memory_comes_from_the_store_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(remembering, "AT_ONCE", 70)

    async def body(stage: Stage) -> None:
        for step in range(2000):
            stage.sample(BEGAN + step)
            if step % 10 == 9:
                stage.kept.ended(stage.slot)
        assert stage.slot.history.oldest > BEGAN + 1300
        expected = [BEGAN + step for step in range(2000)]
        assert await stage.times() == expected
        assert await stage.times(BEGAN + 555) == expected[556:]
        assert await stage.times(BEGAN + 1998) == [BEGAN + 1999]
        assert await stage.times(BEGAN + 5000) == []
        parts = await stage.all()
        assert max(len(part.columns["at"]) for part in parts) == 70
        assert all(part.processes[0].columns["at"] == part.columns["at"] for part in parts if part.columns["at"])

    assert use(tmp_path / "store.db", body) == []


def test_what_is_too_old_or_too_much_goes_and_the_oldest_first(tmp_path):
    path = tmp_path / "store.db"

    async def body(stage: Stage) -> None:
        for step in range(300):
            stage.sample(BEGAN + step)
            stage.kept.ended(stage.slot)
        await stage.store.write(remembering._prune, BEGAN + 100, 1 << 30)
        kept = rows(path)
        assert len(kept) == 200
        total = sum(size for _, size in kept)
        await stage.store.write(remembering._prune, 0.0, total // 2)
        left = rows(path)
        assert sum(size for _, size in left) <= 0.9 * total / 2
        assert left == kept[-len(left) :] and len(left) > 80

    use(path, body)


def test_a_platform_that_stops_takes_its_figures_along_and_a_place_its_own(tmp_path):
    path = tmp_path / "store.db"

    async def body(stage: Stage) -> None:
        other = SimpleNamespace(name="other", history=stage.slot.history)
        for slot in (stage.slot, other):
            stage.sample(BEGAN)
            stage.kept.ended(slot)
        stage.kept.forget("other")
        assert await stage.store.read(lambda db: db.execute("SELECT place FROM figures").fetchall()) == [("app",)]
        stage.kept.end()
        stage.sample(BEGAN + 1)
        stage.kept.ended(stage.slot)

    use(path, body)
    assert rows(path) == []


def test_samples_are_written_by_themselves_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(remembering, "WRITE_EVERY", 0.02)
    path = tmp_path / "store.db"

    async def body(stage: Stage) -> None:
        await stage.store.read(lambda db: None)
        stage.kept.start()
        for step in range(3):
            stage.sample(BEGAN + step)
            async with asyncio.timeout(10):
                while len(rows(path)) <= step:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        # None twice, and nothing where nothing is new.
        assert [place for place, _ in rows(path)] == ["app"] * 3
        stage.kept.leave()

    use(path, body)


@pytest.mark.parametrize("path", [None, "/proc/nowhere/store.db"])
def test_a_store_that_is_not_on_disk_keeps_none_and_the_memory_s_are_told(path):
    async def body(stage: Stage) -> None:
        await stage.store.read(lambda db: None)
        for step in range(1000):
            stage.sample(BEGAN + step)
        stage.kept.ended(stage.slot)
        assert await stage.times() == list(stage.slot.history.past(0.0).app["at"])
        assert await stage.store.read(lambda db: db.execute("SELECT count(*) FROM figures").fetchone()) == (0,)

    use(path and Path(path), body)


def test_a_row_that_is_damaged_is_said_and_the_rest_is_told(tmp_path):
    async def body(stage: Stage) -> None:
        stage.sample(BEGAN)
        stage.kept.ended(stage.slot)
        await stage.store.write(lambda db: db.execute("UPDATE figures SET data = x'00'"))
        stage.lose()
        stage.sample(BEGAN + 1)
        assert await stage.times() == [BEGAN + 1]

    (said,) = use(tmp_path / "store.db", body)
    assert "could not be read: a damaged row" in said
