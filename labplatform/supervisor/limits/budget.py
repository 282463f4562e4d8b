"""CPU of an app as a token bucket: when its processes are to be stopped, and when they may go on. Pure; supervisor.

Seconds of CPU trickle into the bucket at the rate of the limit and are taken out as they are used. What was used too
much is a debt that is waited for, so the average holds however late a look comes. An open loop, which stops and goes
on by the clock alone, gives a busy app much less than its limit.
"""

from __future__ import annotations

PERIOD = 0.1
"""Seconds in which a busy app runs and waits once."""
RESUME_AT = 0.75
"""Of a full bucket, from which on a stopped app goes on; a full one would make the periods longer than `PERIOD`."""
MOST_DEBT = 1.0
"""Seconds of waiting that an app can owe at most; more would make one long burst look like a hang."""
SOONEST = 0.003
"""Seconds between two looks, at least."""


class Budget:
    """The CPU of one app. `percent`: of one core. `stopped`: its processes are to stand still."""

    def __init__(self, percent: float, now: float, used: float) -> None:
        self.stopped = False
        self.times_stopped = 0
        self._at, self._used = now, used
        self._burning = 0.0
        self._tokens = 0.0
        self.percent = 0.0
        self.change(percent)
        self._tokens = self._full

    def change(self, percent: float) -> None:
        """From now on this many percent of one core."""
        self._rate = percent / 100
        self._full = self._rate * PERIOD
        self.percent = percent
        self._tokens = min(self._tokens, self._full)

    def look(self, now: float, used: float) -> float:
        """Take note of what was used so far, in seconds; decides `stopped`. Returns the seconds until the next look."""
        elapsed, spent = now - self._at, max(0.0, used - self._used)
        self._at, self._used = now, used
        tokens = self._tokens + elapsed * self._rate - spent
        self._tokens = max(-MOST_DEBT * self._rate, min(self._full, tokens))
        if not self.stopped and elapsed > 0:
            self._burning = spent / elapsed
        if self.stopped and self._tokens >= RESUME_AT * self._full:
            self.stopped = False
        elif not self.stopped and self._tokens <= 0:
            self.stopped = True
            self.times_stopped += 1
        if self.stopped:
            return max(SOONEST, (RESUME_AT * self._full - self._tokens) / self._rate)
        losing = self._burning - self._rate
        if losing <= 0:
            return PERIOD / 2
        return max(SOONEST, min(PERIOD / 2, self._tokens / losing))
