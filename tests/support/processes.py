"""What runs below the tests, and the proof that none of it is left. Any test that starts a platform.

The tests' own process is made a subreaper, so whatever loses its parent on the way (the very thing some tests are
about) comes back to it and is found by ancestry alone. Markers in an environment or in a command line would miss those
that overwrote them.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

PR_SET_CHILD_SUBREAPER = 36
LEFT_SECONDS = 15.0
"""Seconds that the last of a test's processes may take to go; a machine busy with other things needs some."""

CUT_SHORT = 3
"""Files in /dev/shm that Chromium processes killed at the wrong moment may leave during one test."""

T = TypeVar("T")


class Process(NamedTuple):
    """A pid with its start, in clock ticks: a pid alone is reused."""

    pid: int
    started: int


def become_subreaper() -> None:
    """Orphans below this process become its children. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _stat(pid: int) -> list[str]:
    """The fields of `/proc/PID/stat` after the name: state, parent, … Raises `OSError`."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def state_of(pid: int) -> str:
    """One letter: R, S, T (stopped), Z (ended, not reaped); "" when there is no such process."""
    try:
        return _stat(pid)[0]
    except OSError:
        return ""


def runs(pid: int) -> bool:
    """Whether this process is there and has not ended."""
    return state_of(pid) not in ("", "Z", "X")


def below(root: int | None = None) -> dict[Process, str]:
    """Every process below `root` (this one) that has not ended -> its command line."""
    table: dict[int, tuple[int, str, int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = _stat(int(name))
            except OSError:
                continue
            table[int(name)] = (int(fields[1]), fields[0], int(fields[19]))
    children: dict[int, list[int]] = {}
    for pid, (parent, _, _) in table.items():
        children.setdefault(parent, []).append(pid)
    found: dict[Process, str] = {}
    rest = list(children.get(root or os.getpid(), ()))
    for pid in rest:
        rest += children.get(pid, ())
        _, state, started = table[pid]
        if state not in "ZX":
            found[Process(pid, started)] = command_line(pid)
    return found


def command_line(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:120]
    except OSError:
        return ""


def until(met: Callable[[], T], seconds: float, what: str) -> T:
    """Ask again until the answer is true, and return it. Fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := met()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)
    return answer


def send(pid: int, number: signal.Signals) -> None:
    """A signal to a process that a test found by its platform."""
    os.kill(pid, number)


def groups_without_a_platform() -> set[Path]:
    """Control groups, of either version, of platforms whose supervisor is gone, or that this process made."""
    found = set()
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, path in own:
        for mount in (controllers, controllers.split(",")[0], "unified", ""):
            folder = Path("/sys/fs/cgroup", mount, path.lstrip("/"))
            for group in folder.glob("labplatform-[0-9]*"):
                if _without(group):
                    found.add(group)
    # Scopes lie where systemd puts them. Not by `rglob`: others' groups go while one looks, and that must not matter.
    for above, names, _ in os.walk("/sys/fs/cgroup"):
        scopes = (Path(above, name) for name in names if re.fullmatch(r"labplatform-.*\.scope", name))
        found.update(group for group in scopes if _without(group))
    return found


def _without(group: Path) -> bool:
    pid = int(group.name.removeprefix("labplatform-").partition("-")[0])
    return pid == os.getpid() or not runs(pid)


class Ground:
    """What there was before a test, and after it: processes, control groups, files, shared memory, named threads."""

    def __init__(self, runtime: Path) -> None:
        self.runtime = runtime
        self.processes = set(below())
        self.shared = self._shared_memory()
        self.threads = set(threading.enumerate())
        self.groups = groups_without_a_platform()

    def assert_clean(self) -> None:
        """Fails with a list of what is left, once waiting for it has been in vain."""
        deadline = time.monotonic() + LEFT_SECONDS
        while left := self._left():
            if time.monotonic() > deadline:
                self._clear()
                raise AssertionError("left behind: " + "; ".join(left))
            time.sleep(0.02)
        self._reap()

    def _left(self) -> list[str]:
        found = [
            f"process {process.pid} ({words})" for process, words in below().items() if process not in self.processes
        ]
        found += [f"control group {path}" for path in sorted(groups_without_a_platform() - self.groups)]
        found += [f"file {path.name}" for path in sorted(self.runtime.glob("**/platform-*"))]
        # Chromium unlinks a file as soon as it has made it. Killed in between, this or anybody's Chromium leaves one.
        shared = self._shared_memory() - self.shared
        cut_short = {name for name in shared if name.startswith(".org.chromium.")}
        found += [f"/dev/shm/{name}" for name in (shared if len(cut_short) > CUT_SHORT else shared - cut_short)]
        found += [
            f"thread {thread.name}"
            for thread in set(threading.enumerate()) - self.threads
            if thread.name.startswith("labplatform")
        ]
        return found

    @staticmethod
    def _shared_memory() -> set[str]:
        try:
            names = os.listdir("/dev/shm")
        except OSError:
            return set()
        return {name for name in names if any(word in name.lower() for word in ("chromium", "qt", "lab"))}

    def _clear(self) -> None:
        # What one test left is not to fail the next one as well.
        for process in set(below()) - self.processes:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except OSError:
                pass
        self._reap()

    @staticmethod
    def _reap() -> None:
        """Zombies that came to us as a subreaper. Popen objects of this process have been waited for by now."""
        for line in Path("/proc/self/task").glob("*/children"):
            for pid in map(int, line.read_text().split()):
                if state_of(pid) == "Z":
                    try:
                        os.waitpid(pid, os.WNOHANG)
                    except OSError:
                        pass
