"""Which running platform somebody means, and taking hold of it; what a platform may be called. Kernel.

Platforms are found by `discovery`, through their connection files. How a `Platform` then takes part in one is its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from .. import discovery
from .. import messages as m
from ..errors import PlatformError, StartError
from .start import AttachedSupervisor

LOOK_SECONDS = 2.0
"""Seconds in which those that run have to tell what is on them, for a list of them."""
LONGEST_NAME = 60
APPS_LISTED = 6


def find(which: int | str | Path | None, seconds: float) -> discovery.Running:
    """The platform of this supervisor pid, name or connection file; `None`: the only one. Raises `PlatformError`."""
    if isinstance(which, bool) or not isinstance(which, int | str | Path | None):
        raise TypeError(f"a platform is named by its PID, its name or its connection file, not by {which!r}")
    if isinstance(which, Path) or (isinstance(which, str) and _like_a_file(which)):
        return discovery.at(Path(which))
    running = discovery.running()
    if which is None:
        found = running
    elif isinstance(which, int) or (which.isascii() and which.isdigit()):
        found = [platform for platform in running if platform.pid == int(which)]
    else:
        found = [platform for platform in running if platform.about.name == which != ""]
    if len(found) == 1:
        return found[0]
    if not running:
        wanted = "" if which is None else f", and so none that is {which!r}"
        raise PlatformError(
            f"no platform of yours is running{wanted}; Platform() starts one, and Platform(detached=True) one that "
            "goes on without its notebook"
        )
    if found and which is not None:
        what = f"{len(found)} platforms of yours are called {which!r}; say which one by its PID"
    elif found:
        what = f"{len(found)} platforms of yours are running; say which one by its PID or name"
    else:
        what = f"no platform of yours is {which!r}; these are running"
    raise PlatformError("\n".join([f"{what}:", *_listed(found or running, seconds)]))


def hold(there: discovery.Running, status: m.PlatformStatus) -> AttachedSupervisor:
    """A handle on a supervisor that runs, and told this."""
    return AttachedSupervisor(there.about, there.file, status.guardian_pid)


def checked_name(name: str) -> str:
    """What a platform may be called, if it is called anything. Raises `ValueError`."""
    if not isinstance(name, str):
        raise TypeError(f"name is a text, not {name!r}")
    fits = name == name.strip() and name.isprintable() and len(name) <= LONGEST_NAME
    if not fits or _like_a_file(name) or (name.isascii() and name.isdigit()):
        raise ValueError(
            f"name is {LONGEST_NAME} printable characters at most, and neither a number nor a path; not {name!r}"
        )
    return name


def refuse_taken(name: str) -> None:
    """Raises `StartError` if another platform of this user's is called so."""
    if not name:
        return
    for platform in discovery.running():
        if platform.about.name == name:
            raise StartError(
                f"a platform called {name!r} is running already (PID {platform.pid}, {platform.owner}): "
                f"Platform.attach({name!r}) takes part in it, and `labplatform stop --platform {name}` ends it"
            )


def _like_a_file(name: str) -> bool:
    return "/" in name or name.endswith(".json")


def _listed(platforms: Sequence[discovery.Running], seconds: float) -> list[str]:
    """A line for each: who it is, what it ends with, how old it is, and what is on it."""
    seen = {one.platform: one for one in discovery.look(platforms, min(seconds, LOOK_SECONDS))}
    lines = []
    for platform in platforms:
        about, one = platform.about, seen.get(platform)
        if one is None:
            continue  # it has ended just now
        name = f" {about.name!r}" if about.name else ""
        age = _age(time.time() - about.created)
        lines.append(f"  {platform.pid}{name}: {platform.owner}, up {age}, isolation {about.isolation}, {_apps(one)}")
    return lines


def _apps(seen: discovery.Seen) -> str:
    if seen.status is None:
        return "does not answer"
    names = [app.place for app in seen.status.apps if app.state not in ("stopped", "failed")]
    more = f" and {len(names) - APPS_LISTED} more" if len(names) > APPS_LISTED else ""
    return f"apps: {', '.join(names[:APPS_LISTED])}{more}" if names else "no app is up"


def _age(seconds: float) -> str:
    whole = max(0, int(seconds))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
