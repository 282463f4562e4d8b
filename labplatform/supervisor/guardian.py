"""The supervisor's parent: when the supervisor is gone, however it went, nothing of its platform is left.

A process of its own, and a tiny one: it runs with `-I -S`, imports only the standard library, starts the supervisor,
and sleeps until that ends. As subreaper of everything below, it then finds every process the platform started (stopped,
in a session of its own, forked twice), kills and reaps it, removes the platform's control groups, gives back what of
the tree of groups the platform had taken, and removes its connection file and the session's folder.

    python -I -S guardian.py [--detached] RUNTIME_FOLDER COMMAND…

COMMAND is the supervisor's; it inherits stdin, stdout and stderr as they are. `--detached`: whoever started this may be
gone long before, and nothing of theirs is held open.
"""

import contextlib
import ctypes
import fcntl
import os
import re
import select
import shutil
import signal
import sys
import time

PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
SWEEP_SECONDS = 20.0
REMOVE_SECONDS = 5.0
MOST_ROUNDS = 100
"""Times that a group's processes are moved, for those that were forked meanwhile."""
ASKED = 143
"""Exit code where this process was asked to end the platform (SIGTERM), as a shell gives it."""


def descendants() -> list[int]:
    """Every process below this one, from one pass over `/proc`."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                    fields = file.read(1024).rpartition(b")")[2].split()
                parents[int(name)] = int(fields[1])
            except (OSError, IndexError):
                continue
    found = [os.getpid()]
    below: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        below.setdefault(parent, []).append(pid)
    for pid in found:
        found += below.get(pid, [])
    return found[1:]


def sweep() -> bool:
    """Kill and reap all that is below, until there is nothing; False if something is still there at the deadline."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while time.monotonic() < deadline:
        for pid in descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        select.select([], [], [], 0.002)
    return False


def cgroups(stem: str) -> list[str]:
    """The control groups of the platform, innermost first: the supervisor noted each before it made it."""
    found = []
    try:
        with open(os.path.join(stem, "cgroups")) as file:
            for folder in file.read().splitlines():
                found += [path for path, _, _ in os.walk(folder, topdown=False)]
    except OSError:
        pass
    return found


def let_die(group: str) -> None:
    """Thaw what is frozen, which would not die of SIGKILL, and kill whatever is in there and not below this process."""
    for name, word in (("freezer.state", "THAWED"), ("cgroup.kill", "1")):
        path = os.path.join(group, name)
        if os.path.exists(path):
            with contextlib.suppress(OSError), open(path, "w") as file:
                file.write(word)
    with contextlib.suppress(OSError), open(os.path.join(group, "cgroup.procs")) as file:
        # 0 is a process that is not visible from here; to `kill`, it would be this process's own group.
        for pid in filter("0".__ne__, file.read().split()):
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)


def remove(groups: list[str]) -> bool:
    """Remove control groups; False if one of them is there still at the deadline."""
    deadline = time.monotonic() + REMOVE_SECONDS
    while groups:
        for group in groups:
            with contextlib.suppress(OSError):
                os.rmdir(group)
        groups = [group for group in groups if os.path.isdir(group)]
        if groups and time.monotonic() > deadline:
            return False
        if groups:
            select.select([], [], [], 0.002)
    return True


def leaves(stem: str) -> list[str]:
    """The groups into which processes that are not the platform's were moved, out of the way of its groups."""
    try:
        with open(os.path.join(stem, "cgroup-leaf")) as file:
            return file.read().splitlines()
    except OSError:
        return []


def move(there: str, here: str) -> int:
    """Move the processes of one group into another; how many there were. Raises `OSError`."""
    with open(os.path.join(there, "cgroup.procs")) as file:
        pids = file.read().split()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError), open(os.path.join(here, "cgroup.procs"), "w") as file:
            file.write(pid)
    return len(pids)


def give_back(leaf: str) -> None:
    """Move them back, unless another platform's groups are there; as `limits.cgroup2` does at a platform's own end."""
    above = os.path.dirname(leaf)
    with contextlib.suppress(OSError):
        held = os.open(above, os.O_RDONLY)
        try:
            deadline = time.monotonic() + REMOVE_SECONDS
            while True:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    # A platform begins, or ends; whichever is the last gives it back.
                    if time.monotonic() > deadline:
                        return
                select.select([], [], [], 0.002)
            if not os.path.isdir(leaf) or any(re.match(r"labplatform-\d", name) for name in os.listdir(above)):
                return
            on = os.path.join(above, "cgroup.subtree_control")
            with open(on) as file:
                switched = [name for name in file.read().split() if name in ("cpu", "memory", "pids")]
            with open(on, "w") as file:
                file.write(" ".join(f"-{name}" for name in switched))
            for _ in range(MOST_ROUNDS):
                if not move(leaf, above):
                    break
            os.rmdir(leaf)
        finally:
            os.close(held)


def shared_memory() -> set[str]:
    """Chromium's files in /dev/shm that are this user's and have a name; it unlinks each as soon as it is made."""
    found = set()
    try:
        for entry in os.scandir("/dev/shm"):
            if entry.name.startswith(".org.chromium.Chromium.") and entry.stat().st_uid == os.getuid():
                found.add(entry.path)
    except OSError:
        pass
    return found


def remove_shared_memory() -> None:
    """Unlink what a Chromium left that was killed between making such a file and unlinking it."""
    left = shared_memory()
    if left:
        # Another Chromium of this user's may be at it just now; its file is gone in a moment.
        select.select([], [], [], 0.05)
        for path in left & shared_memory():
            try:
                os.unlink(path)
            except OSError:
                pass


def main() -> int:
    words = sys.argv[1:]
    detached = words[0] == "--detached"
    folder, *command = words[detached:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_NAME, b"lab-guardian", 0, 0, 0)
    # Asked to end, it first ends the supervisor, which then closes its apps in good order.
    ignored = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    # Not before it can be passed on: a supervisor must not lose its guardian before it has looked who that is.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    supervisor = os.posix_spawn(command[0], command, os.environ, setsigdef=ignored, setsigmask=())
    asked = []

    def ask(*_: object) -> None:
        asked.append(True)
        os.kill(supervisor, signal.SIGTERM)

    signal.signal(signal.SIGTERM, ask)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2) if detached else (0, 1):
        os.dup2(nothing, descriptor)
    gone = os.pidfd_open(supervisor)
    while not select.select([gone], [], [])[0]:
        pass
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    status = os.waitpid(supervisor, 0)[1]
    stem = os.path.join(folder, f"platform-{supervisor}")
    groups = cgroups(stem)
    for group in groups:
        let_die(group)
    clean = sweep() and remove(groups)
    for leaf in leaves(stem):
        give_back(leaf)
    try:
        os.unlink(f"{stem}.json")
    except OSError:
        pass
    shutil.rmtree(stem, ignore_errors=True)
    remove_shared_memory()
    if not clean:
        left = [*descendants(), *(group for group in groups if os.path.isdir(group))]
        print(f"labplatform guardian: left after {SWEEP_SECONDS + REMOVE_SECONDS:g} s: {left}", file=sys.stderr)
        return 1
    return ASKED if asked else os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main())
