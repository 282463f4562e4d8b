"""Who answers pings: a counter for each GUI thread and each page. Pure; runs in the supervisor.

Unanswered pings are counted, not seconds: when the whole machine stalls, the supervisor's own ticks stall with it and
nobody is accused.
"""

from __future__ import annotations

from ..messages import Heartbeat


class Worst:
    """The largest of the values that came since somebody looked; the last one, if none came since."""

    def __init__(self) -> None:
        self._value: float | None = None
        self._looked = False

    def add(self, value: float) -> None:
        """One value."""
        self._value = value if self._looked or self._value is None else max(value, self._value)
        self._looked = False

    def look(self) -> float | None:
        """The largest; `None` before the first."""
        self._looked = True
        return self._value


class Pulse:
    """The pings of one thing that should answer. `rtt`: seconds that answers took."""

    def __init__(self) -> None:
        self.missed = 0.0
        self.rtt = Worst()
        self._sent = 0
        self._answered = 0
        self._sent_at = 0.0
        self._open_since: float | None = None

    def sent(self, seq: int, at: float, ran: float = 1.0) -> None:
        """A ping goes out, or would: one still open counts as missed, and its number may be given again instead of
        another ping. `ran`: the share of the time since the last in which it was let run; one that had to stand still
        for its CPU limit is not silent for that."""
        if self._answered < self._sent:
            self.missed += ran
        if seq != self._sent:
            self._sent, self._sent_at = seq, at
        if self._open_since is None:
            self._open_since = at

    def answered(self, seq: int, at: float) -> None:
        """An answer came; a late one clears the count as well. One to a ping that was sent before this counted is none:
        a host is pinged while it has no running app yet."""
        if self._answered < seq <= self._sent:
            self._answered = seq
            self.missed = 0
            self._open_since = None
            if seq == self._sent:
                self.rtt.add(at - self._sent_at)
            else:
                self._open_since = self._sent_at

    def excuse(self) -> None:
        """It may be silent just now (a dialog is open); start counting afresh."""
        self.missed = 0
        self._answered = self._sent
        self._open_since = None

    def silent_for(self, now: float) -> float:
        """Seconds since the oldest ping that has no answer yet; 0 when all are answered."""
        return 0.0 if self._open_since is None else max(0.0, now - self._open_since)


def verdict(heartbeat: Heartbeat, gui: Pulse, page: Pulse | None) -> tuple[str, int, bool] | None:
    """What is silent ("GUI thread" or "page"), for how many pings, and whether it must end; `None` if all is well.

    A stuck GUI thread is named first: its page's network runs in the same process, so both may be silent. That is so
    too where the page's count is the one ahead, by the ping that the thread had just answered when it stuck.
    """
    page_missed = page.missed if page is not None else 0.0
    silent, ended = heartbeat.silent_after, heartbeat.ended_after
    if gui.missed >= silent or (page_missed >= silent and gui.missed >= max(1, silent - 1)):
        return "GUI thread", int(gui.missed), gui.missed >= ended
    if page_missed >= silent:
        return "page", int(page_missed), page_missed >= ended
    return None
