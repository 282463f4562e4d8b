"""Who answers pings: a counter for each GUI thread and each page. Pure; runs in the supervisor.

Unanswered pings are counted, not seconds: when the whole machine stalls, the supervisor's own ticks stall with it and
nobody is accused.
"""

from __future__ import annotations

from ..messages import Heartbeat


class Pulse:
    """The pings of one thing that should answer. `rtt`: seconds the last answered one took, `None` before the first."""

    def __init__(self) -> None:
        self.missed = 0
        self.rtt: float | None = None
        self._sent = 0
        self._answered = 0
        self._sent_at = 0.0

    def sent(self, seq: int, at: float) -> None:
        """A ping goes out; one still open counts as missed."""
        if self._answered < self._sent:
            self.missed += 1
        self._sent, self._sent_at = seq, at

    def answered(self, seq: int, at: float) -> None:
        """An answer came; a late one clears the count as well."""
        if seq > self._answered:
            self._answered = seq
            self.missed = 0
            if seq == self._sent:
                self.rtt = at - self._sent_at

    def excuse(self) -> None:
        """It may be silent just now (a dialog is open); start counting afresh."""
        self.missed = 0
        self._answered = self._sent


def verdict(heartbeat: Heartbeat, gui: Pulse, page: Pulse | None) -> tuple[str, int, bool] | None:
    """What is silent ("GUI thread" or "page"), for how many pings, and whether it must end; `None` if all is well.

    A stuck GUI thread is named first: its page's network runs in the same process, so both may be silent.
    """
    for what, pulse in (("GUI thread", gui), ("page", page)):
        if pulse is not None and pulse.missed >= heartbeat.silent_after:
            return what, pulse.missed, pulse.missed >= heartbeat.ended_after
    return None
