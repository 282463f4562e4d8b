"""Finding the platforms that run on this machine, through the connection files of their supervisors. Kernel and CLI.

A supervisor keeps `platform-PID.json` in the user's runtime folder for as long as it lives. A file whose process is
gone stops nothing and nobody; it is removed here when it is met. What is said to a supervisor goes over `connection`;
who has hung is found out here, because only the side that waits can know.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from select import POLLIN, poll
from typing import NamedTuple, TypeVar

import msgspec
import psutil

from . import machine
from . import messages as m
from .connection import Connection
from .errors import LabError, LabTimeout, PlatformError, SupervisorLost

ANSWER_SECONDS = 2.0
"""Seconds after which a supervisor that does not answer counts as hung."""
SAME_START = 10.0
"""Seconds by which two readings of one process's start may differ: both count from the boot time, which moves when the
clock is set."""
GROUP_SECONDS = 1.0
"""Seconds that a control group may stay busy once its last process has been killed."""
TITLE = "labplatform: supervisor"
MOST_FILE = 1 << 16
"""Bytes of a connection file; more is none."""

T = TypeVar("T")


class Running(NamedTuple):
    """A platform that runs: its connection file, and what that says."""

    file: Path
    about: m.ConnectionFile

    @property
    def pid(self) -> int:
        """The supervisor's pid, by which the platform is named."""
        return self.about.pid

    @property
    def owner(self) -> str:
        """What it ends with, in words."""
        return "detached" if self.about.detached else f"controller {self.about.controller_pid}"

    def lives(self) -> bool:
        """Whether the supervisor that wrote the file still runs."""
        return _lives(self.about)

    def connect(self, seconds: float = ANSWER_SECONDS) -> Connection:
        """A controller's connection. Raises `LabTimeout` if the supervisor does not answer within `seconds`."""
        return self._within(seconds, lambda: Connection(self.about.port, self.about.token), Connection.close)

    def status(self, seconds: float = ANSWER_SECONDS) -> m.PlatformStatus:
        """The platform and its apps, as the supervisor tells it now. Raises `LabTimeout`, `SupervisorLost`."""

        def ask() -> m.PlatformStatus:
            connection = Connection(self.about.port, self.about.token)
            try:
                return connection.ask(m.Describe, m.PlatformStatus, seconds)
            finally:
                connection.close()

        return self._within(seconds, ask)

    def order(self, seconds: float = ANSWER_SECONDS) -> tuple[m.SupervisorOrder, m.PlatformStatus]:
        """What it was started with, and what is there now. Raises `LabTimeout`, `SupervisorLost`."""

        def ask() -> tuple[m.SupervisorOrder, m.PlatformStatus]:
            connection = Connection(self.about.port, self.about.token)
            try:
                order = connection.ask(m.TellOrder, m.SupervisorOrder, seconds)
                return order, connection.ask(m.Describe, m.PlatformStatus, seconds)
            finally:
                connection.close()

        return self._within(seconds, ask)

    def processes(self) -> Tree:
        """Handles on the guardian, the supervisor, and every process below; they stay right when a pid is reused."""
        guardians: list[int] = []
        below: list[psutil.Process] = []
        try:
            supervisor = psutil.Process(self.pid)
            parent = supervisor.parent()
            # A supervisor whose guardian was killed has been adopted, by whom does not matter.
            if parent and _is_guardian(parent):
                guardians = [parent.pid]
            below = (parent if guardians else supervisor).children(recursive=True)
        except psutil.Error:
            pass
        return Tree(dict.fromkeys([*guardians, self.pid, *(child.pid for child in below)]), guardians)

    def kill(self) -> None:
        """SIGKILL to the supervisor, if it is still the one that wrote the file; its guardian then ends the rest."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return
        try:
            # Looked at after the handle was taken, so no other process can slip in between.
            if self.lives() and _title(self.pid).startswith(TITLE):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)

    def _within(self, seconds: float, ask: Callable[[], T], discard: Callable[[T], None] | None = None) -> T:
        future: Future[T] = Future()

        def work() -> None:
            try:
                value = ask()
            except BaseException as error:
                future.set_exception(error)
                return
            future.set_result(value)
            if late and discard:
                discard(value)

        late: list[bool] = []
        # A thread that nobody waits for: a supervisor that hangs in the middle of an answer must not hold up this one.
        threading.Thread(target=work, name=f"ask-{self.pid}", daemon=True).start()
        try:
            return future.result(seconds)
        except FutureTimeout:
            if future.done():  # in the very last moment, or with an error that is itself a time-out
                return future.result()
            late.append(True)
        raise LabTimeout(
            f"platform {self.pid} does not answer: waited {seconds:g} s for its supervisor{_how_it_is(self.pid)}; "
            f"`labplatform kill --platform {self.pid}` ends it",
            platform=self.pid,
        )


class Seen(NamedTuple):
    """A platform and its answer, or why there is none."""

    platform: Running
    status: m.PlatformStatus | None
    problem: str = ""


class Tree:
    """Handles (pidfds) on processes, which say when they end and cannot strike others. `guardian`: none or one pid."""

    def __init__(self, pids: Iterable[int], guardian: Iterable[int] = ()) -> None:
        self.guardian = tuple(guardian)
        self._handles: dict[int, int] = {}
        for pid in pids:
            try:
                self._handles[pid] = os.pidfd_open(pid)
            except OSError:
                continue

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()

    def __len__(self) -> int:
        return len(self._handles)

    def left(self, seconds: float = 0.0, among: Iterable[int] | None = None) -> list[int]:
        """Wait until all of them (or those `among`) have ended, `seconds` at most; the pids that have not."""
        deadline = time.monotonic() + seconds
        pids = self._handles if among is None else [pid for pid in among if pid in self._handles]
        open_ = {self._handles[pid]: pid for pid in pids}
        poller = poll()
        for handle in open_:
            poller.register(handle, POLLIN)
        while open_:
            rest = max(0.0, deadline - time.monotonic())
            for handle, _ in poller.poll(rest * 1000):
                poller.unregister(handle)
                del open_[handle]
            if rest == 0:
                break
        return sorted(open_.values())

    def send(self, number: int, among: Iterable[int] | None = None) -> None:
        """A signal to all of them (or those `among`) that are still there."""
        for pid in list(self._handles) if among is None else among:
            try:
                signal.pidfd_send_signal(self._handles[pid], number)
            except (OSError, KeyError):
                continue


def running(folder: Path | None = None) -> list[Running]:
    """This user's platforms, oldest first. Files of platforms that are gone are removed. Raises `PlatformError`."""
    folder = machine.runtime_folder() if folder is None else folder
    found = []
    for file in folder.glob("platform-*.json"):
        about = _read(file)
        if about is not None and _lives(about):
            found.append(Running(file, about))
        elif about is not None or not psutil.pid_exists(_pid_in(file)):
            _remove(file)
    return sorted(found, key=lambda platform: (platform.about.created, platform.pid))


def look(platforms: Iterable[Running], seconds: float = ANSWER_SECONDS) -> list[Seen]:
    """Ask all at once; who has not answered after `seconds` has a problem. Those that ended just now are left out."""
    platforms = list(platforms)
    answers: list[Seen | None] = [None] * len(platforms)

    def ask(index: int, platform: Running) -> None:
        try:
            answers[index] = Seen(platform, platform.status(seconds))
        except LabError as error:
            answers[index] = Seen(platform, None, error.message)

    threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in enumerate(platforms)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 1)
    seen = [answer or Seen(platforms[index], None, "it was not asked in time") for index, answer in enumerate(answers)]
    return [one for one in seen if one.status is not None or one.platform.lives()]


def choose(platforms: Iterable[Running], which: int | str) -> Running:
    """The platform of this supervisor pid, or of this name. Raises `PlatformError` naming those that run."""
    platforms = list(platforms)
    found = [platform for platform in platforms if which in (platform.pid, platform.about.name or None)]
    if len(found) == 1:
        return found[0]
    there = ", ".join(named(platform) for platform in found or platforms) or "none"
    if found:
        raise PlatformError(f"{len(found)} platforms of yours are called {which!r}: {there}; say which by its PID")
    whose = f"has the supervisor PID {which}" if isinstance(which, int) else f"is called {which!r}"
    raise PlatformError(f"no platform of yours {whose}; running: {there}", platform=which)


def named(platform: Running) -> str:
    """A platform's pid, its name, and what it ends with."""
    name = f"{platform.about.name!r}, " if platform.about.name else ""
    return f"{platform.pid} ({name}{platform.owner})"


def at(file: Path) -> Running:
    """The platform whose connection file this is. Raises `PlatformError` for one that is not this user's alone, that is
    none, or whose supervisor is gone.
    """
    try:
        about = m.decode(_content(file), m.ConnectionFile)
    except OSError as error:
        raise PlatformError(f"{file}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # msgspec's errors are such as well
        raise PlatformError(f"{str(file)!a} is no connection file of a platform: {error}") from None
    platform = Running(file, about)
    if not platform.lives():
        raise PlatformError(f"{file}: the platform it belongs to is gone (its supervisor was PID {about.pid})")
    return platform


def shut_down(platform: Running, grace: float, by: str) -> None:
    """Ask the supervisor, in the name of `by`, to stop every app, each with `grace` seconds to close, and itself.

    Raises `LabTimeout` if it does not answer, or does not do it in time.
    """
    connection = platform.connect()
    try:
        connection.ask(m.Shutdown, type(None), grace + 5, timeout=grace, by=by)
    except SupervisorLost:
        pass  # it had no time left to answer
    finally:
        connection.close()


# --- files and processes ----------------------------------------------------------------------------------------------


def _content(file: Path) -> bytes:
    """What a file holds whose token nobody else knows. Raises `OSError`, `ValueError`."""
    # A pipe would be waited at; what is behind a link may change after the look at it.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is not a regular file")
        if found.st_uid != os.geteuid():
            raise ValueError(f"it belongs to user {found.st_uid}, and this is user {os.geteuid()}")
        if found.st_mode & 0o077:
            raise ValueError(f"others may read or write it (mode {found.st_mode & 0o777:o}), and its token is a secret")
        if found.st_size > MOST_FILE:
            raise ValueError(f"it has {found.st_size} bytes")
        return os.read(descriptor, MOST_FILE)
    finally:
        os.close(descriptor)


def _read(file: Path) -> m.ConnectionFile | None:
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return None
        return m.decode(file.read_bytes(), m.ConnectionFile)
    except (OSError, msgspec.MsgspecError):
        return None


def _pid_in(file: Path) -> int:
    number = file.stem.removeprefix("platform-")
    # No process has a pid this large; Linux stops at 2**22.
    return int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 1 << 30


def _lives(about: m.ConnectionFile) -> bool:
    try:
        process = psutil.Process(about.pid)
        return abs(process.create_time() - about.created) < SAME_START and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError, OverflowError):
        return False


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        return
    # What the guardian would have removed, had it lived to see the end.
    folder = file.with_suffix("")
    for group in _control_groups(folder):
        _remove_group(group)
    shutil.rmtree(folder, ignore_errors=True)


def _control_groups(folder: Path) -> list[str]:
    """The platform's control groups, innermost first: its supervisor noted each before it made it."""
    try:
        noted = (folder / "cgroups").read_text().splitlines()
    except OSError:
        return []
    return [path for top in noted for path, _, _ in os.walk(top, topdown=False)]


def _remove_group(group: str) -> None:
    deadline = time.monotonic() + GROUP_SECONDS
    while time.monotonic() < deadline:
        try:
            os.rmdir(group)
        except OSError as error:
            if error.errno != errno.EBUSY:
                return
            time.sleep(0.005)
        else:
            return


def _title(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def _is_guardian(process: psutil.Process) -> bool:
    try:
        return any(word.endswith("guardian.py") for word in process.cmdline())
    except psutil.Error:
        return False


def _how_it_is(pid: int) -> str:
    try:
        state = psutil.Process(pid).status()
    except psutil.Error:
        return ", which has just ended"
    if state in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP):
        return ", which a signal has stopped (SIGCONT would wake it)"
    return f", whose process is {state}"
