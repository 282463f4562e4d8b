"""Where each app's cookies and storage lie: for the session, or for good. Supervisor.

Two processes on one profile folder would silently lose writes, so a persistent one is held by a lock: by one instance
on this platform, and by one platform of this user's.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from platformdirs import user_data_path

from .slot import Slot


class Profiles:
    """The profile folders of one platform. `session`: the folder that goes with it. `warn(place, text)` tells."""

    def __init__(self, session: Path, warn: Callable[[str, str], None]) -> None:
        self._session = session
        self._warn = warn
        self._locks: dict[str, int] = {}

    def shared(self, key: str) -> Path:
        """The one profile of pages that share a renderer, which they can do only so; it lasts for the session."""
        return self._session / "profiles" / key.replace(":", "-")

    def own(self, slot: Slot, slots: Iterable[Slot]) -> Path:
        """An app's own profile; `slots` are all apps of the platform."""
        if slot.manifest.storage != "persistent":
            return self._session / "profiles" / slot.name
        app_id = slot.manifest.app_id
        if any(other is not slot and other.manifest.app_id == app_id and other.live for other in slots):
            holder = "another instance"
        elif self._lock(app_id):
            return self._folder(app_id)
        else:
            holder = "another platform of yours"
        self._warn(slot.name, f"{holder} holds this app's persistent storage; this one gets storage for the session")
        return self._session / "profiles" / slot.name

    @staticmethod
    def _folder(app_id: str) -> Path:
        return user_data_path("labplatform") / "profiles" / app_id

    def _lock(self, app_id: str) -> bool:
        """Take the lock of a persistent profile, and keep it until this process ends."""
        if app_id in self._locks:
            return True
        folder = self._folder(app_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._locks[app_id] = descriptor
        return True
