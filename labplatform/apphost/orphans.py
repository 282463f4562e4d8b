"""Orphans that this app host took in and that have ended: reaped, so that they do not pile up. Runs in the app host.

The host is the subreaper of everything below it, so that nothing leaves its app's tree. A child of its own, though, is
somebody's here who may still ask for its exit code: Chromium's, or a `Popen` of the app. Linux lists an orphan among
the children of the main thread, where else only Chromium starts processes; and a child has its parent's session or
leads one, so whoever has a third one is an orphan for certain. The others are left alone for a while.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

PATIENCE = 30.0
"""Seconds that a process must have been dead before it is taken for an orphan that nobody asks for."""


class Orphans:
    """Those of this process."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._dead_since: dict[int, float] = {}

    def look(self) -> None:
        """Reap who may be; called now and then, a microsecond where there is nothing to do."""
        try:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                self._dead_since.clear()
                return
        except ChildProcessError:
            return
        own, now = os.getpid(), time.monotonic()
        before, self._dead_since = self._dead_since, {}
        for pid in map(int, Path(f"/proc/self/task/{own}/children").read_text().split()):
            try:
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    continue
                since = before.get(pid, now)
                if os.getsid(pid) not in (os.getsid(0), pid) or now - since >= self._patience:
                    os.waitpid(pid, os.WNOHANG)
                else:
                    self._dead_since[pid] = since
            except OSError:
                continue
