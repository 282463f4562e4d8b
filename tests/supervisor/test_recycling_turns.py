"""How many apps are given a fresh process at one time: one, or as many as the platform says."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from labplatform.manifest import parse_manifest
from labplatform.supervisor.lifecycle import Life, State
from labplatform.supervisor.recycling import Recycling
from labplatform.supervisor.slot import Slot


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_apps_wait_for_their_turn(at_once):
    async def main() -> None:
        begun: list[str] = []
        ready = asyncio.Event()

        async def prepare(slot: Slot, seconds: float) -> SimpleNamespace:
            begun.append(slot.name)
            await ready.wait()
            return SimpleNamespace()

        async def until(slot: Slot, met, seconds: float) -> bool:
            return True

        def feed(slot: Slot, event) -> None:
            slot.life = Life(state=State.RUNNING, recycling=True)

        hosts = SimpleNamespace(prepare=prepare, dismiss=lambda slot: None)
        recycling = Recycling(SimpleNamespace(hosts=hosts, until=until, feed=feed), at_once)
        manifest = parse_manifest({"startup_app": {"uuid": "a", "name": "A", "url": "https://example.org/"}}, file="a")
        slots = [Slot(f"a-{number}", manifest) for number in range(4)]
        for slot in slots:
            slot.life = Life(state=State.RUNNING)
        # Asked twice, an app is recycled once.
        asked = [asyncio.create_task(recycling.recycle(slot, "a test")) for slot in [*slots, slots[0]]]
        for _ in range(20):
            await asyncio.sleep(0)
        assert begun == [slot.name for slot in slots[:at_once]]
        ready.set()
        await asyncio.wait_for(asyncio.gather(*asked), 10)
        assert begun == [slot.name for slot in slots]

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [0, -1, 17, True, 1.5, "2", None])
def test_a_number_that_cannot_be(platform, wrong):
    with pytest.raises(ValueError, match=r"recycle_at_once is 1 to 16, not"):
        platform(recycle_at_once=wrong)
