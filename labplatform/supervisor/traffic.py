"""What apps say to each other, told to the controllers that want to see it. Supervisor.

The router's tap is on only while somebody watches. It notes what passes, and a few times a second some of that is told:
watching must cost the messages' own way next to nothing. Of what waits only so many are kept as the watchers keep
themselves. So after a flood they have the last ones without a gap; during it, what was left out shows in the messages'
numbers.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import msgspec

from .. import messages as m
from .fdc3.instances import Instance
from .fdc3.post import Routed
from .peer import Peer

EVERY = 0.1
"""Seconds between two batches."""
BATCH, BATCH_BYTES = 100, 1 << 20
"""Messages, and bytes of them, after which a batch is complete; a tenth of what is kept may go in any case."""
WAITING_BYTES = 16 << 20
"""Bytes of messages that may wait from one batch to the next."""
BEHIND_BYTES = 4 << 20
"""Bytes that may wait for a controller before it is left out of a batch: its own answers go first."""


class Traffic:
    """Who watches, and what is to be told next."""

    def __init__(self, supervisor: Any) -> None:
        self._supervisor = supervisor
        self._loop = asyncio.get_running_loop()
        self._watchers: dict[Peer, int] = {}
        self._waiting: deque[Routed] = deque()
        self._batch_size = BATCH
        self._task: asyncio.Task[None] | None = None

    def watch(self, peer: Peer, most: int) -> int:
        """From now on tell this controller, which keeps `most` messages; with 0, no longer.

        Returns the number of the last message so far.
        """
        if most:
            self._watchers[peer] = most
        else:
            self._watchers.pop(peer, None)
        keep = max(self._watchers.values(), default=0)
        self._waiting = deque(self._waiting, keep)
        self._batch_size = max(BATCH, keep // 10)
        router = self._supervisor.router
        router.tap = self._waiting if self._watchers else None
        if self._watchers and self._task is None:
            self._task = self._loop.create_task(self._run(), name="traffic")
        elif not self._watchers and self._task:
            self._task.cancel()
            self._task = None
        return router.passed

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            if self._waiting:
                self._tell()

    def _tell(self) -> None:
        size = sum(len(routed.data) for routed in self._waiting)
        while size > WAITING_BYTES:
            size -= len(self._waiting.popleft().data)
        batch = m.encode(m.Overheard(messages=self._batch()))
        for peer in self._watchers:
            if peer.backlog <= BEHIND_BYTES:
                peer.send_bytes(batch)

    def _batch(self) -> tuple[m.RoutedMessage, ...]:
        """The oldest that wait, as they are told."""
        slots = self._supervisor.slots.values()
        places = {slot.instance: slot.name for slot in slots} | {slot.service_instance: slot.name for slot in slots}
        known: dict[Instance, m.Correspondent] = {}

        def named(instance: Instance) -> m.Correspondent:
            if instance not in known:
                known[instance] = m.Correspondent(instance.app_id, instance.id, places.get(instance.id))
            return known[instance]

        epoch = time.time() - time.perf_counter()
        seq = self._supervisor.router.passed - len(self._waiting)
        room = BATCH_BYTES
        told: list[m.RoutedMessage] = []
        while self._waiting and len(told) < self._batch_size and room > 0:
            seq += 1
            routed = self._waiting.popleft()
            size = len(routed.data)
            room -= min(size, m.MAX_OVERHEARD)
            whole = size <= m.MAX_OVERHEARD
            told.append(
                m.RoutedMessage(
                    seq,
                    routed.went_out + epoch,
                    routed.type,
                    routed.sender and named(routed.sender),
                    tuple(map(named, routed.receivers)),
                    routed.channel,
                    routed.intent,
                    routed.context_type,
                    size,
                    routed.went_out - routed.came_in if routed.came_in else None,
                    msgspec.Raw(routed.data if whole else b"null"),
                    "" if whole else routed.data[: m.MAX_OVERHEARD].decode(errors="ignore"),
                )
            )
        return tuple(told)
