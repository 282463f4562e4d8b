"""What it costs to talk through the app hosts, as pages do that may open no WebSocket; beside pages that may."""

from __future__ import annotations

import contextlib

from .broadcast import INTERVAL
from .figures import Row
from .stage import Measured, Stage
from .talk import PROXY, TOGETHER, Burst, Talk

TITLE = "page to page through the two app hosts, beside WebSockets"
BRIDGE, SOCKETS = "host", "websocket"


def measure(stage: Stage) -> Measured:
    """Interleaved: two pages that go through their hosts, and two on another platform that do not."""
    paced, bursts = stage.times(400, 100), stage.times(10_000, 1_000)
    delays: dict[str, list[float]] = {BRIDGE: [], SOCKETS: []}
    rates: dict[str, list[Burst]] = {BRIDGE: [], SOCKETS: []}
    with contextlib.ExitStack() as held:
        talks = {way: held.enter_context(Talk(stage, ways=(PROXY,), page_transport=way)) for way in delays}
        for _ in stage.rounds(stage.times(5, 1)):
            for way, talk in talks.items():
                one, two = talk.pages
                delays[way] += talk.paced(PROXY, one, [two], paced, INTERVAL)
                delays[way] += talk.paced(PROXY, two, [one], paced, INTERVAL)
                rates[way].append(talk.burst(PROXY, one, [two], bursts))
    quick = {way: tuple(burst.rate for burst in found) for way, found in rates.items()}
    costs = {way: tuple(burst.cpu for burst in found) for way, found in rates.items()}
    return (
        Row(what="one way, 200 a second", unit="s", values=tuple(delays[BRIDGE])),
        Row(what="WebSockets", unit="s", values=tuple(delays[SOCKETS]), beside=True),
        Row(what="burst", unit="messages/s", values=quick[BRIDGE]),
        Row(what="WebSockets", unit="messages/s", values=quick[SOCKETS], beside=True),
        Row(what="CPU of one, all processes", unit="s", values=costs[BRIDGE]),
        Row(what="WebSockets", unit="s", values=costs[SOCKETS], beside=True),
    ), (f"{paced} broadcasts each way in a round; {bursts:,} in a burst, {TOGETHER} in each turn of the page's loop.",)
