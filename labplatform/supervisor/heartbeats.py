"""FDC3's heartbeats: whether those whom the platform does not ping still handle what they are sent. Supervisor.

Pages answer the platform's own pings (`watch`), and from the same loop they would answer these. A notebook and the
Python side of an app answer a heartbeat where their handlers run, behind what waits there. So silence means that a
handler is stuck, or very slow: the log says so. Nobody is ended for it: a notebook may well compute for an hour.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from .. import messages as m
from .health import Pulse

REMEMBERED = 100
"""Heartbeats that may still be answered."""


class Heartbeats:
    """One heartbeat every few seconds, to all who have handlers and no page."""

    def __init__(self, platform: Any) -> None:
        self._platform = platform
        self._settings: m.Heartbeat = platform.order.heartbeat
        self._loop = asyncio.get_running_loop()
        self._pulses: dict[str, Pulse] = {}
        self._silent: set[str] = set()
        self._sent: deque[str] = deque(maxlen=REMEMBERED)
        self._count = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = self._loop.create_task(self._run(), name="fdc3 heartbeats")

    def stop(self) -> None:
        """Leave off."""
        if self._task:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.handlers_interval)
            self.beat()

    def beat(self) -> None:
        """Look who has answered, and ask again."""
        router, now = self._platform.router, self._loop.time()
        uuid, asked = router.beat(self._without_page())
        self._sent.append(uuid)
        self._count += 1
        # Who has ended, or listens no longer, owes no answer.
        self._pulses = {instance_id: self._pulses.get(instance_id) or Pulse() for instance_id in asked}
        self._silent.intersection_update(asked)
        for instance_id, pulse in self._pulses.items():
            acknowledged = router.acknowledged(instance_id)
            if acknowledged in self._sent:
                pulse.answered(self._count - (len(self._sent) - self._sent.index(acknowledged) - 1), now)
            pulse.sent(self._count, now)
            self._judge(instance_id, pulse, now)

    def _without_page(self) -> list[str]:
        sides = [slot.service_instance for slot in self._platform.slots.values() if slot.manifest.python and slot.live]
        return [*sides, *self._platform.notebooks]

    def _judge(self, instance_id: str, pulse: Pulse, now: float) -> None:
        if pulse.missed >= self._settings.silent_after and instance_id not in self._silent:
            self._silent.add(instance_id)
            silent = f"its message handlers have answered nothing for {pulse.silent_for(now):.0f} s"
            self._platform.desk.remark(instance_id, f"{silent}; what it is sent waits")
        elif not pulse.missed and instance_id in self._silent:
            self._silent.discard(instance_id)
            self._platform.desk.remark(instance_id, "its message handlers answer again")
