"""Control groups as files: reading, writing, and removing them with whatever is still inside. Supervisor.

Most of these may block for a moment, so they are done on a thread of the tier's; see `Tier.in_thread`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from pathlib import Path

from .. import linux
from . import tree

EMPTYING = 5.0
"""Seconds after which a group that still has processes is left to the guardian."""
PAUSE = 0.002
PREFIX = "labplatform-"
"""Begins the name of a platform's own group; the supervisor's pid follows."""


def read(folder: Path, name: str) -> str:
    """The content of one file. Raises `OSError`."""
    # In half the time of `Path.read_text`: this is done for each app at each sample.
    descriptor = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = part = os.read(descriptor, 1 << 16)
        while part:
            part = os.read(descriptor, 1 << 16)
            data += part
    finally:
        os.close(descriptor)
    return data.decode()


def number(folder: Path, name: str) -> int:
    """A file that holds one number. Raises `OSError`, `ValueError`."""
    return int(read(folder, name))


class Table:
    """Lines of "name number", each looked for when it is asked for: a memory group says some forty figures, of which a
    few are wanted, of each app at each sample.
    """

    def __init__(self, text: str) -> None:
        self._text = f"\n{text}\n"

    def get(self, name: str, otherwise: int = 0) -> int:
        """Its number; `otherwise` where there is no such line."""
        start = self._text.find(f"\n{name} ")
        if start < 0:
            return otherwise
        start += len(name) + 2
        return int(self._text[start : self._text.index("\n", start)])


def table(folder: Path, name: str) -> Table:
    """A file of lines "name number". Raises `OSError`."""
    return Table(read(folder, name))


def write(folder: Path, name: str, value: object) -> None:
    """Write one value in one go, as the kernel wants it. Raises `OSError`."""
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def processes(folder: Path) -> list[int]:
    """Pids of a group; empty when it is gone. Who is not visible from here shows as 0, and is left out."""
    try:
        return [int(pid) for pid in read(folder, "cgroup.procs").split() if pid != "0"]
    except OSError:
        return []


def kill(folder: Path) -> None:
    """SIGKILL what is in a group, once."""
    for pid in processes(folder):
        tree.send(pid, signal.SIGKILL)


def below(folder: Path) -> list[Path]:
    """A group and all groups in it, innermost first; none when it is gone."""
    return [Path(path) for path, _, _ in os.walk(folder, topdown=False)]


def remove(folder: Path, seconds: float = EMPTYING) -> bool:
    """End what is still in a group and remove it; False if it is there still after some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY) or time.monotonic() > deadline:
                return False
            kill(folder)
            time.sleep(PAUSE)
        else:
            return True


def remove_stale(own: Path) -> None:
    """Remove the empty groups of platforms whose supervisor and guardian were both killed. Those in use stay."""
    for folder in own.glob(f"{PREFIX}[0-9]*"):
        if not _runs(int(folder.name.removeprefix(PREFIX))):
            for path in below(folder):
                with contextlib.suppress(OSError):
                    os.rmdir(path)


def _runs(pid: int) -> bool:
    try:
        # One that has been killed stays in the table until its parent, a notebook maybe, has looked at it.
        return linux.Stat(pid).state not in "ZX"
    except (OSError, ValueError, IndexError):
        return False
