"""What an app felt of its neighbours: how late its page and its window ran, whether it stalled or died. Kernel.

It comes from the figures that the supervisor keeps of every app, and from its log.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kernel.app import App


@dataclass(frozen=True)
class Felt:
    """One app's time. Lags are seconds: how late its page's event loop ran and how long its GUI thread took to answer;
    the middle value of all samples, so that one hiccup of the machine does not count, and `worst` of either.

    `stalls`: how often it left so many pings unanswered that it was taken for hung. `lost`: whether its process ended.
    """

    page_lag: float
    gui_lag: float
    worst: float
    stalls: int
    lost: bool

    @property
    def unharmed(self) -> bool:
        """Whether it neither stalled nor died."""
        return not self.stalls and not self.lost

    def __str__(self) -> str:
        lags = f"page {1000 * self.page_lag:.1f} ms late, GUI thread {1000 * self.gui_lag:.1f} ms"
        fate = "lost" if self.lost else "alive"
        return f"{fate}, {self.stalls} stalls, {lags}, {1000 * self.worst:.0f} ms at worst"


def felt(app: App, since: float) -> Felt:
    """What an app has felt since then, in seconds since the epoch."""
    history = app.history()
    rows = history["at"] > since
    page, gui = history["page_lag"][rows], history["gui_lag"][rows]
    return Felt(
        page_lag=_middle(page),
        gui_lag=_middle(gui),
        worst=float(np.nanmax(np.concatenate([page, gui, [0.0]]))),
        stalls=sum(entry.kind == "silent" for entry in app.events if entry.time > since),
        lost=len(set(history["incarnation"][rows])) > 1 or app.state not in ("running", "unresponsive"),
    )


def _middle(lags: np.ndarray) -> float:
    known = lags[~np.isnan(lags)]
    return float(np.median(known)) if len(known) else 0.0
