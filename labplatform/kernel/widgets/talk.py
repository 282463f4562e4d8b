"""What apps say to each other, as figures and as pulses along the lines of a map. Pure; kernel.

An app goes by its name; this notebook by `NOTEBOOK`; the platform itself, and whoever is not here, by `None`.
"""

from __future__ import annotations

from collections import Counter, deque
from statistics import median

from ... import messages as m

NOTEBOOK = ""
WINDOW = 5.0
"""Seconds over which messages are counted, and their latencies compared."""
PULSES = 20
"""Pulses that wait to be shown; of more the newest."""
WAITING_SHOWN = 6
"""Messages that wait for one app and are shown by their senders; of more there is the number."""
MANY = 2000
"""Latencies of one window that are compared."""

Who = str | None
Pulse = tuple[float, Who, list[Who]]
"""When it was passed on (seconds since the epoch), from whom, to whom."""


class Talk:
    """Takes `Platform.messages` as they come. `began`: since when, in seconds since the epoch."""

    def __init__(self, messages: tuple[m.RoutedMessage, ...], dropped: int, now: float) -> None:
        self.began = now
        self.waiting: dict[str, tuple[int, list[Who]]] = {}
        """For each app that does not answer, how many messages wait, and who sent the first of them."""
        self._last = messages[-1] if messages else None
        self._dropped = dropped
        self._counts: deque[tuple[float, int, Counter[Who]]] = deque()
        self._latencies: deque[tuple[float, float]] = deque(maxlen=MANY)
        self._pulses: deque[Pulse] = deque(maxlen=PULSES)
        self._passed: Counter[Who] = Counter()

    def take(
        self,
        messages: tuple[m.RoutedMessage, ...],
        dropped: int,
        now: float,
        notebook: str = "",
        silent: frozenset[str] = frozenset(),
    ) -> None:
        """Count what is new. `dropped`: how many messages were never told, in all; `notebook`: this notebook's
        instanceId; `silent`: the apps that do not answer.
        """
        new = self._new(messages)
        lost, self._dropped = max(0, dropped - self._dropped), dropped
        parts: Counter[Who] = Counter()
        self.waiting = {app: known for app, known in self.waiting.items() if app in silent}
        for message in new:
            sender = _who(message.sender, notebook)
            receivers = [_who(receiver, notebook) for receiver in message.receivers]
            parts.update({who for who in (sender, *receivers) if who is not None})
            if message.latency is not None:
                self._latencies.append((message.time, message.latency))
            self._pulses.append((message.time, sender, receivers))
            for app in silent.intersection(who for who in receivers if who):
                count, first = self.waiting.get(app, (0, []))
                self.waiting[app] = (count + 1, first if len(first) >= WAITING_SHOWN else [*first, sender])
        self._passed.update(parts)
        if new or lost:
            self._counts.append((now, len(new) + lost, parts))

    @property
    def has_pulses(self) -> bool:
        """Whether there are any that have not been asked for."""
        return bool(self._pulses)

    def pulses(self) -> list[Pulse]:
        """Those that have come since this was asked last, the oldest first."""
        pulses = list(self._pulses)
        self._pulses.clear()
        return pulses

    def passed(self) -> dict[Who, int]:
        """How many messages each app has sent or was to get since this was asked last."""
        passed, self._passed = dict(self._passed), Counter()
        return passed

    def rates(self, now: float) -> tuple[float, dict[Who, float]]:
        """Messages a second: all that were passed on, and by app those that it sent or was to get."""
        while self._counts and self._counts[0][0] <= now - WINDOW:
            self._counts.popleft()
        seconds = max(1.0, min(WINDOW, now - self.began))
        parts: Counter[Who] = Counter()
        for _, _, some in self._counts:
            parts.update(some)
        return sum(count for _, count, _ in self._counts) / seconds, {
            who: count / seconds for who, count in parts.items()
        }

    def half_within(self, now: float) -> float | None:
        """The seconds within which half of the messages were passed on; `None` where there were none."""
        while self._latencies and self._latencies[0][0] <= now - WINDOW:
            self._latencies.popleft()
        return median(latency for _, latency in self._latencies) if self._latencies else None

    def _new(self, messages: tuple[m.RoutedMessage, ...]) -> tuple[m.RoutedMessage, ...]:
        at = len(messages)
        while at and messages[at - 1] is not self._last:
            at -= 1
        if messages:
            self._last = messages[-1]
        return messages[at:]


def _who(party: m.Correspondent | None, notebook: str) -> Who:
    if party is None:
        return None
    return party.place or (NOTEBOOK if notebook and party.instance_id == notebook else None)
