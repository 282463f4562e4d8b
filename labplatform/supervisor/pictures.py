"""The last picture of each app's window, taken every few seconds, for the report of its end. Supervisor.

A window is drawn by its host's GUI thread, which then does nothing else: so one picture at a time, spread over the
interval, and none of an app that is silent. A host that took long for one is asked less often.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from .. import messages as m
from ..errors import LabError
from .lifecycle import State
from .slot import Slot

WITHIN = 2.0
"""Seconds that a picture may take."""
SLOW = 0.25
"""Seconds after which it took long: its host is busy, or stands still for its CPU limit."""
LONGEST = 60.0
"""Seconds between two pictures of a host that takes long for them."""
LOOK_EVERY = 0.5
"""Seconds between two looks at whose turn it is."""
WIDEST = 1000
"""Pixels; a wider picture, which somebody else has asked for, is not kept."""


class Pictures:
    """The pictures of one platform's apps, in `Slot.picture`."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform
        self._settings: m.Reporting = platform.order.reporting
        self._due: dict[str, tuple[int, float, float]] = {}
        """By place: of which incarnation, when the next one is due, on the loop's clock, and how long after the last.
        """
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        if self._settings.picture_interval:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="pictures")

    def stop(self) -> None:
        """Leave off."""
        if self._task:
            self._task.cancel()

    def seen(self, slot: Slot, picture: m.Picture) -> None:
        """A picture of its window, JPEG, whoever has asked for it."""
        if self._settings.picture_interval and picture.width <= WIDEST:
            slot.picture = m.ReportedPicture(
                data=picture.data, width=picture.width, height=picture.height, at=time.time()
            )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            slots = self._platform.slots
            self._due = {place: due for place, due in self._due.items() if place in slots}
            for slot in list(slots.values()):
                if self._its_turn(slot):
                    await self._take(slot)

    def _its_turn(self, slot: Slot) -> bool:
        if slot.state is not State.RUNNING or not slot.has_page or slot.host is None or slot.gui_pulse.missed:
            return False
        incarnation, due, _ = self._due.get(slot.name, (0, 0.0, 0.0))
        return incarnation != slot.life.incarnation or due <= asyncio.get_running_loop().time()

    async def _take(self, slot: Slot) -> None:
        loop, incarnation = asyncio.get_running_loop(), slot.life.incarnation
        _, _, after = self._due.get(slot.name, (0, 0.0, 0.0))
        began = loop.time()
        try:
            raw = await self._platform.controllers.picture(slot, "jpeg", self._settings.picture_width, WITHIN)
            picture = m.decode(raw, m.Picture)
        except LabError:
            picture = None
        slow = loop.time() - began > SLOW
        after = min(LONGEST, 2 * (after or self._settings.picture_interval)) if slow else 0.0
        after = max(after, self._settings.picture_interval)
        self._due[slot.name] = (incarnation, loop.time() + after, after)
        if picture is not None and slot.life.incarnation == incarnation:
            self.seen(slot, picture)
