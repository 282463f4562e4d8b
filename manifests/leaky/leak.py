"""leaky's Python side: keeps what it allocates, here or in a helper process that it starts, once its page says so.

Runs beside the page in the app's host. What is kept is written to: memory that nobody has touched costs nothing.
"""

from __future__ import annotations

import subprocess
import sys

EVERY = 0.1
"""Seconds between two allocations."""
STEP = 4_000_000
"""Bytes of each: some 40 MB a second."""
HELPER = "import sys; kept = [bytes([1]) * int(line) for line in iter(sys.stdin.readline, '')]"
"""Keeps as many bytes as each line says, until its standard input ends with this process."""


class Leak:
    """What is kept in one place, in bytes, and how much it is to become. `keep` keeps so many bytes more."""

    def __init__(self, keep) -> None:
        self.keep = keep
        self.size = 0
        self.until = 0.0


class Helper:
    """The process that is started for the first bytes it keeps."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def keep(self, size: int) -> None:
        """Have it keep so many bytes more."""
        if self._process is None:
            self._process = subprocess.Popen([sys.executable, "-c", HELPER], stdin=subprocess.PIPE, text=True)
        print(size, file=self._process.stdin, flush=True)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()


def main(lab) -> None:
    """Leak what the page asks for, until the app ends."""
    kept: list[bytes] = []
    helper = Helper()
    leaks = {"python": Leak(lambda size: kept.append(bytes([1]) * size)), "helper": Leak(helper.keep)}

    def wanted(context, metadata) -> None:
        leak = leaks[context["where"]]
        leak.until = leak.size + context["bytes"] if context["bytes"] else float("inf")

    def say() -> None:
        sizes = {where: leak.size for where, leak in leaks.items()}
        channel.broadcast({"type": "labplatform.side", "kept": sizes})

    channel = lab.channel(f"{lab.app_id}.{lab.page_instance_id}.{lab.incarnation}")
    channel.add_context_listener("labplatform.leak", wanted)
    say()
    try:
        while not lab.stopping.wait(EVERY):
            for leak in leaks.values():
                if leak.size < leak.until:
                    leak.keep(STEP)
                    leak.size += STEP
                    say()
    finally:
        helper.stop()
