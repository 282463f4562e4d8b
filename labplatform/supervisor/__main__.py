"""Where a supervisor starts: its order comes as one line of JSON on standard input, which then stays open.

The end of standard input, or the death of the controller's process, ends the platform, unless it is detached; the
guardian's death ends it in any case.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from setproctitle import setproctitle

from .. import messages as m
from . import linux
from .core import Supervisor

ABANDONED_GRACE = 0.3
"""Seconds apps get to close when nobody is left who could have wanted to wait for them."""


def read_order() -> m.SupervisorOrder:
    """The order on standard input, up to its newline; nothing beyond it is taken."""
    data = bytearray()
    while not data.endswith(b"\n") and len(data) < m.MOST_ORDER:
        chunk = os.read(0, 1 << 16)
        if not chunk:
            raise EOFError("standard input ended before the order was complete")
        data += chunk
    return m.decode(bytes(data), m.SupervisorOrder)


def write_connection_file(order: m.SupervisorOrder, supervisor: Supervisor) -> Path:
    """Write `platform-PID.json`, readable by its owner alone from the first byte on."""
    path = Path(order.folder) / f"platform-{os.getpid()}.json"
    content = m.ConnectionFile(
        pid=os.getpid(),
        created=supervisor.created(),
        port=supervisor.door.port,
        token=order.token,
        isolation=order.isolation,
        controller_pid=order.controller_pid,
        session=order.session,
        detached=order.detached,
        name=order.name,
    )
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(m.encode(content), indent=1))
    temporary.rename(path)
    return path


def watch(pid: int, then: Callable[[], None]) -> None:
    """Call `then` when this process is gone, which may be now."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        loop.call_soon(then)
        return

    def gone() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        then()

    loop.add_reader(descriptor, gone)


def watch_input(then: Callable[[], None]) -> None:
    """Call `then` at the end of standard input."""
    loop = asyncio.get_running_loop()
    os.set_blocking(0, False)

    def readable() -> None:
        try:
            data = os.read(0, 4096)
        except BlockingIOError:
            return
        if not data:
            loop.remove_reader(0)
            then()

    loop.add_reader(0, readable)


def hold_nothing() -> None:
    """Let go of the controller's files: whoever reads there is to see their end, and is not there for ever to do so."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)


async def serve(order: m.SupervisorOrder) -> None:
    """One platform, from its start to its end."""
    loop = asyncio.get_running_loop()
    supervisor = Supervisor(order)
    stops: list[asyncio.Task[None]] = []

    def end(why: str, lost: str = "") -> None:
        if not stops and not supervisor.finished.is_set():
            supervisor.lost = lost
            stops.append(loop.create_task(supervisor.stop(ABANDONED_GRACE, by=why)))

    watch(os.getppid(), lambda: end("the guardian's death", lost=m.GUARDIANS_END))
    if not order.detached:
        watch(order.controller_pid, lambda: end(m.CONTROLLERS_END))
    loop.add_signal_handler(signal.SIGTERM, lambda: end("SIGTERM"))
    for number in (signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: None)
    await supervisor.start()
    path = write_connection_file(order, supervisor)
    try:
        ready = m.SupervisorReady(pid=os.getpid(), port=supervisor.door.port, connection_file=str(path))
        os.write(1, m.encode(ready) + b"\n")
        if order.detached:
            hold_nothing()
        else:
            watch_input(lambda: end(m.CONTROLLERS_END))
        await supervisor.finished.wait()
        await supervisor.controllers.settle(0.5)
        path.unlink(missing_ok=True)
        await supervisor.door.close(supervisor.lost or supervisor.stopped_by())
    finally:
        path.unlink(missing_ok=True)
        # The guardian would do it, but this may be the end because the guardian is gone.
        shutil.rmtree(path.with_suffix(""), ignore_errors=True)


def main() -> int:
    setproctitle("labplatform: supervisor")
    logging.basicConfig(format="labplatform supervisor: %(message)s", level=logging.WARNING)
    try:
        linux.become_subreaper()
        linux.open_many_files()
        order = read_order()
        asyncio.run(serve(order))
    except Exception as error:
        ready = m.SupervisorReady(pid=os.getpid(), problem=f"{type(error).__name__}: {error}")
        try:
            os.write(1, m.encode(ready) + b"\n")
        except OSError:
            pass
        print(f"labplatform supervisor: {json.dumps(ready.problem)}", file=sys.stderr)
        logging.getLogger("labplatform.supervisor").debug("", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
