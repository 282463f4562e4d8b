"""Where each app's cookies and storage lie: for the session, or for good. Supervisor.

Two processes on one profile folder would silently lose writes, so a persistent one is held by a lock: by one instance
on this platform, and by one platform of this user's.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from platformdirs import user_data_path

from ..app_ids import place_name
from ..manifest import Manifest
from .slot import Slot


class Profiles:
    """The profile folders of one platform. `session`: the folder that goes with it. `warn(place, text)` tells."""

    def __init__(self, session: Path, warn: Callable[[str, str], None]) -> None:
        self._session = session
        self._warn = warn
        self._locks: dict[str, int] = {}

    def shared(self, key: str) -> Path:
        """The one profile of pages that share a renderer, which they can do only so; it lasts for the session."""
        # Hashed, for an affinity is any text.
        return self._session / "profiles" / f"{place_name(key)}.{_digest(key)}"

    def own(self, slot: Slot, slots: Iterable[Slot]) -> Path:
        """An app's own profile; `slots` are all apps of the platform."""
        if slot.manifest.storage != "persistent":
            return self._session / "profiles" / slot.name
        name = persistent_name(slot.manifest)
        if any(other is not slot and persistent_name(other.manifest) == name and other.live for other in slots):
            holder = "another instance"
        elif self._lock(name):
            return self._folder(name)
        else:
            holder = "another platform of yours"
        self._warn(slot.name, f"{holder} holds this app's persistent storage; this one gets storage for the session")
        return self._session / "profiles" / slot.name

    def elsewhere(self, slot: Slot, key: str) -> Path:
        """An app's profile in the host `key`, where another host still has its own one open."""
        if slot.manifest.storage == "persistent":
            text = "a process that it shared holds this app's persistent storage still; it gets storage for the session"
            self._warn(slot.name, text)
        return self._session / "profiles" / f"{slot.name}.{_digest(key)}"

    @staticmethod
    def _folder(name: str) -> Path:
        return user_data_path("labplatform") / "profiles" / name

    def _lock(self, name: str) -> bool:
        """Take the lock of a persistent profile, and keep it until this process ends."""
        if name in self._locks:
            return True
        folder = self._folder(name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._locks[name] = descriptor
        return True


def persistent_name(manifest: Manifest) -> str:
    """The folder of an app's persistent storage. One from elsewhere may call itself as it likes, and gets its own."""
    if manifest.about is None:
        return manifest.uuid
    return f"{manifest.uuid}.{_digest(f'{manifest.app_id} {manifest.origin}')}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
