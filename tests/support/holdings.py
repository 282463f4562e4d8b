"""What a platform holds: descriptors, threads, processes, control groups, files, memory of its supervisor. Any test.

Read from outside, in `/proc` and the file system: what a leak would show in, whatever leaks.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from .processes import Process, below, state_of

SHARED_MEMORY = Path("/dev/shm")


class Holdings(NamedTuple):
    """`descriptors`: of the supervisor, by kind; `threads`: by name; `groups`: control groups; `hosts`: processes that
    are the supervisor's children; `strays`: those below it that belong to no app, zombies included; `files`: in the
    platform's session folder, but for what lies in an app's profile; `memory`: bytes private to the supervisor.
    """

    descriptors: Counter[str]
    threads: Counter[str]
    groups: int
    hosts: int
    strays: tuple[str, ...]
    files: int
    memory: int


def of(platform: Any) -> Holdings:
    """What it holds now."""
    pid = platform.supervisor_pid
    session = Path(platform.connection_file).parent / f"platform-{pid}"
    return Holdings(
        descriptors=descriptors(pid),
        threads=threads(pid),
        groups=sum(1 for _ in groups(pid)),
        hosts=len(_children(pid)),
        strays=tuple(_strays(platform)),
        files=_files(session),
        memory=private(pid),
    )


def descriptors(pid: int) -> Counter[str]:
    """A process's open descriptors, by what they are, without what tells one socket or file from another."""
    kinds: Counter[str] = Counter()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:
            continue
        kinds[re.sub(r"\d+", "N", target)] += 1
    return kinds


def threads(pid: int) -> Counter[str]:
    """A process's threads, by their names."""
    names: Counter[str] = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            names[(task / "comm").read_text().strip()] += 1
        except OSError:
            continue
    return names


def groups(pid: int) -> list[Path]:
    """The control groups of the platform with this supervisor, of either version."""
    found = []
    for above, names, _ in os.walk("/sys/fs/cgroup"):
        found += [Path(above, name) for name in names if re.match(rf"labplatform-{pid}\b", name)]
        found += [Path(above, name) for name in names if re.match(rf"labplatform-{pid}\b", Path(above).name)]
    return found


def private(pid: int) -> int:
    """Bytes that a process has to itself: resident, and not shared."""
    fields = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+)", fields, re.MULTILINE))


def _children(pid: int) -> list[int]:
    found = []
    for line in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in line.read_text().split()]
    return found


def _strays(platform: Any) -> list[str]:
    """Children of the supervisor that are no app's, and all zombies below it."""
    roots = {app.pid for app in platform.apps if app.pid}
    pid = platform.supervisor_pid
    found = []
    for child in _children(pid):
        tree = {child} | {process.pid for process in below(child)}
        if state_of(child) == "Z":
            found.append(f"zombie {child}")
        elif not tree & roots:
            found.append(f"{child} with {len(tree) - 1} below it")
    return found


def _files(session: Path) -> int:
    count = 0
    for above, folders, names in os.walk(session):
        if Path(above).parent.name == "profiles":
            folders.clear()
            continue
        count += len(names) + len(folders)
    return count


def shared_memory() -> set[str]:
    """Files of Chromium's in /dev/shm."""
    return {name for name in os.listdir(SHARED_MEMORY) if "chromium" in name.lower()}


__all__ = ["Holdings", "Process", "descriptors", "groups", "of", "private", "shared_memory", "threads"]
