"""One page computes and answers nothing; does another one still get its messages? Kernel.

The notebook sends, on the user channel that it has joined: it is a process of its own in every placement, so what is
late was held up at its receiver.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from ..fdc3.agent import DesktopAgent
from ..kernel.app import App
from .recording import Heard, Stream
from .streaming import TICKERS
from .waiting import until

_COMPUTE = """setTimeout(() => {
    const begin = Date.now();
    while (Date.now() - begin < %d);
    window.busy = [begin, Date.now()];
}, 50); delete window.busy; 0"""
BEFORE_ITS_END = 1 / 3
"""Part of the busy time at its end in which messages do not count: they could be late for any other reason."""


@dataclass(frozen=True)
class PastBusy:
    """`sent`: messages sent while the neighbour was busy, but for the last third of that; `in_time`: how many of them
    the listener had heard before the neighbour was done; `slowest`: seconds that the slowest of them took.
    """

    sent: int
    in_time: int
    slowest: float

    @property
    def kept_up(self) -> bool:
        """Whether most of them came in time."""
        return self.in_time > self.sent / 2

    def __str__(self) -> str:
        return f"{self.in_time} of {self.sent} in time, the slowest after {self.slowest:.2f} s"


def past_a_busy_page(
    agent: DesktopAgent, busy: App, listener: App, seconds: float = 3.0, pause: float = 0.1, timeout: float = 30.0
) -> PastBusy:
    """Keep `busy`'s page computing for `seconds`, send messages meanwhile, and see when `listener` hears them.

    `pause`: seconds from one message to the next. Waits `timeout` seconds for each page. Raises `LabTimeout`.
    """
    stream = Stream()
    stream.record(listener)
    busy.evaluate_js(_COMPUTE % (1000 * seconds))
    over = time.monotonic() + seconds
    for sent in itertools.count(1):
        agent.broadcast(stream.context(TICKERS[sent % len(TICKERS)], sent, time.time()))
        if time.monotonic() > over:
            break
        time.sleep(pause)
    until(busy, "window.busy !== undefined", True, timeout)
    begin, end = (at / 1000 for at in busy.evaluate_js("busy", timeout=timeout))
    return _judged(stream.heard(listener, sent, timeout), begin, end)


def _judged(heard: Heard, begin: float, end: float) -> PastBusy:
    last = end - (end - begin) * BEFORE_ITS_END
    during = [
        (sent, arrived) for sent, arrived in zip(heard.sent_at, heard.heard_at, strict=True) if begin <= sent <= last
    ]
    return PastBusy(
        sent=len(during),
        in_time=sum(arrived < end for _, arrived in during),
        slowest=max((arrived - sent for sent, arrived in during), default=0.0),
    )
