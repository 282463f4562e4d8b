"""One app's figures, out of what was read of its processes and what its page and GUI thread answered. Supervisor."""

from __future__ import annotations

from ..messages import AppMetrics, ProcessInfo
from .health import Pulse, Worst


class PageFigures:
    """What a page says of itself with its pongs: heap in bytes, its loop's worst lag since the pong before."""

    def __init__(self) -> None:
        self.lag = Worst()
        self.js_heap: int | None = None
        self.js_heap_limit: int | None = None

    def take(self, lag: float | None, js_heap: int | None, js_heap_limit: int | None) -> None:
        """Its word came; a page that is hidden says nothing about its lag, for a browser slows its timers down."""
        if lag is None:
            self.lag = Worst()
        else:
            self.lag.add(lag)
        self.js_heap, self.js_heap_limit = js_heap, js_heap_limit


def app_metrics(
    at: float,
    now: float,
    rows: tuple[ProcessInfo, ...],
    page: PageFigures,
    page_pulse: Pulse | None,
    gui_pulse: Pulse,
    memory: int | None = None,
) -> AppMetrics:
    """`at`: seconds since the epoch; `now`: the clock of the pulses. `page_pulse`: `None` for an app without a page.
    `memory`: bytes as its limit counts them, where something else does than the sum of the processes.
    """
    known = [row for row in rows if row.pss is not None and row.uss is not None and row.measured is not None]
    complete = bool(rows) and len(known) == len(rows)
    page_lag = None
    if page_pulse is not None:
        told, answered = page.lag.look(), page_pulse.rtt.look()
        page_lag = _worse(told if told is not None else answered, page_pulse.silent_for(now))
    return AppMetrics(
        at=at,
        memory=sum(row.memory for row in rows) if memory is None else memory,
        rss=sum(row.rss for row in rows),
        cpu=sum(row.cpu for row in rows),
        threads=sum(row.threads for row in rows),
        processes=len(rows),
        pss=sum(row.pss or 0 for row in known) if complete else None,
        uss=sum(row.uss or 0 for row in known) if complete else None,
        pss_age=max(0.0, at - min(row.measured or at for row in known)) if complete else None,
        js_heap=page.js_heap,
        js_heap_limit=page.js_heap_limit,
        page_lag=page_lag,
        gui_lag=_worse(gui_pulse.rtt.look(), gui_pulse.silent_for(now)),
    )


def _worse(answered: float | None, silent: float) -> float | None:
    return silent if silent > (answered or 0.0) else answered
