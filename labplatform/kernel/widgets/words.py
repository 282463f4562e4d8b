"""What happened to an app, in a few words for people. Pure; kernel."""

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
