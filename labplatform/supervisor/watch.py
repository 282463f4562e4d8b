"""What the supervisor does at regular intervals: ping, sample, reap. Supervisor.

The pings are sent and judged here and counted in `health`; memory and CPU are read in `metrics`, on its own thread.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from .. import messages as m
from . import health, lifecycle, strays
from .figures import app_metrics
from .hosts import Hosts
from .lifecycle import State
from .metrics import Known, Sample, Sampler, Trees
from .slot import SETTLED, Slot
from .spawn import HostProcess

SWEEP_EVERY = 0.5
"""Seconds between two looks for orphans to reap."""


class Watch:
    """The regular work of one platform. `metrics`: of the platform as a whole, at the last sample."""

    def __init__(self, platform: Any, hosts: Hosts) -> None:
        self.metrics: m.PlatformMetrics
        self._platform = platform
        self._hosts = hosts
        self._order: m.SupervisorOrder = platform.order
        self._loop = asyncio.get_running_loop()
        self._sequence = 0
        self._sampler = Sampler(self._order.sampling, self._roots, self._sampled)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._take_sample(self._sampler.read({os.getpid(): Known(os.getpid())}))
        self._sampler.start()
        self._tasks = [
            self._loop.create_task(self._beat(), name="heartbeat"),
            self._loop.create_task(self._sweep(), name="reaper"),
        ]

    def stop(self) -> None:
        """Leave off."""
        for task in self._tasks:
            task.cancel()
        self._sampler.stop()

    async def _beat(self) -> None:
        beat = self._order.heartbeat
        while True:
            await asyncio.sleep(beat.interval)
            self._sequence += 1
            now = self._loop.time()
            for host in list(self._hosts.alive.values()):
                through_host = []
                # One that takes long is not asked again meanwhile: it would have all the questions to work off before
                # whatever is sent to it next.
                number = host.pinged or self._sequence
                ran = host.share_run()
                tenants = self._hosts.tenants(host)
                asking = [slot for slot in tenants if slot.dialog or slot.devtools]
                for slot in tenants:
                    if slot.state not in (State.RUNNING, State.UNRESPONSIVE):
                        continue
                    slot.gui_pulse.sent(number, now, ran)
                    if slot.has_page and not any(_holds_up(other, slot) for other in asking):
                        slot.page_pulse.sent(self._sequence if slot.page else number, now, ran)
                        if slot.page:
                            received = slot.session.tell() if slot.session else 0
                            slot.page.send(m.Ping(seq=self._sequence, received=received))
                        else:
                            through_host.append(slot.name)
                    self.judge(slot)
                if not host.pinged:
                    host.ping(number, tuple(through_host))

    def judge(self, slot: Slot) -> None:
        """Say what the pings of an app amount to: silent, answering again, or silent for too long."""
        if slot.state not in (State.RUNNING, State.UNRESPONSIVE):
            return
        found = health.verdict(self._order.heartbeat, slot.gui_pulse, slot.page_pulse if slot.has_page else None)
        at, incarnation = time.time(), slot.life.incarnation
        if found is None:
            slot.silences = None
            if slot.state is State.UNRESPONSIVE:
                self._platform.feed(slot, lifecycle.Answered(at=at, incarnation=incarnation))
            return
        what, missed, expired = found
        now = slot.silent_for(self._loop.time())
        slot.silences = (slot.silences[0] if slot.silences else now, now)
        self._platform.feed(slot, lifecycle.Silent(at=at, incarnation=incarnation, what=what, missed=missed))
        if expired and slot.doom is None:
            self._platform.feed(slot, lifecycle.HangExpired(at=at, incarnation=incarnation, what=what, missed=missed))

    def excuse(self, slot: Slot) -> None:
        """A dialog, or the developer tools, of this app opened or closed: its page, and whoever that holds up, may be
        silent just now.
        """
        slot.page_pulse.excuse()
        for other in self._hosts.tenants(slot.host) if slot.host else ():
            if _holds_up(slot, other):
                other.page_pulse.excuse()

    def host_answered(self, host: HostProcess, seq: int) -> None:
        """A host's GUI thread answered a ping."""
        now = self._loop.time()
        for slot in self._hosts.tenants(host):
            slot.gui_pulse.answered(seq, now)
            self.judge(slot)

    def page_answered(self, slot: Slot, seq: int) -> None:
        """A page answered a ping."""
        slot.page_pulse.answered(seq, self._loop.time())
        self.judge(slot)

    def _roots(self) -> Trees:
        trees: Trees = {os.getpid(): Known(os.getpid())}
        for host in list(self._hosts.alive.values()):
            slots = list(self._platform.slots.values())
            renderers = frozenset(slot.renderer for slot in slots if slot.host is host and slot.renderer)
            trees[host.root] = Known(host.pid, renderers)
        return trees

    def _sampled(self, sample: Sample) -> None:
        # Still on the sampler's thread: what a control group uses stands in files that take the kernel a while.
        for host in list(self._hosts.alive.values()):
            if (rows := sample.trees.get(host.root)) is not None:
                host.group.seen(rows)
        self._loop.call_soon_threadsafe(self._take_sample, sample)

    def _take_sample(self, sample: Sample) -> None:
        now = self._loop.time()
        memory = cpu = 0.0
        for host in self._hosts.alive.values():
            rows = sample.trees.get(host.root)
            if rows is None:
                continue
            used = host.group.usage().memory
            memory += sum(row.memory for row in rows)
            cpu += sum(row.cpu for row in rows)
            for slot in self._hosts.tenants(host):
                page_pulse = slot.page_pulse if slot.has_page else None
                slot.processes = rows
                slot.metrics = app_metrics(sample.at, now, rows, slot.page_figures, page_pulse, slot.gui_pulse, used)
                slot.history.add(slot.metrics, slot.life.incarnation, rows)
                self._platform.recycling.sampled(slot)
                settled = slot.state is State.RUNNING and sample.at - (slot.ready_at or sample.at) > SETTLED
                if settled and slot.tier == self._platform.limits.name:
                    most = slot.lately.most(sample.at, slot.life.incarnation, used)
                    if most is not None:
                        self._platform.limits_judge.saw(slot.has_page, most)
                self._platform.touch(slot)
        if own := sample.trees.get(os.getpid()):
            self.metrics = m.PlatformMetrics(
                at=sample.at,
                apps_memory=int(memory),
                apps_cpu=cpu,
                supervisor=own[0],
                capacity=sample.capacity,
                machine_cpu=sample.machine_cpu,
            )
            self._platform.touch_metrics(self.metrics)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            strays.sweep(self._platform.limits)


def _holds_up(asking: Slot, slot: Slot) -> bool:
    """Whether an app's dialog, or developer tools, keep a page in the same host from answering pings.

    Both hold up its own renderer, with every page in there. And while a dialog is open Qt passes on nothing from other
    renderers: a page is heard then only over a WebSocket.
    """
    if asking.renderer == slot.renderer:
        return True
    return asking.dialog is not None and (slot.page is None or slot.page.through_host)
