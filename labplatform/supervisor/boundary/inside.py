"""What holds for a running app host, read from `/proc`. Supervisor."""

from __future__ import annotations

import os

from ... import landlock
from ...messages import BoundaryInfo, Confinement

OF_LANDLOCK = "it can still connect to sockets in the file system, such as a session bus's"
"""What Landlock has no right for before version 9, which is newer than any kernel this was tried on."""


def look(pid: int, confinement: Confinement | None) -> BoundaryInfo:
    """The boundary of process `pid`. `confinement`: what it was told to confine itself to; its first word came after
    that, and Linux shows Landlock's domains nowhere.
    """
    other: dict[str, bool] = {}
    for name in ("pid", "mnt", "net", "ipc"):
        try:
            other[name] = os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")
        except OSError as error:
            return BoundaryInfo(kind="none", why=f"its {name} namespace cannot be read: {error.strerror}")
    if other["pid"] and other["mnt"]:
        return BoundaryInfo(kind="bubblewrap", processes=True, files=True, signals=True, network=other["net"])
    if confinement is not None:
        version = landlock.version()
        return BoundaryInfo(
            kind="landlock",
            processes=True,
            files=True,
            signals=version >= landlock.ABI_OF_SIGNALS,
            network=not confinement.network and version >= landlock.ABI_OF_TCP,
            why=OF_LANDLOCK,
        )
    return BoundaryInfo(kind="none", network=other["net"])
