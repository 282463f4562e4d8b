"""A fresh process for an app that has grown too large or too old, or because somebody asks: begun while the old one
still runs, and put in its place. Supervisor.

The fresh process starts hidden and empty. Once it could show a window it lays a picture of the old one over it, the old
process ends, and the app is loaded anew under the picture: two processes never share a profile, and nobody sees a gap.
One app after the other, unless the platform says otherwise, so that recycling costs one spare process and not many.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from .. import messages as m
from ..errors import AppGone, BadRequest, LabError, LabTimeout, NotRunning
from . import lifecycle
from .lifecycle import State
from .slot import Slot

PREPARE_SECONDS = 30.0
"""Seconds that the fresh process may take to be able to show a window."""
PICTURE_SECONDS = 1.0
"""Seconds that the picture of the old window may take; without one, there is a gap to see."""
CLOSE_GRACE = 2.0
"""Seconds that the old process gets to close, and to write its storage out."""
SOONEST = 5.0
"""Seconds after it was ready before an app is recycled by policy."""


class Watched:
    """What is counted of one incarnation. `breaches`: samples in a row over the soft limit; `low`: it was below it."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.breaches = 0
        self.low = False
        self.told = False


class Recycling:
    """The recycling of one platform's apps. `at_once`: how many at a time."""

    def __init__(self, platform: Any, at_once: int) -> None:
        self._platform = platform
        self._turns = asyncio.Semaphore(at_once)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._watched: dict[str, Watched] = {}

    def stop(self) -> None:
        """Leave off."""
        for task in self._under_way.values():
            task.cancel()

    # --- when

    def sampled(self, slot: Slot) -> None:
        """An app has new figures: does its policy want it to be recycled?"""
        policy, metrics = slot.manifest.recycle, slot.metrics
        if slot.state is not State.RUNNING or metrics is None or not (policy.memory or policy.max_age):
            return
        watched = self._watched.get(slot.name)
        if watched is None or watched.incarnation != slot.life.incarnation:
            watched = self._watched[slot.name] = Watched(slot.life.incarnation)
        age = time.time() - (slot.ready_at or time.time())
        if policy.memory is not None:
            over = metrics.memory > policy.memory
            watched.breaches = watched.breaches + 1 if over else 0
            watched.low = watched.low or not over
            if watched.breaches >= policy.breaches and age >= SOONEST:
                figures = f"{metrics.memory >> 20} MiB in use, {policy.memory >> 20} MiB wanted at most"
                if watched.low or slot.life.recycles == 0:
                    self._begin_by_policy(slot, f"recycled: {figures}, {watched.breaches} samples in a row")
                elif not watched.told:
                    watched.told = True
                    text = f"it is not recycled again, for that did not help: {figures}"
                    self._platform.log.remark(text, kind="recycle", place=slot.name, level="warning")
        if policy.max_age is not None and age > policy.max_age:
            self._begin_by_policy(slot, f"recycled: it has run for {age:.0f} s of the {policy.max_age:g} s it may")

    def _begin_by_policy(self, slot: Slot, why: str) -> None:
        if slot.name in self._under_way or slot.dialog or self._refusal(slot):
            return
        task = self._begin(slot, why)
        task.add_done_callback(lambda task: task.cancelled() or self._failed(slot, task.exception()))

    def _failed(self, slot: Slot, error: BaseException | None) -> None:
        if error is not None:
            text = f"it could not be recycled: {error}"
            self._platform.log.remark(text, kind="recycle", place=slot.name, level="warning")

    # --- how

    async def recycle(self, slot: Slot, by: str) -> None:
        """Recycle an app now. Returns when its fresh process is ready. Raises `LabError`."""
        if slot.state not in (State.RUNNING, State.UNRESPONSIVE):
            state = str(slot.state)
            raise NotRunning(f"{slot.name} is {state}; recycle() needs a running app", app=slot.name, state=state)
        if refusal := self._refusal(slot):
            raise BadRequest(refusal, app=slot.name)
        task = self._under_way.get(slot.name) or self._begin(slot, f"recycled by {by}")
        await asyncio.shield(task)

    def _refusal(self, slot: Slot) -> str:
        """Why this app cannot be recycled at all; empty if it can."""
        host = slot.host
        if host is None or host.order.isolation == "process":
            return ""
        others = ", ".join(slot.shared_with) or "others to come"
        return (
            f"{slot.name} is not recycled: its process is shared with {others}, which would go with it; "
            "restart() loads its page anew"
        )

    def _begin(self, slot: Slot, why: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._carry_out(slot, why))
        self._under_way[slot.name] = task
        task.add_done_callback(lambda _: self._under_way.pop(slot.name, None))
        return task

    async def _carry_out(self, slot: Slot, why: str) -> None:
        async with self._turns:
            platform, incarnation = self._platform, slot.life.incarnation
            fresh = await platform.hosts.prepare(slot, PREPARE_SECONDS)
            try:
                if slot.life.incarnation == incarnation and slot.host and slot.has_page and slot.bounds:
                    await self._lay_picture_over(slot, fresh)
                event = lifecycle.Recycled(at=time.time(), incarnation=incarnation, why=why, grace=CLOSE_GRACE)
                platform.feed(slot, event)
                if not slot.life.recycling:
                    raise AppGone(f"{slot.name} ended, or was restarted, before it could be recycled", app=slot.name)

                def settled(slot: Slot) -> bool:
                    return slot.life.incarnation != incarnation and slot.state is not State.STARTING

                if not await platform.until(slot, settled, CLOSE_GRACE + slot.life.launch_timeout + 3):
                    raise LabTimeout(f"{slot.name} was not ready in time after it was recycled", app=slot.name)
                if slot.state is not State.RUNNING:
                    raise AppGone(
                        f"{slot.name} did not come up when it was recycled: {slot.life.detail}", app=slot.name
                    )
            finally:
                platform.hosts.dismiss(slot)

    async def _lay_picture_over(self, slot: Slot, fresh: Any) -> None:
        """Show what the old window shows in a window of the fresh process, at the same place."""
        try:
            raw = await self._platform.controllers.picture(slot, "jpeg", 0, PICTURE_SECONDS)
        except LabError:
            return
        picture = m.decode(raw, m.Picture)
        title = slot.manifest.title
        fresh.send(m.ShowCurtain(place=slot.name, title=title, picture=picture.data, bounds=slot.bounds))
        await fresh.answers(PICTURE_SECONDS)
