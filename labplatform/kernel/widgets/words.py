"""What happened to an app, and figures, in a few words for people; the page has the same in `static/parts.js`. Pure;
kernel.
"""

from __future__ import annotations

import re

_SHARED = "the process was shared with"


def ending_in_words(state: str, reason: str | None, detail: str) -> str:
    """Why an app is gone, or was until it started again, in at most five words; nothing if it was asked to go.

    `reason` and `detail` as the supervisor reports them.
    """
    if "supervisor was lost" in detail:
        return "Supervisor lost"
    if reason is None or state in ("running", "unresponsive", "stopping"):
        return ""
    if state == "starting" and reason == "clean-exit":
        return ""
    if state == "stopped":
        # It was to end; how its process took that is for the event log.
        closed = {"its window was closed": "Window closed", "its page closed the window": "Closed by its page"}
        return closed.get(detail, "Killed" if reason == "killed" else "")
    signal = next(iter(re.findall(r"\b(SIG[A-Z]+|signal \d+)\b", detail)), "")
    code = next(iter(re.findall(r"exit code (\d+)", detail)), "")
    renderer, shared = "renderer" in detail, _SHARED in detail
    whose = "shared process" if shared else "renderer" if renderer else ""
    match reason:
        case "oom":
            words = "out of memory"
        case "unresponsive":
            words = "shared renderer hung" if "renderer it shares" in detail else "hung, so it was ended"
        case "launch-failed":
            words = "did not start"
        case "killed" if signal:
            words = f"{whose} killed by {signal}"
        case "crashed" if signal == "SIGABRT":
            words = f"{whose} aborted"
        case "crashed" if signal == "SIGSEGV" and not whose:
            words = "segmentation fault"
        case "abnormal-exit" if code:
            words = f"{whose} exit code {code}"
        case "clean-exit":
            words = f"{whose or 'process'} ended"
        case "crashed" | "killed":
            words = f"{whose or 'process'} {reason}"
        case _:
            words = reason.replace("-", " ")
    words = words.strip()
    return words[:1].upper() + words[1:]


def own_ending_in_words(reason: str, detail: str) -> str:
    """The same of an app that was broken itself, whoever shared its process; for the one whose fault it was."""
    return ending_in_words("crashed", reason, detail.split(f"; {_SHARED}")[0])


def size_in_words(count: int | None) -> str:
    """Bytes: "86 MB"."""
    if count is None:
        return "–"
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.0f} MB" if count < 9.95e9 else f"{count / 1e9:.1f} GB"


def lag_in_words(seconds: float | None) -> str:
    """A short time: "0.3 ms"."""
    if seconds is None:
        return "–"
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 9.95 else f"{value:.0f} ms" if value < 10_000 else f"{seconds:.0f} s"


def time_in_words(seconds: float) -> str:
    """How long something took that a person may have waited for: "0.6 s"."""
    return f"{seconds:.2f} s" if seconds < 0.095 else f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def rate_in_words(count: float) -> str:
    """Messages a second: "3.2 msg/s"."""
    return f"{count:.0f} msg/s" if count >= 9.95 or count == 0 else f"{count:.1f} msg/s"
