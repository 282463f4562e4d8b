"""Faults on purpose: each really breaks this process or its page, in the way its name says. Runs in the app host.

(`kill`, `renderer-kill` and `freeze` are signals from outside; the supervisor sends them.)
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

EXIT_CODE = 3
"""What `exit` exits with: a code that nothing else here uses."""

# 32 MB a step, of plain numbers: they count as JavaScript heap, and the collector has nothing to trace in them, so the
# limit comes within a second or two. Arrays of objects take twenty, most of it garbage collection.
EXHAUST_HEAP = "setTimeout(() => { const kept = []; for (;;) kept.push(new Array(4e6).fill(0.5 + kept.length)) }, 0)"


def commit(how: str, window: Any) -> None:
    """Break. Without a page, `renderer`, `oom` and `hang` strike the Python side, which is all there is."""
    if how == "abort":
        os.abort()
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "exit":
        sys.stderr.flush()
        os._exit(EXIT_CODE)
    elif how == "renderer":
        if window is None:
            os.kill(os.getpid(), signal.SIGSEGV)
        else:
            window.crash_page()
    elif how == "oom":
        if window is None:
            raise ValueError("an app without a page has no JavaScript heap to exhaust")
        window.run_js(EXHAUST_HEAP)
    elif how == "hang":
        if window is None:
            signal.pause()
        else:
            window.run_js("setTimeout(() => { for (;;) {} }, 0)")
    elif how == "hang-gui":
        while True:
            pass
    else:
        raise ValueError(f"no fault is called {how!r}")
