"""From evidence to a reason: why a host process or a renderer ended. Pure; runs in the supervisor.

Reasons are Electron's process-gone words (https://www.electronjs.org/docs/latest/api/structures/render-process-gone-details):
clean-exit, abnormal-exit, killed, crashed, oom, launch-failed, memory-eviction; and three that Electron does not have:
`unresponsive`, `memory-limit`, `process-limit`.
"""

from __future__ import annotations

import re
import signal
from typing import NamedTuple

from ..messages import ReportedExit


class Ending(NamedTuple):
    """`reason`: one word; `detail`: one clause for people."""

    reason: str
    detail: str


# What V8 and Chromium print just before they end a renderer that ran out of JavaScript heap.
_OUT_OF_HEAP = re.compile(r"V8 javascript OOM|JavaScript heap out of memory|V8.*process OOM|Allocation failed - ")

# How V8 ends the process then; a page of a shared host that dies otherwise is not explained by an earlier page's words.
_HEAP_SIGNALS = (signal.SIGTRAP, signal.SIGILL, signal.SIGABRT)

_NO_CAUSE = re.compile(r"Failed to load vulkan")
"""Chromium looks for Vulkan in every start, says so where there is none, and goes on without."""

_CAUSES = (
    re.compile(r"cannot open shared object file"),
    re.compile(r"could not connect to display|no Qt platform plugin could be initialized"),
    re.compile(r"^[\w.]*(Error|Exception)\b"),
)


def signal_name(number: int) -> str:
    """ "SIGKILL" for 9; "signal 99" for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def host_ending(returncode: int, closed_by: str | None, stderr: str = "") -> Ending:
    """Why an app host ended. `returncode` as `subprocess` gives it: negative is a signal.

    `closed_by`: who closed its last window ("request", "user", "page", "service"), where the host said so.
    """
    if returncode == 0:
        words = {
            "request": "it was asked to stop",
            "user": "its window was closed",
            "page": "its page closed the window",
            "service": "its Python function returned",
        }
        return Ending("clean-exit", words.get(closed_by or "", "its process ended by itself"))
    if returncode > 0:
        because = f": {found}" if (found := cause(stderr)) else ""
        return Ending("abnormal-exit", f"its process ended with exit code {returncode}{because}")
    name = signal_name(-returncode)
    if -returncode in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return Ending("killed", f"its process was killed by {name}")
    return Ending("crashed", f"its process died of {name}")


def renderer_ending(status: str, code: int, evidence: str = "") -> Ending:
    """Why a renderer ended. `status` and `code` are Qt's; `evidence` is what the host's stderr said lately."""
    if code in _HEAP_SIGNALS and _OUT_OF_HEAP.search(evidence):
        return Ending("oom", "its page ran out of JavaScript heap")
    if status == "killed" or code in (signal.SIGKILL, signal.SIGTERM):
        return Ending("killed", f"its renderer was killed by {signal_name(code)}")
    if status == "crashed":
        return Ending("crashed", f"its renderer died of {signal_name(code)}")
    if status == "normal":
        return Ending("clean-exit", "its renderer ended")
    return Ending("abnormal-exit", f"its renderer ended with code {code}")


def host_exit(pid: int, returncode: int) -> ReportedExit:
    """The same as a report has it."""
    if returncode < 0:
        return ReportedExit(process="host", pid=pid, signal=signal_name(-returncode))
    return ReportedExit(process="host", pid=pid, code=returncode)


def renderer_exit(pid: int | None, status: str, code: int) -> ReportedExit:
    """The same of a renderer, whose `code` may be that of a signal."""
    if status in ("crashed", "killed") or code in (*_HEAP_SIGNALS, signal.SIGKILL, signal.SIGTERM):
        return ReportedExit(process="renderer", pid=pid, signal=signal_name(code))
    return ReportedExit(process="renderer", pid=pid, code=code)


def python_stack(stderr: str) -> str:
    """What faulthandler printed when a host died of a signal: every thread's Python stack; "" if it printed nothing."""
    start = stderr.rfind("Fatal Python error")
    return stderr[start:].split("Extension modules:")[0].rstrip() if start >= 0 else ""


def javascript_stack(stderr: str) -> str:
    """What V8 printed when it ended a renderer for want of heap: the last collections, and its stack; "" otherwise."""
    start = max(stderr.rfind("<--- Last few GCs --->"), stderr.rfind("<--- JS stacktrace --->"))
    first = stderr.rfind("<--- Last few GCs --->")
    start = first if first >= 0 else start
    return stderr[start:].rstrip() if start >= 0 else ""


def cause(stderr: str) -> str:
    """The line of a host's stderr that says why it ended: a missing library, a lost display, a Python exception."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not _NO_CAUSE.search(line)]
    for mark in _CAUSES:
        for line in reversed(lines):
            if mark.search(line):
                return line[:300]
    return ""
