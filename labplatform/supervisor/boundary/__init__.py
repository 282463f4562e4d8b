"""The boundary between apps that the operating system holds: the strongest that works here. Supervisor.

Namespaces made by bubblewrap; else Landlock, which asks for no privilege; else none. What holds for one app is read
from its running processes (see `inside`), never concluded from what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ... import landlock
from ...messages import BoundaryWish, Confinement
from . import bubblewrap
from .bytecode import compile_for_hosts
from .view import view_for


class Wrapped(NamedTuple):
    """How to start an app host: words before its command line, what it confines itself to, variables it gets."""

    command: tuple[str, ...] = ()
    confinement: Confinement | None = None
    environ: Mapping[str, str] = MappingProxyType({})
    network: bool = True


class Boundary:
    """One platform's. `kind`: "bubblewrap", "landlock" or "none"; `why`: why nothing better, one clause each."""

    def __init__(self, kind: str, why: tuple[str, ...], program: str, session: Path) -> None:
        self.kind, self.why = kind, why
        self._program = program
        self._session = session

    def wrap(self, name: str, folder: str | None, profile: Path, network: bool) -> Wrapped:
        """For the host of the app in `folder`, whose cookies and storage are in `profile`. Makes folders it needs."""
        if self.kind == "none":
            return Wrapped()
        profile.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = view_for(folder, str(profile))
        if self.kind == "bubblewrap":
            return Wrapped(command=tuple(bubblewrap.command(self._program, seen, network)), network=network)
        temporary = self._session / "tmp" / name
        temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Without a view of its own it shares /dev/shm, where Chromium unlinks each file as soon as it has made it.
        writable = (*seen.writable, str(temporary), "/dev")
        readable = (*seen.readable, *seen.sockets, "/proc", "/dev")
        return Wrapped(
            confinement=Confinement(readable=readable, writable=writable, network=network),
            environ={"TMPDIR": str(temporary)},
            network=network or landlock.version() < landlock.ABI_OF_TCP,
        )


def choose(wish: BoundaryWish, session: Path) -> Boundary:
    """The best that works, or the one that is wished for. Takes some 30 ms, in a new checkout a second. Raises
    `ValueError` if that does not.
    """
    if wish == "off":
        return Boundary("none", ("it was turned off for this platform",), "", session)
    compile_for_hosts()
    why = []
    if wish in ("auto", "bubblewrap"):
        program, problem = bubblewrap.find()
        if program:
            return Boundary("bubblewrap", (), program, session)
        why.append(problem)
    if wish in ("auto", "landlock"):
        if landlock.version() > 0:
            return Boundary("landlock", tuple(why), "", session)
        why.append("this kernel, or the container's filter, offers no Landlock")
    if wish != "auto":
        raise ValueError(f"boundary={wish!r} does not work here: {why[-1]}")
    return Boundary("none", tuple(why), "", session)
