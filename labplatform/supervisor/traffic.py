"""What apps say to each other, told to the controllers that want to see it. Supervisor.

The router's tap is on only while somebody watches. What it tells is put aside as it is, and told a few times a second,
some of it each time: watching must cost the messages' own way next to nothing. Of what waits only so many are kept as
the watchers keep themselves. So after a flood they have the last ones without a gap; during it, what was left out shows
in the messages' numbers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import msgspec

from .. import messages as m
from .fdc3.instances import Instance
from .fdc3.post import Routed
from .peer import Peer

EVERY = 0.1
"""Seconds between two batches."""
BATCH, BATCH_BYTES = 200, 1 << 20
"""Messages, and bytes of them, after which a batch is complete."""
WAITING_BYTES = 16 << 20
"""Bytes of messages that may wait to be told."""
BEHIND_BYTES = 4 << 20
"""Bytes that may wait for a controller before it is left out of a batch: its own answers go first."""
UNTOLD = "heartbeatEvent"
"""What nobody said to anybody."""


class Traffic:
    """Who watches, and what is to be told next."""

    def __init__(self, supervisor: Any) -> None:
        self._supervisor = supervisor
        self._loop = asyncio.get_running_loop()
        self._watchers: dict[Peer, int] = {}
        self._waiting: deque[Routed] = deque()
        self._size = 0
        self._most = 0
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, peer: Peer, most: int) -> int:
        """From now on tell this controller, which keeps `most` messages; with 0, no longer.

        Returns the number of the last message so far.
        """
        if most:
            self._watchers[peer] = most
        else:
            self._watchers.pop(peer, None)
        self._most = max(self._watchers.values(), default=0)
        self._supervisor.router.tap = self._take if self._watchers else None
        if not self._watchers:
            self._waiting.clear()
            self._size = 0
            if self._timer:
                self._timer.cancel()
                self._timer = None
        return self._count

    def _take(self, routed: Routed) -> None:
        if routed.type == UNTOLD:
            return
        self._count += 1
        waiting = self._waiting
        waiting.append(routed)
        self._size += len(routed.data)
        while len(waiting) > self._most or (self._size > WAITING_BYTES and len(waiting) > 1):
            self._size -= len(waiting.popleft().data)
        if self._timer is None:
            self._timer = self._loop.call_later(EVERY, self._tell)

    def _tell(self) -> None:
        batch = m.encode(m.Overheard(messages=self._batch()))
        for peer in self._watchers:
            if peer.backlog <= BEHIND_BYTES:
                peer.send_bytes(batch)
        self._timer = self._loop.call_later(EVERY, self._tell) if self._waiting else None

    def _batch(self) -> tuple[m.RoutedMessage, ...]:
        """The oldest that wait, as they are told."""
        slots = self._supervisor.slots.values()
        places = {slot.instance: slot.name for slot in slots} | {slot.service_instance: slot.name for slot in slots}
        known: dict[Instance, m.Correspondent] = {}

        def named(instance: Instance) -> m.Correspondent:
            if instance not in known:
                known[instance] = m.Correspondent(
                    app_id=instance.app_id, instance_id=instance.id, place=places.get(instance.id)
                )
            return known[instance]

        room = BATCH_BYTES
        told: list[m.RoutedMessage] = []
        while self._waiting and len(told) < BATCH and room > 0:
            seq = self._count - len(self._waiting) + 1
            routed = self._waiting.popleft()
            size = len(routed.data)
            self._size -= size
            room -= min(size, m.MAX_OVERHEARD)
            whole = size <= m.MAX_OVERHEARD
            told.append(
                m.RoutedMessage(
                    seq=seq,
                    time=routed.at,
                    type=routed.type,
                    sender=routed.sender and named(routed.sender),
                    receivers=tuple(map(named, routed.receivers)),
                    channel=routed.channel,
                    intent=routed.intent,
                    context_type=routed.context_type,
                    size=size,
                    latency=routed.took,
                    raw=msgspec.Raw(routed.data if whole else b"null"),
                    head="" if whole else routed.data[: m.MAX_OVERHEARD].decode(errors="ignore"),
                )
            )
        return tuple(told)
