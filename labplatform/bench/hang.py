"""How long a hang goes unnoticed, in pings: from the fault to the log entry that says the page is silent."""

from __future__ import annotations

from .. import messages as m
from .figures import Row
from .stage import Measured, Stage

TITLE = "from a page's hang to `unresponsive`"
QUICK_INTERVAL = 0.25


def measure(stage: Stage) -> Measured:
    """The page is blocked for ever, noticed, and ended."""
    interval = QUICK_INTERVAL if stage.quick else m.Heartbeat().interval
    beat = m.Heartbeat(interval=interval)
    pings: list[float] = []
    with stage.platform(heartbeat=beat) as platform:
        for _ in stage.rounds(stage.times(5, 1)):
            app = platform.launch("tiny")
            app.crash("hang")
            fault = next(entry.time for entry in reversed(app.events) if entry.kind == "fault")
            silent = next(entry.time for entry in reversed(app.events) if entry.kind == "silent")
            pings.append((silent - fault) / interval)
            app.kill()
    # The first ping that goes unanswered is up to one interval away, and an open one counts when the next goes out.
    target = beat.silent_after + 1
    return (
        Row(
            what=f"a hung page, after {beat.silent_after} unanswered", unit="pings", values=tuple(pings), target=target
        ),
    ), (f"one ping every {interval:g} s",)
