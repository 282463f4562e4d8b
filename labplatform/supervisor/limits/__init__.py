"""Which way to limit apps this machine and this user have: the best tier that works, why none better. Supervisor."""

from __future__ import annotations

from pathlib import Path

from ...messages import Enforcement, LimitsWish
from .cgroup1 import CgroupV1
from .cgroup2 import CgroupV2
from .off import Off
from .systemd import SystemdScope
from .tier import Tier, Unavailable
from .watchdog import Watchdog

TIERS: tuple[type[Tier], ...] = (CgroupV2, SystemdScope, CgroupV1, Watchdog)
"""Best first."""


async def choose(wish: LimitsWish, session: Path) -> tuple[Tier, tuple[str, ...]]:
    """An open tier, and why each better one was not taken, one clause a tier.

    `wish`: "auto" for the best that works, "off", or one tier by name. `session`: the platform's own folder, which
    exists. Raises `Unavailable` when the one that was asked for does not work.
    """
    if wish == "off":
        return Off(session), ()
    reasons: list[str] = []
    for kind in TIERS:
        if wish not in ("auto", kind.name):
            continue
        tier = kind(session)
        try:
            await tier.open()
        except Unavailable as error:
            await tier.close()
            reasons.append(f"{kind.name}: {error}")
        else:
            return tier, tuple(reasons)
    raise Unavailable("; ".join(reasons) or f"no tier of limits is called {wish!r}")


def enforcement(tier: Tier, why: tuple[str, ...]) -> Enforcement:
    """What `choose` came to, in words for people."""
    return Enforcement(tier=tier.name, why=why, counts=tier.counts, cannot=tier.cannot)
