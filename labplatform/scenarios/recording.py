"""What an app hears of a stream of numbered instruments, noted by its own page. Kernel.

One clock for sender and receivers: the machine's.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from ..errors import LabTimeout
from ..kernel.app import App
from .waiting import until

_RECORD = """(async () => {
    window.heard = [];
    window.hearing = await fdc3.addContextListener("fdc3.instrument", ({ stream, n, at }) => {
        if (stream === %r) heard.push([n, at, Date.now()]);
    });
})()"""


@dataclass(frozen=True)
class Heard:
    """What one app heard of `sent` messages. `numbers` as they came; when each was sent and heard, in seconds.

    `alive`: whether its page lived through it; what a page that died had heard died with it.
    """

    sent: int
    numbers: tuple[int, ...] = ()
    sent_at: tuple[float, ...] = ()
    heard_at: tuple[float, ...] = ()
    alive: bool = True

    @property
    def complete(self) -> bool:
        """Every message, each once, in the order in which they were sent."""
        return self.numbers == tuple(range(1, self.sent + 1))

    @property
    def delays(self) -> tuple[float, ...]:
        """Seconds from sending to hearing, in the order of arrival."""
        return tuple(heard - sent for sent, heard in zip(self.sent_at, self.heard_at, strict=True))

    def __str__(self) -> str:
        if not self.alive:
            return "its page died"
        order = "in order" if list(self.numbers) == sorted(set(self.numbers)) else "out of order"
        return f"{len(self.numbers)} of {self.sent}, {order}"


class Stream:
    """Numbered instruments of one origin, told from all others by `key`."""

    def __init__(self) -> None:
        self.key = secrets.token_hex(4)
        self._lives: dict[App, int] = {}

    def context(self, ticker: str, number: int, at: float) -> dict[str, Any]:
        """One of its messages; numbers count from 1. `at`: seconds since the epoch."""
        return {"type": "fdc3.instrument", "id": {"ticker": ticker}, "stream": self.key, "n": number, "at": 1000 * at}

    def record(self, app: App) -> None:
        """Let an app's page note what it hears from now on, on the user channel that it is on."""
        self._lives[app] = app.incarnation
        app.evaluate_js(_RECORD % self.key)

    def heard(self, app: App, sent: int, timeout: float) -> Heard:
        """What an app has heard, once that includes message number `sent`, or after `timeout` seconds."""
        if app.incarnation != self._lives[app] or app.state not in ("running", "unresponsive"):
            return Heard(sent=sent, alive=False)
        try:
            until(app, "heard.length && heard.at(-1)[0]", sent, timeout)
        except LabTimeout:
            pass  # what is missing is the evidence
        noted = app.evaluate_js("hearing.unsubscribe().then(() => heard)")
        numbers, sent_at, heard_at = zip(*noted, strict=True) if noted else ((), (), ())
        return Heard(
            sent=sent,
            numbers=tuple(numbers),
            sent_at=tuple(at / 1000 for at in sent_at),
            heard_at=tuple(at / 1000 for at in heard_at),
        )
