"""What holds for a running app host, read from `/proc`. Supervisor."""

from __future__ import annotations

import os

from ... import landlock
from ...messages import BoundaryInfo


def look(pid: int, confined: bool) -> BoundaryInfo:
    """The boundary of process `pid`. `confined`: it was told to confine itself, and its first word came after that:
    Linux shows Landlock's domains nowhere.
    """
    other: dict[str, bool] = {}
    for name in ("pid", "mnt", "net", "ipc"):
        try:
            other[name] = os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
        except OSError as error:
            return BoundaryInfo(kind="none", why=f"its {name} namespace cannot be read: {error.strerror}")
    if other["pid"] and other["mnt"]:
        return BoundaryInfo(kind="bubblewrap", processes=True, files=True, signals=True, network=other["net"])
    if confined:
        return BoundaryInfo(kind="landlock", processes=True, files=True, signals=_scoped(), network=other["net"])
    return BoundaryInfo(kind="none", network=other["net"])


def _scoped() -> bool:
    return landlock.version() >= landlock.ABI_OF_SIGNALS
