"""Faults on purpose, from the supervisor's side: which of them it commits itself, whom they strike, and that they show.

The host commits the others (`apphost.faults`). Supervisor.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

from .. import messages as m
from ..errors import BadRequest, LabTimeout, NotRunning
from .lifecycle import State
from .limits import tree
from .slot import Slot

STOP_AGAIN = 0.1
"""Seconds after which a host that is to stand still is stopped again: a tier that holds CPU limits by stopping and
continuing may just have been about to continue it."""
IN_THE_PAGE = ("renderer", "renderer-kill", "oom", "hang")
"""Faults of a page, where there is one: they strike those who share its renderer. Others strike a whole process."""
NEEDS_A_PAGE = {"oom": "JavaScript heap to exhaust", "renderer-kill": "renderer to kill"}
AT_ONCE = ("abort", "kill", "segfault", "exit", "renderer", "renderer-kill")
"""Faults that are the end, and not only the beginning of it."""
HANGS = ("hang", "hang-gui", "freeze")
"""Faults that have shown themselves once it is unresponsive."""


async def break_on_purpose(supervisor: Any, slot: Slot, how: m.CrashKind, seconds: float) -> None:
    """Break an app, and wait until all whom that strikes have shown it. Raises `BadRequest`, `NotRunning`, and
    `LabTimeout` after `seconds`.
    """
    if how in NEEDS_A_PAGE and not slot.has_page:
        raise BadRequest(f"{slot.name} has no page, so it has no {NEEDS_A_PAGE[how]}", app=slot.name)
    if how == "renderer-kill" and not slot.renderer:
        raise NotRunning(f"{slot.name} is {slot.state}; its page has no renderer yet", app=slot.name)
    struck = {one: (one.life.incarnation, one.state) for one in _struck(supervisor, slot, how)}
    supervisor.log.remark(f"fault on purpose: {how}", kind="fault", place=slot.name)
    for one in struck:
        one.fault, one.fault_at = (how if one is slot else f"{how} of {slot.name}"), time.time()
    freezing = _commit(slot, how)

    def noticed(one: Slot) -> bool:
        incarnation, was = struck[one]
        # A page that fills its heap is silent first; only a hang has shown itself by that.
        passing = {was, State.STARTING} | (set() if how in HANGS else {State.UNRESPONSIVE})
        return one.life.incarnation != incarnation or one.state not in passing

    deadline = time.monotonic() + seconds
    try:
        for one in struck:
            if not await supervisor.until(one, noticed, deadline - time.monotonic()):
                raise LabTimeout(
                    f"waited {seconds:g} s for {one.name} to suffer from {how!r}; it is {one.state}", app=one.name
                )
    finally:
        if freezing:
            freezing.cancel()


def _struck(supervisor: Any, slot: Slot, how: m.CrashKind) -> list[Slot]:
    """Whom it strikes: each is told of it by a message of its own, or falls silent by itself, a moment later."""
    tenants = [one for one in supervisor.hosts.tenants(slot.host) if one is slot or one.live]
    if how in IN_THE_PAGE and slot.has_page:
        return [one for one in tenants if one is slot or (slot.renderer and one.renderer == slot.renderer)]
    return tenants


def _commit(slot: Slot, how: m.CrashKind) -> asyncio.Task[None] | None:
    """Break it. Returns what keeps it broken, if anything has to."""
    host = slot.host
    # Before it is found in its sandbox its pid is 0, which would be this process's own group.
    pid = host.pid or host.root
    if how == "kill":
        os.kill(pid, signal.SIGKILL)
    elif how == "freeze":
        return asyncio.get_running_loop().create_task(_keep_still(pid, tree.started(pid)), name="freeze")
    elif how == "renderer-kill":
        tree.send(slot.renderer, signal.SIGKILL)
    elif how == "renderer" and slot.renderer and slot.sandbox.pid_namespace is False:
        # From here, so that it also strikes a page whose host no longer listens. A renderer in a PID namespace of
        # its own is the first process there, which Linux lets no signal from outside crash.
        tree.send(slot.renderer, signal.SIGSEGV)
    else:
        host.send(m.Misbehave(place=slot.name, how=how))
    return None


async def _keep_still(pid: int, created: int) -> None:
    while created and tree.started(pid) == created:
        tree.send(pid, signal.SIGSTOP)
        await asyncio.sleep(STOP_AGAIN)
