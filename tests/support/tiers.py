"""Tiers of limits under test, through their own interface: plain processes in groups, and programs that misbehave.

Nothing of a platform is needed, so the same tests run wherever there is a Python: here, or in a machine made for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from labplatform.manifest import ResourceLimits
from labplatform.supervisor import limits as tiers
from labplatform.supervisor import strays
from labplatform.supervisor.limits.tier import Breach, Group, Tier, Unavailable
from labplatform.supervisor.spawn import HELD

from .processes import Ground, become_subreaper, runs

MB = 1_000_000
PATIENCE = float(os.environ.get("LABPLATFORM_PATIENCE", "1"))
"""By what deadlines are multiplied on a machine that is itself computed, instruction by instruction; see `guests`."""

BEGINNING = """
import ctypes, json, os, signal, subprocess, sys, threading, time

orders, answers = (os.fdopen(int(fd), mode) for fd, mode in zip(sys.argv[1:], "rw"))

def say(**words):
    print(json.dumps(words), file=answers, flush=True)

def order():
    return json.loads(orders.readline() or "null")

def fill(megabytes):
    return [bytearray(os.urandom(1000)) * 1000 for _ in range(megabytes)]

def child(code, **options):
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True} | options
    return subprocess.Popen([sys.executable, "-c", "import os, subprocess, sys, time\\n" + code], **options)

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, as an app host does
"""
"""What every program begins with. It takes orders and answers as lines of JSON."""


class Program:
    """A process as an app host is: in a session of its own, held at first."""

    def __init__(self, body: str) -> None:
        gate, self._gate = os.pipe()
        orders, to = os.pipe()
        came, answers = os.pipe()
        self.process = subprocess.Popen(
            [*HELD, sys.executable, "-c", BEGINNING + body, str(orders), str(answers)],
            stdin=gate,
            pass_fds=(orders, answers),
            start_new_session=True,
        )
        for descriptor in (gate, orders, answers):
            os.close(descriptor)
        self.pid = self.process.pid
        strays.known.add(self.pid)
        self._from, self._to = os.fdopen(came, "rb"), os.fdopen(to, "wb", buffering=0)

    def let_go(self) -> None:
        """Let it execute."""
        os.write(self._gate, f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]}\n".encode())

    def tell(self, **words: Any) -> None:
        """Send it an order."""
        self._to.write(json.dumps(words).encode() + b"\n")

    async def said(self, seconds: float = 30) -> dict[str, Any]:
        """The next thing it says."""
        line = await asyncio.wait_for(asyncio.to_thread(self._from.readline), seconds * PATIENCE)
        assert line, "the program has ended"
        return json.loads(line)

    async def ended(self, seconds: float = 10) -> int:
        """Wait for its end; its exit code. Told at once: `Popen.wait` looks every 50 ms."""
        descriptor = os.pidfd_open(self.pid)
        try:
            await asyncio.to_thread(select.select, [descriptor], [], [], seconds * PATIENCE)
        finally:
            os.close(descriptor)
        return self.process.wait(0)

    def close(self) -> None:
        """End it and reap it."""
        os.close(self._gate)
        self.process.kill()
        self.process.wait(10 * PATIENCE)
        strays.known.discard(self.pid)
        self._from.close()
        self._to.close()


class Ring:
    """One tier with its groups, and the breaches that were told."""

    def __init__(self, tier: Tier, why: tuple[str, ...]) -> None:
        self.tier = tier
        self.why = why
        self.breaches: dict[str, Breach] = {}
        self._told = asyncio.Event()
        self._open: list[tuple[Program, Group]] = []

    async def start(self, name: str, body: str, **limits: Any) -> tuple[Program, Group]:
        """A program in a group with these limits, let go."""
        group = self.tier.group(name, ResourceLimits(**limits), self._breached)
        program = Program(body)
        self._open.append((program, group))
        await group.attach(program.pid)
        program.let_go()
        return program, group

    def _breached(self, group: Group, breach: Breach) -> None:
        assert group.name not in self.breaches, "a breach is told once"
        self.breaches[group.name] = breach
        self._told.set()

    async def breach(self, group: Group, seconds: float = 10) -> Breach:
        """Wait until this group has gone over a limit."""
        async with asyncio.timeout(seconds * PATIENCE):
            while group.name not in self.breaches:
                self._told.clear()
                await self._told.wait()
        return self.breaches[group.name]

    async def close(self) -> None:
        """End all of it, in the order in which a platform does."""
        for program, group in self._open:
            group.kill_all()
            program.close()
            await group.close()
        await asyncio.to_thread(self._sweep)
        await self.tier.close()

    def _sweep(self) -> None:
        strays.sweep(self.tier)


@contextlib.asynccontextmanager
async def ring(name: str, folder: Path) -> AsyncIterator[Ring]:
    """A tier by name, open. `folder`: the session's. Raises `Unavailable`."""
    made = Ring(*await tiers.choose(name, folder))
    try:
        yield made
    finally:
        await made.close()


@functools.cache
def unavailable(name: str) -> str:
    """Why a tier does not work here, for this user; "" if it does."""

    async def main(folder: str) -> None:
        tier, _ = await tiers.choose(name, Path(folder))
        await tier.close()

    with tempfile.TemporaryDirectory(prefix="labplatform-tier-") as folder:
        try:
            asyncio.run(main(folder))
        except tiers.Unavailable as error:
            return str(error)
    return ""


async def eventually(met: Callable[[], object], seconds: float) -> None:
    """Wait until something holds. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds * PATIENCE):
        while not met():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def gone(pids: list[int], seconds: float = 10) -> None:
    """Wait until none of these processes runs."""
    await eventually(lambda: not any(map(runs, pids)), seconds)


# --- what tests of tiers share ----------------------------------------------------------------------------------------

WAITS = "say(pid=os.getpid())\nwhile (word := order()) is not None:\n    say(alive=word)"

LEAKS = "say(pid=os.getpid())\nkept = fill(order()['megabytes'])\nsay(filled=len(kept))\norder()"

BOMB = """
say(pid=os.getpid())
order()
made = 0
while made < 200:
    try:
        pid = os.fork()
    except OSError:
        time.sleep(0.001)
        continue
    if pid == 0:
        if made % 2:
            os.setsid()
        time.sleep(600)
        os._exit(0)
    made += 1
say(made=made)
order()
"""


@pytest.fixture(params=[tier.name for tier in tiers.TIERS])
def within(request, tmp_path):
    """Runs an async function with a ring of one tier, which must have left nothing behind afterwards."""

    def run(body) -> None:
        async def main():
            try:
                async with ring(request.param, tmp_path) as made:
                    await asyncio.wait_for(body(made), 60 * PATIENCE)
            except Unavailable as error:
                pytest.skip(str(error))

        become_subreaper()
        ground, own = Ground(tmp_path), Path("/proc/self/cgroup").read_text()
        asyncio.run(main())
        ground.assert_clean()
        assert Path("/proc/self/cgroup").read_text() == own

    return run
