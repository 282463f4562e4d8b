"""Limits by systemd: each app host in a transient scope, whose limits systemd writes. For desktops. Supervisor.

The tree of control groups is systemd's there, so it is asked, over D-Bus: the user's own manager where there is one,
the machine's for root. What a scope counts is read from its files, and its processes are ended by them: see `unified`.
All talk with it runs on threads and has deadlines. What it is asked for it does some time after its answer: a host is
held until it is seen in its scope, and a limit is awaited in the file that holds it. It removes a scope as soon as that
is empty, and the evidence with it: a process that only waits keeps each scope until it has been read.
https://www.freedesktop.org/software/systemd/man/latest/org.freedesktop.systemd1.html
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from ...manifest import ResourceLimits
from . import cgroupfs
from .cgroup2 import SYSTEMD
from .kernelgroup import most_threads, quota
from .tier import Breached, CannotLimit, Needs, Tier, Unavailable
from .tree import started
from .unified import UnifiedGroup, missing, mount, path_of

ANSWER = 5.0
"""Seconds that systemd may take to answer."""
DONE = 5.0
"""Seconds that it may take to have done what it was asked for."""
PAUSE = 0.001
KEEPER = ("/bin/sh", "-c", "read -r _")
NO_LIMIT = (1 << 64) - 1
MANAGER = {
    "object_path": "/org/freedesktop/systemd1",
    "bus_name": "org.freedesktop.systemd1",
    "interface": "org.freedesktop.systemd1.Manager",
}
Properties = list[tuple[str, tuple[str, Any]]]


class Refused(Exception):
    """systemd said no, or nothing; the text is its own."""


class Manager:
    """One systemd, over D-Bus. Any thread may call; one at a time does."""

    def __init__(self, bus: str) -> None:
        self._bus = bus
        self._connection: Any = None
        self._lock = threading.Lock()

    def call(self, method: str, signature: str, *arguments: Any) -> tuple[Any, ...]:
        """Call a method of its manager object; its answer. Raises `Refused`."""
        # Only where systemd runs: other machines are spared the time.
        from jeepney import DBusAddress, MessageType, new_method_call
        from jeepney.io.blocking import DBusConnection, prep_socket

        message = new_method_call(DBusAddress(**MANAGER), method, signature, arguments)
        with self._lock:
            try:
                if self._connection is None:
                    sock = prep_socket(self._bus, False, timeout=ANSWER)
                    # The first words with the bus have no deadline of their own.
                    late = threading.Timer(ANSWER, sock.shutdown, (socket.SHUT_RDWR,))
                    late.start()
                    try:
                        self._connection = DBusConnection(sock)
                    finally:
                        late.cancel()
                answer = self._connection.send_and_get_reply(message, timeout=ANSWER)
            except Exception as error:
                # A connection that failed once may hold half an answer: the next call begins anew.
                self._close()
                raise Refused(str(error) or type(error).__name__) from None
        if answer.header.message_type is MessageType.error:
            raise Refused(str(answer.body[0]) if answer.body else "no reason given")
        return answer.body

    def close(self) -> None:
        """Talk to it no more."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None


def managers() -> Iterator[tuple[str, str]]:
    """(who, socket of the bus) of the managers that this user may ask, best first."""
    own = Path(f"/run/user/{os.geteuid()}/bus")
    if own.exists():
        yield "the user's systemd", str(own)
    if os.geteuid() == 0:
        yield "the machine's systemd", "/run/dbus/system_bus_socket"


class SystemdScope(Tier):
    """A scope for each app host."""

    name = "systemd"
    counts = (
        "memory of its own, shared memory and what the kernel keeps for it; pages of files that it was the first to "
        "read are held to the limit as well, and dropped before anything else"
    )
    cannot: ClassVar[tuple[str, ...]] = (
        "the kernel ends one process of an app that is out of memory, the platform the others some milliseconds later",
        "a limit little above what an app needs slows it down: its program's own pages are dropped and read again",
        "without a boundary, an app of the same user may ask systemd for another scope",
    )
    needs = Needs(page=102_000_000, service=16_000_000)

    def __init__(self, session: Path) -> None:
        super().__init__(session)
        self.manager: Manager | None = None
        self.place = Path()
        """Where the unified hierarchy is mounted."""
        self.has_oom_policy = True
        """Whether this systemd knows `OOMPolicy` for scopes, as it does from version 253 on; before, it leaves a scope
        alone that is out of memory, which is what it is asked for."""
        self._count = 0

    async def open(self) -> None:
        """Have a scope made, limited, changed and removed. Raises `Unavailable`."""
        await self.in_thread(self._open)

    def _open(self) -> None:
        if not SYSTEMD.is_dir():
            raise Unavailable("systemd does not run this machine (there is no /run/systemd/system)")
        mounted = mount()
        if mounted is None:
            raise Unavailable("control groups of version 2, which its scopes need for this, are not mounted")
        self.place = mounted[0]
        if absent := missing(self.place):
            raise Unavailable(f"{self.place} has no {', '.join(absent)}: its scopes cannot be limited as a whole")
        reasons = []
        for who, bus in managers():
            self.manager = Manager(bus)
            try:
                self._try()
            except (CannotLimit, OSError) as error:
                reasons.append(f"{who}: {error}")
                self.manager.close()
                self.manager = None
            else:
                return
        raise Unavailable("; ".join(reasons) or "this user has no systemd of its own (log in, or enable lingering)")

    def _try(self) -> None:
        """A scope for a process that only waits, with every limit there is. Raises `CannotLimit`, `OSError`."""
        waits = subprocess.Popen(KEEPER, stdin=subprocess.PIPE)
        group = ScopeGroup(self, "try", ResourceLimits(max_memory=1 << 30, max_cpu=100, max_processes=100), _nobody)
        try:
            group._fill(waits.pid)
        finally:
            waits.kill()
            waits.communicate()
            group._remove()

    def unit(self, name: str) -> str:
        """A name for a scope that nobody has. What may not stand in one is left out."""
        self._count += 1
        plain = re.sub(r"[^A-Za-z0-9_.]+", "_", name)[:100]
        return f"{cgroupfs.PREFIX}{os.getpid()}-{self._count}-{plain}.scope"

    def group(self, name: str, limits: ResourceLimits, breached: Breached) -> ScopeGroup:
        """A group whose scope is made when it gets its process."""
        return ScopeGroup(self, name, limits, breached)

    async def close(self) -> None:
        """Talk to systemd no more. The scopes are gone by now."""
        if self.manager is not None:
            await self.in_thread(self.manager.close)
        await super().close()


def _nobody(group: Any, breach: Any) -> None:
    """Is told of nothing."""


class ScopeGroup(UnifiedGroup):
    """One scope."""

    tier: SystemdScope

    def __init__(self, tier: SystemdScope, name: str, limits: ResourceLimits, breached: Breached) -> None:
        super().__init__(tier, name, limits, breached)
        self._manager = tier.manager
        self.unit = tier.unit(name)
        self.folder = Path()
        self._keeper: subprocess.Popen[bytes] | None = None

    def _fill(self, pid: int) -> None:
        # In this process's session, and so none of those that `strays` is after. It ends when this process does.
        self._keeper = subprocess.Popen(KEEPER, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        properties: Properties = [
            ("Description", ("s", f"labplatform: {self.name}")),
            ("PIDs", ("au", [pid, self._keeper.pid])),
            ("CollectMode", ("s", "inactive-or-failed")),
            # These make systemd have the controllers there, whatever is limited at first.
            ("MemoryAccounting", ("b", True)),
            ("TasksAccounting", ("b", True)),
            ("CPUWeight", ("t", 100)),
            *_wanted(None, self.limits),
        ]
        self._start(properties)
        self.folder = self._wait_inside(pid)
        self.tier.leave_to_guardian(self.folder)
        if absent := [name for name in ("memory.max", "cpu.max", "pids.max") if not (self.folder / name).exists()]:
            raise CannotLimit(f"systemd has made {self.folder} without {', '.join(absent)}")
        self._wait_held(None, self.limits)

    def _start(self, properties: Properties) -> None:
        policy: Properties = [("OOMPolicy", ("s", "continue"))]
        for more in (policy, []) if self.tier.has_oom_policy else ([],):
            try:
                self._manager.call(
                    "StartTransientUnit", "ssa(sv)a(sa(sv))", self.unit, "fail", [*properties, *more], []
                )
            except Refused as error:
                if not (more and "OOMPolicy" in str(error)):
                    raise CannotLimit(f"systemd refuses it a scope: {error}") from None
                self.tier.has_oom_policy = False
            else:
                return

    def _wait_inside(self, pid: int) -> Path:
        """The scope's folder, once the process is in it. Raises `CannotLimit`, `OSError`."""
        deadline = time.monotonic() + DONE
        while True:
            path = path_of(pid)
            if path.endswith(f"/{self.unit}"):
                return self.tier.place / path.lstrip("/")
            if not started(pid):
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), f"process {pid}")
            if time.monotonic() > deadline:
                raise CannotLimit(f"systemd has not moved it into {self.unit} in {DONE:g} s; it is in {path}")
            time.sleep(PAUSE)

    def _remove(self) -> None:
        if self.folder.is_absolute():
            self._kill()
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.communicate()
        with contextlib.suppress(Refused):
            self._manager.call("StopUnit", "ss", self.unit, "replace")
        with contextlib.suppress(Refused):
            # A scope that failed to start stays until it is told not to.
            self._manager.call("ResetFailedUnit", "s", self.unit)
        _wait(lambda: not (self.folder.is_absolute() and self.folder.exists()))

    def _processes(self) -> list[int]:
        return [pid for pid in super()._processes() if self._keeper is None or pid != self._keeper.pid]

    def kill_all(self) -> None:
        """Until nothing is left in it; what it has to say is read before, for that goes with it."""
        self._look()
        super().kill_all()

    # --- what holds

    def _write(self, before: ResourceLimits | None, limits: ResourceLimits) -> None:
        if (before is None or limits.max_memory != before.max_memory) and self._too_low(limits.max_memory):
            return
        if properties := _wanted(before, limits):
            try:
                self._manager.call("SetUnitProperties", "sba(sv)", self.unit, True, properties)
            except Refused as error:
                raise CannotLimit(f"systemd refuses: {error}") from None
            self._wait_held(before, limits)

    def _wait_held(self, before: ResourceLimits | None, limits: ResourceLimits) -> None:
        """Wait until the files say what was asked for. Raises `CannotLimit`."""
        period, share = quota(limits.max_cpu)
        memory, threads = limits.max_memory, most_threads(limits.max_processes)
        page = os.sysconf("SC_PAGE_SIZE")
        expected = {
            "memory.max": "max" if memory is None else str(memory // page * page),
            "cpu.max": f"{'max' if share < 0 else share} {period}",
            "pids.max": "max" if threads is None else str(threads),
        }

        def differ() -> list[str]:
            return [name for name, value in expected.items() if cgroupfs.read(self.folder, name).strip() != value]

        if not _wait(lambda: not differ()):
            said = ", ".join(f"{name} is {cgroupfs.read(self.folder, name).strip()}" for name in differ())
            raise CannotLimit(f"systemd has not set it in {DONE:g} s: {said}")


def _wanted(before: ResourceLimits | None, limits: ResourceLimits) -> Properties:
    """What is not as it was `before` (`None`: everything), in systemd's words."""
    wanted: Properties = []
    if before is None or limits.max_memory != before.max_memory:
        memory = limits.max_memory
        wanted += [
            ("MemoryMax", ("t", NO_LIMIT if memory is None else memory)),
            ("MemorySwapMax", ("t", NO_LIMIT if memory is None else 0)),
        ]
    if before is None or limits.max_cpu != before.max_cpu:
        period, share = quota(limits.max_cpu)
        wanted += [
            ("CPUQuotaPeriodUSec", ("t", period)),
            ("CPUQuotaPerSecUSec", ("t", NO_LIMIT if share < 0 else share * 1_000_000 // period)),
        ]
    if before is None or limits.max_processes != before.max_processes:
        threads = most_threads(limits.max_processes)
        wanted.append(("TasksMax", ("t", NO_LIMIT if threads is None else threads)))
    return wanted


def _wait(met: Callable[[], bool]) -> bool:
    """Whether something came to hold in time."""
    deadline = time.monotonic() + DONE
    while not met():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True
