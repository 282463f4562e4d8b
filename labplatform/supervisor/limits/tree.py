"""A process tree found by ancestry: listing it, stopping it, ending it whole. Supervisor.

An app host is the subreaper of everything below it (see `apphost.__main__`), so that whatever is forked there stays in
its tree, in whatever session and however often its parents went. Only the host's own end lets them go, to the
supervisor; see `strays`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from .. import linux

MOST_ROUNDS = 100
"""Times a tree is looked through for processes that were forked while it was being stopped."""


def started(pid: int) -> int:
    """When a process was created, in clock ticks; 0 when it is gone or has ended. A pid alone is reused."""
    try:
        stat = linux.Stat(pid)
    except (OSError, ValueError, IndexError):
        return 0
    return 0 if stat.state in "ZX" else stat.started


def send(pid: int, number: int) -> bool:
    """Send a signal; False if there is no such process any more, or it is none of ours."""
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def stop(roots: Iterable[int]) -> dict[int, int]:
    """SIGSTOP some processes and all below them; pid -> creation. What is stopped forks no more, so this ends.

    Stopped, and not killed at once, because a dead parent's children leave the tree before they could be listed.
    """
    roots = tuple(roots)
    known: dict[int, int] = {}
    for _ in range(MOST_ROUNDS):
        found = {pid for root in roots for pid in linux.tree(root)} - known.keys()
        if not found:
            break
        for pid in found:
            known[pid] = started(pid)
            if known[pid]:
                send(pid, signal.SIGSTOP)
    return {pid: creation for pid, creation in known.items() if creation}


def kill(roots: Iterable[int]) -> None:
    """SIGKILL some processes and all below them, whatever they fork meanwhile. Milliseconds; some tens for hundreds."""
    for pid, creation in stop(roots).items():
        if started(pid) == creation:
            send(pid, signal.SIGKILL)
