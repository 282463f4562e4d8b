"""What app hosts leave to the supervisor is ended and reaped; its own helpers and living hosts are not touched."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

from support.processes import runs, state_of
from support.tiers import eventually, gone

from labplatform.supervisor import strays
from labplatform.supervisor.limits import choose

# Leaves a process of its session behind, and one that has left it, and ends. Each says its pid in one write: two that
# share a pipe would mix their lines, where Python writes a line and its end apart.
LEAVES = """
import os, time
for left in (False, True):
    if os.fork() == 0:
        if left:
            os.setsid()
        if os.fork() == 0:
            os.write(1, b"%d\\n" % os.getpid())
            time.sleep(600)
        time.sleep(600)
time.sleep(0.2)
"""


def _started(code: str, **options) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **options)


def test_strays_go_and_the_supervisors_own_stay(tmp_path):
    async def main():
        tier, _ = await choose("off", tmp_path)
        helper = _started("import time; print(1, flush=True); time.sleep(600)")
        host = _started("import time; print(1, flush=True); time.sleep(600)", start_new_session=True)
        strays.known.add(host.pid)
        dead = _started(LEAVES, start_new_session=True)
        strays.known.add(dead.pid)
        try:
            left = [int(dead.stdout.readline()) for _ in range(2)]
            assert helper.stdout.readline() and host.stdout.readline()
            strays.sweep(tier)
            assert all(map(runs, left)), "nothing is a stray while its host lives"
            await asyncio.to_thread(dead.wait, 20)
            strays.known.discard(dead.pid)
            strays.sweep(tier)
            await gone(left)

            def reaped() -> bool:
                strays.sweep(tier)
                return not any(map(state_of, left))

            await eventually(reaped, 10)
            assert runs(helper.pid) and runs(host.pid)
            # The exit codes of hosts are asked for by who started them, and by nobody else.
            os.kill(host.pid, signal.SIGTERM)
            await eventually(lambda: state_of(host.pid) == "Z", 10)
            strays.sweep(tier)
            assert host.wait(10) == -signal.SIGTERM
        finally:
            strays.known.discard(host.pid)
            for process in (helper, host, dead):
                process.kill()
                process.wait(20)
                process.stdout.close()  # never read to its end, which waits for all who inherited it
            await tier.close()

    asyncio.run(main())
