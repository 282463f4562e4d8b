"""Where each app's cookies and storage lie: for the session, or for good. Supervisor.

Two processes on one profile folder would silently lose writes, so a persistent one is held by a lock: by one instance
on this platform, and by one platform of this user's. What an app's pages save goes the way of its storage: see
`Slot.persistent`, which is decided here.
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
from .lifecycle import State
from .slot import Slot

OVER = frozenset({State.STOPPED, State.FAILED})
"""States in which an app holds its storage no more."""


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
        """An app's own profile, and from one incarnation to the next the same; `slots` are all apps of the platform."""
        session = self.for_session(slot)
        if slot.manifest.storage != "persistent" or slot.profile == session:
            return session
        name, slot.persistent = persistent_name(slot.manifest), ""
        if any(other is not slot and other.persistent == name and other.state not in OVER for other in slots):
            holder = "another instance"
        elif self._lock(name):
            slot.persistent = name
            return self._folder(name)
        else:
            holder = "another platform of yours"
        self._warn(slot.name, f"{holder} holds this app's persistent storage; this one gets storage for the session")
        return session

    def for_session(self, slot: Slot) -> Path:
        """Its own profile that goes with the session."""
        return self._session / "profiles" / slot.name

    def elsewhere(self, slot: Slot, key: str) -> Path:
        """An app's profile in the host `key`, where another host still has its own one open."""
        slot.persistent = ""
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
