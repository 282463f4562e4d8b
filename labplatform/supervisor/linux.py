"""What the supervisor and the guardian ask of Linux itself: pidfds, subreaper, process trees out of `/proc`.

Runs in the supervisor (the guardian, which imports nothing of this package, keeps its own few lines).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from pathlib import Path

PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

_usual_files: int | None = None
_libc = ctypes.CDLL(None, use_errno=True)
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def prctl(option: int, value: int | bytes) -> None:
    """`prctl(option, value)`. Raises `OSError`."""
    argument = ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_ulong(value)
    if _libc.prctl(option, argument, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def become_subreaper() -> None:
    """Orphans among our descendants become our children, so that none escapes by forking twice."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def open_many_files() -> None:
    """Let this process open as many files as it may: it keeps some for each process that it watches."""
    global _usual_files
    _usual_files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def usual_files() -> str:
    """How many files this process might open before `open_many_files`, as a shell's `ulimit` takes it."""
    usual = _usual_files if _usual_files is not None else resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return "unlimited" if usual == resource.RLIM_INFINITY else str(usual)


def boot_time() -> float:
    """Seconds since the epoch at which this machine booted; `/proc`'s start times count from there."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise OSError("/proc/stat has no btime")


def read(path: str) -> bytes:
    """A small file of `/proc`. Without a file object, which takes longer than the reading: to list the tree of one app
    is to read some 45 of them, one for each thread.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


class Stat:
    """One reading of `/proc/PID/stat`: `name`, `state`, `parent`, `cpu` (seconds used), `cpu_of_children` (of those
    that it has waited for), `threads`, `started` (clock ticks). `text`: what the file says, if it has been read.
    """

    __slots__ = ("cpu", "cpu_of_children", "name", "parent", "started", "state", "threads")

    def __init__(self, pid: int, text: bytes | None = None) -> None:
        if text is None:
            text = read(f"/proc/{pid}/stat")
        # The name stands in parentheses and may itself hold spaces and parentheses.
        opened, closed = text.index(b"("), text.rindex(b")")
        self.name = text[opened + 1 : closed].decode(errors="replace")
        rest = text[closed + 2 :].split()
        self.state = rest[0].decode()
        self.parent = int(rest[1])
        self.cpu = (int(rest[11]) + int(rest[12])) / _TICKS
        self.cpu_of_children = (int(rest[13]) + int(rest[14])) / _TICKS
        self.threads = int(rest[17])
        self.started = int(rest[19])


def busy_seconds(text: bytes) -> float:
    """Seconds that all cores of the machine together have worked since it booted, from the text of `/proc/stat`."""
    # "cpu" user nice system idle iowait irq softirq steal, and parts of these.
    user, nice, system, _, _, irq, softirq, *_ = map(int, text.split(b"\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / _TICKS


def started_seconds(stat: Stat, booted: float) -> float:
    """When the process was created, in seconds since the epoch."""
    return booted + stat.started / _TICKS


def resident(statm: bytes) -> tuple[int, int]:
    """Bytes resident, and how many of them are shared with files and others, from the text of `/proc/PID/statm`."""
    fields = statm.split()
    return int(fields[1]) * _PAGE, int(fields[2]) * _PAGE


def children(pid: int) -> list[int]:
    """Direct children of a process, over all of its threads; empty when it is gone."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        # A thread that ends meanwhile may not hide the children of the others.
        with contextlib.suppress(OSError):
            found += map(int, read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def adopted() -> list[int]:
    """Children of this process's first thread, among them all that have lost their parent: Linux gives these to it.
    For a subreaper; see prctl(2).
    """
    own = os.getpid()
    try:
        return [int(pid) for pid in read(f"/proc/{own}/task/{own}/children").split()]
    except OSError:
        return []  # a kernel that does not tell of children


def tree(pid: int) -> list[int]:
    """A process and all of its descendants, parents before children."""
    found = [pid]
    for parent in found:
        found += children(parent)
    return found


def oom_kills() -> int:
    """Processes that the kernel has killed since the machine booted because memory ran out, of it or of a group."""
    try:
        _, found, rest = read("/proc/vmstat").partition(b"\noom_kill ")
    except OSError:
        return 0
    return int(rest.split(None, 1)[0]) if found else 0


def pids_of(pid: int) -> list[int]:
    """The pids of a process in each pid namespace from that of this `/proc` down; empty when it is gone."""
    try:
        for line in read(f"/proc/{pid}/status").splitlines():
            if line.startswith(b"NSpid:"):
                return [int(word) for word in line.split()[1:]]
    except (OSError, ValueError):
        pass
    return []


def command_line(pid: int) -> list[str]:
    """The arguments of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
