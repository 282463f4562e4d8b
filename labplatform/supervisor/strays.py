"""What app hosts left behind: found, ended and reaped. Supervisor.

Every app host is the subreaper of its own tree, and the supervisor is that of all. So a process that has become the
supervisor's child is what a host left that has ended: it belongs to no living app, and goes. The supervisor's own
helpers are told from it by their session, which is the supervisor's; hosts lead one each.
"""

from __future__ import annotations

import os

from . import linux
from .limits import tree
from .limits.tier import Tier

known: set[int] = set()
"""Pids of app hosts, from their start until they are reaped by who started them."""


def sweep(tier: Tier) -> None:
    """One pass, on the loop: reap strays that have ended, and have the others killed with all that is below them.

    Never `waitpid(-1)`: that would take the exit codes of hosts away from their pidfds.
    """
    ours = os.getsid(0)
    living = []
    for pid in linux.adopted():
        try:
            if pid in known or os.getsid(pid) == ours:
                continue
            if linux.Stat(pid).state == "Z":
                os.waitpid(pid, os.WNOHANG)
            else:
                living.append(pid)
        except (OSError, ValueError, IndexError):
            continue
    if living:
        tier.soon(tree.kill, living)
